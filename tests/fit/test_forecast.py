"""What a fit will cost is said before it starts, and what cannot fit is refused."""

import pytest
import torch

from mdzoo.fit import LeastSquares, fit
from mdzoo.fit.forecast import check_memory, forecast, memory_free, memory_needed, work
from tests.fit.cases import data, linear

WEIGHTS = {"energy": 1.0, "forces": 1.0, "stress": 1.0}


def test_rows_and_parameters_are_those_of_the_fit():
    module, sets = LeastSquares(linear(), WEIGHTS, 0.0), data()
    expected = forecast(module, sets.train_set)
    assert module.train_factors.table == {}, "timing leaves nothing behind"
    for i in range(len(sets.train_set)):
        module.training_step(sets.train_set[i], i)
    assert expected.rows == sum(factor.count for factor in module.train_factors.table.values())
    assert expected.n_parameters == len(module.solve().mean)
    assert min(expected.seconds) > 0.0
    assert expected.text().startswith("forecast: 19 parameters, 9 structures, 153 rows; about 0 MB of ")


def test_it_is_said_before_the_work_and_where_the_work_is_seen(tmp_path, capsys):
    settings = {"name": "least_squares", "weights": {"energy": 1.0, "forces": 1.0}, "ridge": 1e-6}
    fit(linear(), data(), tmp_path, settings, progress=False)
    log = (tmp_path / "train.log").read_text()
    assert 0 < log.index("forecast: 19 parameters") < log.index("least squares: 19 parameters")
    assert "forecast" not in capsys.readouterr().out


def test_time_grows_with_rows_columns_and_decompositions():
    (few, one), (many, three) = work(100, 1000, 1), work(100, 4000, 3)
    assert many == pytest.approx(4.0 * few)
    assert three == pytest.approx(3.0 * one)
    assert work(200, 1000, 1)[1] == pytest.approx(one * (201 / 101) ** 3)


def test_ten_thousand_parameters_fit_into_24_gb_with_five_folds():
    check_memory(10_000, 2, 24e9)
    check_memory(10_000, 10, 24e9)
    assert memory_needed(10_000, 10) == pytest.approx(17.6e9, rel=0.01)


def test_what_cannot_fit_is_refused_with_advice(tmp_path):
    message = r"`memory` must hold 16.2 GB for 50 triangles of 5722 parameters, got 4 GB; use fewer folds or groups, "
    with pytest.raises(ValueError, match=message + "ridge=evidence, or at most 2838 parameters"):
        check_memory(5722, 50, 4e9)
    check_memory(2838, 50, 4e9)
    settings = {"name": "least_squares", "folds": 3, "memory": 1e4}
    message = r"`memory` must hold 5.76e-05 GB for 6 triangles of 19 parameters, got 1e-05 GB; use fewer"
    with pytest.raises(ValueError, match=message):
        fit(linear(), data(), tmp_path, settings, progress=False)


def test_free_memory_is_that_of_a_machine():
    assert 1e7 < memory_free() < 1e14


def test_factors_hold_what_is_forecast_and_no_more():
    """At any time: triangles, waiting rows and their copies."""
    module, sets = LeastSquares(linear(), WEIGHTS, 0.0), data()
    factors = module.train_factors
    factors.most_waiting = 6 * factors.n_columns
    for i in range(len(sets.train_set)):
        module.training_step(sets.train_set[i], i)
        held = sum(piece.numel() for factor in factors.table.values() for piece in factor.pieces)
        assert 8.0 * held <= memory_needed(19, 3)
    assert torch.isfinite(factors.stack(WEIGHTS)).all()
