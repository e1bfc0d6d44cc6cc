"""Numbers go to CSV always, and to Weights & Biases without a network or a key."""

import logging

import numpy as np
import pytest
from matplotlib.image import imsave
from pytorch_lightning.loggers import CSVLogger

from mdzoo.fit import fit
from mdzoo.fit.loggers import add_files, finish, log_file, loggers, reachable
from mdzoo.regressors import Linear
from tests.fit.cases import Plain, data, force_field

LEAST = {"name": "least_squares", "weights": {"energy": 1.0, "forces": 1.0}, "ridge": 1e-6}


def test_csv_always(tmp_path):
    found = loggers(tmp_path, "disabled")
    assert [type(logger) for logger in found] == [CSVLogger]
    found[0].log_metrics({"a": 1.5}, 0)
    finish(found)
    assert (tmp_path / "log" / "metrics.csv").read_text().splitlines() == ["a,step", "1.5,0"]


def test_offline_run_with_plot_and_artifact(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    module = data()
    model = force_field(Linear(3, 1), Plain())
    result = fit(model, module, tmp_path, LEAST, wandb="auto", config={"a": {"b": 2}}, progress=False)
    assert len(result.loggers) == 2
    run = result.loggers[1].experiment
    assert run.config["a"] == {"b": 2}
    assert run.config["data_hash"] == module.content_hash
    assert run.summary["train/force_rmse"] == pytest.approx(result.metrics["train/force_rmse"], rel=1e-6)
    plot, exported = tmp_path / "parity.png", tmp_path / "model.pt"
    imsave(plot, np.zeros((2, 2)))
    exported.write_bytes(b"model")
    add_files(result.loggers, [plot], [exported])
    finish(result.loggers)
    assert list((tmp_path / "wandb").glob("offline-run-*/run-*.wandb"))


def test_auto_without_a_key_is_offline(monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert reachable(0.5) is False


def test_a_wrong_mode_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`wandb` must be one of"):
        loggers(tmp_path, "on")


def test_what_mdzoo_says_goes_to_the_file_while_the_context_lasts(tmp_path):
    with log_file(tmp_path / "train.log"):
        logging.getLogger("mdzoo.anything").info("inside")
    logging.getLogger("mdzoo.anything").info("outside")
    text = (tmp_path / "train.log").read_text()
    assert "mdzoo.anything inside" in text
    assert "outside" not in text
