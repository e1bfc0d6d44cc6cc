"""Which energy do these numbers mean?"""

from mdzoo.regressors.base import Regressor
from mdzoo.regressors.linear import Linear

__all__ = ["Linear", "Regressor"]
