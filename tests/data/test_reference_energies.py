"""Reference energies against numbers known beforehand and numpy's least squares."""

import logging

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from mdzoo.data import DataModule
from mdzoo.data.reference_energies import composition, isolated, reference_energies


def mixtures():
    frames = [Atoms(f"H{a}O{b}", np.arange(3.0 * (a + b)).reshape(-1, 3)) for a, b in [(1, 2), (3, 1), (2, 2), (4, 3)]]
    return frames, [-2.0 * sum(f.numbers == 1) - 5.0 * sum(f.numbers == 8) for f in frames]


def test_isolated_atoms_are_used_if_there_are_all():
    frames, energies = mixtures()
    frames += [Atoms("H"), Atoms("O", cell=[12, 12, 12], pbc=True)]
    energies += [-1.0, -3.0]
    assert reference_energies("auto", frames, energies, [1, 8]) == [-1.0, -3.0]
    assert reference_energies("isolated", frames, energies, [1, 8]) == [-1.0, -3.0]


def test_a_one_atom_crystal_is_no_isolated_atom():
    assert isolated([bulk("Cu"), Atoms("H"), Atoms("H", cell=[9] * 3, pbc=True)]).tolist() == [False, True, True]
    assert isolated([Atoms("H", cell=[9, 9, 3], pbc=[True, True, False])]).tolist() == [True]


def test_least_squares_finds_what_made_the_energies():
    frames, energies = mixtures()
    np.testing.assert_allclose(reference_energies("auto", frames, energies, [1, 8]), [-2.0, -5.0], rtol=1e-12)


def test_least_squares_weighs_by_atom_and_skips_missing_energies(rng):
    frames, energies = mixtures()
    energies = list(np.array(energies) + rng.normal(size=4))
    counts = composition(frames, [1, 8])
    n = counts.sum(1)
    expected = np.linalg.lstsq(counts[:3] / n[:3, None], np.array(energies[:3]) / n[:3], rcond=None)[0]
    found = reference_energies("least_squares", frames, [*energies[:3], np.nan], [1, 8])
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_one_composition_gives_the_smallest_solution(caplog):
    with caplog.at_level(logging.WARNING):
        found = reference_energies("auto", [Atoms("HO", [[0, 0, 0], [1, 0, 0]])], [-4.0], [1, 8])
    np.testing.assert_allclose(found, [-2.0, -2.0])
    assert "fix 1 of 2 reference energies" in caplog.text


def test_given_numbers_and_zero():
    frames, energies = mixtures()
    assert reference_energies([-1, -2], frames, energies, [1, 8]) == [-1.0, -2.0]
    assert reference_energies("zero", frames, energies, [1, 8]) == [0.0, 0.0]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([1.0], "one energy for each of the 2 elements, got 1"),
        ("mean", "`source` must be auto, isolated, least_squares, zero or a list of energies, got 'mean'"),
        ("isolated", "`source` must be met by an isolated atom of each element"),
    ],
)
def test_sources_that_do_not_do(source, message):
    with pytest.raises(ValueError, match=message):
        reference_energies(source, *mixtures(), [1, 8])


def test_no_energies_at_all():
    with pytest.raises(ValueError, match="`energies` must hold at least one number"):
        reference_energies("auto", [bulk("Cu")], [np.nan], [29])


def test_isolated_atoms_of_real_data(data_root):
    folder = data_root / "acac"
    data = DataModule([folder / "isolated_atoms.extxyz", folder / "train_300K.extxyz"], cache=False)
    data.setup()
    assert data.atomic_numbers == [1, 6, 8]
    assert data.atomic_energies()[0] == -13.568422178253735
