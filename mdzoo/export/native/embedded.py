"""Tables of embedded-atom potentials, as LAMMPS's setfl and fs files."""

from collections.abc import Sequence

import torch
from ase.data import atomic_masses, chemical_symbols
from torch import Tensor

from mdzoo.export.native.style import Style, one_file
from mdzoo.potentials import EAM, FinnisSinclair

STEPS, STEP = 20000, 0.01  # of a formula's F: 200 Angstrom^2
DISTANCES = 10000


def write_eam(potential: EAM, atomic_numbers: list[int]) -> Style:
    """Return `pair_style eam/alloy`, or `eam/fs` where the density depends on both elements."""
    kind = "fs" if potential.by_pairs else "alloy"
    steps = (potential.d_rho, potential.d_r, potential.cutoff)
    text = setfl(potential.F(), potential.f(), potential.rphi(), steps, atomic_numbers)
    return one_file(f"eam/{kind}", f"eam.{kind}", text, atomic_numbers)


def write_finnis_sinclair(potential: FinnisSinclair, atomic_numbers: list[int]) -> Style:
    """Return the formula as tables of `eam/fs`, of 20000 densities and 10000 distances."""
    n, step = len(atomic_numbers), potential.cutoff / (DISTANCES - 5)
    r = torch.arange(DISTANCES, dtype=torch.float64) * step
    rho = torch.arange(STEPS, dtype=torch.float64) * STEP
    pairs = [(i, j) for i in range(n) for j in range(n)]
    with torch.no_grad():
        of_pairs = {(i, j): potential.pairs[i * n + j].expand(DISTANCES) for i, j in pairs}
        F = -potential.A().unsqueeze(1) * rho.sqrt()
        f = torch.stack([potential.density(r, of_pairs[pair]) for pair in pairs])
        rphi = torch.stack([r * potential.pair_energy(r, of_pairs[i, j]) for i, j in pairs if i <= j])
    return one_file(
        "eam/fs", "eam.fs", setfl(F, f, rphi, (STEP, step, potential.cutoff), atomic_numbers), atomic_numbers
    )


def setfl(F: Tensor, f: Tensor, rphi: Tensor, steps: tuple[float, float, float], atomic_numbers: Sequence[int]) -> str:
    """Return the text of a setfl file, or of an fs file where `f` has a row for each ordered pair."""
    n, (d_rho, d_r, cutoff) = len(atomic_numbers), steps
    symbols = " ".join(chemical_symbols[z] for z in atomic_numbers)
    lines = ["UNITS: metal", "written by mdzoo", "", f"{n} {symbols}"]
    lines.append(f"{F.shape[1]} {d_rho!r} {f.shape[1]} {d_r!r} {cutoff!r}")
    densities = f.view(n, -1)
    for k, z in enumerate(atomic_numbers):
        lines += [f"{z} {float(atomic_masses[z])!r} 0.0 none", *written(F[k]), *written(densities[k])]
    rows = {pair: k for k, pair in enumerate((i, j) for i in range(n) for j in range(i, n))}
    for i in range(n):
        for j in range(i + 1):
            lines += written(rphi[rows[j, i]])
    return "\n".join(lines) + "\n"


def written(values: Tensor) -> list[str]:
    """Return numbers, five to a line."""
    words = [f"{value:.17g}" for value in values.detach().double().tolist()]
    return [" ".join(words[k : k + 5]) for k in range(0, len(words), 5)]
