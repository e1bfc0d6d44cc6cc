"""Molecular force fields from files: AMBER's prmtop, CHARMM's psf with prm, rtf and str, OpenMM's XML with a PDB.

OpenMM reads them (`pip install mdzoo[molecular]`); what comes out is plain, and a model that holds it needs neither.
"""

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from mdzoo.data.parameter_files.openmm_system import Input, tables_of

KINDS = {"prmtop": [], "psf": ["parameters"], "pdb": ["xml"]}  # what stands beside the file that names the atoms


def read_molecular(sources: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the tables of types and topologies of one or several molecular systems.

    Each source is one of

        {"prmtop": "a.prmtop"}
        {"psf": "a.psf", "parameters": ["par_all36_prot.prm", "toppar_water_ions.str"]}
        {"pdb": "a.pdb", "xml": ["amber14-all.xml", "amber14/tip3p.xml"]}

    and may have a `name`; otherwise the file's name is taken. Equal parameters between equal elements are one type in
    all of them.

    Raises:
        ValueError: a source is none of these, its files do not fit together, or mdzoo lacks one of their terms.
        FileNotFoundError: a file is not there.
        ImportError: OpenMM is not installed.
    """
    if importlib.util.find_spec("openmm") is None:
        raise ImportError("`openmm` must be installed to read molecular force fields; pip install mdzoo[molecular]")
    return tables_of([input_of(source) for source in sources])


def read_coordinates(source: Mapping[str, Any], path: str | Path) -> Atoms:
    """Return the atoms of a source, with their cell if there is one, at the coordinates of a file.

    Beside a prmtop that is AMBER's inpcrd, rst7 or crd, beside a psf CHARMM's crd; or a PDB.
    """
    from openmm import app, unit

    entry = input_of(source)
    if Path(path).suffix.lower() == ".pdb":
        file = app.PDBFile(str(path))
        box = file.topology.getPeriodicBoxVectors()
    elif "prmtop" in source:
        file = app.AmberInpcrdFile(str(path))
        box = file.boxVectors
    else:
        file, box = app.CharmmCrdFile(str(path)), None
    positions = np.array(file.positions.value_in_unit(unit.angstrom))
    if len(positions) != len(entry.numbers):
        raise ValueError(
            f"`path` must hold {len(entry.numbers)} atoms as {entry.name!r}, got {len(positions)} in {str(path)!r}; "
            "take the one that belongs to it"
        )
    cell = None if box is None else np.array(box.value_in_unit(unit.angstrom))
    return Atoms(entry.numbers, positions, cell=cell, pbc=cell is not None)


def with_sources(term: Mapping[str, Any]) -> dict[str, Any]:
    """Return the table of an empirical term with its `force_field` read, where that is a list of sources or a path.

    A path is that of a JSON file with what `read_molecular` gave: whoever reads it needs no OpenMM.
    """
    table, given = dict(term), term.get("force_field")
    if isinstance(given, str):
        if not Path(given).is_file():
            raise FileNotFoundError(f"`force_field` must be a file that is there, got {given!r}; check the path")
        table["force_field"] = json.loads(Path(given).read_text(encoding="utf-8"))
    elif isinstance(given, list | tuple):
        table["force_field"] = read_molecular(given)
    return table


def input_of(source: Mapping[str, Any]) -> Input:
    """Return name, elements and OpenMM's system of one source."""
    kinds = [kind for kind, beside in KINDS.items() if set(source) - {"name"} == {kind, *beside}]
    if not kinds:
        raise ValueError(
            f"`sources` must be {{prmtop}}, {{psf, parameters}} or {{pdb, xml}}, got {dict(source)}; name these files"
        )
    kind = kinds[0]
    words = source.get("parameters", [])
    for path in [source[kind], *([words] if isinstance(words, str) else words)]:
        if not Path(path).is_file():
            raise FileNotFoundError(f"`{kind}` must name files that are there, got {str(path)!r}; check the path")
    name = str(source.get("name", Path(source[kind]).stem))
    try:
        topology, system = MAKERS[kind](source)
    except Exception as error:  # OpenMM raises bare Exceptions
        raise ValueError(
            f"`{kind}` must hold a whole system with its parameters, got {str(source[kind])!r} ({error}); complete it"
        ) from error
    return Input(name, [atom.element.atomic_number if atom.element else 0 for atom in topology.atoms()], system)


FLEXIBLE = {"constraints": None, "rigidWater": False, "removeCMMotion": False}


def from_prmtop(source: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return topology and system of an AMBER file."""
    from openmm import app

    file = app.AmberPrmtopFile(str(source["prmtop"]))
    return file.topology, file.createSystem(nonbondedMethod=app.NoCutoff, **FLEXIBLE)


def from_psf(source: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return topology and system of CHARMM's files."""
    from openmm import app

    words = source["parameters"]
    file = app.CharmmPsfFile(str(source["psf"]))
    parameters = app.CharmmParameterSet(*([words] if isinstance(words, str) else [str(word) for word in words]))
    return file.topology, file.createSystem(parameters, nonbondedMethod=app.NoCutoff, **FLEXIBLE)


def from_xml(source: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return topology and system of atoms in a PDB file under a force field of OpenMM's XML files."""
    from openmm import app

    words = source["xml"]
    force_field = app.ForceField(*([words] if isinstance(words, str) else [str(word) for word in words]))
    topology = app.PDBFile(str(source["pdb"])).topology
    return topology, force_field.createSystem(topology, nonbondedMethod=app.NoCutoff, **FLEXIBLE)


MAKERS = {"prmtop": from_prmtop, "psf": from_psf, "pdb": from_xml}
