"""Tables of embedded-atom potentials: the files funcfl (`.eam`), setfl (`.eam.alloy`) and `.eam.fs` of LAMMPS."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ase.data import atomic_numbers

from mdzoo.data.parameter_files.entries import check_units

HARTREE_BOHR = 27.2 * 0.529  # eV Angstrom, with the digits of LAMMPS


class Grids(NamedTuple):
    """The steps of a file; energies by density, the rest by distance (Angstrom)."""

    n_rho: int
    d_rho: float
    n_r: int
    d_r: float
    cutoff: float


def read_eam(path: str | Path | Sequence[str | Path], elements: Sequence[str]) -> dict[str, Any]:
    """Return the arguments of `EAM` for these elements, in their order.

    Arguments:
        path: a setfl or fs file, which hold several elements and are told apart by their length; or funcfl files, one
            for each element, whose charges are mixed and whose tables are brought to one grid as LAMMPS does.
        elements: symbols.

    Raises:
        ValueError: an element that the file lacks, a file that is cut, of another kind or in other units.
    """
    paths = [path] if isinstance(path, str | Path) else list(path)
    for one in paths:
        check_units(one)
    lines = [Path(one).read_text(encoding="utf-8", errors="replace").splitlines() for one in paths]
    if all(is_grid(text[2:3]) for text in lines):
        return from_funcfl(paths, lines, elements)
    if len(paths) > 1:
        raise ValueError(f"`file` must be one setfl or fs file, or funcfl files alone, got {paths}; name one")
    return from_setfl(paths[0], lines[0], elements)


def is_grid(lines: Sequence[str]) -> bool:
    """Say whether the line holds five numbers, n_rho d_rho n_r d_r cutoff, and no sixth (as files of eam/he do)."""
    words = lines[0].split() if lines else []
    try:
        grids_of(words)
    except (IndexError, ValueError):
        return False
    try:
        return not (words[5:6] and float(words[5]))
    except ValueError:
        return True


def grids_of(words: Sequence[str]) -> Grids:
    """Return the steps from the first five words of their line."""
    return Grids(int(words[0]), float(words[1]), int(words[2]), float(words[3]), float(words[4]))


def from_setfl(path: str | Path, lines: Sequence[str], elements: Sequence[str]) -> dict[str, Any]:
    """Return the arguments of `EAM` from a setfl or fs file."""
    if not is_grid(lines[4:5]) or not lines[3].split()[0].isdigit():
        raise ValueError(
            f"`file` must hold elements in line 4 and five numbers in line 5 (setfl, fs), or five numbers in line 3 "
            f"(funcfl), got {str(path)!r}; it is of another style, such as eam/he with six, or version of LAMMPS"
        )
    kinds, grids = lines[3].split()[1:], grids_of(lines[4].split())
    check_known(elements, kinds, path)
    n, words = len(kinds), " ".join(lines[5:]).split()
    pairs = n * (n + 1) // 2 * grids.n_r
    sizes = {k: n * (4 + grids.n_rho + k * grids.n_r) + pairs for k in (1, n)}
    count = next((k for k, size in sizes.items() if len(words) == size), 0)
    if count == 0:
        kind = "of adp" if len(words) == sizes[1] + 2 * pairs else "cut, or of another kind, such as eam/cd"
        raise ValueError(
            f"`file` must hold {' or '.join(map(str, sorted(set(sizes.values()))))} words behind line 5, got "
            f"{len(words)} in {str(path)!r}; it is {kind}"
        )
    blocks = np.array(words[: len(words) - pairs]).reshape(n, -1)[:, 4:].astype(float)
    tables = np.array(words[len(words) - pairs :], dtype=float).reshape(-1, grids.n_r)
    chosen = [kinds.index(element) for element in elements]
    density = blocks[:, grids.n_rho :].reshape(n, count, grids.n_r)[chosen]
    density = density[:, chosen] if count > 1 else density
    lower = {(i, j): tables[i * (i + 1) // 2 + j] for i in range(n) for j in range(i + 1)}
    rphi = [lower[max(i, j), min(i, j)] for a, i in enumerate(chosen) for j in chosen[a:]]
    return arguments(blocks[chosen, : grids.n_rho], density.reshape(-1, grids.n_r), np.array(rphi), grids)


def arguments(F: np.ndarray, f: np.ndarray, rphi: np.ndarray, grids: Grids) -> dict[str, Any]:
    """Return the arguments of `EAM`."""
    tables = {"F": F.tolist(), "f": f.tolist(), "rphi": rphi.tolist()}
    return tables | {"d_rho": grids.d_rho, "d_r": grids.d_r, "cutoff": grids.cutoff}


def check_known(elements: Sequence[str], kinds: Sequence[str], path: str | Path) -> None:
    """Refuse elements that the file does not hold."""
    missing = [element for element in elements if element not in kinds]
    if missing:
        raise ValueError(
            f"`file` must hold the elements {list(elements)}, got none of {missing} in {str(path)!r}, which knows "
            f"{list(kinds)}; choose another file"
        )


def from_funcfl(paths: Sequence[str | Path], texts: Sequence[Sequence[str]], elements: Sequence[str]) -> dict[str, Any]:
    """Return the arguments of `EAM` from one funcfl file for each element."""
    found = [read_funcfl(path, lines) for path, lines in zip(paths, texts, strict=True)]
    chosen = []
    for element in elements:
        places = [k for k, (z, _, _) in enumerate(found) if z == atomic_numbers[element]]
        if not places:
            raise ValueError(
                f"`file` must hold the elements {list(elements)}, got none with Z={atomic_numbers[element]} in "
                f"{[str(path) for path in paths]}; name one funcfl file for each element"
            )
        chosen.append(found[places[0]][1:])
    grids = common(own for own, _ in chosen)
    F = [resampled(rows[0], own.d_rho, grids.d_rho, grids.n_rho) for own, rows in chosen]
    z = [resampled(rows[1], own.d_r, grids.d_r, grids.n_r) for own, rows in chosen]
    f = [resampled(rows[2], own.d_r, grids.d_r, grids.n_r) for own, rows in chosen]
    rphi = [HARTREE_BOHR * z[i] * z[j] for i in range(len(z)) for j in range(i, len(z))]
    return arguments(np.array(F), np.array(f), np.array(rphi), grids)


def read_funcfl(path: str | Path, lines: Sequence[str]) -> tuple[int, Grids, list[np.ndarray]]:
    """Return the atomic number, the steps and the three tables, F, charge and f, of a funcfl file."""
    grids, words = grids_of(lines[2].split()), " ".join(lines[3:]).split()
    if len(words) != grids.n_rho + 2 * grids.n_r:
        raise ValueError(
            f"`file` must hold {grids.n_rho + 2 * grids.n_r} numbers behind line 3, got {len(words)} in {str(path)!r}; "
            "it is cut, or of another kind"
        )
    numbers = np.array(words, dtype=float)
    return int(lines[1].split()[0]), grids, np.split(numbers, [grids.n_rho, grids.n_rho + grids.n_r])


def common(grids: Any) -> Grids:
    """Return LAMMPS's grid for several files: the widest steps, over the longest ranges."""
    every = list(grids)
    d_rho, d_r = max(g.d_rho for g in every), max(g.d_r for g in every)
    n_rho = int(max((g.n_rho - 1) * g.d_rho for g in every) / d_rho + 0.5)
    n_r = int(max((g.n_r - 1) * g.d_r for g in every) / d_r + 0.5)
    return Grids(n_rho, d_rho, n_r, d_r, max(g.cutoff for g in every))


def resampled(values: np.ndarray, step: float, new_step: float, count: int) -> np.ndarray:
    """Return `count` values at the new step, by cubics through four neighbours; steady beyond the last cubic."""
    x = np.arange(count) * new_step / step + 1.0
    k = np.clip(x.astype(int), 2, len(values) - 2)
    p = np.minimum(x - k, 2.0)
    weights = [-p * (p - 1) * (p - 2) / 6, (p * p - 1) * (p - 2) / 2, -p * (p + 1) * (p - 2) / 2, p * (p * p - 1) / 6]
    return sum(weight * values[k + shift - 2] for shift, weight in enumerate(weights))
