"""Parameter files of Tersoff potentials, `.tersoff` and `.tersoff.mod` of LAMMPS."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mdzoo.data.parameter_files.entries import of_pairs, plain, read_entries, symmetric

TERSOFF = ["m", "gamma", "lambda3", "c", "d", "cos0", "n", "beta", "lambda2", "B", "R", "D", "lambda1", "A"]
MOD = ["m", "lambda3", "cos0", "eta", "beta", "lambda2", "B", "R", "D", "lambda1", "A", "delta"]
MOD += ["c1", "c2", "c3", "c4", "c5"]
OF_PAIRS = ["n", "eta", "delta", "beta", "lambda2", "B", "lambda1", "A"]  # read from the entries i j j alone


def read_tersoff(path: str | Path, elements: Sequence[str]) -> dict[str, Any]:
    """Return the arguments of `Tersoff` for these elements, in their order.

    Raises:
        ValueError: see `read_entries`; a repulsion that depends on the order of the elements of a pair.
    """
    return arguments(path, elements, TERSOFF)


def read_tersoff_mod(path: str | Path, elements: Sequence[str]) -> dict[str, Any]:
    """Return the arguments of `TersoffMod` for these elements, in their order; errors as of `read_tersoff`."""
    return arguments(path, elements, MOD)


def arguments(path: str | Path, elements: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """Return each number of the entries in the shape that the potential takes."""
    table = read_entries(path, elements, names)
    table |= {name: of_pairs(table[name]) for name in names if name in OF_PAIRS}
    table |= {name: symmetric(name, table[name], path) for name in ("lambda1", "A")}
    return {name: plain(values) for name, values in table.items()}
