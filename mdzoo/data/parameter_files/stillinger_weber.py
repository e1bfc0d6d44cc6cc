"""Parameter files of Stillinger-Weber potentials, `.sw` of LAMMPS."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mdzoo.data.parameter_files.entries import of_pairs, plain, read_entries, symmetric

NAMES = ["epsilon", "sigma", "a", "lambda", "gamma", "cos0", "A", "B", "p", "q", "tol"]
PAIRS = ["epsilon", "sigma", "a", "gamma", "A", "B", "p", "q"]


def read_sw(path: str | Path, elements: Sequence[str]) -> dict[str, Any]:
    """Return the arguments of `StillingerWeber` for these elements, in their order.

    Raises:
        ValueError: see `read_entries`; an entry with a tolerance, which cuts the potential off before its end; numbers
            that depend on the order of the elements of a pair.
    """
    file = read_entries(path, elements, NAMES)
    if (file["tol"] != 0.0).any():
        raise ValueError(
            f"`tol` must be 0, got {file['tol'].max()} in {str(path)!r}: LAMMPS then ends the potential before "
            "a sigma; set it to 0"
        )
    table = {name: symmetric(name, of_pairs(file[name]), path) for name in PAIRS}
    root = np.sqrt(table["epsilon"])
    strength = symmetric("lambda", file["lambda"] * file["epsilon"], path)
    table["lambda3"] = strength / (root[:, :, None] * root[:, None, :])
    table["cos0"] = symmetric("cos0", file["cos0"], path)
    return {name: plain(values) for name, values in table.items()}
