"""Splits by fraction and group, and folds that keep like with like."""

import numpy as np
import pytest
from ase.build import bulk

from mdzoo.data import DataModule
from mdzoo.data.splits import blocks, by_fraction, by_group, grouped_folds

GROUPS = ["a"] * 50 + ["b"] * 30 + ["c"] * 7


def test_a_fraction_is_stratified_seeded_and_of_the_right_size():
    one = by_fraction(GROUPS, 0.2, seed=1)
    assert len(one) == round(0.2 * 87)
    assert [sum(GROUPS[k] == g for k in one) for g in "abc"] in ([10, 6, 1], [10, 6, 2])
    assert np.array_equal(one, by_fraction(GROUPS, 0.2, seed=1))
    assert not np.array_equal(one, by_fraction(GROUPS, 0.2, seed=2))


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 2])
def test_a_fraction_lies_between_0_and_1(fraction):
    with pytest.raises(ValueError, match="`fraction` must lie between 0 and 1"):
        by_fraction(GROUPS, fraction, 0)


def test_a_group_is_left_out():
    assert by_group(GROUPS, ["c"]).tolist() == list(range(80, 87))
    with pytest.raises(ValueError, match="`left_out` must name groups of the data .*got 'd'"):
        by_group(GROUPS, ["d"])


def trajectory(n, text, group_size=8):
    frames = [bulk("Si", cubic=True) for _ in range(n)]
    for k, atoms in enumerate(frames):
        atoms.info["description"] = f"Snapshot {k} of {text}"
    return frames


def test_blocks_are_runs_of_a_family():
    frames = trajectory(10, "AIMD at 300 K") + trajectory(3, "vacancy at 300 K")
    block = blocks(frames, ["a"] * 13, np.arange(13), 4)
    assert block.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 3]


def test_twins_do_not_straddle_folds():
    frames = trajectory(40, "strain")
    twins = np.arange(40) // 2 * 2
    fold = grouped_folds(frames, ["a"] * 40, twins, 5, seed=0)
    assert (fold[::2] == fold[1::2]).all()
    assert np.bincount(fold).tolist() == [8] * 5


def test_folds_are_seeded_balanced_and_whole():
    frames = trajectory(60, "AIMD") + trajectory(24, "surface")
    groups = ["a"] * 60 + ["b"] * 24
    fold = grouped_folds(frames, groups, np.arange(84), 3, seed=5)
    assert np.array_equal(fold, grouped_folds(frames, groups, np.arange(84), 3, seed=5))
    assert not np.array_equal(fold, grouped_folds(frames, groups, np.arange(84), 3, seed=6))
    assert np.bincount(fold[:60]).tolist() == [20, 20, 20]
    assert np.bincount(fold[60:]).tolist() == [8, 8, 8]
    assert all(len(set(fold[k : k + 4])) == 1 for k in range(0, 84, 4))


@pytest.mark.parametrize("n", [1, 9])
def test_a_number_of_folds_that_cannot_be(n):
    with pytest.raises(ValueError, match="`n` must be between 2 and the number of structures 8"):
        grouped_folds(trajectory(8, "x"), ["a"] * 8, np.arange(8), n, 0)


@pytest.mark.parametrize("element", ["Ni", "Mo"])
def test_folds_of_real_data_hold_some_of_each_group(data_root, element):
    data = DataModule(data_root / "zuo2020" / f"{element}_train.extxyz", cache=False)
    fold = data.folds(5, seed=0)
    groups = np.array(data.train_set.groups)
    for group in data.groups:
        counts = np.bincount(fold[groups == group], minlength=5)
        assert counts.min() >= 1
        assert counts.max() - counts.min() <= max(6, 0.4 * counts.mean())
