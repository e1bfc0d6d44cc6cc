"""Writes potentials that LAMMPS has as LAMMPS's own parameter files and input lines: no plugin is needed to run them.

Beside a term that LAMMPS does not have they stay native, under `pair_style hybrid/overlay` with `pair_style mdzoo`.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ase.data import chemical_symbols

import mdzoo
from mdzoo.export.native.charges import COULOMB_WRITERS
from mdzoo.export.native.dispersion import write_d3
from mdzoo.export.native.embedded import write_eam, write_finnis_sinclair
from mdzoo.export.native.learnt import write_learnt
from mdzoo.export.native.networks import in_parts
from mdzoo.export.native.pairs import PAIR_WRITERS, write_table
from mdzoo.export.native.style import Style
from mdzoo.export.native.triplets import write_edip, write_stillinger_weber, write_tersoff, write_tersoff_mod
from mdzoo.potentials import (
    D3,
    EAM,
    EDIP,
    AtomicEnergies,
    DescriptorPotential,
    FinnisSinclair,
    ForceField,
    PairPotential,
    Potential,
    StillingerWeber,
    SumPotential,
    Tersoff,
    TersoffMod,
)

WRITERS: dict[type, Callable[[Any, list[int]], Style]] = {
    D3: write_d3,
    DescriptorPotential: write_learnt,
    EAM: write_eam,
    EDIP: write_edip,
    FinnisSinclair: write_finnis_sinclair,
    StillingerWeber: write_stillinger_weber,
    Tersoff: write_tersoff,
    TersoffMod: write_tersoff_mod,
    **COULOMB_WRITERS,
    **PAIR_WRITERS,
}
INPUT = "pair.in"
MODEL = "model.pt"


def write_lammps(folder: str | Path, force_field: ForceField) -> list[Path]:
    """Write `pair.in`, the `pair_style` and `pair_coeff` lines to be included, and the parameter files that it names.

    Type k of LAMMPS is species k - 1 of the model. Several terms become `pair_style hybrid/overlay`; reference energies
    are constants that LAMMPS does not know, and stand in a comment. A pair term that LAMMPS has no formula for is
    written as a table.

    Arguments:
        folder: where the files go; LAMMPS finds them when it runs there, or by LAMMPS_POTENTIALS.
        force_field: the model, in units metal.

    Returns:
        The files.

    Raises:
        ValueError: a term that LAMMPS cannot run natively.
    """
    terms, constants = terms_of(force_field.potential)
    styles = [style_of(term, force_field.atomic_numbers, f"term{k}") for k, term in enumerate(terms, 1)]
    return write_files(folder, styles, head(force_field, constants, styles))


def write_hybrid(folder: str | Path, force_field: ForceField) -> ForceField:
    """Write `pair.in` of the terms that LAMMPS has, and of `pair_style mdzoo` with `model.pt` beside them.

    A global term (Ewald) that stays native leaves a model that runs on any number of ranks.

    Arguments:
        folder: where the files go.
        force_field: the model, in units metal.

    Returns:
        What is left, with the reference energies, to be exported as `model.pt` into the same folder.

    Raises:
        ValueError: all terms are native, or none is.
    """
    terms, constants = terms_of(force_field.potential)
    styles = [native_style(term, force_field.atomic_numbers, f"term{k}") for k, term in enumerate(terms, 1)]
    rest = [term for term, style in zip(terms, styles, strict=True) if style is None]
    native = [style for style in styles if style is not None]
    if not rest or not native:
        instead = "lammps_native" if native else "torchscript"
        raise ValueError(
            f"`potential` must have terms of both kinds for lammps_hybrid, got {len(native)} that LAMMPS has itself "
            f"and {len(rest)} that it has not; say format={instead}"
        )
    symbols = " ".join(chemical_symbols[z] for z in force_field.atomic_numbers)
    native.append(Style("mdzoo", "", [("* *", f"{MODEL} {symbols}")], {}))
    write_files(folder, native, head(force_field, [], native))
    return ForceField(SumPotential([*constants, *rest]), force_field.atomic_numbers)


def native_style(term: Potential, atomic_numbers: list[int], name: str) -> Style | None:
    """Return what LAMMPS needs for one term, None where it does not have it."""
    try:
        return style_of(term, atomic_numbers, name)
    except ValueError:
        return None


def write_files(folder: str | Path, styles: list[Style], comments: list[str]) -> list[Path]:
    """Write the lines and the files of the styles, and return their paths."""
    texts = {INPUT: "\n".join([*comments, *lines(styles)]) + "\n"}
    for style in styles:
        texts |= style.files
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (Path(folder) / name).write_text(text, encoding="utf-8")
    return [Path(folder) / name for name in texts]


def terms_of(potential: Potential) -> tuple[list[Potential], list[AtomicEnergies]]:
    """Return the terms that act between atoms, and the constants."""
    terms: list[Any] = list(potential.terms) if isinstance(potential, SumPotential) else [potential]
    constants = [term for term in terms if isinstance(term, AtomicEnergies)]
    acting = [term for term in terms if not isinstance(term, AtomicEnergies)]
    if not acting:
        raise ValueError("`potential` must have a term that acts between atoms, got reference energies alone; add one")
    split = [in_parts(term) if isinstance(term, DescriptorPotential) else [term] for term in acting]
    return [part for parts in split for part in parts], constants


def style_of(term: Potential, atomic_numbers: list[int], name: str) -> Style:
    """Return what LAMMPS needs for one term; `name` begins the names of its files."""
    writer = WRITERS.get(type(term))
    if writer is None and isinstance(term, PairPotential):
        writer = write_table
    if writer is None:
        raise ValueError(
            f"`potential` must consist of terms that LAMMPS has itself, {sorted(kind.__name__ for kind in WRITERS)}, "
            f"got {type(term).__name__}; export it as TorchScript"
        )
    return writer(term, atomic_numbers).named(name)


def head(force_field: ForceField, constants: list[AtomicEnergies], styles: list[Style]) -> list[str]:
    """Return comments that say what the file is, and what it leaves out."""
    symbols = [chemical_symbols[z] for z in force_field.atomic_numbers]
    charged = any(command.startswith("set ") for style in styles for command in style.commands)
    out = [
        f"# written by mdzoo {mdzoo.__version__}; units metal; include after "
        + ("the atoms are there, whose charges are set below" if charged else "create_box or read_data"),
        "# types: " + ", ".join(f"{k} {symbol}" for k, symbol in enumerate(symbols, 1)),
    ]
    lacking = [term.energies.detach().tolist() for term in constants]
    lacking += [list(style.constants) for style in styles if style.constants]
    if lacking:
        energies = [sum(column) for column in zip(*lacking, strict=True)]
        each = ", ".join(f"{symbol} {energy!r}" for symbol, energy in zip(symbols, energies, strict=True))
        out.append(f"# LAMMPS's energy lacks the reference energies of the atoms (eV): {each}")
    return out


def lines(styles: list[Style]) -> list[str]:
    """Return the `pair_style` and `pair_coeff` lines of all styles."""
    if len(styles) == 1:
        (style,) = styles
        out = [f"pair_style {style.name} {style.settings}".rstrip()]
        out += [f"pair_coeff {types} {words}".rstrip() for types, words in style.coefficients]
        return [*out, *(f"pair_modify {words}" for words in style.modify), *style.commands]
    counts, seen = Counter(style.name for style in styles), Counter[str]()
    out = ["pair_style hybrid/overlay " + " ".join(f"{s.name} {s.settings}".strip() for s in styles)]
    for style in styles:
        seen[style.name] += 1
        label = f"{style.name} {seen[style.name]}" if counts[style.name] > 1 else style.name
        out += [f"pair_coeff {types} {label} {words}".rstrip() for types, words in style.coefficients]
        out += [f"pair_modify pair {label} {words}" for words in style.modify]
        out += style.commands
    return out
