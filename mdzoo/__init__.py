"""mdzoo: a zoo of interatomic potentials, E = E_empirical + E_ML, each a torch module."""

__version__ = "0.1.0"
