"""The Trainer of a run, and what it is given: loaders, callbacks, bounds."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint, RichProgressBar
from pytorch_lightning.callbacks.progress.rich_progress import RichProgressBarTheme
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies import DDPStrategy
from torch.utils.data import Dataset

from mdzoo.data.sampler import EpochSampler, Loader, ranks
from mdzoo.fit.callbacks import AtomicCheckpoints, WeightAverage
from mdzoo.fit.settings import SgdSettings


class Run(NamedTuple):
    """Where a fit writes, and whether it shows a progress bar."""

    folder: Path
    loggers: list[Logger]
    progress: bool


class Bar(RichProgressBar):
    """A progress bar with the errors in it."""

    def __init__(self) -> None:
        super().__init__(theme=RichProgressBarTheme(metrics_format=".4g"))

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Return what is shown: errors, not the version of the log."""
        return {key: value for key, value in super().get_metrics(trainer, pl_module).items() if key != "v_num"}


class Loaders(pl.LightningDataModule):
    """Batches of sets that may be other than those of the data module; made when the ranks are known.

    Arguments:
        data: `mdzoo.data.DataModule`.
        sets: training set and validation set or None.
        batch_size: structures in one step over all ranks; None for that of the data.
        shuffle: whether training structures are.
    """

    def __init__(self, data: Any, sets: Sequence[Dataset | None], batch_size: int | None, shuffle: bool) -> None:
        super().__init__()
        self.data, self.sets, self.shuffle = data, list(sets), shuffle
        self.batch_size = int(batch_size or data.batch_size)

    def loader(self, part: Any, shuffle: bool) -> Loader:
        """Return a loader; sets that are kept in memory need no workers."""
        if part in (self.data.train_set, self.data.val_set):
            return self.data.loader(part, shuffle=shuffle, batch_size=self.batch_size)
        rank, size = ranks()
        return Loader(part, EpochSampler(len(part), self.batch_size, self.data.seed, shuffle, rank, size))

    def train_dataloader(self) -> Loader:
        """Return the training batches."""
        return self.loader(self.sets[0], self.shuffle)

    def val_dataloader(self) -> Loader | list:
        """Return the validation batches, none without a validation set."""
        return [] if self.sets[1] is None else self.loader(self.sets[1], False)


def callbacks_of(chosen: SgdSettings, run_dir: Path, monitor: str) -> list[pl.Callback]:
    """Return what accompanies gradient descent."""
    folder = run_dir / "checkpoints"
    out: list[pl.Callback] = [WeightAverage(chosen.ema)] if chosen.ema > 0.0 else []
    if chosen.patience > 0:
        out.append(EarlyStopping(monitor, patience=chosen.patience, check_finite=True))
    out.append(ModelCheckpoint(folder, "best", monitor=monitor, enable_version_counter=False))
    every: dict[str, Any] = {"every_n_train_steps": chosen.save_every} if chosen.save_every else {"every_n_epochs": 1}
    out.append(ModelCheckpoint(folder, "last", enable_version_counter=False, save_on_train_epoch_end=True, **every))
    return out


def limits(chosen: SgdSettings) -> dict[str, Any]:
    """Return how long gradient descent goes on, and what bounds a step."""
    return {
        "max_epochs": chosen.epochs,
        "max_time": timedelta(minutes=chosen.minutes) if chosen.minutes > 0.0 else None,
        "gradient_clip_val": chosen.clip or None,
        "check_val_every_n_epoch": chosen.check_every,
    }


def trainer_of(run: Run, callbacks: list[pl.Callback], devices: int, **options: Any) -> pl.Trainer:
    """Return a Trainer: derivatives in validation, samplers as they are, checkpoints that are never broken."""
    bar = [Bar()] if run.progress else []
    return pl.Trainer(
        default_root_dir=run.folder,
        logger=run.loggers,
        callbacks=[*callbacks, *bar],
        devices=devices,
        strategy=DDPStrategy(broadcast_buffers=False) if devices > 1 else "auto",
        use_distributed_sampler=False,
        inference_mode=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        enable_model_summary=False,
        enable_progress_bar=run.progress,
        plugins=[AtomicCheckpoints()],
        **options,
    )
