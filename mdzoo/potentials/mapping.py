"""Gaussian processes become polynomials where a model is to run fast."""

import logging

from torch import nn

from mdzoo.potentials.descriptor_potential import DescriptorPotential
from mdzoo.potentials.force_field import ForceField
from mdzoo.potentials.linear_ensemble import LinearEnsemble
from mdzoo.regressors.mapped_gp import mapped
from mdzoo.regressors.sparse_gp import SparseGP

log = logging.getLogger(__name__)


def map_kernels(force_field: ForceField) -> None:
    """Replace, in place, every SparseGP that is a polynomial no dearer than its sum over inducing points; see MappedGP.

    A sum over M points costs about 2 M F operations for an atom, a polynomial F^zeta. What stays is said, with the
    size that a polynomial would take.
    """
    sure = [f"{path}." for path, part in force_field.named_modules() if isinstance(part, LinearEnsemble)]
    for path, part in list(force_field.named_modules()):
        if any(path.startswith(prefix) for prefix in sure):
            continue  # its deviations need the inducing points
        if isinstance(part, DescriptorPotential) and isinstance(part.regressor, SparseGP):
            zetas = [getattr(kernel, "zeta", 0) for kernel in part.regressor.kernels]
            size, points = part.regressor.n_features + 1, max(part.regressor.counts)
            if 0 < max(zetas) <= 2 and size ** max(zetas) <= 2 * points * size:
                log.info("mapping: a polynomial of %d numbers for each species", size ** max(zetas))
                put(force_field, path, part)
            elif max(zetas) > 0:
                log.info("not mapped: a polynomial would hold %.1e numbers for each species", size ** max(zetas))


def put(force_field: ForceField, path: str, part: DescriptorPotential) -> None:
    """Put the mapped twin of a term in its place."""
    regressor: SparseGP = part.regressor  # type: ignore[assignment]
    found = mapped(regressor)
    if found is not None:
        parent, _, name = path.rpartition(".")
        twin = DescriptorPotential(part.descriptor, found).train(part.training)
        place: nn.Module = force_field.get_submodule(parent)
        place._modules[name] = twin
