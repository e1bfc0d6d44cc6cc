"""Labels by key: where they are found, their shapes and signs, and what is said when they are wrong."""

import io
import logging

import ase.io
import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from mdzoo.data.keys import Keys, extract
from mdzoo.data.rows import read_rows


def structure(energy=-1.0, forces=None, stress=None, **info):
    atoms = bulk("Cu", cubic=True)
    results = {"energy": energy, "forces": np.ones((4, 3)) if forces is None else forces}
    if stress is not None:
        results["stress"] = stress
    atoms.calc = SinglePointCalculator(atoms, **results)
    atoms.info.update(info)
    return atoms


def row(atoms, **keys):
    return extract(atoms, Keys(**keys), "frame 0")


def through_a_file(atoms):
    text = io.StringIO()
    ase.io.write(text, atoms, format="extxyz")
    text.seek(0)
    return ase.io.read(text, format="extxyz")


def test_labels_of_a_calculator_and_of_a_file_agree():
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=1)
    atoms.calc = EMT()
    atoms.get_stress()
    one, two = row(atoms, free_energy=False), row(through_a_file(atoms), free_energy=False)
    assert one.energy == pytest.approx(two.energy)
    np.testing.assert_allclose(one.forces, two.forces, atol=1e-7)
    np.testing.assert_allclose(one.stress, two.stress, atol=1e-12)


def test_own_keys_in_info_and_arrays():
    atoms = bulk("Cu", cubic=True)
    atoms.info.update(REF_energy=-3.0, REF_stress=np.arange(6.0))
    atoms.arrays["REF_forces"] = np.full((4, 3), 2.0)
    for case in (atoms, through_a_file(atoms)):
        found = row(case, energy="REF_energy", forces="REF_forces", stress="REF_stress")
        assert found.energy == -3.0
        assert found.forces[0, 0] == 2.0
        np.testing.assert_array_equal(found.stress, [[0, 5, 4], [5, 1, 3], [4, 3, 2]])


@pytest.mark.parametrize("form", ["voigt", "matrix", "nine"])
def test_stress_in_each_form(form):
    matrix = np.array([[1.0, 6, 5], [6, 2, 4], [5, 4, 3]])
    value = {"voigt": np.array([1.0, 2, 3, 4, 5, 6]), "matrix": matrix, "nine": matrix.ravel()}[form]
    np.testing.assert_array_equal(row(structure(stress=value)).stress, matrix)


def test_stress_sign_and_virial_sign_by_finite_differences_of_emt():
    atoms = bulk("Cu", cubic=True, a=3.7)
    atoms.calc = EMT()
    energies = []
    for h in (-1e-5, 1e-5):
        strained = atoms.copy()
        strained.set_cell(atoms.cell.array * [1.0 + h, 1, 1], scale_atoms=True)
        strained.calc = EMT()
        energies.append(strained.get_potential_energy())
    slope = (energies[1] - energies[0]) / 2e-5
    assert atoms.get_stress()[0] * atoms.get_volume() == pytest.approx(slope, rel=1e-6)
    case = atoms.copy()
    case.info["virial"] = -atoms.get_stress(voigt=False) * atoms.get_volume()
    np.testing.assert_allclose(row(case, virial="virial").stress, atoms.get_stress(voigt=False), atol=1e-14)


def test_no_stress_without_a_cell():
    atoms = molecule("H2O")
    atoms.info["dft_stress"] = np.ones(6)
    assert row(atoms, stress="dft_stress").stress is None


def test_free_energy_is_taken_for_the_forces_belong_to_it(caplog):
    atoms = structure()
    atoms.calc.results["free_energy"] = -1.4
    with caplog.at_level(logging.WARNING):
        (found,) = read_rows([atoms], Keys(), "train")
    assert found.energy == -1.4
    assert "took free_energy" in caplog.text
    assert "0.1 eV/atom" in caplog.text
    assert row(atoms, free_energy=False).energy == -1.0


def test_an_own_energy_key_is_left_alone():
    atoms = structure(mine=-7.0)
    atoms.calc.results["free_energy"] = -1.4
    assert row(atoms, energy="mine").energy == -7.0


@pytest.mark.parametrize(
    ("argument", "label", "key"),
    [("energy_key", "energy", "energi"), ("forces_key", "forces", "force"), ("stress_key", "stress", "strss")],
)
def test_a_missing_key_is_loud_and_names_the_nearest(argument, label, key):
    with pytest.raises(ValueError, match=rf"`{argument}` must be a key.*got '{key}'; did you mean '{label}'\?"):
        read_rows([structure(stress=np.zeros(6))], Keys(**{label: key}), "train")


def test_a_missing_virial_or_weight_or_group_or_charge_key():
    for argument, key in [("virial", "virial"), ("energy_weight", "w"), ("group", "kind"), ("charges", "q")]:
        with pytest.raises(ValueError, match=f"`{argument}_key` must be a key of the data"):
            read_rows([structure()], Keys(**{argument: key}), "train")


def test_forces_that_are_nowhere_are_an_error_unless_optional():
    atoms = bulk("Cu")
    atoms.info["energy"] = -1.0
    with pytest.raises(ValueError, match=r"`forces_key` must be a key.*list 'forces' in `optional`"):
        read_rows([atoms], Keys(), "train")
    assert read_rows([atoms], Keys(optional=("forces",)), "train")[0].forces is None
    assert read_rows([atoms], Keys(forces=None), "train")[0].forces is None


def test_structures_that_lack_a_label_are_counted(caplog):
    bare = bulk("Cu")
    bare.info["energy"] = -1.0
    with caplog.at_level(logging.WARNING):
        rows = read_rows([structure(), bare], Keys(), "train")
    assert rows[1].forces is None
    assert "train: 1 of 2 structures have no forces" in caplog.text
    assert "train: 2 of 2 structures have no stress" in caplog.text


@pytest.mark.parametrize("label", ["energy", "forces", "stress"])
def test_nan_is_an_error_unless_optional(label):
    values = {"energy": np.nan, "forces": np.full((4, 3), np.nan), "stress": np.full(6, np.nan)}
    atoms = structure(**{label: values[label]})
    with pytest.raises(ValueError, match=f"`{label}` must be finite, got NaN or infinity in frame 0"):
        row(atoms)
    assert getattr(row(atoms, optional=(label,)), label) is None


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (12,)])
def test_forces_of_a_wrong_shape(shape):
    atoms = bulk("Cu", cubic=True)
    atoms.info.update(energy=0.0, f=np.zeros(shape))
    with pytest.raises(ValueError, match=r"`forces` must have the shape \(4, 3\), got"):
        row(atoms, forces="f")


def test_stress_of_a_wrong_shape():
    with pytest.raises(ValueError, match=r"`stress` must have the shape \(3, 3\), got \(5,\)"):
        row(structure(s=np.zeros(5)), stress="s")


def test_stress_must_be_symmetric():
    with pytest.raises(ValueError, match="`stress` must be symmetric"):
        row(structure(s=np.arange(9.0)), stress="s")


def test_labels_must_be_numbers():
    with pytest.raises(ValueError, match="`energy` must be numbers, got 'low'"):
        row(structure(e="low"), energy="e")


def test_optional_must_name_labels():
    with pytest.raises(ValueError, match="`optional` must be some of .*got 'REF_forces'"):
        Keys(optional=("REF_forces",))


def test_weights_of_structures():
    atoms = structure(we=2.0, wf=0.0)
    assert row(atoms, energy_weight="we", forces_weight="wf").weights == (2.0, 0.0, 1.0)
    with pytest.raises(ValueError, match="`energy_weight` must be at least 0, got -1.0"):
        row(structure(we=-1.0), energy_weight="we")
