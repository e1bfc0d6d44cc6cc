"""The search: proposals reach the fit, held-out data judge, a stopped search goes on, processes share the journal."""

import csv
import json

import pytest

from mdzoo.cli import main
from mdzoo.cli.config import compose, groups, plain
from tests import tiny_data
from tests.test_cli import SMALL, refused

optuna = pytest.importorskip("optuna", reason="searches need the extra `search`")
WEIGHT = "fit.weights.energy: {low: 1.0, high: 9.0, log: true}"
SPACE = f"search.space={{descriptor.cutoff: {{low: 4.0, high: 4.6, step: 0.3}}, {WEIGHT}}}"


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    return [*tiny_data.write(tmp_path_factory.mktemp("data")), *SMALL, "search.sampler=random"]


def table(path) -> list[dict[str, str]]:
    with open(path) as file:
        return list(csv.DictReader(file))


def test_the_best_is_the_least_geometric_mean_of_held_out_errors_and_a_search_goes_on(words, tmp_path):
    run = f"run_dir={tmp_path}"
    assert main(["search", *words, SPACE, "search.trials=2", "fit.folds=2", run]) == 0
    assert len(table(tmp_path / "trials.csv")) == 2
    assert main(["search", *words, SPACE, "search.trials=3", "fit.folds=2", run]) == 0
    rows = table(tmp_path / "trials.csv")
    assert {row["trial"] for row in rows} == {"0", "1", "2"}
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores)
    for row in rows:
        mean = (float(row["energy_rmse"]) * float(row["force_rmse"])) ** 0.5
        assert float(row["score"]) == pytest.approx(mean, rel=1e-9)
        assert float(row["descriptor.cutoff"]) in (4.0, pytest.approx(4.3), pytest.approx(4.6))
    best = json.loads((tmp_path / "best.json").read_text())
    assert best["score"] == scores[0]
    log = (tmp_path / f"trial_{rows[0]['trial']}" / "train.log").read_text()
    assert f"'energy': {best['settings']['fit.weights.energy']}" in log, "what was proposed is what was fitted"
    made = plain(compose("train", [*words[:-1], *best["words"]]))
    assert made["fit"]["weights"]["energy"] == best["settings"]["fit.weights.energy"]


def test_axes_are_keys_and_any_fit_is_judged_by_folds(words, tmp_path):
    space = "search.space={descriptor: [so3, ace], regressor.hidden: [[2], [3, 2]]}"
    fit = ["regressor=mlp", "fit=sgd", "fit.epochs=1", "search.folds=2", "search.trials=2"]
    plain_words = [word for word in words if not word.startswith("descriptor.")]
    assert main(["search", *plain_words, *fit, space, f"run_dir={tmp_path}"]) == 0
    for row in table(tmp_path / "trials.csv"):
        assert row["descriptor"] in ("so3", "ace")
        for fold in (0, 1):
            assert (tmp_path / f"trial_{row['trial']}" / f"fold_{fold}" / "train.log").is_file()


@pytest.mark.slow
def test_processes_of_a_launcher_share_the_journal(words, tmp_path):
    pytest.importorskip("submitit", reason="launchers need the extra `search`")
    launcher = ["launcher=local", "launcher.jobs=2", "launcher.parameters.timeout_min=5"]
    assert main(["search", *words, SPACE, *launcher, "search.trials=2", "fit.folds=2", f"run_dir={tmp_path}"]) == 0
    assert len(table(tmp_path / "trials.csv")) >= 2
    assert list((tmp_path / "jobs").glob("*_result.pkl"))


def test_every_launcher_has_what_submitit_asks_for():
    submitit = pytest.importorskip("submitit", reason="launchers need the extra `search`")
    common, of_slurm = submitit.AutoExecutor._typed_parameters(), submitit.SlurmExecutor._valid_parameters()
    for choice in groups()["launcher"]:
        launcher = plain(compose("search", [f"launcher={choice}"]))["launcher"]
        assert set(launcher) == {"cluster", "jobs", "parameters"}
        for name in launcher["parameters"]:
            assert name in common or name.removeprefix("slurm_") in of_slurm, name


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("{}", "`search.space` must name one key or more, got none; see mdzoo search --help"),
        (
            "{descriptor.cutof: [1]}",
            "`search.space` must name keys of .*, got descriptor.cutof; did you mean descriptor.cutoff",
        ),
        ("{descriptor.cutoff: 4}", r"`search.space` must give a list or \{low:, high:.* for descriptor.cutoff, got 4"),
        ("{descriptor.cutoff: {low: 5, high: 4}}", "`search.space` must give a list or"),
        ("{fit.weights.energy: {low: 0, high: 4, log: true}}", "`search.space` must give a list or"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(capsys, words, tmp_path, space, message):
    import re

    assert re.search(message, refused(capsys, "search", *words, f"search.space={space}", f"run_dir={tmp_path}"))


def test_what_judges_nothing_and_what_is_no_sampler_is_refused(capsys, words, tmp_path):
    one = ["search.trials=1", f"run_dir={tmp_path}/a"]
    line = refused(capsys, "search", *words, SPACE, "fit.ridge=evidence", *one)
    assert "`search.space` must hold settings that can be fitted, got none that could; see search.log" in line
    assert "`fit` must judge on data that it leaves out" in (tmp_path / "a" / "search.log").read_text()
    line = refused(capsys, "search", *words, SPACE, "search.sampler=best", f"run_dir={tmp_path}/b")
    assert "`search.sampler` must be one of ['tpe', 'random'], got best; choose one" in line
