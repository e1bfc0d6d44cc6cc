"""Errors, intervals and groups against plain numpy and the central limit theorem."""

import numpy as np
import pytest
from scipy.stats import norm

from mdzoo.evaluate import metrics, select
from mdzoo.evaluate.metrics import without_twins
from tests.evaluate.tables import table


def test_errors_are_means_over_structures_components_and_the_six_stresses():
    rows = table(np.random.default_rng(1), [2, 7, 1, 8])
    found = metrics(rows, n_bootstrap=0)
    upper = np.triu_indices(3)
    differences = {
        "energy": (rows.energy - rows.energy_label) / rows.n_atoms,
        "force": rows.forces - rows.forces_label,
        "stress": (rows.stress - rows.stress_label)[:, upper[0], upper[1]],
    }
    for name, difference in differences.items():
        assert found[f"{name}_mae"] == pytest.approx(np.abs(difference).mean(), rel=1e-12)
        assert found[f"{name}_rmse"] == pytest.approx(np.sqrt((difference**2).mean()), rel=1e-12)
    assert (found["n_structures"], found["n_atoms"]) == (4, 18)


def test_each_group_has_the_errors_of_its_own_rows():
    rows = table(np.random.default_rng(2), [3, 4, 5, 6, 7])
    groups = metrics(rows, n_bootstrap=0)["groups"]
    assert set(groups) == {"bulk", "slab"}
    slab = metrics(select(rows, rows.group == "slab"), n_bootstrap=0)
    assert groups["slab"] == {key: value for key, value in slab.items() if key != "groups"}
    assert groups["bulk"]["n_atoms"] == 3 + 5 + 7


def test_missing_labels_drop_out_and_a_quantity_without_labels_has_no_entry():
    rows = table(np.random.default_rng(3), [2, 2])
    masked = rows.forces_label.copy()
    masked[0] = np.nan
    rows = rows._replace(forces_label=masked, stress_label=np.full((2, 3, 3), np.nan))
    found = metrics(rows)
    assert found["force_mae"] == pytest.approx(np.nanmean(np.abs(rows.forces - masked)), rel=1e-12)
    assert "stress_mae" not in found
    assert "stress_mae" not in found["intervals"]


def test_the_interval_is_that_of_the_mean_of_independent_frames():
    rows = table(np.random.default_rng(4), [1] * 400)
    found = metrics(rows, n_bootstrap=2000)
    errors = np.abs(rows.energy - rows.energy_label)
    half = norm.ppf(0.975) * errors.std() / np.sqrt(len(errors))  # central limit theorem
    low, high = found["intervals"]["energy_mae"]
    assert low == pytest.approx(errors.mean() - half, abs=0.15 * half)
    assert high == pytest.approx(errors.mean() + half, abs=0.15 * half)
    assert found == metrics(rows, n_bootstrap=2000), "the seed fixes the interval"


def test_frames_are_resampled_not_atoms():
    """Atoms of one frame err together, so 4 frames of 500 atoms are 4 draws and not 2000."""
    rows = table(np.random.default_rng(5), [500] * 4, noise=0.0)
    shift = np.repeat([0.1, 0.2, 0.3, 0.4], 500)[:, None]
    low, high = metrics(rows._replace(forces=rows.forces_label + shift))["intervals"]["force_mae"]
    assert high - low > 0.15


def test_twins_are_left_out():
    rows = table(np.random.default_rng(6), [1, 2, 3])
    assert without_twins(rows, []) is None
    assert without_twins(rows, [0, 1, 2]) is None
    kept = without_twins(rows, [1], n_bootstrap=0)
    assert kept == metrics(select(rows, np.array([True, False, True])), n_bootstrap=0)


def test_select_renumbers_the_structures():
    rows = select(table(np.random.default_rng(7), [1, 2, 3]), np.array([False, True, True]))
    assert rows.structure.tolist() == [0, 0, 1, 1, 1]
    assert rows.n_atoms.tolist() == [2, 3]
