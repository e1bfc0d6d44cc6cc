"""What each command does: it hands its config to the rooms and puts what they return into the run directory."""

import importlib
import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

import mdzoo
from mdzoo.cli.config import compose, plain
from mdzoo.cli.listing import members, models
from mdzoo.cli.properties import write_properties
from mdzoo.cli.run_dir import Clock, rank, write_json
from mdzoo.data import DataModule, read
from mdzoo.data.parameter_files import with_file
from mdzoo.data.parameter_files.molecular import with_sources
from mdzoo.evaluate.benchmark import benchmark, crystal, supercell, timing_table
from mdzoo.evaluate.judge import judge, summary
from mdzoo.evaluate.plots import parity
from mdzoo.evaluate.report import compare, error_table, metrics_files, motion_table, pairs_table
from mdzoo.potentials import ForceField, build, checkpoint
from mdzoo.potentials.assemble import assemble

console = Console(width=None if sys.stdout.isatty() else 100)
AXES = ("empirical", "descriptor", "regressor")
SPLITS = ("train", "val", "test")
PLACES = ("root", "element")  # keys of a data config from which its paths are made


def train(config: DictConfig, run_dir: Path) -> None:
    """Read, assemble, fit, judge, save and export."""
    from mdzoo.fit.fit import fit
    from mdzoo.fit.loggers import add_files, finish

    settings, clock = plain(config), Clock()
    seed_everything(settings["seed"])
    with clock("read"):
        data = data_module(settings["data"])
        data.setup()
        force_field, table = new_model(settings, data)
    if rank() == 0:
        OmegaConf.save(OmegaConf.create(settings), run_dir / "config.yaml")
    with clock("fit"):
        result = fit(force_field, data, run_dir, settings["fit"], wandb=settings["wandb"], config=settings)
    if rank() > 0:
        return
    if settings.get("bayes"):
        vars(force_field)["table"] = table
        with clock("infer"):
            from mdzoo.cli.infer import inferred

            force_field = inferred(force_field, data, settings, settings["fit"], run_dir)
        table = vars(force_field)["table"]
    extra = vars(force_field).get("extra", {})
    made = {key: value for key, value in settings.items() if key != "run_dir"}
    made |= {"inference": extra["inference"]} if "inference" in extra else {}
    kept = {**extra, "config": made, "data": data.content_hash}
    checkpoint.save(run_dir / "model.safetensors", force_field, table, kept)
    write_exported(force_field, run_dir / "model.pt", data.sets()["train"].charged_frames(), settings["dtype"], made)
    errors = write_errors(force_field, data, run_dir, settings["seed"], clock)
    for logger in result.loggers:
        logger.log_metrics(flat(errors))
    add_files(result.loggers, [run_dir / "parity.png"], [run_dir / "model.pt"])
    finish(result.loggers)


def new_model(settings: dict[str, Any], data: DataModule) -> tuple[ForceField, dict[str, Any]]:
    """Return the force field that the axes of the config describe, and the table that rebuilds it."""
    start = settings["fit"].get("start")
    if start and start != "least_squares" and Path(start).suffix != ".ckpt":
        settings["fit"]["start"] = str(mdzoo.find_model(start))
        return started_model(settings, data)  # takes the axes out of the settings
    empirical, descriptor, regressor = (settings.get(axis) for axis in AXES)
    terms = {key: with_sources(with_file(term, data.atomic_numbers)) for key, term in (empirical or {}).items()}
    more = settings.get("more")
    table = assemble(terms, descriptor, regressor, data.atomic_numbers, data.atomic_energies(), more)
    return ForceField(build(table), data.atomic_numbers), table


def started_model(settings: dict[str, Any], data: DataModule) -> tuple[ForceField, dict[str, Any]]:
    """Return the model that fine-tuning starts from; its members are its own, so none may be chosen beside it."""
    force_field = mdzoo.load(settings["fit"]["start"])
    default = plain(compose("train"))
    for axis in (*AXES, "more"):
        chosen = settings.pop(axis, None)
        if chosen != default[axis]:
            raise ValueError(f"`{axis}` must be left to the model of `fit.start`, got {chosen}; leave it out")
    if force_field.atomic_numbers != data.atomic_numbers:
        raise ValueError(
            f"`start` must know the elements of the data {data.atomic_numbers}, got a model of "
            f"{force_field.atomic_numbers}; set data.atomic_numbers={force_field.atomic_numbers}"
        )
    return force_field.train(), vars(force_field)["table"]


def evaluate(config: DictConfig, run_dir: Path) -> None:
    """Judge a trained model on data, its own unless others are named; or measure properties of a crystal."""
    settings, clock = plain(config), Clock()
    force_field = mdzoo.load(settings["model"])
    if settings["properties"]:
        console.print(write_properties(force_field, settings, run_dir))
        return
    with clock("read"):
        data = data_module(own_data(config) | {"atomic_numbers": force_field.atomic_numbers})
        data.cutoff = force_field.cutoff
        data.setup()
    write_errors(force_field, data, run_dir, settings["seed"], clock)


def data_module(settings: dict[str, Any]) -> DataModule:
    """Return the data module of a data config."""
    return DataModule(**{key: value for key, value in settings.items() if key not in PLACES})


def own_data(config: DictConfig) -> dict[str, Any]:
    """Return the data config; where it names no source, that of the model's run with the given keys changed."""
    given = plain(config.data) if "data" in config else {}
    if any(given.get(split) for split in SPLITS):
        return given
    recorded = mdzoo.find_model(config.model).parent / "config.yaml"
    if not recorded.is_file():
        raise ValueError(f"`data` must be named, for {config.model} has no config.yaml beside it; say data.test=PATH")
    default = plain(compose("evaluate", ["model=none", f"seed={config.seed}"]).data)
    changed = {key: value for key, value in given.items() if value != default.get(key)}
    return plain(OmegaConf.load(recorded).data) | changed


def write_exported(
    force_field: ForceField, path: Path, frames: list[Any], dtype: str, config: dict[str, Any], how: str = "auto"
) -> None:
    """Write the TorchScript file, with a few small structures that show all elements as its references."""
    from mdzoo.export import torchscript

    few = references(frames, 3)
    torchscript.export(force_field, path, references=few, dtype=dtype, config=config, uncertainty=how)
    console.print(f"exported: {path}")


def references(frames: list[Any], count: int) -> list[Any]:
    """Return up to `count` small structures, first those that add elements not yet shown."""
    chosen: list[Any] = []
    for atoms in sorted(frames, key=len):
        shown = {int(z) for other in chosen for z in other.numbers}
        if len(chosen) < count or not set(atoms.numbers.tolist()) <= shown:
            chosen.append(atoms)
    return chosen


def write_errors(
    force_field: ForceField, data: DataModule, run_dir: Path, seed: int, clock: Clock
) -> dict[str, dict[str, Any]]:
    """Judge the model on every set; write `metrics.json` and `parity.png`, print the table and return the errors."""
    with clock("evaluate"):
        judgement = judge(force_field, data, seed, progress=True)
    model = summary(force_field)
    found = judgement.metrics | {"seconds": clock.seconds, "model": model, "data": data.content_hash}
    if force_field.potential.is_uncertain:
        from mdzoo.cli.uncertainty import judge_uncertainty

        found["uncertainty"] = judge_uncertainty(force_field, data, run_dir, model["name"])
    write_json(run_dir / "metrics.json", found)
    parity(judgement.tables, run_dir / "parity.png", model["name"])
    console.print(error_table(found, model["name"]))
    console.print(f"written: {run_dir}")
    return judgement.metrics


def flat(errors: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Return the numbers of each set by one name, as loggers want them."""
    return {
        f"{name}/{key}": value
        for name, part in errors.items()
        for key, value in part.items()
        if isinstance(value, float)
    }


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - other packages draw from it
    torch.manual_seed(seed)


def md(config: DictConfig, run_dir: Path) -> None:
    """Run molecular dynamics from an exported file."""
    from mdzoo.export import md, torchscript

    settings = plain(config)
    path = mdzoo.find_model(settings.pop("model"), "model.pt")
    model: Any = path if settings["engine"] == "lammps" else torchscript.load(path, settings["device"])
    known = torchscript.contracts.read(path)["atomic_numbers"]
    structure = settings.pop("structure") or supercell(crystal(known[0]), 64, 0.0)
    del settings["run_dir"]
    done = md.run(model, structure, trajectory=run_dir / "trajectory.extxyz", log=run_dir / "md.csv", **settings)
    write_json(run_dir / "md.json", done._asdict())
    console.print(motion_table(done._asdict(), f"{settings['ensemble']}, {settings['engine']}"))
    console.print(f"written: {run_dir}")


def time_model(config: DictConfig, run_dir: Path) -> None:
    """Time a model on supercells."""
    settings = plain(config)
    torch.set_num_threads(settings["threads"])
    force_field = mdzoo.load(settings["model"]).to(dtype_of(settings["dtype"]))
    atoms = read(settings["structure"])[0] if settings["structure"] else crystal(force_field.atomic_numbers[0])
    rows = benchmark(force_field, atoms, settings["sizes"], settings["repeats"])
    write_json(run_dir / "benchmark.json", {"rows": rows, "dtype": settings["dtype"], "threads": settings["threads"]})
    console.print(timing_table(rows, f"{summary(force_field)['name']}, {settings['dtype']}"))
    console.print(f"written: {run_dir}")


def dtype_of(name: str) -> torch.dtype:
    """Return the torch dtype of a name."""
    if name not in ("float64", "float32"):
        raise ValueError(f"`dtype` must be float64 or float32, got {name}; choose one")
    return getattr(torch, name)


def report(config: DictConfig, run_dir: Path) -> None:
    """Compare the errors of runs."""
    settings = plain(config)
    runs = {str(path.parent): json.loads(path.read_text()) for path in metrics_files(settings["runs"])}
    write_json(run_dir / "report.json", runs)
    console.print(compare(runs, settings["section"]))


def list_all(config: DictConfig, run_dir: Path | None) -> None:
    """Show the choices of every axis and the models that ship."""
    keep(run_dir, "list", lambda screen: screen.print(members(), models()))


def doctor(config: DictConfig, run_dir: Path | None) -> None:
    """Check data as they are, without the masks of their config, and the environment; without data that alone."""
    from mdzoo.data.doctor import examine, show
    from mdzoo.data.environment import environment

    settings = plain(config)["data"]
    if any(settings.get(split) for split in SPLITS):
        data = data_module(settings | {"stress_mask": None})
        data.setup()
        report = examine(data)
        keep(run_dir, "doctor", lambda screen: show(report, screen))
    else:
        keep(run_dir, "doctor", lambda screen: screen.print(pairs_table(environment())))


def keep(run_dir: Path | None, name: str, say: Callable[[Console], None]) -> None:
    """Say something on the terminal, and into a file of the run directory if there is one."""
    say(console)
    if run_dir is not None:
        with open(run_dir / f"{name}.txt", "w") as file:
            say(Console(file=file, width=140))


def elsewhere(name: str) -> Callable[[DictConfig, Any], None]:
    """Return a command that has a file of its own, imported when it is asked for."""
    return lambda config, run_dir: getattr(importlib.import_module(f"mdzoo.cli.{name}"), name)(config, run_dir)


COMMANDS: dict[str, Callable[[DictConfig, Any], None]] = {
    "train": train,
    "evaluate": evaluate,
    "export": elsewhere("export"),
    "infer": elsewhere("infer"),
    "md": md,
    "benchmark": time_model,
    "report": report,
    "search": elsewhere("search"),
    "list": list_all,
    "doctor": doctor,
    "lammps": elsewhere("lammps"),
}
