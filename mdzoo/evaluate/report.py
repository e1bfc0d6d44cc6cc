"""The errors as a table that fits a terminal."""

import glob
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from mdzoo.units import GPA

COLUMNS = (  # header, key, factor, digits
    ("energy\nMAE", "energy_mae", 1e3, 2),
    ("meV/atom\nRMSE", "energy_rmse", 1e3, 2),
    ("force\nMAE", "force_mae", 1.0, 4),
    ("eV/Å\nRMSE", "force_rmse", 1.0, 4),
    ("stress\nMAE", "stress_mae", GPA, 2),
    ("GPa\nRMSE", "stress_rmse", GPA, 2),
)
CHARGES = (("charge\nMAE", "charge_mae", 1e3, 2), ("me\nRMSE", "charge_rmse", 1e3, 2))
Column = tuple[str, str, float, int]


def columns_of(parts: Iterable[dict[str, Any]]) -> tuple[Column, ...]:
    """Return the columns that the sections of `metrics.json` fill; charges only where a model finds them."""
    return COLUMNS + CHARGES if any("charge_mae" in part for part in parts) else COLUMNS


def error_table(metrics: dict[str, Any], title: str = "") -> Table:
    """Return the table of the sections of `metrics.json` (train, test, ...), the groups of the test set below it."""
    sections = {name: part for name, part in metrics.items() if isinstance(part, dict) and "n_atoms" in part}
    columns = columns_of(sections.values())
    table = new_table(title, "set", "frames", "atoms", *(column[0] for column in columns))
    for name, part in sections.items():
        table.add_row(*row(name.replace("_", " "), part, columns), style="bold" if name == "test" else None)
        if name == "test" and len(part["groups"]) > 1:
            for group, errors in part["groups"].items():
                table.add_row(*row(f"  {group}", errors, columns), style="dim")
    return table


def pairs_table(pairs: dict[str, str]) -> Table:
    """Return a table of names and values without a header."""
    table = Table(box=None, show_header=False, padding=(0, 1))
    for name, value in pairs.items():
        table.add_row(name, value)
    return table


def new_table(title: str, *headers: str) -> Table:
    """Return an empty table; its first column is text, the others are numbers."""
    table = Table(title=title or None, header_style="bold", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1))
    for place, header in enumerate(headers):
        table.add_column(header, justify="right" if place else "left", no_wrap=place > 0, min_width=0 if place else 8)
    return table


def row(name: str, part: dict[str, Any], columns: tuple[Column, ...]) -> list[str]:
    """Return the cells of one line; half its 95 % interval stands below the MAE."""
    cells = [name, str(part["n_structures"]), str(part["n_atoms"])]
    for _, key, factor, digits in columns:
        value = part.get(key)
        text = "" if value is None else f"{factor * value:.{digits}f}"
        interval = part.get("intervals", {}).get(key)
        if interval and key.endswith("mae"):
            text += f"\n±{0.5 * factor * (interval[1] - interval[0]):.{digits}f}"
        cells.append(text)
    return cells


def print_errors(metrics: dict[str, Any], title: str = "", console: Console | None = None) -> None:
    """Print the table of errors."""
    (console or Console()).print(error_table(metrics, title))


def motion_table(run: dict[str, Any], title: str = "") -> Table:
    """Return what molecular dynamics was like: the numbers of `mdzoo.export.md.Summary`."""
    units = ("energy drift\nmeV/atom/ps", "spread\nmeV/atom")
    table = new_table(title, "steps", "ps", "atoms", "K", "GPa", *units, "seconds")
    temperature = f"{run['temperature']:.0f} ± {run['temperature_std']:.0f}"
    conserved = [f"{run['drift']:.2e}", f"{run['spread']:.2e}"]
    counts = [str(run["steps"]), f"{run['time']:g}", str(run["atoms"])]
    table.add_row(*counts, temperature, f"{run['pressure']:.2f}", *conserved, f"{run['seconds']:.1f}")
    return table


def compare(runs: dict[str, dict[str, Any]], section: str = "test") -> Table:
    """Return one line for each run, best force error first: the errors of `section` and the seconds of the fit."""
    known = {name: run for name, run in runs.items() if section in run}
    columns = columns_of(run[section] for run in known.values())
    table = new_table(f"{section} errors", "run", "frames", "atoms", *(column[0] for column in columns), "fit\ns")
    for name in sorted(known, key=lambda name: known[name][section].get("force_mae", float("inf"))):
        seconds = known[name].get("seconds", {}).get("fit")
        table.add_row(*row(name, known[name][section], columns), "" if seconds is None else f"{seconds:.1f}")
    return table


def metrics_files(runs: str | list[str]) -> list[Path]:
    """Return the `metrics.json` of each run directory, file or glob."""
    found: list[Path] = []
    for pattern in [runs] if isinstance(runs, str) else runs:
        paths = [Path(name) for name in sorted(glob.glob(pattern, recursive=True))]
        found += [path / "metrics.json" if path.is_dir() else path for path in paths]
    files = [path for path in found if path.is_file()]
    if not files:
        raise FileNotFoundError(f"`runs` must name run directories or metrics.json files, got {runs}; see outputs/")
    return files
