"""Pair potentials as LAMMPS's pair styles; one that has no formula there becomes a table."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from mdzoo.export.native.style import Style, numbers
from mdzoo.potentials import (
    ZBL,
    BornMayerHuggins,
    Buckingham,
    LennardJones,
    Mie,
    Morse,
    PairPotential,
    Yukawa,
)
from mdzoo.potentials.zbl import COEFFICIENTS, DECAYS, SCREENING_LENGTH, SCREENING_POWER

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
    """Return `table spline` of a pair potential."""

    def energy(r: Tensor, i: int, j: int) -> Tensor:
        kinds = torch.full(r.shape, i), torch.full(r.shape, j)
        return potential.double().ended(potential.double().pair_energy(r, *kinds), r, *kinds)

    return table(energy, potential.cutoff, atomic_numbers)


def table(energy: Callable[[Tensor, int, int], Tensor], cutoff: float, atomic_numbers: list[int]) -> Style:
    """Return `table spline` with the energies and forces of each pair at 10000 distances, even in r^2.

    Arguments:
        energy: eV, of two species at the distances r (n,).
        cutoff: Angstrom.
        atomic_numbers: the element table.
    """
    r = torch.linspace(NEAREST**2, cutoff**2, KNOTS, dtype=torch.float64).sqrt()
    sections, coefficients = [], []
    for i, j in pairs(atomic_numbers):
        energies, forces = along(energy, r, i, j)
        sections += [f"PAIR_{i}_{j}", f"N {KNOTS} RSQ {NEAREST!r} {cutoff!r}", ""]
        rows = zip(r.tolist(), energies.tolist(), forces.tolist(), strict=True)
        sections += [f"{k} {x!r} {e!r} {f!r}" for k, (x, e, f) in enumerate(rows, 1)] + [""]
        coefficients.append((f"{i + 1} {j + 1}", f"@.table PAIR_{i}_{j} {cutoff!r}"))
    text = "# UNITS: metal\n\n" + "\n".join(sections) + "\n"
    return Style("table", f"spline {KNOTS}", coefficients, {"@.table": text})


def along(energy: Callable[[Tensor, int, int], Tensor], r: Tensor, i: int, j: int) -> tuple[Tensor, Tensor]:
    """Return the energies and forces of a pair of species at the distances r, in eV and eV/Angstrom."""
    r = r.clone().requires_grad_()
    phi = energy(r, i, j)
    (slope,) = torch.autograd.grad(phi.sum(), r)
    return phi.detach(), -slope


PAIR_WRITERS: dict[type, Callable[[Any, list[int]], Style]] = {
    BornMayerHuggins: write_born,
    Buckingham: write_buckingham,
    LennardJones: write_lennard_jones,
    Mie: write_mie,
    Morse: write_morse,
    Yukawa: write_yukawa,
    ZBL: write_zbl,
}
