"""A killed run goes on to the same bits; two ranks with an odd number of unequal structures are one rank."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mdzoo.fit import fit
from mdzoo.fit.callbacks import read_checkpoint
from mdzoo.fit.lightning import GradientFit
from tests.fit.cases import data, network
from tests.fit.ranks import run

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {"name": "sgd", "weights": {"energy": 1.0, "forces": 1.0}, "epochs": 4, "warmup": 2, "batch_size": 2}


class Killed(Exception):
    pass


def killed_at(step: int, monkeypatch) -> None:
    """Let training die at the start of a step."""
    start = GradientFit.on_train_batch_start

    def dying(self, batch, batch_idx):
        if self.global_step == step:
            raise Killed
        start(self, batch, batch_idx)

    monkeypatch.setattr(GradientFit, "on_train_batch_start", dying)


@pytest.mark.parametrize(("schedule", "step"), [("cosine", 7), ("plateau", 9), ("cosine", 8)])
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path, monkeypatch, schedule, step):
    chosen = SETTINGS | {"schedule": schedule, "plateau": 0, "save_every": 3}
    whole = network(trainable=True)
    drawn = add_noise(whole)
    fit(whole, data(val_fraction=0.25), tmp_path / "whole", chosen, progress=False)
    broken = network(trainable=True)
    add_noise(broken)
    with monkeypatch.context() as patch:
        killed_at(step, patch)
        with pytest.raises(Killed):
            fit(broken, data(val_fraction=0.25), tmp_path / "broken", chosen, progress=False)
    again = network(trainable=True, seed=9)  # another start: everything comes from the checkpoint
    redrawn = add_noise(again)
    fit(again, data(val_fraction=0.25), tmp_path / "broken", chosen, progress=False)
    for name, value in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    assert redrawn == drawn[-len(redrawn) :]
    assert 0 < len(redrawn) < len(drawn)
    one, other = (read_checkpoint(tmp_path / run / "checkpoints" / "last.ckpt") for run in ("whole", "broken"))
    assert one["global_step"] == other["global_step"] == 15
    for name, value in one["callbacks"]["WeightAverage"]["average"].items():
        assert torch.equal(other["callbacks"]["WeightAverage"]["average"][name], value)
    for name, value in one["state_dict"].items():
        assert torch.equal(other["state_dict"][name], value)


def add_noise(model) -> list[float]:
    """Draw a random number in each training step; the numbers drawn are returned."""
    drawn: list[float] = []
    network = model.potential.terms[2].regressor.networks[0]

    def hook(module, arguments, result):
        noise = torch.randn((), dtype=torch.float64)
        drawn.append(float(noise))
        return result * (1.0 + 0.01 * noise)

    network.register_forward_hook(hook)
    return drawn


def in_processes(folder: Path, kind: str, devices: int) -> dict:
    """Fit in processes of their own, over gloo."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1", MASTER_PORT=str(port))
    environment |= {"CUDA_VISIBLE_DEVICES": "", "MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, str(ROOT / "tests" / "fit" / "ranks.py"), str(folder), kind, str(devices)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return torch.load(folder / "end.pt", weights_only=True)


@pytest.mark.parametrize("kind", ["sgd", "least_squares"])
def test_two_ranks_are_one(tmp_path, kind):
    one, two = run(tmp_path / "one", kind, 1), in_processes(tmp_path / "two", kind, 2)
    near = {"rtol": 1e-7, "atol": 1e-9} if kind == "sgd" else {"rtol": 1e-8, "atol": 0.0}
    for name, value in one["state"].items():
        torch.testing.assert_close(two["state"][name], value, **near)
    assert one["metrics"].keys() == two["metrics"].keys()
    for name, value in one["metrics"].items():
        if name != "condition":
            assert two["metrics"][name] == pytest.approx(value, rel=1e-4), name
