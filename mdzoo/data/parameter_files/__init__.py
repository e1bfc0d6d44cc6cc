"""Which numbers does a published parameter file hold? Readers into plain tables that potentials take."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ase.data import chemical_symbols

from mdzoo.data.parameter_files.eam import read_eam
from mdzoo.data.parameter_files.edip import read_edip
from mdzoo.data.parameter_files.pair_coefficients import STYLES, read_pair_coefficients
from mdzoo.data.parameter_files.pair_table import read_pair_table
from mdzoo.data.parameter_files.stillinger_weber import read_sw
from mdzoo.data.parameter_files.tersoff import read_tersoff, read_tersoff_mod

READERS: dict[str, Callable[[Any, Sequence[str]], dict[str, Any]]] = {
    "EAM": read_eam,
    "EDIP": read_edip,
    "PairTable": read_pair_table,
    "StillingerWeber": read_sw,
    "Tersoff": read_tersoff,
    "TersoffMod": read_tersoff_mod,
    **{name: partial(read_pair_coefficients, name=name) for name in STYLES},
}

SUFFIXES = {  # of LAMMPS's files: its pair style, and the classes that read it
    ".adp": ("adp", ()),
    ".cdeam": ("eam/cd", ()),
    ".comb": ("comb", ()),
    ".comb3": ("comb3", ()),
    ".eam.he": ("eam/he", ()),
    ".edip": ("edip", ("EDIP",)),
    ".extep": ("extep", ()),
    ".gw": ("gw", ()),
    ".gw.zbl": ("gw/zbl", ()),
    ".meam": ("meam", ()),
    ".meam.spline": ("meam/spline", ()),
    ".sw": ("sw", ("StillingerWeber",)),
    ".sw.mod": ("sw/mod", ()),
    ".tersoff": ("tersoff", ("Tersoff",)),
    ".tersoff.mod": ("tersoff/mod", ("TersoffMod",)),
    ".tersoff.modc": ("tersoff/mod/c", ()),
    ".tersoff.zbl": ("tersoff/zbl", ()),
    ".vashishta": ("vashishta", ()),
}


def with_file(term: Mapping[str, Any], atomic_numbers: Sequence[int]) -> dict[str, Any]:
    """Return the table of an empirical term with the numbers of its `file` in place of its own, if it names one.

    Arguments:
        term: a table with `name`, arguments and perhaps `file`, a path, several, or nothing.
        atomic_numbers: the element table.

    Raises:
        ValueError: there is no such file, or nothing reads one for this potential; else see the reader.
    """
    table = {key: value for key, value in term.items() if key != "file"}
    path = term.get("file")
    if not path:
        return table
    if term.get("name") not in READERS:
        raise ValueError(f"`file` must be for one of {sorted(READERS)}, got one for {term.get('name')}; give numbers")
    for one in [path] if isinstance(path, str | Path) else path:
        if not Path(one).is_file():
            raise ValueError(f"`file` must be a parameter file, got {str(one)!r}, which is not there; check the path")
        check_suffix(Path(one), str(term["name"]))
    return {**table, **READERS[term["name"]](path, [chemical_symbols[z] for z in atomic_numbers])}


def check_suffix(path: Path, name: str) -> None:
    """Refuse a file whose name says that it is of another pair style: some differ in nothing that can be read."""
    matches = [suffix for suffix in SUFFIXES if path.name.endswith(suffix)]
    style, readers = SUFFIXES[max(matches, key=len)] if matches else ("", (name,))
    if name not in readers:
        instead = f"take {' or '.join(readers)}" if readers else "mdzoo has no such potential"
        raise ValueError(f"`file` must be one for {name}, got {str(path)!r}, which is of pair_style {style}; {instead}")
