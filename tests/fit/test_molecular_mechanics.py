"""From the command line: bonds and angles of water are found again from energies and forces made with them."""

import json

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

import mdzoo
from mdzoo.cli import main
from mdzoo.data import graph_from_atoms
from mdzoo.potentials import ForceField, MolecularMechanics

WATER = {"title": "water", "numbers": [8, 1, 1], "bonds": [[0, 1, 0], [0, 2, 0]], "angles": [[1, 0, 2, 0]]}


def table(k: float, length: float, bend: float, angle: float) -> dict:
    bonds = {"labels": ["O-H"], "k": [k], "length": [length]}
    return {"topologies": [WATER], "bonds": bonds, "angles": {"labels": ["H-O-H"], "k": [bend], "angle": [angle]}}


def write(path, count: int, rng) -> None:
    model = ForceField(MolecularMechanics([1, 8], table(40.0, 0.96, 4.0, 1.8)), [1, 8]).eval()
    frames = []
    for _ in range(count):
        places = np.array([[0, 0, 0], [0.76, 0.59, 0], [-0.76, 0.59, 0]]) + rng.normal(0.0, 0.05, (3, 3))
        atoms = Atoms([8, 1, 1], places)
        found = model(graph_from_atoms(atoms, [1, 8], 1.0))
        atoms.calc = SinglePointCalculator(atoms, energy=float(found.energy), forces=found.forces.numpy())
        frames.append(atoms)
    ase.io.write(path, frames)


def test_the_command_line_retrains_bonds_and_angles(tmp_path, rng):
    write(tmp_path / "train.extxyz", 10, rng)
    write(tmp_path / "test.extxyz", 5, rng)
    (tmp_path / "start.json").write_text(json.dumps(table(30.0, 1.0, 3.0, 1.9)))
    term = "empirical.molecular_mechanics"
    words = [
        "data=extxyz",
        *(f"data.{split}={tmp_path}/{split}.extxyz" for split in ("train", "test")),
        "data.energies=zero",
        "data.cache=false",
        "data.optional=[stress]",
        "empirical=molecular_mechanics",
        f"{term}.force_field={tmp_path}/start.json",
        f"{term}.trainable=true",
        "descriptor=null",
        "regressor=null",
        *("fit=sgd", "fit.optimizer=lbfgs", "fit.schedule=constant", "fit.clip=0", "fit.ema=0", "fit.lr=1"),
        *("fit.epochs=40", "fit.batch_size=0", "wandb=disabled", f"run_dir={tmp_path}/run"),
    ]
    assert main(["train", *words]) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["test"]["force_mae"] < 1e-5
    values = {name: p.detach() for name, p in mdzoo.load(tmp_path / "run").named_parameters()}
    assert float(values["potential.terms.1.bonded.0.k.raw"].exp()) == pytest.approx(40.0, rel=1e-4)
    (tmp_path / "start.json").unlink()
    assert main(["evaluate", f"model={tmp_path}/run", f"data.test={tmp_path}/test.extxyz", "data=extxyz"]) == 0
