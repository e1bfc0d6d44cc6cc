"""The plugin of LAMMPS, built from the command line."""

from pathlib import Path

from omegaconf import DictConfig

from mdzoo.cli.commands import console
from mdzoo.cli.config import plain
from mdzoo.export.lammps.build import build


def lammps(config: DictConfig, run_dir: Path | None) -> None:
    """Build the plugin of LAMMPS and say how to use it."""
    settings = plain(config)
    if settings["action"] != "build":
        raise ValueError(f"`action` must be build, got {settings['action']}; say mdzoo lammps build")
    with console.status("compiling pair_style mdzoo, which takes a minute or two"):
        path = build(settings["headers"], settings["mpi"], settings["sizes"], settings["output"])
    console.print(f"built: {path}")
    if settings["headers"] or settings["output"]:
        console.print(f"export LAMMPS_PLUGIN_PATH={path.parent}, or in the input: plugin load {path}")
