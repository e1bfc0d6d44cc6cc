"""What graph_from_atoms makes of a structure, and what it refuses."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator

from mdzoo.data import graph_from_atoms


def test_species_follow_the_table():
    graph = graph_from_atoms(molecule("H2O"), [1, 6, 8], 3.0)
    assert graph.species.tolist() == [2, 0, 0]
    assert graph.batch.tolist() == [0, 0, 0]
    assert graph.ids.tolist() == [0, 1, 2]
    assert graph.cell.abs().sum() == 0.0


def test_a_table_need_not_be_sorted():
    assert graph_from_atoms(molecule("H2O"), [8, 1], 3.0).species.tolist() == [0, 1, 1]


def test_charges_are_those_of_ase():
    atoms = molecule("H2O")
    atoms.set_initial_charges([-0.8, 0.4, 0.4])
    atoms.info["total_charge"] = 1.0
    graph = graph_from_atoms(atoms, [1, 8], 3.0)
    assert graph.charges.tolist() == [-0.8, 0.4, 0.4]
    assert graph.total_charge.tolist() == [1.0]


def test_charges_by_key_add_up_to_the_total_charge():
    atoms = molecule("H2O")
    atoms.arrays["ref"] = np.array([-0.8, 0.4, 0.5])
    graph = graph_from_atoms(atoms, [1, 8], 3.0, charges_key="ref")
    assert graph.total_charge.item() == pytest.approx(0.1)


def test_charges_of_a_calculator():
    atoms = molecule("H2O")
    atoms.calc = SinglePointCalculator(atoms, charges=np.array([-0.8, 0.4, 0.4]))
    assert graph_from_atoms(atoms, [1, 8], 3.0, charges_key="charges").charges[0] == -0.8


def test_charges_key_must_exist():
    with pytest.raises(ValueError, match="`charges_key` must be an array of `atoms`.*got 'q'"):
        graph_from_atoms(molecule("H2O"), [1, 8], 3.0, charges_key="q")


def test_graph_shares_no_memory_with_the_atoms():
    atoms = bulk("Cu")
    graph = graph_from_atoms(atoms, [29], 3.0)
    atoms.positions += 1.0
    assert torch.equal(graph.positions, torch.zeros(1, 3, dtype=torch.float64))


def test_unknown_element_is_named():
    with pytest.raises(ValueError, match=r"elements \['Si'\], got Cu \(Z=29\)"):
        graph_from_atoms(bulk("Cu"), [14], 3.0)


def test_zero_atoms():
    with pytest.raises(ValueError, match="must hold at least one atom, got 0"):
        graph_from_atoms(Atoms(), [14], 3.0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_positions_that_are_no_numbers(value):
    atoms = bulk("Si")
    atoms.positions[1, 2] = value
    with pytest.raises(ValueError, match="must have finite positions, got .* for atom 1"):
        graph_from_atoms(atoms, [14], 3.0)


def test_two_atoms_at_one_place():
    with pytest.raises(ValueError, match="one atom at one place, got atoms 0 and 1"):
        graph_from_atoms(Atoms("H2", [[0, 0, 0], [0, 0, 1e-5]]), [1], 3.0)


def test_two_atoms_at_one_place_by_an_image():
    with pytest.raises(ValueError, match="one atom at one place"):
        graph_from_atoms(Atoms("Si2", [[0, 0, 0], [0, 5, 0]], cell=[5, 5, 5], pbc=True), [14], 3.0)


@pytest.mark.parametrize(
    ("cell", "pbc"),
    [
        ([[3, 0, 0], [6, 0, 0], [0, 0, 3]], True),
        ([0, 0, 0], True),
        ([3, 3, 0], [False, False, True]),
        ([[3, 0, 0], [3, 1e-9, 0], [0, 0, 3]], [True, True, False]),
        ([[np.nan, 0, 0], [0, 3, 0], [0, 0, 3]], True),
    ],
)
def test_flat_periodic_cell(cell, pbc):
    with pytest.raises(ValueError, match="independent vectors along its periodic directions"):
        graph_from_atoms(Atoms("Si", cell=cell, pbc=pbc), [14], 3.0)
