"""Which energy do these numbers mean?"""

from mdzoo.regressors.base import Regressor
from mdzoo.regressors.dot_product import DotProduct
from mdzoo.regressors.kernel import Kernel, Product, Sum
from mdzoo.regressors.linear import Linear
from mdzoo.regressors.mapped_gp import MappedGP
from mdzoo.regressors.mlp import MLP
from mdzoo.regressors.polynomial import Polynomial
from mdzoo.regressors.quadratic import Quadratic
from mdzoo.regressors.scale import Scale
from mdzoo.regressors.sparse_gp import SparseGP
from mdzoo.regressors.stationary_kernel import Matern, SquaredExponential

__all__ = [
    "MLP",
    "DotProduct",
    "Kernel",
    "Linear",
    "MappedGP",
    "Matern",
    "Polynomial",
    "Product",
    "Quadratic",
    "Regressor",
    "Scale",
    "SparseGP",
    "SquaredExponential",
    "Sum",
]
