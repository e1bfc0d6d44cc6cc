"""Which parameters are best?"""

from mdzoo.fit.design import design
from mdzoo.fit.fit import FitResult, fit
from mdzoo.fit.least_squares import LeastSquares
from mdzoo.fit.lightning import GradientFit
from mdzoo.fit.solve import LinearPosterior, solve

__all__ = ["FitResult", "GradientFit", "LeastSquares", "LinearPosterior", "design", "fit", "solve"]
