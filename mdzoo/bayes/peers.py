"""The package Pyro of the extra `bayes`, imported here alone: what is missing is named with the way to install it."""

try:
    import pyro
    import pyro.distributions as dist
    from pyro import poutine
    from pyro.infer.mcmc import NUTS
except ImportError as error:
    raise ImportError("`pyro` must be installed for mdzoo.bayes, got none; pip install 'mdzoo[bayes]'") from error

__all__ = ["NUTS", "dist", "poutine", "pyro"]
