"""Parameter files of SNAP, `.snapcoeff` and `.snapparam` of LAMMPS."""

from pathlib import Path
from typing import Any

import numpy as np

FLAGS = {"switch": 1, "bzero": 1, "quadratic": 0, "chem": 0, "bnorm": 0, "wselfall": 0, "switchinner": 0}
NUMBERS = {"rcutfac": None, "twojmax": None, "rfac0": 0.99363, "rmin0": 0.0}
LISTS = ("sinner", "dinner")
IGNORED = ("chunksize", "parallelthresh")


def read_snap(coefficients: str | Path, parameters: str | Path) -> dict[str, Any]:
    """Return the numbers of a published SNAP or quadratic SNAP.

    Keys: `elements`, `radii`, `weights` and `coefficients` (elements, 1 + columns), the constant first; `rcutfac`
    (Angstrom), `twojmax`, `rfac0`, `rmin0`; the flags `switch`, `bzero`, `quadratic`, `chem`, `bnorm`, `wselfall`;
    `sinner`, `dinner` (lists, or None without an inner switch).

    Raises:
        ValueError: a file breaks off, or holds a key that LAMMPS does not know.
    """
    return {**read_coefficients(coefficients), **read_parameters(parameters)}


def lines_of(path: str | Path) -> list[list[str]]:
    """Return the words of each line that has any before a #."""
    text = Path(path).read_text(encoding="utf-8")
    return [words for line in text.splitlines() if (words := line.split("#")[0].split())]


def read_coefficients(path: str | Path) -> dict[str, Any]:
    """Return the elements of a `.snapcoeff` file with their radii, weights and coefficients."""
    (n_elements, n_columns), *lines = lines_of(path)
    blocks = [lines[k : k + int(n_columns) + 1] for k in range(0, len(lines), int(n_columns) + 1)]
    if len(blocks) != int(n_elements) or len(lines) % (int(n_columns) + 1):
        raise ValueError(
            f"`coefficients` must hold {n_elements} elements with {n_columns} numbers each, as its first line says, "
            f"got {len(lines)} lines in {str(path)!r}; the file breaks off or is none of SNAP's"
        )
    return {
        "elements": [block[0][0] for block in blocks],
        "radii": [float(block[0][1]) for block in blocks],
        "weights": [float(block[0][2]) for block in blocks],
        "coefficients": np.array([[float(words[0]) for words in block[1:]] for block in blocks]),
    }


def read_parameters(path: str | Path) -> dict[str, Any]:
    """Return the numbers and flags of a `.snapparam` file, LAMMPS's defaults where it has none."""
    given = {key: values for key, *values in lines_of(path) if key not in IGNORED}
    known = [*NUMBERS, *(f"{flag}flag" for flag in FLAGS), *LISTS]
    for key in given:
        if key not in known:
            raise ValueError(f"`parameters` must hold keys out of {known}, got {key!r} in {str(path)!r}; correct it")
    missing = [key for key, default in NUMBERS.items() if default is None and key not in given]
    if missing:
        raise ValueError(f"`parameters` must hold {missing}, got {sorted(given)} in {str(path)!r}; add them")
    table: dict[str, Any] = {key: float(given[key][0]) if key in given else NUMBERS[key] for key in NUMBERS}
    table["twojmax"] = int(table["twojmax"])
    table |= {flag: bool(int(given.get(f"{flag}flag", [default])[0])) for flag, default in FLAGS.items()}
    inner = table.pop("switchinner")
    return table | {key: [float(v) for v in given[key]] if inner else None for key in LISTS}
