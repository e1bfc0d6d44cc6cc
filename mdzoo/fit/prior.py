"""Smooth before rough: the prior of a feature narrows with its quantum numbers."""

import re

import torch
from torch import Tensor

from mdzoo.potentials import DescriptorPotential
from mdzoo.regressors import Linear

NUMBER = re.compile(r"(k|l)[\d']*=(?:\d+\.)?(\d+)")


def roughness(label: str) -> float:
    """Return the sum of `k - 1` and `l` over the quantum numbers in a label such as `b[k=1,k'=2,l=0,l1=1,l2=1]`."""
    return float(sum(int(value) - (kind == "k") for kind, value in NUMBER.findall(label)))


def stiffness_of(part: DescriptorPotential, power: float) -> Tensor | None:
    """Return h of `mdzoo.fit.solve` for each parameter, `(1 + roughness)^power`, 1 for a bias; None at power 0.

    The algebraic smoothness prior of ACEpotentials (Witt et al., DOI 10.1063/5.0158783), on columns of unit norm.

    Raises:
        ValueError: the regressor is not linear in the features.
    """
    if power == 0.0:
        return None
    if not isinstance(part.regressor, Linear):
        raise ValueError(
            f"`stiffness` must be 0 for {type(part.regressor).__name__}, got {power}; only regressor=linear has one "
            "parameter for each feature"
        )
    features = torch.tensor([1.0 + roughness(label) for label in part.descriptor.labels()], dtype=torch.float64)
    n_species = part.regressor.n_species
    biases = torch.ones(n_species if part.regressor.bias.requires_grad else 0, dtype=torch.float64)
    return torch.cat([(features**power).repeat(n_species), biases])
