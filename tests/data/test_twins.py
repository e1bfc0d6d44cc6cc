"""Copies by symmetry: invariances on made structures, and the counts of the real data's card."""

import logging

import numpy as np
import pytest
from ase.build import bulk
from scipy.spatial.transform import Rotation

from mdzoo.data import DataModule, twins
from mdzoo.data.twins import alike, fingerprint, twin_classes


def structure(seed=0):
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    atoms.rattle(0.1, seed=seed)
    return atoms


def copy_of(atoms):
    other = atoms[np.random.default_rng(1).permutation(len(atoms))]
    turn = Rotation.random(random_state=2).as_matrix() @ np.diag([1.0, 1.0, -1.0])
    other.set_cell(other.cell.array @ turn.T)
    other.positions = other.positions @ turn.T + [0.3, 0.2, 0.1]
    other.wrap()
    return other


def test_rotated_reflected_shifted_and_permuted_structures_are_copies():
    assert alike(fingerprint(structure()), fingerprint(copy_of(structure())))
    assert twins([structure(1), structure()], [copy_of(structure())], [-1.0, -1.0], [-1.0]).tolist() == [1]


def test_others_are_not():
    assert not alike(fingerprint(structure()), fingerprint(structure(1)))
    swapped = structure()
    swapped.numbers = swapped.numbers[::-1].copy()
    assert twins([structure()], [structure(3), swapped], [-1.0], [-1.0, -1.0])[0] == -1


def test_energies_tell_structures_apart_where_there_are_any():
    assert twins([structure()], [structure()], [-1.0], [-1.1]).tolist() == [-1]
    assert twins([structure()], [structure()], [None], [-1.1]).tolist() == [0]


def test_compositions_must_agree():
    assert not alike(fingerprint(bulk("Cu")), fingerprint(bulk("Ni", a=3.61)))


def test_a_warning_counts_them(caplog):
    with caplog.at_level(logging.WARNING):
        twins([structure()], [structure(), structure(1)], [-1.0], [-1.0, -1.0])
    assert "1 of 2 test structures are copies of training structures" in caplog.text


def test_classes_name_the_first_of_each():
    frames = [structure(), structure(1), copy_of(structure()), copy_of(structure(1))]
    assert twin_classes(frames, [-1.0] * 4).tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(("element", "count", "total"), [("Ni", 12, 31), ("Li", 3, 29), ("Mo", 1, 23), ("Si", 3, 25)])
def test_counts_of_the_card_of_zuo2020(data_root, element, count, total):
    folder = data_root / "zuo2020"
    data = DataModule(folder / f"{element}_train.extxyz", test=folder / f"{element}_test.extxyz", cache=False)
    data.setup()
    first = data.twins()
    assert ((first >= 0).sum(), len(first)) == (count, total)
    assert {data.test_set.groups[k] for k in np.flatnonzero(first >= 0)} == {"Elastic"}
