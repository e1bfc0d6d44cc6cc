"""Fits with charges: terms over all images as a baseline in closed form, and charges as what is learnt."""

import ase.build
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from mdzoo.data import DataModule
from mdzoo.data.graphs import graph_from_atoms
from mdzoo.evaluate.judge import judge
from mdzoo.fit.fit import fit
from mdzoo.potentials import ForceField, build
from mdzoo.potentials.assemble import assemble

NUMBERS = [11, 17]
EWALD = {"name": "CoulombEwald", "cutoff": 5.0}
QEQ = {"name": "QEq", "electronegativity": [2.0, -1.0], "hardness": 9.0, "cutoff": 6.0}
SO3 = {"name": "SO3", "cutoff": 4.0, "K": 2, "L": 1}


def salts(truth: dict, ionic: float) -> list[Atoms]:
    """Strained and shaken cells of rock salt, labelled by a potential; the charges are its own."""
    rng, model, frames = np.random.default_rng(0), ForceField(build(truth), NUMBERS).eval(), []
    for _ in range(6):
        atoms = ase.build.bulk("NaCl", "rocksalt", a=5.64) * (2, 1, 1)
        atoms.set_cell(atoms.cell @ (np.eye(3) + 0.05 * rng.normal(size=(3, 3))), scale_atoms=True)
        atoms.positions += 0.2 * rng.normal(size=(4, 3))
        atoms.set_initial_charges(np.where(atoms.numbers == 11, ionic, -ionic))
        found = model(graph_from_atoms(atoms, NUMBERS, model.cutoff))
        atoms.set_initial_charges(found.charges.numpy().round(12))
        atoms.calc = SinglePointCalculator(atoms, energy=float(found.energy), forces=found.forces.numpy())
        frames.append(atoms)
    return frames


def data(frames: list[Atoms]) -> DataModule:
    module = DataModule(frames, cache=False, energies="zero")
    module.setup()
    return module


def test_least_squares_leaves_nothing_to_learn_where_the_charges_explain_all(tmp_path):
    """Forces that act through positions and cells are subtracted from the labels like any others."""
    module = data(salts({**EWALD}, 0.8))
    table = assemble({"coulomb": EWALD}, SO3, {"name": "Linear"}, NUMBERS, [0.0, 0.0])
    model = ForceField(build(table), NUMBERS)
    settings = {"name": "least_squares", "weights": {"energy": 1.0, "forces": 1.0, "stress": 0.0}, "ridge": 1e-6}
    fit(model, module, tmp_path, settings, progress=False)
    errors = judge(model, module).metrics["train"]
    assert errors["energy_rmse"] < 1e-8
    assert errors["force_rmse"] < 1e-8
    assert "charge_rmse" not in errors, "charges that are handed on are no prediction"


def test_charges_alone_teach_electronegativities(tmp_path):
    module = data(salts({**QEQ, "n_species": 2}, 0.1))
    start = {**QEQ, "electronegativity": [0.0, 0.0], "trainable": ["electronegativity"]}
    model = ForceField(build(assemble({"qeq": start}, None, None, NUMBERS, [0.0, 0.0])), NUMBERS)
    weights = {"energy": 0.0, "forces": 0.0, "stress": 0.0, "charges": 1.0}
    settings = {"name": "sgd", "weights": weights, "epochs": 150, "lr": 0.2, "warmup": 0, "ema": 0.0, "batch_size": 0}
    fit(model, module, tmp_path, settings, progress=False)
    errors = judge(model, module).metrics["train"]
    assert errors["charge_rmse"] < 1e-3
    chi = model.potential.terms[1].electronegativity().tolist()
    assert chi[0] - chi[1] == pytest.approx(3.0, abs=0.05)


def test_a_weight_for_charges_needs_a_model_that_finds_them(tmp_path):
    module = data(salts({**EWALD}, 0.8))
    model = ForceField(build(assemble(None, SO3, {"name": "Linear"}, NUMBERS, [0.0, 0.0])), NUMBERS)
    settings = {"name": "sgd", "weights": {"energy": 1.0, "charges": 1.0}, "epochs": 1}
    with pytest.raises(ValueError, match="`weights` must be 0 for charges with this model, got 1.0; it finds none"):
        fit(model, module, tmp_path, settings, progress=False)


def test_structures_of_an_exported_model_carry_the_charges_of_their_key():
    frames = salts({**EWALD}, 0.8)
    for atoms in frames:
        atoms.arrays["mulliken"] = atoms.get_initial_charges()
        atoms.set_initial_charges(None)
    module = DataModule(frames, cache=False, energies="zero", charges_key="mulliken")
    module.setup()
    charged = module.sets()["train"].charged_frames()
    assert [atoms.get_initial_charges().tolist() for atoms in charged] == [
        a.arrays["mulliken"].tolist() for a in frames
    ]
    assert not any(atoms.get_initial_charges().any() for atoms in frames), "those that were given stay as they are"
