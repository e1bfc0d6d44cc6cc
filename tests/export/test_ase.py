"""The calculator: the model's numbers in ASE's units and signs, with a list that is made again only when it must be."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress

from mdzoo.data import graph_from_atoms
from mdzoo.export.ase import Calculator, SkinList
from mdzoo.export.torchscript import load
from tests.export.models import hybrid, silicon, structures, water


def test_equals_the_model(exported):
    model, calculator = hybrid(), Calculator(exported)
    for atoms in structures():
        atoms.calc = calculator
        expected = model(graph_from_atoms(atoms, [14], model.cutoff))
        assert atoms.get_potential_energy() == pytest.approx(float(expected.energy), rel=1e-14)
        assert atoms.get_potential_energy(force_consistent=True) == atoms.get_potential_energy()
        np.testing.assert_allclose(atoms.get_potential_energies(), expected.energies.numpy(), rtol=1e-14)
        np.testing.assert_allclose(atoms.get_forces(), expected.forces.numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("index", [0, 1, 2, 3, 4])
def test_forces_are_minus_the_slope_of_the_energy(exported, index):
    """Central differences of ASE, step 1e-4: truncation 1e-8 eV/Angstrom, rounding 1e-13 * 1264 eV / 1e-4 = 1e-9."""
    atoms = structures()[index]
    atoms.calc = Calculator(exported)
    numerical = calculate_numerical_forces(atoms, eps=1e-4, iatoms=range(min(3, len(atoms))))
    scale = max(1.0, np.abs(atoms.get_forces()).max())
    np.testing.assert_allclose(atoms.get_forces()[:3], numerical, rtol=0, atol=1e-7 * scale)


@pytest.mark.parametrize("index", [0, 1, 2, 3])
def test_stress_is_the_slope_under_strain(exported, index):
    atoms = structures()[index]
    atoms.calc = Calculator(exported)
    numerical = calculate_numerical_stress(atoms, eps=1e-5)
    scale = max(1e-2, np.abs(atoms.get_stress()).max())
    np.testing.assert_allclose(atoms.get_stress(), numerical, rtol=0, atol=1e-7 * scale)


def test_no_stress_without_a_cell(exported):
    atoms = structures()[4]
    atoms.calc = Calculator(exported)
    atoms.get_forces()
    with pytest.raises(PropertyNotImplementedError, match="`cell` must have three vectors for a stress"):
        atoms.get_stress()


def test_the_skin_list_changes_nothing_but_the_time(exported):
    atoms, rng = silicon(2), np.random.default_rng(0)
    with_skin, without = Calculator(exported, skin=0.6), Calculator(exported, skin=0.0)
    for _ in range(25):
        atoms.positions += rng.normal(0.0, 0.03, atoms.positions.shape)
        forces = []
        for calculator in (with_skin, without):
            atoms.calc = calculator
            forces.append(atoms.get_forces())
        np.testing.assert_allclose(*forces, rtol=0, atol=1e-12)
    assert without.inputs.builds == 25
    assert 2 <= with_skin.inputs.builds <= 12


def test_when_the_list_is_made_again():
    inputs, atoms = SkinList([14], 4.5, skin=0.5), silicon()
    inputs(atoms)
    atoms.positions[3, 1] += 0.249
    inputs(atoms)
    assert inputs.builds == 1
    atoms.positions[3, 1] += 0.002
    inputs(atoms)
    assert inputs.builds == 2
    changes = [
        lambda a: a.set_cell(a.cell.array * 0.89, scale_atoms=True),
        lambda a: a.set_pbc([True, True, False]),
        lambda a: a.set_initial_charges([0.1] * len(a)),
        lambda a: a.info.update(total_charge=1.0),
        lambda a: a.pop(),
        lambda a: a.set_positions(a.positions + a.cell.array[0]),
    ]
    for count, change in enumerate(changes, 3):
        change(atoms)
        inputs(atoms)
        assert inputs.builds == count


def test_a_deforming_cell_keeps_its_list_while_it_can(exported):
    """Strains of some per cent, as in NPT: fewer lists, the same energies and stresses."""
    atoms, rng = silicon(), np.random.default_rng(0)
    with_skin, without = Calculator(exported, skin=0.5), Calculator(exported, skin=0.0)
    for _ in range(12):
        atoms.set_cell(atoms.cell.array @ (0.99 * np.eye(3) + rng.normal(0.0, 0.004, (3, 3))), scale_atoms=True)
        stresses = []
        for calculator in (with_skin, without):
            atoms.calc = calculator
            stresses.append(atoms.get_stress())
        np.testing.assert_allclose(*stresses, rtol=1e-12, atol=1e-13)
    assert 2 <= with_skin.inputs.builds < 9


def test_given_charges_reach_the_model():
    atoms = silicon()
    atoms.set_initial_charges([0.25] * 8)
    inputs = SkinList([14], 4.5)(atoms)
    assert inputs["charges"].tolist() == [0.25] * 8
    assert inputs["total_charge"].tolist() == [2.0]


def test_bad_input_is_named(exported):
    calculator = Calculator(exported)
    for atoms, message in [
        (water(), "got H .Z=1."),
        (Atoms("Si2", [[0, 0, 0], [0, 0, 0]]), "must have one atom at one place"),
        (Atoms(), "must hold at least one atom"),
        (Atoms("Si", [[0, 0, float("nan")]]), "must have finite positions"),
    ]:
        atoms.calc = calculator
        with pytest.raises(ValueError, match=message):
            atoms.get_potential_energy()
    with pytest.raises(ValueError, match="`skin` must be zero or more"):
        Calculator(exported, skin=-0.1)
    with pytest.raises(ValueError, match="`model` must be an exported model or its path, got Linear"):
        Calculator(__import__("torch").nn.Linear(1, 1))


def test_takes_a_loaded_module(exported):
    atoms = silicon()
    atoms.calc = Calculator(load(exported), skin=0.0)
    assert np.isfinite(atoms.get_forces()).all()
