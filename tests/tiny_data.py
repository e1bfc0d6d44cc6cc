"""A data set of seconds: strained and rattled silicon cells, labelled by ASE's own Lennard-Jones calculator."""

from collections.abc import Sequence
from pathlib import Path

import ase.build
import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator


def frames(count: int, seed: int, numbers: Sequence[int] = (14,)) -> list[Atoms]:
    """Return labelled cells of 2 atoms of these elements in turn, with the groups `calm` and `wild`."""
    rng = np.random.default_rng(seed)
    return [labelled(rng, place % 2 == 1, numbers) for place in range(count)]


def labelled(rng: np.random.Generator, wild: bool, numbers: Sequence[int]) -> Atoms:
    atoms = ase.build.bulk("Si", a=5.43)
    atoms.numbers = np.resize(numbers, 2)
    atoms.set_cell(atoms.cell @ (np.eye(3) + 0.03 * rng.normal(size=(3, 3))), scale_atoms=True)
    atoms.positions += (0.2 if wild else 0.05) * rng.normal(size=(2, 3))
    atoms.calc = LennardJones(sigma=2.1, epsilon=0.3, rc=4.5, ro=3.5, smooth=True)
    labels = {"energy": atoms.get_potential_energy() - 10.0, "forces": atoms.get_forces(), "stress": atoms.get_stress()}
    atoms.calc = SinglePointCalculator(atoms, **labels)
    atoms.info["group"] = "wild" if wild else "calm"
    return atoms


def write(folder: Path, numbers: Sequence[int] = (14,)) -> list[str]:
    """Write a training and a test file and return the words of the command line that name them."""
    ase.io.write(folder / "train.extxyz", frames(10, 1, numbers), format="extxyz")
    ase.io.write(folder / "test.extxyz", frames(4, 2, numbers), format="extxyz")
    paths = [f"data.train={folder}/train.extxyz", f"data.test={folder}/test.extxyz"]
    return ["data=extxyz", *paths, "data.cache=false"]
