"""What happens beside the steps: averaged weights, and checkpoints that are never broken."""

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from torch import Tensor


class WeightAverage(pl.Callback):
    """Exponential moving average of the trained parameters (Polyak, Juditsky, DOI 10.1137/0330046).

    `average <- d average + (1 - d) weights` after each step, with `d = min(decay, (1 + t) / (10 + t))` at step t.
    Validation sees the average; so do the best checkpoint and the model at the end.

    Arguments:
        decay: 0.99 averages about 100 steps.
    """

    def __init__(self, decay: float) -> None:
        self.decay = float(decay)
        self.average: dict[str, Tensor] = {}
        self.swapped = False

    def trained(self, module: pl.LightningModule) -> dict[str, Tensor]:
        """Return the parameters that are averaged."""
        return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Start from the weights, or go on with the average of a checkpoint."""
        weights = self.trained(module)
        self.average = {n: self.average.get(n, w).detach().clone().to(w.device) for n, w in weights.items()}

    @torch.no_grad()
    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Take the weights of this step into the average."""
        t = trainer.global_step
        decay = min(self.decay, (1.0 + t) / (10.0 + t))
        for name, weight in self.trained(module).items():
            self.average[name].lerp_(weight, 1.0 - decay)

    @torch.no_grad()
    def swap(self, module: pl.LightningModule) -> None:
        """Exchange weights and average."""
        for name, weight in self.trained(module).items():
            kept = weight.clone()
            weight.copy_(self.average[name])
            self.average[name] = kept
        self.swapped = not self.swapped

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Validate the average."""
        if self.average:
            self.swap(module)

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Go back to the weights."""
        if self.swapped:
            self.swap(module)

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        """Leave the weights in their place."""
        if self.swapped:
            self.swap(module)

    def state_dict(self) -> dict[str, Any]:
        """Return the average for a checkpoint."""
        return {"average": {name: value.clone() for name, value in self.average.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the average of a checkpoint."""
        self.average = dict(state["average"])


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes beside the target and moves into its place: a full disk or a kill leaves the previous checkpoint."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            with open(temporary, "wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a checkpoint; only tensors and plain values, never code."""
        return read_checkpoint(Path(path))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return what a checkpoint holds, on the CPU.

    Raises:
        ValueError: the file is truncated or no checkpoint.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise ValueError(f"`path` must be a whole checkpoint, got {path} ({error}); start from another one") from error


def averaged(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of the force field in a checkpoint, averaged where there is an average."""
    prefix = "force_field."
    tensors = dict(checkpoint["state_dict"])
    for state in checkpoint.get("callbacks", {}).values():
        tensors |= state.get("average", {}) if isinstance(state, Mapping) else {}
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
