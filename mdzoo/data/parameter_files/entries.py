"""Entries for triples of elements, as LAMMPS's files of many-body potentials hold them."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

UNITS = "metal"
BY_WORDS = {  # LAMMPS's styles by the words of an entry
    6: "nb3b/harmonic",
    7: "nb3b/screened",
    14: "sw",
    17: "tersoff, gw or vashishta",
    20: "tersoff/mod or edip",
    21: "tersoff/zbl, tersoff/mod/c or gw/zbl",
    49: "comb",
}


def read_entries(path: str | Path, elements: Sequence[str], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return one array, n x n x n over the elements, for each of the numbers of an entry.

    Arguments:
        path: the file; an entry is three elements and then numbers, over one line or several.
        elements: in the order of the species.
        names: of the numbers, in the order of the file.

    Raises:
        ValueError: another number of words in an entry, units other than metal, an entry that is missing or there
            twice.
    """
    check_units(path)
    found: dict[tuple[str, ...], list[float]] = {}
    for words in gathered(path, 3 + len(names)):
        kinds = tuple(words[:3])
        if kinds in found and set(kinds) <= set(elements):
            raise ValueError(
                f"`file` must hold each entry once, got {' '.join(kinds)} twice in {str(path)!r}; take one of them out"
            )
        found[kinds] = [number(word, path) for word in words[3:]]
    triples = list(product(elements, repeat=3))
    missing = [" ".join(kinds) for kinds in triples if kinds not in found]
    if missing:
        known = sorted({kind for kinds in found for kind in kinds})
        raise ValueError(
            f"`file` must hold an entry for each triple of {list(elements)}, got none for {', '.join(missing)} in "
            f"{str(path)!r}, which knows {known}; add them, or choose another file"
        )
    n = len(elements)
    table = np.array([found[kinds] for kinds in triples]).reshape(n, n, n, len(names))
    return {name: table[..., column] for column, name in enumerate(names)}


def check_units(path: str | Path) -> None:
    """Refuse a file whose first line names other units than those of mdzoo."""
    with open(path, encoding="utf-8") as file:
        tag = re.search(r"UNITS:\s*(\w+)", file.readline())
    if tag and tag[1] != UNITS:
        raise ValueError(f"`file` must be in units {UNITS} (eV, Angstrom), got {tag[1]} in {str(path)!r}; convert it")


def gathered(path: str | Path, n_words: int) -> list[list[str]]:
    """Return the words of each entry; an entry begins on a line of its own and ends with one."""
    entries: list[list[str]] = []
    words: list[str] = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        words += line.split("#")[0].split()
        if len(words) >= n_words:
            entries.append(words)
            words = []
    wrong = next((entry for entry in [*entries, words] if len(entry) not in (0, n_words)), None)
    if wrong or not entries:
        raise ValueError(
            f"`file` must hold entries of {n_words} words, three elements and numbers, got "
            f"{' '.join(wrong or ['nothing'])!r} in {str(path)!r}; it is {kind_of(path)}"
        )
    return entries


def kind_of(path: str | Path) -> str:
    """Return which style or version of LAMMPS a file of entries is of, as far as its entries tell."""
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    words = [word for line in text.splitlines() for word in line.split("#")[0].split()]
    starts = [k for k in range(len(words) - 2) if all(word.isalpha() for word in words[k : k + 3])]
    sizes = Counter(np.diff([*starts, len(words)]).tolist()).most_common(1)
    if sizes and sizes[0][0] in BY_WORDS:
        return f"of {BY_WORDS[sizes[0][0]]}, whose entries have {sizes[0][0]} words"
    return "of another style or version of LAMMPS, or cut"


def number(word: str, path: str | Path) -> float:
    """Return a number; the error names the file."""
    try:
        return float(word)
    except ValueError as error:
        raise ValueError(
            f"`file` must hold numbers behind three elements, got {word!r} in {str(path)!r}; it is of another style "
            "or version of LAMMPS, or an entry is cut"
        ) from error


def of_pairs(table: np.ndarray) -> np.ndarray:
    """Return the numbers of the entries i j j, where LAMMPS keeps what belongs to the bond from i to j, (n, n)."""
    return np.einsum("ijj->ij", table)


def symmetric(name: str, table: np.ndarray, path: str | Path) -> np.ndarray:
    """Return the mean of a table and itself with the last two species exchanged; they may differ in the last digits.

    Raises:
        ValueError: they differ by more: LAMMPS would take one or the other, by the numbers of the atoms.
    """
    swapped = np.swapaxes(table, -1, -2)
    if not np.allclose(table, swapped, rtol=1e-5, atol=0.0):
        raise ValueError(
            f"`{name}` must be alike for both orders of two elements, got {table.tolist()} in {str(path)!r}; LAMMPS "
            "takes either, as the atoms are numbered: correct the file"
        )
    return 0.5 * (table + swapped)


def plain(table: np.ndarray) -> Any:
    """Return a number for one species, else nested lists."""
    return table.item() if table.size == 1 else table.tolist()
