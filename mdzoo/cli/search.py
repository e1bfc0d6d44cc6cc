"""A search of hyperparameters: Optuna proposes, one fit judges, a journal remembers.

Optuna is called directly: Hydra's sweeper plugin holds it at 2.10, starts a process for each trial and knows neither
grouped cross-validation nor a search that goes on. Processes (submitit, here or on a SLURM cluster) share the journal.
"""

import copy
import csv
import json
import logging
import math
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.table import Table

from mdzoo.cli.commands import console, data_module, new_model, seed_everything
from mdzoo.cli.config import composed, groups, keys, nearest, plain
from mdzoo.cli.run_dir import write_json
from mdzoo.data import DataModule

log = logging.getLogger(__name__)
ERRORS = ("energy_rmse", "force_rmse", "virial_rmse")
BOUNDS = {"low", "high", "step", "log"}


def search(config: DictConfig, run_dir: Path) -> None:
    """Try settings until there are enough, and write what was tried and what was best."""
    settings = plain(config)
    check(settings)
    launch(settings, run_dir)
    trials = sorted(done(study_of(settings, run_dir).trials), key=lambda trial: trial.value)
    if not trials:
        raise ValueError("`search.space` must hold settings that can be fitted, got none that could; see search.log")
    best = {key: decoded(value) for key, value in trials[0].params.items()}
    write_json(run_dir / "best.json", {"score": trials[0].value, "settings": best, "words": words_of(best)})
    write_trials(run_dir / "trials.csv", trials)
    console.print(table_of(trials[:10]))
    console.print(f"written: {run_dir}; the best: mdzoo train ... {' '.join(words_of(best))}")


def check(settings: dict[str, Any]) -> None:
    """Raise a ValueError unless the space is one that can be searched.

    Raises:
        ValueError: no space, an entry of another form, a key that is nowhere.
    """
    space = settings["search"]["space"]
    known = keys(DictConfig({key: value for key, value in settings.items() if key not in ("search", "launcher")}))
    if not space:
        raise ValueError("`search.space` must name one key or more, got none; see mdzoo search --help")
    chosen = [axis for axis in space if axis in groups()]
    for axis in chosen:
        for choice in space[axis]:
            known += [f"{axis}.{key}" for key in keys(composed("train", [f"{axis}={choice}"])[axis])]
    for key, choices in space.items():
        if key not in [*known, *groups()]:
            near = nearest(key, [*known, *groups()])
            raise ValueError(f"`search.space` must name keys of the model or the fit, got {key}; did you mean {near}?")
        if not (isinstance(choices, list) and choices) and not bounded(choices):
            raise ValueError(
                f"`search.space` must give a list or {{low:, high:, step:, log:}} for {key}, got {choices}; correct it"
            )


def bounded(choices: Any) -> bool:
    """Tell whether these are bounds."""
    if not isinstance(choices, dict) or not {"low", "high"} <= set(choices) <= BOUNDS:
        return False
    return float(choices["low"]) <= float(choices["high"]) and not (choices.get("log") and float(choices["low"]) <= 0.0)


def launch(settings: dict[str, Any], run_dir: Path) -> None:
    """Search in this process, or in those that a launcher starts."""
    launcher = settings.get("launcher")
    if not launcher:
        work(settings, str(run_dir), 0)
        return
    submitit = module("submitit")
    study_of(settings, run_dir)
    executor = submitit.AutoExecutor(folder=run_dir / "jobs", cluster=launcher["cluster"])
    executor.update_parameters(**{k: v for k, v in launcher["parameters"].items() if v is not None})
    jobs = [executor.submit(work, settings, str(run_dir), place) for place in range(int(launcher["jobs"]))]
    for job in jobs:
        job.result()


def module(name: str) -> Any:
    """Return a package that only searches need."""
    try:
        return __import__(name)
    except ImportError as error:
        raise ValueError(f"`search` must find {name}, got none; pip install mdzoo[search]") from error


def study_of(settings: dict[str, Any], run_dir: Path, place: int = 0) -> Any:
    """Return the study of a run directory, with a sampler of its own for each process."""
    optuna = module("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kinds = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
    sampler = settings["search"]["sampler"]
    if sampler not in kinds:
        raise ValueError(f"`search.sampler` must be one of {list(kinds)}, got {sampler}; choose one")
    backend = optuna.storages.journal.JournalFileBackend(str(run_dir / "journal.log"))
    storage = optuna.storages.JournalStorage(backend)
    return optuna.create_study(
        storage=storage, study_name="mdzoo", load_if_exists=True, sampler=kinds[sampler](seed=settings["seed"] + place)
    )


def work(settings: dict[str, Any], run_dir: str, place: int) -> None:
    """Try settings in one process until the study has enough trials."""
    study, chosen = study_of(settings, Path(run_dir), place), settings["search"]
    over = len([trial for trial in study.trials if trial.state.is_finished()]) >= int(chosen["trials"])
    if not over:
        study.optimize(
            lambda trial: objective(trial, settings, Path(run_dir)),
            timeout=60.0 * chosen["minutes"] or None,
            callbacks=[module("optuna").study.MaxTrialsCallback(int(chosen["trials"]), states=None)],
            catch=(ValueError,),
        )


def objective(trial: Any, settings: dict[str, Any], run_dir: Path) -> float:
    """Return the score of one proposal."""
    values = {key: proposed(trial, key, choices) for key, choices in settings["search"]["space"].items()}
    tried = with_values(settings, values)
    try:
        score, errors = judged(tried, run_dir / f"trial_{trial.number}")
    except ValueError as error:
        log.warning("trial %d %s failed: %s", trial.number, values, error)
        raise
    trial.set_user_attr("errors", errors)
    log.info("trial %d %s: score %.6g, %s", trial.number, values, score, errors)
    return score


def proposed(trial: Any, key: str, choices: Any) -> Any:
    """Return a value of one key."""
    if isinstance(choices, list):
        return decoded(trial.suggest_categorical(key, [json.dumps(choice) for choice in choices]))
    low, high, step = choices["low"], choices["high"], choices.get("step")
    options = {"log": bool(choices.get("log", False))}
    if isinstance(low, int) and isinstance(high, int) and not isinstance(step, float):
        return trial.suggest_int(key, low, high, step=step or 1, **options)
    return trial.suggest_float(key, low, high, step=step, **options)


def decoded(value: Any) -> Any:
    """Return a value as it stood in the space: a choice is kept as its JSON text."""
    return json.loads(value) if isinstance(value, str) else value


def with_values(settings: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with the proposed values, axes before the keys inside them."""
    out = copy.deepcopy(settings)
    for key, value in sorted(values.items(), key=lambda pair: pair[0] not in groups()):
        if key in groups():
            out[key] = plain(composed("train", [f"{key}={value}"])[key])
            continue
        *path, last = key.split(".")
        inner = out
        for name in path:
            inner = inner[name]
        if last not in inner:
            raise ValueError(
                f"`{key}` must be a key of what was chosen, got {sorted(inner)}; leave it out of the space"
            )
        inner[last] = value
    return out


def judged(settings: dict[str, Any], run_dir: Path) -> tuple[float, dict[str, float]]:
    """Return the score of settings and the errors on held-out data: the geometric mean, so that no unit has the say."""
    data, count, found = settings["data"] | {"test": None}, int(settings["search"]["folds"]), []
    parts = [(run_dir, data_module(data))]
    if count:
        parts = [(run_dir / f"fold_{k}", part) for k, part in enumerate(fold_modules(data, count))]
    for folder, part in parts:
        found.append(fitted(copy.deepcopy(settings), part, folder))
    mean = {key: math.sqrt(sum(f[key] ** 2 for f in found) / len(found)) for key in found[0]}
    return math.exp(sum(math.log(max(error, 1e-12)) for error in mean.values()) / len(mean)), mean


def fold_modules(data: dict[str, Any], count: int) -> list[DataModule]:
    """Return one data module for each fold, which it keeps for validation."""
    whole = data_module(data)
    folds = whole.folds(int(count)).tolist()
    frames = whole.sets()["train"].frames
    cut = {"val_fraction": 0.0, "test_fraction": 0.0, "val_groups": [], "test_groups": []}
    out = []
    for k in range(int(count)):
        sides = {"train": [f for f, fold in zip(frames, folds, strict=True) if fold != k]}
        sides["val"] = [f for f, fold in zip(frames, folds, strict=True) if fold == k]
        out.append(data_module(data | cut | sides))
    return out


def fitted(settings: dict[str, Any], data: DataModule, folder: Path) -> dict[str, float]:
    """Fit once and return the errors on what was held out."""
    from mdzoo.fit.fit import fit

    seed_everything(settings["seed"])
    data.setup()
    force_field, _ = new_model(settings, data)
    metrics = fit(force_field, data, folder, settings["fit"], progress=False).metrics
    for stage in ("held_out", "val"):
        found = {key: metrics[f"{stage}/{key}"] for key in ERRORS if f"{stage}/{key}" in metrics}
        if found:
            return found
    raise ValueError(
        "`fit` must judge on data that it leaves out, got only errors of training; set fit.ridge=cross_validation, "
        "data.val_fraction=0.1 or search.folds=5"
    )


def done(trials: list[Any]) -> list[Any]:
    """Return the trials that have a score."""
    return [trial for trial in trials if trial.value is not None and trial.state.name == "COMPLETE"]


def words_of(values: dict[str, Any]) -> list[str]:
    """Return values as words of the command line."""
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
    return [f"{key}={text.replace(' ', '')}" for key, text in texts.items()]


def write_trials(path: Path, trials: list[Any]) -> None:
    """Write one line for each trial, best first."""
    errors = [*trials[0].user_attrs["errors"]]
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["trial", "score", *errors, *trials[0].params])
        for trial in trials:
            values = [decoded(value) for value in trial.params.values()]
            rows.writerow([trial.number, trial.value, *trial.user_attrs["errors"].values(), *values])


def table_of(trials: list[Any]) -> Table:
    """Return the best trials for the terminal; errors are root mean squares on held-out data."""
    table = Table(title="best of the search", header_style="bold")
    for header in ("trial", *trials[0].user_attrs["errors"], *trials[0].params):
        table.add_column(header)
    for trial in trials:
        values = [str(decoded(value)) for value in trial.params.values()]
        errors = [f"{error:.5f}" for error in trial.user_attrs["errors"].values()]
        table.add_row(str(trial.number), *errors, *values)
    return table
