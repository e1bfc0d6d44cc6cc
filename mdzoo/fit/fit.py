"""One call for every way of fitting."""

import logging
import shutil
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from mdzoo.data.reference_energies import isolated
from mdzoo.fit.cached import kept_sets
from mdzoo.fit.callbacks import averaged, read_checkpoint
from mdzoo.fit.design import linear_part
from mdzoo.fit.forecast import forecast, memory_free
from mdzoo.fit.inducing import select_inducing
from mdzoo.fit.kernel_evidence import optimise_kernel
from mdzoo.fit.least_squares import LeastSquares
from mdzoo.fit.levenberg_marquardt import levenberg_marquardt
from mdzoo.fit.lightning import GradientFit
from mdzoo.fit.loggers import log_file, loggers
from mdzoo.fit.loss import targets
from mdzoo.fit.principal import project_features
from mdzoo.fit.prior import shape_of
from mdzoo.fit.projection import optimise_empirical
from mdzoo.fit.settings import (
    LbfgsSettings,
    LeastSquaresSettings,
    LevenbergMarquardtSettings,
    SgdSettings,
    settings_from,
)
from mdzoo.fit.solve import LinearPosterior
from mdzoo.fit.start import freeze, linear_twin, n_trained, scale_features, standardise, start_from
from mdzoo.fit.trainer import Loaders, Run, callbacks_of, limits, trainer_of
from mdzoo.potentials import ForceField

log = logging.getLogger(__name__)

EXPECTED = (
    ".*does not have many workers.*",  # graphs are built once and kept; workers are data.workers
    ".*returned `None`, this fit will run with no optimizer.*",  # the closed form has none
    ".*The number of training batches.*",  # few batches: metrics are logged by epoch
    ".*Total length of `list` across ranks is zero.*",  # no validation set
    ".*isinstance.treespec, LeafSpec.*",  # of torch, in Lightning
    ".*module.s. in eval mode at the start of training.*",  # the baseline that least squares subtracts
    ".*Checkpoint directory .* exists.*",  # a run that goes on
    ".*Experiment logs directory .* exists.*",
    ".*You're resuming from a checkpoint that ended before the epoch ended.*",  # the loader knows where it stands
)


class FitResult(NamedTuple):
    """What a fit leaves."""

    metrics: dict[str, float]
    seconds: float
    posterior: LinearPosterior | None
    checkpoint: Path | None
    loggers: list[Logger]


def fit(
    force_field: ForceField,
    datamodule: Any,
    run_dir: str | Path,
    settings: Mapping[str, Any],
    *,
    wandb: str = "disabled",
    config: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> FitResult:
    """Find the best parameters and leave them in `force_field`.

    Arguments:
        force_field: what is fitted, in place.
        datamodule: `mdzoo.data.DataModule`, or what has its interface; its cutoff is set to that of the force field.
        run_dir: gets `train.log`, `log/metrics.csv` and `checkpoints/`; a killed run by sgd goes on from them.
        settings: the table of conf/fit, `name` and the keys of `mdzoo.fit.settings`.
        wandb: see `mdzoo.fit.loggers.loggers`.
        config: the configuration of the run, for W&B.
        progress: whether a progress bar is shown.
    """
    chosen, run_dir, begin = settings_from(settings), Path(run_dir), time.monotonic()
    with log_file(run_dir / "train.log"), warnings.catch_warnings():
        for message in EXPECTED:
            warnings.filterwarnings("ignore", message)
        datamodule.cutoff = max(force_field.cutoff, 1e-6)
        datamodule.setup("fit")
        standardise(force_field, datamodule.train_set)
        project_features(force_field, datamodule.train_set)
        select_inducing(force_field, datamodule.train_set)
        log.info("fit: %s, %d parameters that train, data %s", chosen, n_trained(force_field), datamodule.content_hash)
        found = loggers(run_dir, wandb, config={**(config or {}), "data_hash": datamodule.content_hash})
        run = Run(run_dir, found, progress)
        result = WAYS[type(chosen)](force_field, datamodule, run, chosen)
        seconds = time.monotonic() - begin
        log.info("fit took %.1f s: %s", seconds, {key: round(value, 6) for key, value in result.metrics.items()})
    force_field.eval()
    return result._replace(seconds=seconds)


def by_least_squares(force_field: ForceField, data: Any, run: Run, chosen: LeastSquaresSettings) -> FitResult:
    """Fit in closed form."""
    if chosen.optimise_kernel:
        batches = data.loader(data.train_set, batch_size=chosen.batch_size)
        optimise_kernel(force_field, batches, chosen.weights, chosen.outer_steps)
    module = solved(force_field, data, run, chosen)
    if chosen.optimise_empirical:
        optimise_empirical(module, data.loader(data.train_set, batch_size=chosen.batch_size), chosen.outer_steps)
        module = solved(force_field, data, run, chosen)
    return FitResult(module.summary(), 0.0, module.posterior, None, run.loggers)


def solved(force_field: ForceField, data: Any, run: Run, chosen: LeastSquaresSettings) -> LeastSquares:
    """Stream the rows, solve, and set the linear parameters."""
    parts = parts_of(data, chosen) if chosen.ridge == "cross_validation" else None
    shape = shape_of(force_field, chosen.stiffness)
    memory = memory_free() / chosen.devices if chosen.memory is None else chosen.memory
    module = LeastSquares(force_field, chosen.weights, chosen.ridge, parts, shape, memory, chosen.prior)
    module.learn_noise(chosen.noise, data.groups)
    say(run, forecast(module, data.train_set, chosen.devices).text())
    trainer = trainer_of(run, [], chosen.devices, max_epochs=1, enable_checkpointing=False, accelerator="cpu")
    trainer.fit(module, datamodule=Loaders(data, [data.train_set, data.val_set], chosen.batch_size, False))
    return module


def say(run: Run, text: str) -> None:
    """Tell the log, and the terminal where it shows how a fit gets on."""
    log.info(text)
    if run.progress and getattr(rank_zero_only, "rank", 0) == 0:
        print(text)


def parts_of(data: Any, chosen: LeastSquaresSettings) -> Tensor:
    """Return the fold or the group of each training structure, -1 for isolated atoms: they are never left out.

    Nothing else fixes the energy of a lone atom, so a fit without it would be judged by a guess.
    """
    training = data.train_set
    grouped = chosen.folds == "group"
    parts = np.unique(training.groups, return_inverse=True)[1] if grouped else data.folds(int(chosen.folds))
    return torch.as_tensor(np.where(isolated(training.frames), -1, parts))


def by_sgd(force_field: ForceField, data: Any, run: Run, chosen: SgdSettings) -> FitResult:
    """Fit by gradient descent; a checkpoint in the run directory is gone on with."""
    check_charges(force_field, chosen)
    pl.seed_everything(chosen.seed, verbose=False)
    last = run.folder / "checkpoints" / "last.ckpt"
    prepare(force_field, data, run, chosen, last.is_file())
    monitor = "train/loss" if data.val_set is None else "val/loss"
    sets = [data.train_set, data.val_set]
    present, folder = [part for part in sets if part is not None], run.folder / "kept"
    kept = kept_sets(force_field, present, chosen.cache, chosen.cache_bytes, folder)
    predict, sets = (kept[0], [*kept[1:], None][:2]) if kept else (None, sets)
    module = GradientFit(force_field.train(), targets(chosen.weights, chosen.huber), chosen, monitor, predict)
    callbacks = callbacks_of(chosen, run.folder, monitor)
    trainer = trainer_of(run, callbacks, chosen.devices, **limits(chosen))
    size = len(data.train_set) if chosen.batch_size == 0 else chosen.batch_size
    loaders = Loaders(data, sets, size, chosen.batch_size != 0)
    trainer.fit(module, datamodule=loaders, ckpt_path=str(last) if last.is_file() else None)
    shutil.rmtree(folder, ignore_errors=True)
    best = next(c for c in callbacks if isinstance(c, ModelCheckpoint) and c.monitor is not None).best_model_path
    if best:
        force_field.load_state_dict(averaged(read_checkpoint(Path(best))))
    metrics = {key: float(value) for key, value in trainer.callback_metrics.items()}
    return FitResult(metrics, 0.0, None, Path(best) if best else None, run.loggers)


def by_levenberg_marquardt(
    force_field: ForceField, data: Any, run: Run, chosen: LevenbergMarquardtSettings
) -> FitResult:
    """Fit by damped Gauss-Newton steps."""
    pl.seed_everything(chosen.seed, verbose=False)
    prepare(force_field, data, run, chosen, False)
    present, folder = [part for part in (data.train_set, data.val_set) if part is not None], run.folder / "kept"
    kept = kept_sets(force_field, present, chosen.cache, chosen.cache_bytes, folder)
    if kept is None:
        raise ValueError("`cache` must be true or disk for this model, got auto, which does not fit; say cache=disk")
    metrics = levenberg_marquardt(kept[0], kept[1], kept[2] if len(kept) > 2 else None, chosen)
    shutil.rmtree(folder, ignore_errors=True)
    for logger in run.loggers:
        logger.log_metrics(metrics)
    return FitResult(metrics, 0.0, None, None, run.loggers)


def check_charges(force_field: ForceField, chosen: SgdSettings) -> None:
    """Refuse a weight for charges where the model only hands on those that it is given."""
    if chosen.weights.get("charges", 0.0) > 0.0 and not force_field.potential.has_charges:
        raise ValueError(
            f"`weights` must be 0 for charges with this model, got {chosen.weights['charges']}; it finds none: add "
            "empirical=charge_equilibration"
        )


def prepare(
    force_field: ForceField, data: Any, run: Run, chosen: SgdSettings | LevenbergMarquardtSettings, going_on: bool
) -> None:
    """Bring the force field to where gradient descent starts; a run that goes on takes its weights later."""
    if not going_on:
        if chosen.start is None or chosen.start == "least_squares":
            scale_features(force_field, data.train_set)
        else:
            start_from(force_field, chosen.start)
        if chosen.start == "least_squares":
            start_linear(force_field, data, run, chosen.weights)
            if chosen.dtype == "float32":
                log.warning(
                    "float32 rounds the closed form's weights, whose terms cancel: compare with fit.dtype=float64"
                )
    force_field.to(getattr(torch, chosen.dtype))
    freeze(force_field, chosen.freeze)


def start_linear(force_field: ForceField, data: Any, run: Run, weights: dict[str, float]) -> None:
    """Give the linear term of a network the closed form's weights, so that the network learns what is left."""
    twin, part = linear_twin(force_field)
    weights = {name: weight for name, weight in weights.items() if name != "charges"}
    solved(twin, data, run, LeastSquaresSettings(weights=weights))
    found: Any = linear_part(twin).regressor
    network: Any = part.regressor
    network.set_linear(found.weights.detach(), found.bias.detach())


WAYS: dict[type, Callable[..., FitResult]] = {
    LeastSquaresSettings: by_least_squares,
    SgdSettings: by_sgd,
    LbfgsSettings: by_sgd,
    LevenbergMarquardtSettings: by_levenberg_marquardt,
}
"""How each kind of settings is fitted."""
