"""AMBER and CHARMM against OpenMM, term by term: numbers of its version 8.6.1, and live where it is installed."""

import json

import numpy as np
import pytest
from ase import Atoms

from mdzoo.data.graphs import graph_from_atoms
from mdzoo.data.parameter_files.molecular import read_coordinates, read_molecular
from mdzoo.graph import Graph
from mdzoo.potentials import ForceField, MolecularMechanics, Prediction
from tests.reference.molecular_oracle import (
    CELL,
    CUTOFF,
    KEYS,
    ONSET,
    SOURCES,
    ask_openmm,
    atoms_of,
    source,
    stored,
    system_of,
)

ORACLE = stored()
ELEMENTS = [1, 6, 7, 8, 11, 16, 17]
each_case = pytest.mark.parametrize("name", SOURCES)


def graph_of(name: str, periodic: bool, cutoff: float) -> Graph:
    """A periodic structure has its atoms in whichever cells."""
    case = ORACLE[name]
    numbers, positions = case["force_field"]["topologies"][0]["numbers"], np.array(case["positions"])
    if not periodic:
        return graph_from_atoms(Atoms(numbers, positions), ELEMENTS, cutoff)
    images = np.random.default_rng(1).integers(-1, 2, positions.shape)
    return graph_from_atoms(Atoms(numbers, positions + images @ CELL, cell=CELL, pbc=True), ELEMENTS, cutoff)


def part(table: dict, keys: list[str]) -> dict:
    """The tables and rows of some terms alone."""
    rows = ["title", "numbers", *keys]
    topologies = [{key: row[key] for key in rows if key in row} for row in table["topologies"]]
    return {"topologies": topologies, **{key: table[key] for key in keys if key in table and key != "topologies"}}


def said(table: dict, graph: Graph, **options) -> Prediction:
    return ForceField(MolecularMechanics(ELEMENTS, table, **options), ELEMENTS).eval()(graph)


@each_case
def test_each_term_of_a_molecule_has_the_energy_of_openmm(name):
    table, graph = ORACLE[name]["force_field"], graph_of(name, False, 40.0)
    energies = ORACLE[name]["free"]["energies"]
    for kind, energy in energies.items():
        found = said(table if kind == "total" else part(table, KEYS[kind]), graph, cutoff=40)
        assert float(found.energy) == pytest.approx(energy, rel=1e-8), kind
    forces = np.array(ORACLE[name]["free"]["forces"])
    np.testing.assert_allclose(found.forces.numpy(), forces, rtol=0.0, atol=1e-8 * np.abs(forces).max())


@each_case
def test_a_molecule_in_a_periodic_cell_has_energies_and_forces_of_openmm(name):
    """Ewald's sum to 1e-10 on either side, Lennard-Jones switched; OpenMM's molecule is whole, ours in any cells."""
    table, graph = ORACLE[name]["force_field"], graph_of(name, True, CUTOFF)
    options = {"cutoff": CUTOFF, "onset": ONSET, "coulomb": "ewald", "accuracy": 1e-11}
    for kind, energy in ORACLE[name]["periodic"]["energies"].items():
        found = said(table if kind == "total" else part(table, KEYS[kind]), graph, **options)
        assert float(found.energy) == pytest.approx(energy, rel=1e-7), kind
    forces = np.array(ORACLE[name]["periodic"]["forces"])
    np.testing.assert_allclose(found.forces.numpy(), forces, rtol=0.0, atol=1e-7 * np.abs(forces).max())


@each_case
def test_tables_and_numbers_are_those_of_openmm_here(name):
    """The stored numbers again, from the OpenMM that is installed."""
    pytest.importorskip("openmm", reason="OpenMM is not installed (pip install openmm)")
    _, positions = atoms_of(name)
    table = read_molecular([source(name)])
    assert json.loads(json.dumps(table)) == ORACLE[name]["force_field"]
    for periodic, cell in (("free", None), ("periodic", CELL)):
        here = ask_openmm(system_of(name, cell is not None), positions, cell)
        assert here.energies == pytest.approx(ORACLE[name][periodic]["energies"], rel=1e-7, abs=1e-12)
        np.testing.assert_allclose(here.forces, ORACLE[name][periodic]["forces"], rtol=0.0, atol=1e-7)


@each_case
def test_the_tail_of_lennard_jones_is_that_of_openmm(name):
    pytest.importorskip("openmm", reason="OpenMM is not installed (pip install openmm)")
    _, positions = atoms_of(name)
    plain, system = (ask_openmm(with_tail(name, tail), positions, CELL).energies["pairs"] for tail in (False, True))
    table, graph = ORACLE[name]["force_field"], graph_of(name, True, CUTOFF)
    without, found = (said(table, graph, cutoff=CUTOFF, onset=ONSET, tail=tail).energy for tail in (False, True))
    assert float(found - without) == pytest.approx(system - plain, rel=1e-5)


def with_tail(name: str, tail: bool):
    system = system_of(name, True)
    for force in system.getForces():
        if type(force).__name__ == "NonbondedForce":
            force.setUseDispersionCorrection(tail)
        if type(force).__name__ == "CustomNonbondedForce":
            force.setUseLongRangeCorrection(tail)
    return system


def test_prmtop_and_psf_give_what_openmm_makes_of_them(tmp_path):
    """Files written by ParmEd from AMBER's alanine dipeptide; in CHARMM's its impropers are harmonic."""
    app = pytest.importorskip("openmm.app", reason="OpenMM is not installed (pip install openmm)")
    parmed = pytest.importorskip("parmed", reason="ParmEd is not installed (pip install parmed)")
    topology, positions = atoms_of("amber")
    whole = parmed.openmm.load_topology(topology, system_of("amber", False), xyz=positions)
    whole.save(str(tmp_path / "a.prmtop"))
    whole.save(str(tmp_path / "a.psf"))
    parameters = parmed.charmm.CharmmParameterSet.from_structure(whole)
    parameters.write(par=str(tmp_path / "a.prm"), top=str(tmp_path / "a.rtf"))
    files = [str(tmp_path / "a.rtf"), str(tmp_path / "a.prm")]
    flexible = {"nonbondedMethod": app.NoCutoff, "constraints": None, "rigidWater": False}
    systems = {
        "prmtop": app.AmberPrmtopFile(str(tmp_path / "a.prmtop")).createSystem(**flexible),
        "psf": app.CharmmPsfFile(str(tmp_path / "a.psf")).createSystem(app.CharmmParameterSet(*files), **flexible),
    }
    sources = {"prmtop": {}, "psf": {"parameters": files}}
    for kind, system in systems.items():
        table = read_molecular([{kind: str(tmp_path / f"a.{kind}"), **sources[kind]}])
        expected = ask_openmm(system, positions)
        found = said(table, graph_of("amber", False, 40.0), cutoff=40)
        assert float(found.energy) == pytest.approx(expected.energies["total"], rel=1e-6)
        largest = np.abs(expected.forces).max()
        np.testing.assert_allclose(found.forces.numpy(), expected.forces, rtol=0.0, atol=1e-6 * largest)


@pytest.mark.parametrize(("kind", "file"), [("prmtop", "a.rst7"), ("pdb", "a.pdb")])
def test_coordinates_come_with_their_cell(tmp_path, kind, file):
    pytest.importorskip("openmm", reason="OpenMM is not installed (pip install openmm)")
    parmed = pytest.importorskip("parmed", reason="ParmEd is not installed (pip install parmed)")
    topology, positions = atoms_of("amber")
    whole = parmed.openmm.load_topology(topology, system_of("amber", False), xyz=positions)
    whole.box = [20.0, 21.0, 22.0, 90.0, 90.0, 90.0]
    for name in ("a.prmtop", file):
        whole.save(str(tmp_path / name))
    given = {"prmtop": {"prmtop": str(tmp_path / "a.prmtop")}, "pdb": source("amber")}[kind]
    found = read_coordinates(given, tmp_path / file)
    assert found.numbers.tolist() == ORACLE["amber"]["force_field"]["topologies"][0]["numbers"]
    np.testing.assert_allclose(found.positions, positions, rtol=0.0, atol=1e-3)
    assert found.cell.lengths().round(3).tolist() == [20.0, 21.0, 22.0]
    with pytest.raises(ValueError, match=r"`path` must hold 8 atoms as 'nbfix', got 22 in .*; take the one"):
        read_coordinates(source("nbfix"), source("amber")["pdb"])


def test_particle_mesh_ewald_in_a_skewed_cell_is_that_of_openmm():
    """Either mesh is fine enough for 1e-6; OpenMM has no plain Ewald sum in skewed cells."""
    app = pytest.importorskip("openmm.app", reason="OpenMM is not installed (pip install openmm)")
    cell = np.array([[14.0, 0.0, 0.0], [3.0, 14.0, 0.0], [-2.0, 4.0, 13.5]])
    topology, positions = atoms_of("amber")
    topology.setPeriodicBoxVectors(0.1 * cell)
    options = {"nonbondedMethod": app.PME, "nonbondedCutoff": 0.1 * CUTOFF, "useDispersionCorrection": False}
    flexible = {"constraints": None, "rigidWater": False}
    system = app.ForceField(*SOURCES["amber"]["xml"]).createSystem(topology, **options, **flexible)
    for force in system.getForces():
        if type(force).__name__ == "NonbondedForce":
            force.setPMEParameters(6.0, 150, 150, 150)  # alpha in 1/nm
    expected = ask_openmm(system, positions, cell)
    table = ORACLE["amber"]["force_field"]
    atoms = Atoms(table["topologies"][0]["numbers"], positions, cell=cell, pbc=True)
    found = said(table, graph_from_atoms(atoms, ELEMENTS, CUTOFF), cutoff=CUTOFF, accuracy=1e-9)
    assert float(found.energy) == pytest.approx(expected.energies["total"], abs=2e-5)
    largest = np.abs(expected.forces).max()
    np.testing.assert_allclose(found.forces.numpy(), expected.forces, rtol=0.0, atol=2e-6 * largest)
