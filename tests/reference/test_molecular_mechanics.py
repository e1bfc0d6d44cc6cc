"""AMBER and CHARMM against OpenMM, term by term: numbers of its version 8.6.1, and live where it is installed."""

import numpy as np
import pytest
from ase import Atoms

from mdzoo.data.graphs import graph_from_atoms
from mdzoo.graph import Graph
from mdzoo.potentials import ForceField, MolecularMechanics, Prediction
from tests.reference.molecular_oracle import CELL, CUTOFF, KEYS, ONSET, SOURCES, stored

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
    options = {"cutoff": CUTOFF, "onset": ONSET, "accuracy": 1e-11}
    for kind, energy in ORACLE[name]["periodic"]["energies"].items():
        found = said(table if kind == "total" else part(table, KEYS[kind]), graph, **options)
        assert float(found.energy) == pytest.approx(energy, rel=1e-7), kind
    forces = np.array(ORACLE[name]["periodic"]["forces"])
    np.testing.assert_allclose(found.forces.numpy(), forces, rtol=0.0, atol=1e-7 * np.abs(forces).max())
