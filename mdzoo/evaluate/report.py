"""The errors as a table that fits a terminal."""

from typing import Any

from rich.console import Console
from rich.table import Table

from mdzoo.units import GPA

COLUMNS = (  # header, key, factor, digits
    ("energy MAE", "energy_mae", 1e3, 2),
    ("RMSE\nmeV/atom", "energy_rmse", 1e3, 2),
    ("force MAE", "force_mae", 1.0, 4),
    ("RMSE\neV/Å", "force_rmse", 1.0, 4),
    ("stress MAE", "stress_mae", GPA, 3),
    ("RMSE\nGPa", "stress_rmse", GPA, 3),
)


def error_table(metrics: dict[str, Any], title: str = "") -> Table:
    """Return the table of the sections of `metrics.json` (train, test, ...), the groups of the test set below it."""
    table = Table(title=title or None, header_style="bold", title_style="bold")
    table.add_column("set")
    for header in ("structures", "atoms", *(column[0] for column in COLUMNS)):
        table.add_column(header, justify="right")
    sections = {name: part for name, part in metrics.items() if isinstance(part, dict) and "n_atoms" in part}
    for name, part in sections.items():
        table.add_row(*row(name.replace("_", " "), part), style="bold" if name == "test" else None)
        if name == "test" and len(part["groups"]) > 1:
            for group, errors in part["groups"].items():
                table.add_row(*row(f"  {group}", errors), style="dim")
    return table


def row(name: str, part: dict[str, Any]) -> list[str]:
    """Return the cells of one line; a 95 % interval stands behind the MAE where there is one."""
    cells = [name, str(part["n_structures"]), str(part["n_atoms"])]
    for _, key, factor, digits in COLUMNS:
        value = part.get(key)
        text = "" if value is None else f"{factor * value:.{digits}f}"
        interval = part.get("intervals", {}).get(key)
        if interval and key.endswith("mae"):
            text += f"\n{factor * interval[0]:.{digits}f}-{factor * interval[1]:.{digits}f}"
        cells.append(text)
    return cells


def print_errors(metrics: dict[str, Any], title: str = "", console: Console | None = None) -> None:
    """Print the table of errors."""
    (console or Console()).print(error_table(metrics, title))


def compare(runs: dict[str, dict[str, Any]], section: str = "test") -> Table:
    """Return one line for each run, best force error first: the errors of `section` and the seconds of the fit."""
    table = Table(title=f"{section} errors", header_style="bold", title_style="bold")
    table.add_column("run")
    for header in ("structures", "atoms", *(column[0] for column in COLUMNS), "fit\nseconds"):
        table.add_column(header, justify="right")
    known = {name: run for name, run in runs.items() if section in run}
    for name in sorted(known, key=lambda name: known[name][section].get("force_mae", float("inf"))):
        seconds = known[name].get("seconds", {}).get("fit")
        table.add_row(*row(name, known[name][section]), "" if seconds is None else f"{seconds:.1f}")
    return table
