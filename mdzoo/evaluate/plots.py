"""A parity plot of energies and forces that shows where the errors are."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mdzoo.evaluate.predict import Array, Predictions

TRAIN = "#b8bdc6"
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#8c6d31")
STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.frameon": False,
}


def parity(tables: dict[str, Predictions], path: str | Path, title: str = "") -> Path:
    """Draw predicted against reference energies and forces, with their differences below, and write a PNG.

    Arguments:
        tables: predictions by the name of the set; `test` stands in colour, `train` in grey behind it.
        path: file to write.
        title: heading of the picture.
    """
    name = "test" if "test" in tables else next(iter(tables))
    shown, train = tables[name], tables.get("train") if name == "test" else None
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 5.4), dpi=150, layout="constrained")
        (top_left, top_right), (low_left, low_right) = figure.subplots(
            2, 2, gridspec_kw={"height_ratios": [3, 1]}, sharex="col"
        )
        figure.suptitle(f"{title} ({name} set)".strip(), fontsize=11, fontweight="bold")
        draw_energies(top_left, low_left, shown, train)
        draw_forces(top_right, low_right, shown)
        figure.align_ylabels()
        figure.savefig(path)
    return Path(path)


def draw_energies(top: Axes, low: Axes, table: Predictions, train: Predictions | None) -> None:
    """Draw energies per atom over the reference energies, a colour for each group; the table sets the range."""
    if train is not None:
        x, y = energies(train)
        top.scatter(x, y, s=8, color=TRAIN, linewidths=0, label=f"train ({len(x)})")
        low.scatter(x, 1e3 * (y - x), s=8, color=TRAIN, linewidths=0)
    x, y = energies(table)
    for place, name in enumerate(sorted(set(table.group))):
        rows, color = table.group == name, COLORS[place % len(COLORS)]
        top.scatter(x[rows], y[rows], s=18, color=color, alpha=0.85, linewidths=0, label=f"{name} ({rows.sum()})")
        low.scatter(x[rows], 1e3 * (y[rows] - x[rows]), s=18, color=color, alpha=0.85, linewidths=0)
    errors = y - x
    text = f"MAE {mae(errors) * 1e3:.2f} meV/atom\nRMSE {rms(errors) * 1e3:.2f} meV/atom"
    finish(top, low, np.concatenate([x, y]), "Energy", "eV/atom", text)
    low.set_ylabel("error\nmeV/atom")
    top.legend(loc="lower right", fontsize=7, markerscale=1.2, handletextpad=0.2, labelspacing=0.3)


def draw_forces(top: Axes, low: Axes, table: Predictions) -> None:
    """Draw force components, coloured by how many lie close by."""
    x, y = table.forces_label.ravel(), table.forces.ravel()
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    for axes, rows in ((top, y), (low, y - x)):
        crowd = density(x, rows)
        order = np.argsort(crowd)
        axes.scatter(x[order], rows[order], c=crowd[order], s=6, cmap="viridis", linewidths=0, rasterized=True)
    errors = y - x
    text = f"MAE {mae(errors):.4f} eV/Å\nRMSE {rms(errors):.4f} eV/Å"
    finish(top, low, np.concatenate([x, y]), "Force components", "eV/Å", text)
    low.set_ylabel("error\neV/Å")


def finish(top: Axes, low: Axes, values: Array, title: str, unit: str, errors: str) -> None:
    """Draw the diagonal and the zero line over the range of `values`, name the axes, and write the errors."""
    known = values[np.isfinite(values)]
    low_end, high_end = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    margin = 0.05 * (high_end - low_end) or 1.0
    limits = [low_end - margin, high_end + margin]
    top.plot(limits, limits, color="#333333", linewidth=0.8, zorder=0)
    top.set(xlim=limits, ylim=limits, title=title, ylabel=f"predicted ({unit})")
    top.text(0.04, 0.96, errors, transform=top.transAxes, va="top", fontsize=9)
    low.axhline(0.0, color="#333333", linewidth=0.8, zorder=0)
    reach = max(abs(value) for value in low.get_ylim())
    low.set(xlabel=f"reference ({unit})", ylim=(-reach, reach))


def energies(table: Predictions) -> tuple[Array, Array]:
    """Return reference and predicted energy per atom, over the reference energies of the elements."""
    return (
        (table.energy_label - table.reference) / table.n_atoms,
        (table.energy - table.reference) / table.n_atoms,
    )


def density(x: Array, y: Array, bins: int = 60) -> Array:
    """Return, for each point, the logarithm of the number of points in its cell of a grid."""
    if len(x) == 0:
        return x
    counts, x_edges, y_edges = np.histogram2d(x, y, bins=bins)
    column = np.clip(np.digitize(x, x_edges) - 1, 0, bins - 1)
    line = np.clip(np.digitize(y, y_edges) - 1, 0, bins - 1)
    return np.log1p(counts[column, line])


def mae(errors: Array) -> float:
    """Return the mean absolute value of what is known."""
    return float(np.nanmean(np.abs(errors))) if np.isfinite(errors).any() else float("nan")


def rms(errors: Array) -> float:
    """Return the root mean square of what is known."""
    return float(np.sqrt(np.nanmean(np.square(errors)))) if np.isfinite(errors).any() else float("nan")
