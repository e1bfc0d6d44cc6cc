"""The prior of a model: that of a feature narrows with its quantum numbers, that of a kernel is its covariance."""

import re

import torch
from torch import Tensor

from mdzoo.fit.design import linear_parts, n_columns
from mdzoo.fit.spectrum import Shape
from mdzoo.potentials import DescriptorPotential, ForceField
from mdzoo.regressors import Linear, SparseGP

NUMBER = re.compile(r"(k|l)[\d']*=(?:\d+\.)?(\d+)")


def roughness(label: str) -> float:
    """Return the sum of `k - 1` and `l` over the quantum numbers in a label such as `b[k=1,k'=2,l=0,l1=1,l2=1]`."""
    return float(sum(int(value) - (kind == "k") for kind, value in NUMBER.findall(label)))


@torch.no_grad()
def shape_of(force_field: ForceField, power: float = 0.0) -> Tensor | Shape | None:
    """Return the shape of the prior of all linear parameters, see `mdzoo.fit.spectrum`; None for a plain ridge.

    Arguments:
        force_field: holds what is linear in its parameters.
        power: of `stiffness_of`.
    """
    parts, roots, first = linear_parts(force_field), {}, 0
    widths = [n_columns(part) for part in parts]
    kernels = [isinstance(part.regressor, SparseGP) for part in parts]
    found = [None if kernel else stiffness_of(part, power) for part, kernel in zip(parts, kernels, strict=True)]
    if len(parts) == 1 and not kernels[0]:
        return found[0]
    for part, width in zip(parts, widths, strict=True):
        if isinstance(part.regressor, SparseGP):
            roots[first] = root_of(part.regressor)
        first += width
    ones = [torch.ones(width, dtype=torch.float64) for width in widths]
    return Shape(torch.cat([o if f is None else f for o, f in zip(ones, found, strict=True)]), roots)


def root_of(regressor: SparseGP) -> Tensor:
    """Return R of the prior of a kernel's parameters, (P, P)."""
    if not regressor.learnt:
        raise ValueError(
            "`force_field` must have inducing points before its fit, got a SparseGP without; use mdzoo.fit.fit, or "
            "select_inducing of mdzoo.fit.inducing"
        )
    return regressor.prior_root()


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
    biases = torch.ones(n_species if part.regressor.has_bias else 0, dtype=torch.float64)
    return torch.cat([(features**power).repeat(n_species), biases])
