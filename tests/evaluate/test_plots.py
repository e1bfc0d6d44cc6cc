"""The picture and the tables: drawn, written, and holding the numbers."""

import io

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console

from mdzoo.evaluate import metrics
from mdzoo.evaluate.plots import density, parity
from mdzoo.evaluate.report import compare, error_table
from tests.evaluate.tables import table


def text_of(renderable):
    console = Console(width=140, file=io.StringIO())
    console.print(renderable)
    return console.file.getvalue()


def test_parity_writes_a_picture(tmp_path):
    rng = np.random.default_rng(0)
    rows = {"train": table(rng, [8] * 12), "test": table(rng, [8] * 6)}
    picture = imread(parity(rows, tmp_path / "parity.png", "silicon"))
    assert picture.shape[:2] == (810, 1290)
    assert picture[..., :3].std() > 0.05, "not an empty sheet"


def test_parity_without_forces_or_test_set(tmp_path):
    rows = table(np.random.default_rng(1), [1, 2])
    rows = rows._replace(forces_label=np.full_like(rows.forces_label, np.nan))
    assert parity({"train": rows}, tmp_path / "parity.png").stat().st_size > 10_000


def test_density_counts_close_points():
    crowd = density(np.array([0.0, 0.0, 0.0, 1.0]), np.array([0.0, 0.0, 0.0, 1.0]))
    assert crowd == pytest.approx(np.log1p([3, 3, 3, 1]))


def test_error_table_holds_the_errors_of_sets_and_groups():
    found = metrics(table(np.random.default_rng(2), [2, 3, 4]))
    text = text_of(error_table({"train": found, "test": found, "seconds": {"fit": 1.0}}, "errors"))
    assert f"{1e3 * found['energy_mae']:.2f}" in text
    assert f"{found['groups']['slab']['force_mae']:.4f}" in text
    assert text.count("slab") == 1, "groups of the test set alone"


def test_compare_puts_the_best_force_error_first():
    rng = np.random.default_rng(3)
    good, bad = metrics(table(rng, [4] * 5, 0.01)), metrics(table(rng, [4] * 5, 0.5))
    text = text_of(compare({"bad": {"test": bad}, "good": {"test": good, "seconds": {"fit": 12.0}}}))
    assert text.index("good") < text.index("bad")
    assert "12.0" in text
