"""Coefficients of pair styles, the `pair_style` and `pair_coeff` lines of a file that LAMMPS includes."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

TRUNCATIONS = {"lj/smooth/linear": "force_shifted"}


class Form(NamedTuple):
    """How a pair style is written: the numbers behind its name, those behind a pair, and what they mean here."""

    settings: tuple[str, ...]
    columns: tuple[str, ...]
    fixed: Mapping[str, Any]  # arguments that the style stands for
    mixes: bool = False


STYLES: dict[str, dict[str, Form]] = {  # by class and by LAMMPS's name
    "LennardJones": {
        "lj/cut": Form(("cutoff",), ("epsilon", "sigma"), {"n": 12}, True),
        "lj96/cut": Form(("cutoff",), ("epsilon", "sigma"), {"n": 9}, True),
        "lj/smooth/linear": Form(("cutoff",), ("epsilon", "sigma"), {"n": 12}, True),
    },
    "Mie": {"mie/cut": Form(("cutoff",), ("epsilon", "sigma", "n", "m"), {}, True)},
    "Buckingham": {"buck": Form(("cutoff",), ("A", "rho", "C"), {})},
    "BornMayerHuggins": {"born": Form(("cutoff",), ("A", "rho", "sigma", "C", "D"), {})},
    "Morse": {"morse": Form(("cutoff",), ("D", "alpha", "r0"), {})},
    "Yukawa": {"yukawa": Form(("kappa", "cutoff"), ("A",), {})},
    "ZBL": {"zbl": Form(("inner", "outer"), (), {})},
    "CoulombCut": {"coul/cut": Form(("cutoff",), (), {"constants": "lammps_metal"})},
    "CoulombDSF": {"coul/dsf": Form(("alpha", "cutoff"), (), {"constants": "lammps_metal"})},
    "CoulombEwald": {"coul/long": Form(("cutoff",), (), {"constants": "lammps_metal"})},
    "CoulombPME": {"coul/long": Form(("cutoff",), (), {"constants": "lammps_metal"})},
}


def read_pair_coefficients(path: str | Path, elements: Sequence[str], name: str) -> dict[str, Any]:
    """Return the arguments of the pair potential `name` from LAMMPS's lines.

    Type k of LAMMPS is the k-th element. Read are `pair_style` (alone or within `hybrid/overlay`), `pair_coeff`,
    `pair_modify` with `shift` and `mix`, and `set type ... charge`; other lines are passed over (the accuracy of a sum
    over all images is that of its own key).

    Raises:
        ValueError: no style of this potential, too few numbers, a cutoff of its own for a pair, a pair that is missing
            and for which the style has no mixing rule, or other units.
    """
    text = Path(path).read_text(encoding="utf-8").splitlines()
    lines = [words for line in text if (words := line.split("#")[0].split())]
    units = [words[1] for words in lines if words[0] == "units"]
    if units and units[-1] != "metal":
        raise ValueError(f"`file` must be in units metal (eV, Angstrom), got {units[-1]} in {str(path)!r}; convert it")
    style, settings, hybrid = found_style(lines, name, path)
    form = STYLES[name][style]
    if len(settings) < len(form.settings):
        wanted = " ".join(form.settings)
        raise ValueError(f"`pair_style {style}` must have {wanted}, got {settings} in {str(path)!r}; add what lacks")
    numbers = [float(word) for word in settings[: len(form.settings)]]
    table: dict[str, Any] = dict(zip(form.settings, numbers, strict=True)) | dict(form.fixed)
    rows = coefficients(lines, form, style, hybrid, numbers[-1], path)
    return table | tables(rows, form, style, len(elements), path) | endings(lines, name, style, form, len(elements))


def found_style(lines: Sequence[list[str]], name: str, path: str | Path) -> tuple[str, list[str], bool]:
    """Return the style of the potential, the words behind it, and whether it stands within a hybrid."""
    styles = [words[1:] for words in lines if words[0] == "pair_style"]
    words = styles[-1] if styles else ["nothing"]
    hybrid = words[0].startswith("hybrid")
    for place, word in enumerate(words):
        if word in STYLES[name]:
            return word, words[place + 1 :], hybrid
    raise ValueError(
        f"`file` must hold pair_style {' or '.join(STYLES[name])}, got {' '.join(words)} in {str(path)!r}; choose "
        "another potential or file"
    )


def coefficients(
    lines: Sequence[list[str]], form: Form, style: str, hybrid: bool, cutoff: float, path: str | Path
) -> list[tuple[str, str, list[float]]]:
    """Return both types and the numbers of each `pair_coeff` line of the style."""
    rows = []
    for first, second, *words in (words[1:] for words in lines if words[0] == "pair_coeff"):
        if hybrid and words[:1] != [style]:
            continue
        values = [float(word) for word in words[int(hybrid) :]] if form.columns else []
        if len(values) < len(form.columns):
            wanted = " ".join(form.columns)
            raise ValueError(
                f"`pair_coeff` of {style} must have {wanted}, got {values} in {str(path)!r}; add what lacks"
            )
        if any(value != cutoff for value in values[len(form.columns) :]):
            raise ValueError(
                f"`pair_coeff` of {style} must leave the cutoff {cutoff} to pair_style, got {values} in {str(path)!r}; "
                "one cutoff holds for all pairs here"
            )
        rows.append((first, second, values[: len(form.columns)]))
    return rows


def tables(
    rows: Sequence[tuple[str, str, list[float]]], form: Form, style: str, n: int, path: str | Path
) -> dict[str, Any]:
    """Return each column as a table over pairs of species, None where a pair is to be mixed."""
    out: dict[str, list[list[float | None]]] = {key: [[None] * n for _ in range(n)] for key in form.columns}
    for first, second, values in rows:
        for i, j in product(types(first, n), types(second, n)):
            for key, value in zip(form.columns, values, strict=True):
                out[key][i][j] = out[key][j][i] = value
    missing = [(i + 1, j + 1) for i in range(n) for j in range(i, n) if any(t[i][j] is None for t in out.values())]
    if missing and not (form.mixes and all(i != j for i, j in missing)):
        raise ValueError(
            f"`file` must hold pair_coeff for every pair of {n} types, got none for {missing} of {style} in "
            f"{str(path)!r}; there is no mixing rule for these"
        )
    return {key: table[0][0] if n == 1 else table for key, table in out.items()}


def types(word: str, n: int) -> range:
    """Return the species that a type or a range of types such as `*`, `2*` or `1*3` names."""
    low, star, high = word.partition("*")
    if not star:
        return range(int(low) - 1, int(low))
    return range(int(low or 1) - 1, int(high or n))


def endings(lines: Sequence[list[str]], name: str, style: str, form: Form, n: int) -> dict[str, Any]:
    """Return how the potential ends at the cutoff, how it mixes, and the charges of the types."""
    modify = [word for words in lines if words[0] == "pair_modify" for word in words[1:]]
    options = dict(zip(modify, modify[1:], strict=False))
    out: dict[str, Any] = {}
    if form.columns:
        shifted = "shifted" if options.get("shift") == "yes" else "plain"
        out["truncation"] = TRUNCATIONS.get(style, shifted)
    if form.mixes:
        out["mixing"] = options.get("mix", "geometric")
    if name.startswith("Coulomb"):
        given = [words for words in lines if words[:2] == ["set", "type"] and words[3] == "charge"]
        charges = {int(words[2]): float(words[4]) for words in given}
        out["charges"] = [charges[k] for k in range(1, n + 1)] if len(charges) == n else None
    return out
