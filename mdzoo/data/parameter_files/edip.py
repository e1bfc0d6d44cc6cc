"""Parameter files of the environment-dependent potential, `.edip` of LAMMPS, one element or several."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mdzoo.data.parameter_files.entries import of_pairs, plain, read_entries, symmetric

NAMES = ["A", "B", "a", "c", "alpha", "beta", "eta", "gamma", "lambda3", "mu", "rho", "sigma", "Q0"]
NAMES += ["u1", "u2", "u3", "u4"]
OF_PAIRS = ["A", "B", "a", "c", "alpha", "beta", "gamma", "rho", "sigma"]  # read from the entries i j j alone


def read_edip(path: str | Path, elements: Sequence[str]) -> dict[str, Any]:
    """Return the arguments of `EDIP` for these elements, in their order.

    Raises:
        ValueError: see `read_entries`; angular numbers that depend on the order of the two neighbours.
    """
    table = read_entries(path, elements, NAMES)
    pairs = {name: of_pairs(table[name]) for name in OF_PAIRS}
    triples = {name: symmetric(name, table[name], path) for name in NAMES if name not in OF_PAIRS}
    return {name: plain(values) for name, values in (pairs | triples).items()}
