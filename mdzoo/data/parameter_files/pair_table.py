"""Tables of pair potentials, the files of LAMMPS's `pair_style table`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

SPACINGS = {"R": "r", "RSQ": "r2"}


def read_pair_table(path: str | Path, elements: Sequence[str]) -> dict[str, Any]:
    """Return the arguments of `PairTable` for these elements, in their order.

    The section of a pair is called `A-B`, `A_B` or `PAIR_i_j` with the species i <= j from 0; one section alone may
    have any name. All have the same knots. The first and the last force are the slopes at the ends, as in LAMMPS.

    Raises:
        ValueError: a pair without a section, knots that are not even or differ between sections, or a file that breaks
            off.
    """
    found = sections(path)
    pairs = [(i, j) for i in range(len(elements)) for j in range(i, len(elements))]
    chosen = [section_of(found, i, j, elements, path) for i, j in pairs]
    grids = {(tuple(settings), len(rows)) for settings, rows in chosen}
    if len(grids) > 1:
        raise ValueError(
            f"`file` must have the same knots for every pair, got {sorted(grids)} in {str(path)!r}; rewrite it"
        )
    spacing, inner, cutoff = grid(chosen[0][0], path)
    rows = np.stack([numbers for _, numbers in chosen])  # (pairs, knots, 4): index, r, energy, force
    return {
        "values": rows[:, :, 2].tolist(),
        "slopes": (-rows[:, [0, -1], 3]).tolist(),
        "inner": inner,
        "cutoff": cutoff,
        "spacing": spacing,
        "n_knots": None,
        "truncation": "plain",
    }


def sections(path: str | Path) -> dict[str, tuple[list[str], np.ndarray]]:
    """Return the words of the second line and the numbers of each section."""
    text = Path(path).read_text(encoding="utf-8").splitlines()
    lines = [words for line in text if (words := line.split("#")[0].split())]
    found: dict[str, tuple[list[str], np.ndarray]] = {}
    while lines:
        (name, *_), settings, *lines = lines if len(lines) > 1 else [lines[0], []]
        count = int(settings[settings.index("N") + 1]) if "N" in settings else 0
        numbers = [[float(word) for word in words] for words in lines[:count]]
        if not count or len(numbers) < count or any(len(row) != 4 for row in numbers):
            raise ValueError(
                f"`file` must hold {count or 'N'} lines of index, r, energy and force in its section {name}, got "
                f"{len(numbers)} in {str(path)!r}; the file breaks off or is no table of pairs"
            )
        found[name] = (settings, np.array(numbers))
        lines = lines[count:]
    return found


def section_of(
    found: dict[str, tuple[list[str], np.ndarray]], i: int, j: int, elements: Sequence[str], path: str | Path
) -> tuple[list[str], np.ndarray]:
    """Return the section of a pair of species."""
    a, b = elements[i], elements[j]
    for name in (f"{a}-{b}", f"{b}-{a}", f"{a}_{b}", f"{b}_{a}", f"PAIR_{i}_{j}"):
        if name in found:
            return found[name]
    if len(found) == 1 and len(elements) == 1:
        return next(iter(found.values()))
    raise ValueError(
        f"`file` must hold a section for the pair {a}-{b}, got {list(found)} in {str(path)!r}; call one {a}-{b}"
    )


def grid(settings: list[str], path: str | Path) -> tuple[str, float, float]:
    """Return the spacing and the first and last distance that the second line of a section gives."""
    for word, spacing in SPACINGS.items():
        if word in settings:
            place = settings.index(word)
            return spacing, float(settings[place + 1]), float(settings[place + 2])
    raise ValueError(
        f"`file` must have even knots, R or RSQ with the first and last distance, got {' '.join(settings)} in "
        f"{str(path)!r}; rewrite it"
    )
