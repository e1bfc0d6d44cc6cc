"""Gradient descent on the loss: one step for training and validation, the same result on any number of ranks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Timer
from torch import Tensor

from mdzoo.data.labels import Batch
from mdzoo.fit.cached import n_members
from mdzoo.fit.loss import Residual, Target
from mdzoo.fit.optimizers import optimizer_and_schedule
from mdzoo.fit.settings import SgdSettings
from mdzoo.fit.totals import Totals
from mdzoo.potentials import ForceField, Prediction

Objective = Callable[[Mapping[str, Residual], Any], dict[str, Tensor]]


def mean(members: list[Prediction]) -> Prediction:
    """Return the mean of what members predict."""
    return Prediction(*[torch.stack(columns).mean(0) for columns in zip(*members, strict=True)])


def clip(parameters: Sequence[Tensor], bound: float, members: int) -> None:
    """Scale gradients so that their norm, of each member along the leading axis if there are several, is `bound`."""
    if members == 1:
        torch.nn.utils.clip_grad_norm_(parameters, bound)
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    squares = torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0)
    factor = (bound / (squares.sqrt() + 1e-6)).clamp_max(1.0)
    for g in gradients:
        g.mul_(factor.view([-1] + [1] * (g.dim() - 1)))


class GradientFit(pl.LightningModule):
    """Trains every parameter that asks for a gradient: empirical terms, descriptor and regressor alike.

    Each rank's loss is its sum over the global number of structures of the step, times the number of ranks (the
    strategy averages gradients), so ranks and uneven structures give the gradient of one rank. Random numbers are keyed
    to the global step.

    Arguments:
        force_field: what is trained.
        targets: the loss.
        settings: optimiser and schedule.
        monitor: the metric that says which weights are best.
        predict: gives the predictions of a batch, one for each member; by default the force field's.
        objective: gives the loss of a batch, not yet divided, from the errors of one prediction: a part for each target
            and any others by name; by default those of the targets.

    Members train side by side, each on its own loss; what is validated is their mean.
    """

    def __init__(
        self,
        force_field: ForceField,
        targets: Sequence[Target],
        settings: SgdSettings,
        monitor: str = "train/loss",
        predict: Callable[[Any], list[Prediction]] | None = None,
        objective: Objective | None = None,
    ) -> None:
        super().__init__()
        self.force_field = force_field
        self.targets = list(targets)
        self.settings = settings
        self.monitor = monitor
        self.predict = predict
        self.objective = self.weighted if objective is None else objective
        self.totals = {stage: Totals([target.name for target in targets]) for stage in ("train", "val")}

    def step(self, batch: Batch, stage: str) -> Tensor:
        """Return the loss of a batch, not yet divided, and add its errors to the totals of the stage."""
        with torch.enable_grad():
            members = [self.force_field(batch.graph)] if self.predict is None else self.predict(batch)
        predictions = members if stage == "train" else [mean(members)]
        totals, parts = self.totals[stage], list[Tensor]()
        for prediction in predictions:
            found = {t.name: t.residual(prediction, batch.graph, batch.labels) for t in self.targets}
            losses = self.objective(found, batch)
            for name, loss in losses.items():
                totals.add(name, found[name], loss) if name in found else totals.add_loss(loss)
            parts.extend(losses.values())
        totals.structures += batch.graph.cell.shape[0] * len(predictions)
        return torch.stack(parts).sum()

    def weighted(self, residuals: Mapping[str, Residual], batch: Batch) -> dict[str, Tensor]:
        """Return the loss of each target."""
        return {target.name: target.loss(residuals[target.name]) for target in self.targets}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of this rank."""
        ranks, count = self.trainer.world_size, torch.tensor(float(batch.graph.cell.shape[0]), device=self.device)
        if ranks > 1:
            torch.distributed.all_reduce(count)
        return self.step(batch, "train") * (ranks / count)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add the errors of a batch to the totals."""
        self.step(batch, "val")

    def on_train_start(self) -> None:
        """Key the order of the data to the step: Lightning sets the loader up before it restores its state."""
        sampler: Any = getattr(self.trainer.train_dataloader, "sampler", None)
        if hasattr(sampler, "position"):
            sampler.position = self.global_step

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Key the random numbers to the step, so that a run that goes on has those of the uninterrupted one."""
        torch.manual_seed((self.settings.seed * 1_000_003 + self.global_step) % 2**63)

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Bound the gradient's norm, of each member by itself."""
        if gradient_clip_val:
            trained = [p for p in self.force_field.parameters() if p.grad is not None]
            clip(trained, float(gradient_clip_val), 1 if self.predict is None else n_members(self.force_field))

    def on_validation_start(self) -> None:
        """Keep derivatives differentiable: the force field has one path for training and validation."""
        self.force_field.train()

    def on_train_epoch_end(self) -> None:
        """Log the errors of the epoch."""
        self.log_totals("train")

    def on_validation_epoch_end(self) -> None:
        """Log the errors on the validation set."""
        self.log_totals("val")

    def log_totals(self, stage: str) -> None:
        """Log mean absolute errors, root mean squares and the loss over all ranks, and start anew."""
        metrics = self.totals[stage].metrics(stage, self.trainer.world_size, self.device)
        self.totals[stage].clear()
        if not metrics[f"{stage}/loss"] < float("inf"):
            raise ValueError(
                f"`loss` must stay finite, got {metrics[f'{stage}/loss']} ({stage}, epoch {self.current_epoch}); lower "
                "`lr` or `clip`, or look at the data with mdzoo doctor"
            )
        shown = {key: value for key, value in metrics.items() if key.endswith("mae")}
        self.log_dict(shown, prog_bar=True)
        self.log_dict({key: value for key, value in metrics.items() if key not in shown})

    def configure_optimizers(self) -> Any:
        """Return the optimiser and its schedule."""
        steps = int(self.trainer.estimated_stepping_batches)
        return optimizer_and_schedule(self.force_field, self.settings, steps, self.monitor, self.spent)

    def spent(self) -> float:
        """Return the share of the allowed time that has passed, also before a run was killed; 0 without a bound."""
        timers = [callback for callback in self.trainer.callbacks if isinstance(callback, Timer)]  # type: ignore[attr-defined]
        return timers[0].time_elapsed() / (60.0 * self.settings.minutes) if timers else 0.0

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the totals of the epoch under way."""
        checkpoint["mdzoo_totals"] = {stage: totals.state() for stage, totals in self.totals.items()}

    def on_load_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        """Go on with the totals of the epoch under way."""
        for stage, totals in self.totals.items():
            totals.load(checkpoint["mdzoo_totals"][stage])
