"""Properties as a table and as a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from mdzoo.evaluate.plots import COLORS, STYLE
from mdzoo.evaluate.properties.reference import plain_numbers
from mdzoo.evaluate.report import new_table

UNITS = {"a": "Å", "b": "Å", "c": "Å", "energy": "eV/atom", "atom_volume": "Å³", "B": "GPa", "B'": "", "vacancy": "eV"}


def unit_of(name: str) -> str:
    """Return the unit of a property."""
    if name in UNITS:
        return UNITS[name]
    return "GPa" if name.startswith("C") else "J/m²" if name.startswith("surface") else "THz"


def properties_table(found: Mapping[str, Any], reference: Mapping[str, float], title: str = "") -> Table:
    """Return the properties, one line each, beside the reference values where there are some."""
    table = new_table(title, "property", "unit", "model", "reference", "difference")
    for name, value in plain_numbers(found).items():
        cells = [name.replace("_", " "), unit_of(name), f"{value:.5g}"]
        if name in reference:
            cells += [f"{reference[name]:.5g}", f"{value - reference[name]:+.3g}"]
        table.add_row(*cells)
    return table


def draw(found: Mapping[str, Any], reference: Mapping[str, float], path: str | Path, title: str = "") -> Path:
    """Draw what was measured, the equation of state, the phonons and the numbers beside their references, as a PNG."""
    panels = [(key, draw_it) for key, draw_it in PANELS.items() if key in found]
    shares = [name for name in plain_numbers(found) if reference.get(name)]
    with matplotlib.rc_context(STYLE):
        count = len(panels) + bool(shares) or 1
        figure = Figure(figsize=(0.6 + 3.6 * count, 3.4), dpi=150, layout="constrained")
        axes = figure.subplots(1, count, squeeze=False)[0]
        figure.suptitle(title, fontsize=11, fontweight="bold")
        for place, (_, draw_it) in zip(axes, panels, strict=False):
            draw_it(place, found, reference)
        if shares:
            draw_shares(axes[-1], found, reference, shares)
        figure.savefig(path)
    return Path(path)


def draw_curve(axes: Axes, found: Mapping[str, Any], reference: Mapping[str, float]) -> None:
    """Draw the energy against the volume."""
    axes.plot(found["volume"], found["curve"], "o-", color=COLORS[0], markersize=4, linewidth=1.0)
    axes.set(title="Equation of state", xlabel="volume (Å³/atom)", ylabel="energy (eV/atom)")
    if "energy" in reference:
        axes.axhline(reference["energy"], color="#555555", linewidth=0.8, linestyle=":", label="reference")
        axes.legend()


def draw_phonons(axes: Axes, found: Mapping[str, Any], reference: Mapping[str, float]) -> None:
    """Draw the frequencies along the path."""
    axes.plot(found["distance"], found["path"], color=COLORS[0], linewidth=0.9)
    axes.axhline(0.0, color="#333333", linewidth=0.6)
    for corner in found["corners"]:
        axes.axvline(corner, color="#cccccc", linewidth=0.6, zorder=0)
    axes.set_xticks(found["corners"], [label.replace("G", "Γ") for label in found["labels"]])
    axes.set(title="Phonons", ylabel="THz", xlim=(0.0, found["distance"][-1]))


def draw_shares(axes: Axes, found: Mapping[str, Any], reference: Mapping[str, float], names: list[str]) -> None:
    """Draw the differences from the reference in per cent."""
    shares = [100.0 * (found[name] / reference[name] - 1.0) for name in names]
    axes.barh(range(len(names)), shares, color=COLORS[1], height=0.6)
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    axes.axvline(0.0, color="#333333", linewidth=0.8)
    axes.set(title="Against the reference", xlabel="difference (%)")
    axes.invert_yaxis()


PANELS = {"curve": draw_curve, "path": draw_phonons}
