"""Coulomb sums of short range against LAMMPS's coul/cut, coul/dsf and coul/wolf."""

import numpy as np
import pytest
import torch

from mdzoo.graph import Graph
from mdzoo.potentials import CoulombCut, CoulombDSF, CoulombWolf, ForceField, Prediction
from tests.reference.engine import ask_lammps
from tests.structures import Structure, brute_force_graph, crystal, molecule, slab

CHARGES = [1.3, -0.8]
RADIUS = 6.0
# LAMMPS's coul/dsf and the real part of coul/long take erfc from a polynomial that is off by up to 1.5e-7 (Abramowitz
# and Stegun 7.1.26) in each of the thousands of pairs, coul/wolf from the C library
POLYNOMIAL = 5e-6


def told(structure: Structure, style: str, command: str = "pair_coeff * *"):
    charges = [CHARGES[s] for s in structure.species]
    return ask_lammps(structure, [f"pair_style {style}", command], 2, charges)


def graph_of(structure: Structure, cutoff: float = RADIUS) -> Graph:
    graph = brute_force_graph(structure, cutoff)
    return graph._replace(charges=torch.tensor(CHARGES, dtype=torch.float64)[graph.species])


def said(potential, structure: Structure) -> Prediction:
    return ForceField(potential, [11, 17]).eval()(graph_of(structure, potential.cutoff))


def agree(found: Prediction, expected, tolerance: float) -> None:
    assert float(found.energy) == pytest.approx(expected.energy, rel=tolerance)
    for one, other in ((found.forces, expected.forces), (found.virial[0], expected.virial)):
        np.testing.assert_allclose(one.numpy(), other, rtol=0.0, atol=tolerance * np.abs(other).max())


each_structure = pytest.mark.parametrize("build", [crystal, molecule, slab])


@each_structure
def test_bare_charges_are_those_of_lammps(build):
    structure = build(2)
    expected = told(structure, f"coul/cut {RADIUS}")
    agree(said(CoulombCut(RADIUS, CHARGES, 2, constants="lammps_metal"), structure), expected, 1e-10)


@each_structure
@pytest.mark.parametrize("alpha", [0.0, 0.2, 0.5])
def test_damped_shifted_force_is_that_of_lammps(build, alpha):
    structure = build(2)
    expected = told(structure, f"coul/dsf {alpha} {RADIUS}")
    agree(said(CoulombDSF(RADIUS, alpha, CHARGES, 2, constants="lammps_metal"), structure), expected, POLYNOMIAL)


@each_structure
def test_wolf_has_the_energies_of_lammps_and_the_forces_that_are_their_derivatives(build):
    """LAMMPS's forces of coul/wolf are those of the damped shifted force; ours are checked against differences."""
    structure = build(2)
    expected = told(structure, f"coul/wolf 0.3 {RADIUS}")
    found = said(CoulombWolf(RADIUS, 0.3, CHARGES, 2, constants="lammps_metal"), structure)
    assert float(found.energy) == pytest.approx(expected.energy, rel=1e-11)
    forces = said(CoulombDSF(RADIUS, 0.3, CHARGES, 2, constants="lammps_metal"), structure)
    np.testing.assert_allclose(forces.forces.numpy(), expected.forces, rtol=0.0, atol=1e-10)
    np.testing.assert_allclose(forces.virial[0].numpy(), expected.virial, rtol=0.0, atol=1e-9)


def test_the_damped_sum_comes_near_to_madelungs_constant_of_rock_salt():
    """Fennell and Gezelter: -k M / d per pair of ions, M = 1.747565."""
    side = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]) * 5.64
    salt = Structure([0, 1], np.array([[0.0, 0.0, 0.0], [2.82, 0.0, 0.0]]), side, (True,) * 3)
    graph = brute_force_graph(salt, 16.0)
    for kind in (CoulombWolf, CoulombDSF):
        energy = ForceField(kind(16.0, 0.2, [1, -1], 2), [11, 17]).eval()(graph).energy
        assert float(energy) * -2.82 / 14.399645 == pytest.approx(1.747565, abs=2e-3)


def test_charges_come_from_the_data_or_one_for_each_species():
    structure = crystal(2)
    expected = said(CoulombDSF(RADIUS, 0.2, CHARGES, 2), structure)
    found = said(CoulombDSF(RADIUS, 0.2), structure)
    torch.testing.assert_close(found.forces, expected.forces)
    torch.testing.assert_close(found.charges, expected.charges)
    assert found.charges.tolist() == [CHARGES[s] for s in structure.species]


def test_neutral_charges_sum_to_the_total_charge_whatever_trains():
    potential = CoulombDSF(RADIUS, 0.2, CHARGES, 2, trainable=True, neutral=True)
    assert potential.reach == -1
    graph = graph_of(molecule(2))._replace(total_charge=torch.tensor([2.0], dtype=torch.float64))
    found = ForceField(potential, [11, 17]).train()(graph)
    assert float(found.charges.detach().sum()) == pytest.approx(2.0)
    found.forces.square().sum().backward()
    slopes = potential.source.values.raw.grad
    assert float(slopes.sum()) == pytest.approx(0.0, abs=1e-12), "what moves all charges alike changes nothing"
    assert float(slopes.abs().max()) > 1e-3


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (CoulombCut, {"cutoff": 0}, "`cutoff` must be positive and finite .*, got 0.0; 10 to 12 is usual"),
        (CoulombDSF, {"alpha": -1}, "`alpha` must be zero or more .*, got -1; 0.2 is usual"),
        (CoulombWolf, {"alpha": float("nan")}, "`alpha` must be zero or more .*, got nan"),
        (CoulombCut, {"charges": [1, 2]}, r"`charges` must be 1 finite numbers, .*, got \[1.0, 2.0\]; give them"),
        (CoulombCut, {"trainable": True}, "`trainable` must be false where charges are those of the data, got true"),
        (CoulombCut, {"constants": "si"}, r"`constants` must be one of \['codata', .*\], got si; choose codata"),
    ],
)
def test_bad_arguments_get_a_clear_error(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(**arguments)


def test_absent_charges_get_a_clear_error():
    graph = graph_of(crystal(2))._replace(charges=torch.zeros(4, dtype=torch.float64))
    with pytest.raises(ValueError, match="`charges` must be given for the atoms of the data, got none: all are 0; set"):
        ForceField(CoulombDSF(RADIUS, 0.2), [11, 17]).eval()(graph)
