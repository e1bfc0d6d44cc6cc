"""What a model that knows its uncertainty says of labelled structures: errors beside deviations."""

from typing import Any, NamedTuple

import numpy as np
import torch
from ase.data import chemical_symbols

from mdzoo.potentials.sure_force_field import SureForceField

Array = np.ndarray
FIXED = 1e-6
"""Forces whose deviation is below this part of the largest are fixed by symmetry: they say nothing."""


class SureErrors(NamedTuple):
    """Errors of one quantity, what was said of them, and to what they belong."""

    error: Array  # (n,) label minus prediction, eV/atom or eV/Angstrom
    sigma: Array  # (n,)
    group: Array  # (n,) name of the group
    element: Array  # (n,) symbol of the atom; of energies the formula's elements


def sure_errors(sure: SureForceField, dataset: Any) -> dict[str, SureErrors]:
    """Return errors and deviations of `energy` (per atom) and `forces` (components) of labelled structures.

    Arguments:
        sure: in eval mode.
        dataset: map-style, with `groups`.
    """
    symbols = np.array([chemical_symbols[z] for z in sure.force_field.atomic_numbers], dtype=object)
    energies, forces = [], []
    for i, group in enumerate(dataset.groups):
        batch = dataset[i]
        out, kinds = sure(batch.graph), symbols[batch.graph.species.numpy()]
        n = len(kinds)
        error = (batch.labels.energy - out.energy.detach()) / n
        energies.append((error, out.energy_uncertainty.detach() / n, group, np.array(["".join(sorted(set(kinds)))])))
        error = (batch.labels.forces - out.forces.detach()).flatten()
        forces.append((error, out.forces_uncertainty.detach().flatten(), group, kinds.repeat(3)))
    return {"energy": gathered(energies), "forces": gathered(forces)}


def gathered(parts: list[tuple[torch.Tensor, torch.Tensor, str, Array]]) -> SureErrors:
    """Put the structures behind each other; labels that are absent and forces that symmetry fixes are left out."""
    error, sigma = (torch.cat([part[k] for part in parts]).to(torch.float64).cpu().numpy() for k in (0, 1))  # type: ignore[misc]
    group = np.concatenate([np.full(len(part[0]), part[2], dtype=object) for part in parts])
    element = np.concatenate([part[3] for part in parts])
    keep = np.isfinite(error) & (sigma > FIXED * sigma.max(initial=0.0))
    return SureErrors(error[keep], sigma[keep], group[keep], element[keep])
