"""What the data say of the parameters of a model, behind a fit or of a finished run."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

import mdzoo
from mdzoo.bayes import infer as infer_parameters
from mdzoo.cli.commands import data_module, own_data, seed_everything, write_errors, write_exported
from mdzoo.cli.config import plain
from mdzoo.cli.run_dir import Clock
from mdzoo.data import DataModule
from mdzoo.potentials import ForceField, checkpoint


def inferred(
    force_field: ForceField, data: DataModule, settings: dict[str, Any], fit: dict[str, Any] | None, run_dir: Path
) -> ForceField:
    """Return the force field with what the axis `bayes` says of its parameters."""
    given = settings.get("prior"), settings.get("likelihood")
    return infer_parameters(
        force_field, data, settings["bayes"], *given, run_dir=run_dir, fit=fit, seed=settings["seed"]
    )


def infer(config: DictConfig, run_dir: Path) -> None:
    """Infer the parameters of a finished run, and write what a run writes."""
    settings, clock = plain(config), Clock()
    seed_everything(settings["seed"])
    fitted = mdzoo.load(settings["model"])
    with clock("read"):
        data = data_module(own_data(config) | {"atomic_numbers": fitted.atomic_numbers})
        data.cutoff = fitted.cutoff
        data.setup()
    made = vars(fitted)["extra"].get("config", {})
    with clock("infer"):
        force_field = inferred(fitted, data, settings, made.get("fit"), run_dir)
    made |= {key: settings.get(key) for key in ("bayes", "prior", "likelihood", "seed")}
    OmegaConf.save(OmegaConf.create({**made, "run_dir": str(run_dir)}), run_dir / "config.yaml")
    table, extra = vars(force_field)["table"], vars(force_field)["extra"]
    made |= {"inference": extra["inference"]} if "inference" in extra else {}
    kept = {**extra, "config": made, "data": data.content_hash}
    checkpoint.save(run_dir / "model.safetensors", force_field, table, kept)
    write_exported(force_field, run_dir / "model.pt", data.sets()["train"].charged_frames(), settings["dtype"], made)
    write_errors(force_field, data, run_dir, settings["seed"], clock)
