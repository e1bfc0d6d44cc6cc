"""Coulomb terms as LAMMPS's pair styles, with the charges of the types."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mdzoo.export.native.pairs import table
from mdzoo.export.native.style import Style
from mdzoo.graph import Graph
from mdzoo.potentials import CoulombCut, CoulombDSF, CoulombEwald, CoulombPME, CoulombWolf
from mdzoo.units import COULOMB_LAMMPS_METAL


def write_cut(potential: CoulombCut, atomic_numbers: list[int]) -> Style:
    """Return `coul/cut` and the charges of the types."""
    return with_charges("coul/cut", f"{potential.cutoff!r}", potential, atomic_numbers)


def write_dsf(potential: CoulombDSF, atomic_numbers: list[int]) -> Style:
    """Return `coul/dsf` and the charges of the types."""
    return with_charges("coul/dsf", f"{potential.alpha!r} {potential.cutoff!r}", potential, atomic_numbers)


def write_wolf(potential: CoulombWolf, atomic_numbers: list[int]) -> Style:
    """Return `table`, and the energies of the charges themselves as constants.

    The forces of LAMMPS's `coul/wolf` are those of `coul/dsf` and no derivatives of its energies: a model that was
    trained with the derivatives would not run there as it was trained.
    """
    q = fixed_charges(potential, len(atomic_numbers)).double()

    def energy(r: Tensor, i: int, j: int) -> Tensor:
        return potential.k * q[i] * q[j] * potential.kernel(r)

    constants = 0.5 * potential.k * potential.self_term() * q.square()
    return table(energy, potential.cutoff, atomic_numbers)._replace(constants=tuple(constants.tolist()))


def write_long(potential: CoulombEwald | CoulombPME, atomic_numbers: list[int]) -> Style:
    """Return `coul/long` without its tables, a `kspace_style` of the same kind, and the charges of the types.

    LAMMPS takes cells that are periodic in three directions; slabs need its `kspace_modify slab`.
    """
    kind = "ewald" if isinstance(potential, CoulombEwald) else "pppm"
    style = with_charges("coul/long", f"{potential.cutoff!r}", potential, atomic_numbers)
    kspace = f"kspace_style {kind} {potential.lattice_sum.accuracy!r}"
    return style._replace(modify=("table 0",), commands=(kspace, *style.commands))


def with_charges(style: str, settings: str, potential: Any, atomic_numbers: list[int]) -> Style:
    """Return a style of charges; those of the model, in LAMMPS's Coulomb constant, are set by type."""
    charges = math.sqrt(potential.k / COULOMB_LAMMPS_METAL) * fixed_charges(potential, len(atomic_numbers)).double()
    commands = tuple(f"set type {k} charge {charge!r}" for k, charge in enumerate(charges.tolist(), 1))
    return Style(style, settings, [("* *", "")], {}, commands=commands)


def fixed_charges(potential: Any, n_species: int) -> Tensor:
    """Return the charge of each species, (n_species,) in e.

    Raises:
        ValueError: the charges are not those of the species.
    """
    q = charges_of(potential.source, n_species)
    if q.isnan().any() or potential.source.neutral:
        raise ValueError(
            "`charges` must belong to the species and stay as they are, got those of the data or such as are moved to "
            "the total charge; LAMMPS has no words for these: export the term as TorchScript"
        )
    return q


def charges_of(source: Any, n_species: int) -> Tensor:
    """Return the charge of each species, (n_species,) in e; NaN where it is left to the data."""
    species, none = torch.arange(n_species), torch.zeros(0, dtype=torch.int64)
    places, cell = torch.zeros(n_species, 3), torch.zeros(1, 3, 3)
    left = torch.full([n_species], torch.nan)
    batch, total = torch.zeros_like(species), torch.zeros(1)
    edges = none, none, torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.float64)
    graph = Graph(species, places, batch, species, left, total, cell, torch.zeros(1, 3).bool(), *edges)
    return source(graph).detach()


COULOMB_WRITERS: dict[type, Callable[[Any, list[int]], Style]] = {
    CoulombCut: write_cut,
    CoulombDSF: write_dsf,
    CoulombEwald: write_long,
    CoulombPME: write_long,
    CoulombWolf: write_wolf,
}
