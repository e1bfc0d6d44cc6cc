"""mdzoo export: a model for the world outside."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

import mdzoo
from mdzoo.cli.commands import console, data_module, own_data, write_exported
from mdzoo.cli.config import plain
from mdzoo.data import DataModule
from mdzoo.evaluate.benchmark import crystal, supercell
from mdzoo.export import native


def export(config: DictConfig, run_dir: Path) -> None:
    """Write a model as one TorchScript file, machine code beside it, or parameter files of codes whose model it is.

    What LAMMPS runs has an input of LAMMPS beside it.
    """
    settings = plain(config)
    whole = mdzoo.load(settings["model"])
    made = vars(whole)["extra"].get("config", {})
    if settings["format"] == "metatomic":
        from mdzoo.export.metatomic import write_metatomic

        console.print(f"exported: {write_metatomic(run_dir / 'metatomic.pt', whole, settings['dtype'])}")
        return
    scripted = settings["format"] in ("torchscript", "aoti")
    if settings["format"] == "aoti":
        from mdzoo.export import aoti

        aoti.check(whole)
        aoti.compiler()
    force_field = whole if scripted else native.write(settings["format"], run_dir, whole)
    lines = native.pair_lines(settings["format"], whole.atomic_numbers, whole.cutoff)
    if lines:
        path = native.write_input(run_dir, lines, whole.atomic_numbers, some_crystal(whole.atomic_numbers), scripted)
        console.print(f"written: {path}")
    if force_field is None:
        return
    if settings["references"]:
        data = DataModule(None, test=settings["references"], atomic_numbers=force_field.atomic_numbers)
    else:
        data = data_module(own_data(config) | {"atomic_numbers": force_field.atomic_numbers})
    data.setup()
    frames, how = next(iter(data.sets().values())).charged_frames(), settings["uncertainty"]
    write_exported(force_field, run_dir / "model.pt", frames, settings["dtype"], made, how)
    if settings["format"] == "aoti":
        with console.status("compiling, which takes a minute or more"):
            path = aoti.write(force_field, run_dir / "model.pt")
        console.print(f"compiled: {path}")


def some_crystal(atomic_numbers: list[int]) -> Any:
    """Return 64 atoms of the first element that has a cubic crystal, None where none has."""
    for z in atomic_numbers:
        try:
            return supercell(crystal(z), 64, 0.0)
        except ValueError:
            continue
    return None
