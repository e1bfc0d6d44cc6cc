"""Which energy do these numbers mean?"""

from mdzoo.regressors.base import Regressor
from mdzoo.regressors.linear import Linear
from mdzoo.regressors.mlp import MLP
from mdzoo.regressors.polynomial import Polynomial
from mdzoo.regressors.quadratic import Quadratic
from mdzoo.regressors.scale import Scale

__all__ = ["MLP", "Linear", "Polynomial", "Quadratic", "Regressor", "Scale"]
