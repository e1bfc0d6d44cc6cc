"""Prediction in batches, all sets at once, twins, and what a benchmark times."""

import ase.build
import numpy as np
import pytest
from ase.calculators.lj import LennardJones as AseLennardJones

from mdzoo.data import DataModule
from mdzoo.evaluate.benchmark import benchmark, crystal, supercell
from mdzoo.evaluate.judge import judge, summary
from mdzoo.evaluate.predict import predict
from mdzoo.potentials import ForceField, build
from tests import tiny_data

LJ = {"name": "LennardJones", "epsilon": 0.2, "sigma": 2.1, "cutoff": 4.5}


@pytest.fixture(scope="module")
def model():
    table = {"name": "SumPotential", "terms": [{"name": "AtomicEnergies", "energies": [-5.0]}, LJ]}
    return ForceField(build(table), [14]).train()


@pytest.fixture(scope="module")
def data():
    return DataModule(tiny_data.frames(5, 1), test=tiny_data.frames(3, 2), cache=False, cutoff=4.5)


def test_batches_change_nothing_and_labels_stand_beside(model, data):
    data.setup()
    one, all_at_once = predict(model, data.train_set, 1), predict(model, data.train_set, 8)
    for name, column in one._asdict().items():
        if name != "group":
            np.testing.assert_allclose(column, getattr(all_at_once, name), atol=1e-12, err_msg=name)
    assert one.energy_label == pytest.approx([atoms.get_potential_energy() for atoms in data.train_set.frames])
    np.testing.assert_allclose(one.forces_label, np.concatenate([a.get_forces() for a in data.train_set.frames]))
    assert one.group.tolist() == ["calm", "wild", "calm", "wild", "calm"]
    assert one.reference == pytest.approx([-10.0] * 5)
    assert model.training, "the mode is left as it was"


def test_predictions_are_those_of_ase(model, data):
    """ASE's Lennard-Jones, with no switch below `ro`: pairs here are shorter than the onset of either."""
    far = ase.build.molecule("N2")
    far.set_atomic_numbers([14, 14])
    far.positions[1] = far.positions[0] + [0.0, 0.0, 2.6]
    far.calc = AseLennardJones(sigma=2.1, epsilon=0.2, rc=9.0, smooth=False)
    shift = 4 * 0.2 * ((2.1 / 9.0) ** 12 - (2.1 / 9.0) ** 6)
    pair = DataModule(None, test=[far], cache=False, atomic_numbers=[14], cutoff=4.5, optional=["energy", "forces"])
    pair.setup()
    found = predict(model, pair.test_set)
    assert found.energy[0] == pytest.approx(far.get_potential_energy() + shift - 10.0, abs=1e-10)
    np.testing.assert_allclose(found.forces, far.get_forces(), atol=1e-10)
    assert np.isnan(found.stress).all(), "no cell, no stress"


def test_all_sets_are_judged(model, data):
    metrics, tables = judge(model, data)
    assert list(metrics) == list(tables) == ["train", "test"]
    assert metrics["test"]["n_structures"] == 3
    assert metrics["test"]["stress_mae"] > 0.0


def test_copies_of_training_structures_are_left_out_of_a_second_column(model):
    train, fresh = tiny_data.frames(4, 1), tiny_data.frames(2, 2)
    copy = train[0].copy()
    copy.rotate(30.0, "z", rotate_cell=True)
    copy.calc = train[0].calc.__class__(copy, energy=train[0].get_potential_energy(), forces=np.zeros((2, 3)))
    metrics, _ = judge(model, DataModule(train, test=[copy, *fresh], cache=False))
    assert metrics["test"]["n_structures"] == 3
    assert metrics["test_without_twins"]["n_structures"] == 2


def test_the_element_table_must_be_that_of_the_model(model):
    other = DataModule(tiny_data.frames(2, 1), cache=False, atomic_numbers=[8, 14])
    with pytest.raises(ValueError, match="`data` must be set up with the element table of the model"):
        judge(model, other)


def test_an_empty_set_and_an_empty_batch_are_refused(model, data):
    with pytest.raises(ValueError, match="`dataset` must hold at least one structure"):
        predict(model, [])
    with pytest.raises(ValueError, match="`batch_size` must be at least 1"):
        predict(model, data.train_set, 0)


def test_the_summary_counts(model):
    assert summary(model) == {
        "name": "LennardJones",
        "n_parameters": 3,
        "n_features": 0,
        "cutoff": 4.5,
        "elements": ["Si"],
    }


def test_a_supercell_has_at_least_the_atoms_asked_for_and_is_nearly_cubic():
    cell = supercell(ase.build.bulk("Si", cubic=True), 60)
    assert len(cell) == 64
    assert np.ptp(cell.cell.lengths()) == pytest.approx(0.0)


def test_a_benchmark_gives_one_row_for_each_size(model):
    rows = benchmark(model, crystal(14), [8, 16], repeats=1)
    assert [row["n_atoms"] for row in rows] == [8, 16]
    assert all(row["ratio"] == pytest.approx(row["forces"] / row["energies"]) for row in rows)


def test_a_benchmark_refuses_what_it_cannot_time(model):
    with pytest.raises(ValueError, match="`structure` must be periodic"):
        benchmark(model, ase.build.molecule("N2"), [8])
    with pytest.raises(ValueError, match="`repeats` must be at least 1"):
        benchmark(model, crystal(14), [8], repeats=0)
    with pytest.raises(ValueError, match="`structure` must be given, got none, and Ga has no cubic crystal"):
        crystal(31)
