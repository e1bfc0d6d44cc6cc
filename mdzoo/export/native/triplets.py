"""Entries for triples of elements: Stillinger-Weber, Tersoff and the environment-dependent potential."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import torch
from ase.data import chemical_symbols
from torch import Tensor

from mdzoo.data.parameter_files import edip, stillinger_weber, tersoff
from mdzoo.export.native.style import Style, numbers, one_file
from mdzoo.potentials import EDIP, StillingerWeber, Tersoff, TersoffMod


def write_stillinger_weber(potential: StillingerWeber, atomic_numbers: list[int]) -> Style:
    """Return `pair_style sw`; the epsilon of mixed triples is the geometric mean of their pairs'."""
    n = len(atomic_numbers)
    table = {name: of_pairs(getattr(potential, name)()[potential.pairs], n) for name in stillinger_weber.PAIRS}
    ends = of_pairs(potential.ends()[potential.pairs], n)
    table["a"] = ends / table["sigma"]
    both = table["epsilon"] * table["epsilon"].swapaxes(1, 2)
    table["epsilon"] = torch.where(same(n), table["epsilon"], both.sqrt())
    table["lambda"] = potential.lambda3()[potential.triples].view(n, n, n)
    table["cos0"] = potential.cos0()[potential.triples].view(n, n, n)
    table["tol"] = torch.zeros(n, n, n)
    return entries("sw", "sw", table, stillinger_weber.NAMES, atomic_numbers)


def write_tersoff(potential: Tersoff, atomic_numbers: list[int]) -> Style:
    """Return `pair_style tersoff`."""
    return bond_order(potential, "tersoff", tersoff.TERSOFF, atomic_numbers)


def write_tersoff_mod(potential: TersoffMod, atomic_numbers: list[int]) -> Style:
    """Return `pair_style tersoff/mod`."""
    return bond_order(potential, "tersoff/mod", tersoff.MOD, atomic_numbers)


def bond_order(potential: Any, style: str, names: Sequence[str], atomic_numbers: list[int]) -> Style:
    """Return the style of a member of Tersoff's family."""
    n = len(atomic_numbers)
    table = {}
    for name in names:
        if name == "m":
            table[name] = torch.where(potential.cubic, 3.0, 1.0).view(n, n, n)
        elif name in ("A", "lambda1"):
            table[name] = of_pairs(getattr(potential, name)()[potential.pairs], n)
        elif name in tersoff.OF_PAIRS:
            table[name] = of_pairs(getattr(potential, name)(), n)
        else:
            table[name] = getattr(potential, name)().view(n, n, n)
    table["R"] = torch.minimum(table["R"], potential.cutoff - table["D"])
    return entries(style, style.replace("/", "."), table, names, atomic_numbers)


def write_edip(potential: EDIP, atomic_numbers: list[int]) -> Style:
    """Return `pair_style edip/multi`, which computes the formulas that `edip` interpolates."""
    n = len(atomic_numbers)
    table = {name: of_pairs(getattr(potential, name)(), n) for name in edip.OF_PAIRS}
    table["a"] = of_pairs(potential.ends(), n)
    for name in edip.NAMES:
        if name not in table:
            table[name] = getattr(potential, name)()[potential.triples].view(n, n, n)
    return entries("edip/multi", "edip", table, edip.NAMES, atomic_numbers)


def of_pairs(values: Tensor, n: int) -> Tensor:
    """Return numbers of ordered pairs (n * n,) for the triples (i, j, k), those of (i, j): (n, n, n)."""
    return values.view(n, n, 1).expand(n, n, n)


def same(n: int) -> Tensor:
    """Say which triples have j = k, (n, n, n)."""
    return torch.eye(n, dtype=torch.bool).expand(n, n, n)


def entries(
    style: str, suffix: str, table: Mapping[str, Tensor], names: Sequence[str], atomic_numbers: list[int]
) -> Style:
    """Return the style with its file, one line for each triple of elements."""
    symbols = [chemical_symbols[z] for z in atomic_numbers]
    columns = torch.stack([table[name].detach().double() for name in names], -1)
    rows = [f"# UNITS: metal   i j k {' '.join(names)}"]
    for i, j, k in product(range(len(symbols)), repeat=3):
        rows.append(f"{symbols[i]} {symbols[j]} {symbols[k]} {numbers(columns[i, j, k].tolist())}")
    return one_file(style, suffix, "\n".join(rows) + "\n", atomic_numbers)
