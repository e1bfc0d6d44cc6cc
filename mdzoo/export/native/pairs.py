"""Pair potentials as LAMMPS's pair styles; one that has no formula there becomes a table."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from mdzoo.export.native.style import Style, numbers
from mdzoo.graph import Graph
from mdzoo.potentials import (
    ZBL,
    BornMayerHuggins,
    Buckingham,
    CoulombCut,
    CoulombDSF,
    LennardJones,
    Mie,
    Morse,
    PairPotential,
    Yukawa,
)
from mdzoo.potentials.zbl import COEFFICIENTS, DECAYS, SCREENING_LENGTH, SCREENING_POWER
from mdzoo.units import COULOMB_LAMMPS_METAL

KNOTS = 10000
NEAREST = 0.3  # Angstrom: where tables begin
ENDS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "shifted": ("shift yes",),
}  # what LAMMPS does at the cutoff, and the words for it


def write_lennard_jones(potential: LennardJones, atomic_numbers: list[int]) -> Style:
    """Return `lj/cut`, `lj96/cut` or, with forces shifted, `lj/smooth/linear`."""
    if potential.truncation == "force_shifted" and potential.n == 12:
        return simple("lj/smooth/linear", potential, [potential.epsilon, potential.sigma], atomic_numbers, ended=True)
    style = "lj/cut" if potential.n == 12 else "lj96/cut"
    return simple(style, potential, [potential.epsilon, potential.sigma], atomic_numbers)


def write_mie(potential: Mie, atomic_numbers: list[int]) -> Style:
    """Return `mie/cut`."""
    columns = [potential.epsilon, potential.sigma, potential.n, potential.m]
    return simple("mie/cut", potential, columns, atomic_numbers)


def write_buckingham(potential: Buckingham, atomic_numbers: list[int]) -> Style:
    """Return `buck`."""
    return simple("buck", potential, [potential.A, potential.rho, potential.C], atomic_numbers)


def write_born(potential: BornMayerHuggins, atomic_numbers: list[int]) -> Style:
    """Return `born`."""
    columns = [potential.A, potential.rho, potential.sigma, potential.C, potential.D]
    return simple("born", potential, columns, atomic_numbers)


def write_morse(potential: Morse, atomic_numbers: list[int]) -> Style:
    """Return `morse`."""
    return simple("morse", potential, [potential.D, potential.alpha, potential.r0], atomic_numbers)


def write_yukawa(potential: Yukawa, atomic_numbers: list[int]) -> Style:
    """Return `yukawa`, or a table where kappa differs between pairs."""
    kappa = potential.kappa().detach()
    if not (kappa == kappa[0]).all():
        return write_table(potential, atomic_numbers)
    style = simple("yukawa", potential, [potential.A], atomic_numbers)
    return style._replace(settings=f"{float(kappa[0])!r} {style.settings}") if style.name == "yukawa" else style


def write_zbl(potential: ZBL, atomic_numbers: list[int]) -> Style:
    """Return `zbl`, or a table where the screening was trained away from its constants."""
    held = [potential.a0(), potential.p(), potential.c(), potential.d()]
    constants = [[SCREENING_LENGTH], [SCREENING_POWER], COEFFICIENTS, DECAYS]
    known = zip(held, constants, strict=True)
    if not all(torch.allclose(a.detach().double(), torch.tensor(b, dtype=torch.float64), 1e-7) for a, b in known):
        return write_table(potential, atomic_numbers)
    coefficients = [(f"{i + 1} {j + 1}", f"{atomic_numbers[i]} {atomic_numbers[j]}") for i, j in pairs(atomic_numbers)]
    return Style("zbl", f"{potential.inner!r} {potential.cutoff!r}", coefficients, {})


def write_coulomb_cut(potential: CoulombCut, atomic_numbers: list[int]) -> Style:
    """Return `coul/cut` and the charges of the types."""
    return coulomb("coul/cut", f"{potential.cutoff!r}", potential, atomic_numbers)


def write_coulomb_dsf(potential: CoulombDSF, atomic_numbers: list[int]) -> Style:
    """Return `coul/dsf` and the charges of the types."""
    return coulomb("coul/dsf", f"{potential.alpha!r} {potential.cutoff!r}", potential, atomic_numbers)


def coulomb(style: str, settings: str, potential: Any, atomic_numbers: list[int]) -> Style:
    """Return a style of charges; those of the model, in LAMMPS's Coulomb constant, are set by type."""
    q = charges_of(potential.source, len(atomic_numbers))
    if q.isnan().any() or potential.source.neutral:
        raise ValueError(
            "`charges` must belong to the species and stay as they are, got those of the data or such as are moved to "
            "the total charge; LAMMPS has no words for these: export the term as TorchScript"
        )
    charges = (math.sqrt(potential.k / COULOMB_LAMMPS_METAL) * q.double()).tolist()
    commands = tuple(f"set type {k} charge {charge!r}" for k, charge in enumerate(charges, 1))
    return Style(style, settings, [("* *", "")], {}, commands=commands)


def charges_of(source: Any, n_species: int) -> Tensor:
    """Return the charge of each species, (n_species,) in e; NaN where it is left to the data."""
    species, none = torch.arange(n_species), torch.zeros(0, dtype=torch.int64)
    places, cell = torch.zeros(n_species, 3), torch.zeros(1, 3, 3)
    left = torch.full([n_species], torch.nan)
    batch, total = torch.zeros_like(species), torch.zeros(1)
    edges = none, none, torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.float64)
    graph = Graph(species, places, batch, species, left, total, cell, torch.zeros(1, 3).bool(), *edges)
    return source(graph).detach()


def simple(
    style: str, potential: PairPotential, columns: Sequence[Any], atomic_numbers: list[int], ended: bool = False
) -> Style:
    """Return a style with the cutoff as its setting and one number of each column for each pair of types.

    Where LAMMPS does not end it as the potential does, and the style does not either (`ended`), it becomes a table.
    """
    if potential.truncation not in ENDS and not ended:
        return write_table(potential, atomic_numbers)
    n, tables = len(atomic_numbers), [column().detach().double().tolist() for column in columns]
    coefficients = [
        (f"{i + 1} {j + 1}", numbers([table[i * n + j] for table in tables])) for i, j in pairs(atomic_numbers)
    ]
    return Style(style, repr(potential.cutoff), coefficients, {}, ENDS.get(potential.truncation, ()))


def pairs(atomic_numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return the pairs of species i <= j."""
    return [(i, j) for i in range(len(atomic_numbers)) for j in range(i, len(atomic_numbers))]


def write_table(potential: PairPotential, atomic_numbers: list[int]) -> Style:
    """Return `table spline` with the energies and forces of each pair at 10000 distances, even in r^2."""
    squares = torch.linspace(NEAREST**2, potential.cutoff**2, KNOTS, dtype=torch.float64)
    r, sections, coefficients = squares.sqrt(), [], []
    for i, j in pairs(atomic_numbers):
        energies, forces = along(potential, r, i, j)
        sections += [f"PAIR_{i}_{j}", f"N {KNOTS} RSQ {NEAREST!r} {potential.cutoff!r}", ""]
        rows = zip(r.tolist(), energies.tolist(), forces.tolist(), strict=True)
        sections += [f"{k} {x!r} {energy!r} {force!r}" for k, (x, energy, force) in enumerate(rows, 1)] + [""]
        coefficients.append((f"{i + 1} {j + 1}", f"@.table PAIR_{i}_{j} {potential.cutoff!r}"))
    text = "# UNITS: metal\n\n" + "\n".join(sections) + "\n"
    return Style("table", f"spline {KNOTS}", coefficients, {"@.table": text})


def along(potential: PairPotential, r: Tensor, i: int, j: int) -> tuple[Tensor, Tensor]:
    """Return the energies and forces of a pair of species at the distances r, in eV and eV/Angstrom."""
    kinds = torch.full(r.shape, i), torch.full(r.shape, j)
    r = r.clone().requires_grad_()
    phi = potential.double().ended(potential.double().pair_energy(r, *kinds), r, *kinds)
    (slope,) = torch.autograd.grad(phi.sum(), r)
    return phi.detach(), -slope


PAIR_WRITERS: dict[type, Callable[[Any, list[int]], Style]] = {
    BornMayerHuggins: write_born,
    Buckingham: write_buckingham,
    CoulombCut: write_coulomb_cut,
    CoulombDSF: write_coulomb_dsf,
    LennardJones: write_lennard_jones,
    Mie: write_mie,
    Morse: write_morse,
    Yukawa: write_yukawa,
    ZBL: write_zbl,
}
