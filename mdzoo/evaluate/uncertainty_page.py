"""One HTML page of calibration: numbers beside those of a perfect model, and the plots that belong to them."""

import base64
import html
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mdzoo.evaluate.uncertainty import SureErrors

Array = np.ndarray
NAMES = {
    "coverage_50": "coverage of the 50 % interval",
    "coverage_90": "coverage of the 90 % interval",
    "coverage_95": "coverage of the 95 % interval",
    "miscalibration_area": "miscalibration area",
    "ence": "ENCE",
    "crps_over_rmse": "CRPS / RMSE",
    "nll": "negative log likelihood",
    "spearman": "Spearman's rho of |error| and deviation",
    "auc_worst": "AUC of the worst tenth",
}
UNITS = {"energy": "eV/atom", "forces": "eV/Angstrom"}
STYLE = (
    "body{font-family:sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .8em;border-bottom:1px solid #ccc;text-align:right}"
    "td:first-child,th:first-child{text-align:left}img{max-width:100%}.out{color:#b00}"
)


def write_page(
    path: str | Path, title: str, numbers: Mapping[str, Mapping[str, Any]], errors: Mapping[str, SureErrors]
) -> Path:
    """Write the page and return its path.

    Arguments:
        path: the file.
        title: what was judged.
        numbers: by quantity (`energy`, `forces`), what `metrics.json` says: numbers, `perfect`, `curve`, `groups`.
        errors: by quantity.
    """
    parts = [section(name, numbers[name], errors[name]) for name in numbers]
    head = f"<!doctype html><meta charset='utf-8'><title>{html.escape(title)}</title><style>{STYLE}</style>"
    text = (
        "Each number stands beside the central 99 % of what a perfect model with the same deviations would get on as "
        "many labels; those outside are red."
    )
    Path(path).write_text(f"{head}<h1>{html.escape(title)}</h1><p>{text}</p>{''.join(parts)}\n")
    return Path(path)


def section(name: str, numbers: Mapping[str, Any], errors: SureErrors) -> str:
    """Return the section of one quantity."""
    rows = [row(NAMES[key], numbers[key], numbers["perfect"].get(key)) for key in NAMES]
    groups = "".join(
        f"<tr><td>{html.escape(group)}</td><td>{found['n']}</td><td>{found['coverage_90']:.3f}</td>"
        f"<td>{found['rmse']:.4g}</td><td>{found['sharpness']:.4g}</td></tr>"
        for group, found in {**numbers.get("groups", {}), **numbers.get("elements", {})}.items()
    )
    picture = base64.b64encode(drawn(name, numbers, errors)).decode()
    return (
        f"<h2>{name}</h2><table><tr><th></th><th>found</th><th>perfect</th></tr>{''.join(rows)}</table>"
        f"<img alt='calibration of {name}' src='data:image/png;base64,{picture}'>"
        f"<table><tr><th>part</th><th>labels</th><th>coverage of 90 %</th><th>RMSE, {UNITS[name]}</th>"
        f"<th>said</th></tr>{groups}</table>"
    )


def row(name: str, value: float, band: Any) -> str:
    """Return one line of the table of numbers."""
    low, high = band or (-np.inf, np.inf)
    mark = "" if low <= value <= high else " class='out'"
    between = "" if band is None else f"{low:.3f} to {high:.3f}"
    return f"<tr><td>{html.escape(name)}</td><td{mark}>{value:.3f}</td><td>{between}</td></tr>"


def drawn(name: str, numbers: Mapping[str, Any], errors: SureErrors) -> bytes:
    """Return the PNG of three plots: coverage, errors over deviations, and errors in units of these."""
    figure = Figure(figsize=(12.0, 3.8), layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    draw_coverage(left, np.asarray(numbers["curve"]))
    draw_errors(middle, errors, UNITS[name])
    draw_scores(right, errors)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def draw_coverage(axes: Axes, curve: Array) -> None:
    """Draw the coverage of central intervals over their probability."""
    levels = np.concatenate([[0.0], np.linspace(0.01, 0.99, len(curve)), [1.0]])
    axes.plot([0, 1], [0, 1], color="#888888", linewidth=0.8)
    axes.plot(levels, np.concatenate([[0.0], curve, [1.0]]), color="#1f5fa8")
    axes.set(xlabel="probability of the interval", ylabel="labels inside", xlim=(0, 1), ylim=(0, 1))


def draw_errors(axes: Axes, errors: SureErrors, unit: str) -> None:
    """Draw |error| over deviation, and the root mean square of either in bins."""
    size = np.abs(errors.error).clip(min=1e-3 * errors.sigma)
    axes.scatter(errors.sigma, size, s=4, color="#bbbbbb", linewidths=0, rasterized=True)
    parts = np.array_split(np.argsort(errors.sigma), min(15, len(size)))
    x, y = (np.array([np.sqrt(np.square(v[p]).mean()) for p in parts]) for v in (errors.sigma, errors.error))
    axes.plot(x, y, "o-", color="#1f5fa8", markersize=4, label="root mean squares")
    axes.plot(x, x, color="#333333", linewidth=0.8, label="as said")
    axes.set(xscale="log", yscale="log", xlabel=f"deviation, {unit}", ylabel=f"|error|, {unit}")
    axes.legend(fontsize=8)


def draw_scores(axes: Axes, errors: SureErrors) -> None:
    """Draw the density of errors in units of the deviation beside the normal one."""
    z = (errors.error / errors.sigma).clip(-5.0, 5.0)
    grid = np.linspace(-5.0, 5.0, 201)
    axes.hist(z, bins=61, range=(-5.0, 5.0), density=True, color="#9dbfe0")
    axes.plot(grid, np.exp(-0.5 * grid**2) / np.sqrt(2.0 * np.pi), color="#333333", linewidth=0.8)
    axes.set(xlabel="error / deviation", ylabel="density")
