"""Accuracy and cost of each descriptor with each regressor (+ ZBL): Markdown tables, and plots with the Pareto front.

Each cell is one `mdzoo train` with its own run directory under --out; what is finished is not done again, so a table
that was stopped goes on. All pairs are fitted on Mo and Si; the five of least error there (geometric mean of energy and
force errors that the fits held out: test files do not choose) on Ni and Li. Settings are one for each regressor, not
tuned: ridge and weights of the closed forms come from grouped cross-validation on the training file; networks start
from the closed form and see a tenth of the training file for validation; descriptors have about 50 features. A
polynomial of degree 2 is `quadratic`. The test file is looked at once, at the end of each fit. Step costs are CPU time
of one thread from the exported file, energies, forces and virial of eight copies of the set's first structure; CPU
seconds are those of the whole command.

Examples:
  python scripts/table_regressors.py --data-root FOLDER                       # hours on two cores
  python scripts/table_regressors.py --data-root FOLDER --sets Mo --only so3 ace --regressors linear mlp
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from pathlib import Path
from timeit import timeit
from typing import Any

import ase.io
import matplotlib
import torch
from rich.progress import track

from mdzoo.data import graph_from_atoms
from mdzoo.export.contract import INPUTS, inputs_of
from mdzoo.export.torchscript import load

matplotlib.use("agg")
import matplotlib.pyplot as plt  # noqa: E402 - the back end comes first

Pair = tuple[str, str]  # descriptor and regressor
SETS = {"Mo": 4.6, "Si": 5.0, "Ni": 4.1, "Li": 6.0}  # with the cutoff, Angstrom
ALL, BEST, COUNT = ("Mo", "Si"), ("Ni", "Li"), 5
COMMON = ["data=zuo2020", "empirical=[zbl]", "empirical.zbl.inner=1.0", "empirical.zbl.outer=2.0", "wandb=disabled"]
# for each descriptor its words, for about 50 features
DESCRIPTORS: dict[str, list[str]] = {
    "so3": ["descriptor.radial=chebyshev", "descriptor.stretch=0.0", "descriptor.K=[3,2]", "descriptor.L=[3,2]"],
    "ace": ["descriptor.K=[6,3,2]", "descriptor.L=[0,3,2]", "descriptor.stretch=0.0"],
    "so4": ["descriptor.twojmax=8"],
    "mtp": ["descriptor.level=14", "descriptor.trainable=false"],
    "acsf": [],
    "soap": ["descriptor.n_max=4", "descriptor.l_max=4"],
    "soap_quip": ["descriptor.n_max=4", "descriptor.l_max=4"],
    "pod": ["descriptor.K=[6,5,4]", "descriptor.P=[4,3]"],
    "mliap_so3": ["descriptor.n_max=4", "descriptor.l_max=4"],
}
CLOSED = ["fit=least_squares", "fit.weights.energy=[10.0,30.0,100.0,300.0]"]
REGRESSORS: dict[str, list[str]] = {
    "linear": CLOSED,
    "quadratic": CLOSED,
    "sparse_gp": [
        *CLOSED,
        "regressor.kernel={name: DotProduct, zeta: 2, sigma0: 0.0}",
        *["regressor.scaled=false", "regressor.selection=farthest"],
    ],
    "mlp": [
        *["fit=sgd", "fit.start=least_squares", "fit.freeze=['*linear.weights']", "fit.weights.energy=30.0"],
        *["regressor.hidden=[16,16]", "regressor.members=4", "fit.lr=2e-3", "fit.epochs=12", "fit.batch_size=4"],
        "data.val_fraction=0.1",
    ],
}
CUTOFF = {"soap": "r_cut"}  # names of the cutoff other than `cutoff`


def overrides(element: str, descriptor: str, regressor: str, data_root: str) -> list[str]:
    """Return the words of a fit."""
    words = [f"data.root={data_root}", f"data.element={element}", *COMMON, f"regressor={regressor}"]
    words += [f"descriptor={descriptor}", *DESCRIPTORS[descriptor], *REGRESSORS[regressor]]
    return [*words, f"descriptor.{CUTOFF.get(descriptor, 'cutoff')}={SETS[element]}"]


def train(run_dir: Path, words: list[str]) -> dict[str, Any] | None:
    """Return the metrics of a run, trained unless it is finished; None where the pair cannot be fitted."""
    if (run_dir / "failed.txt").is_file():
        return None
    if not (run_dir / "metrics.json").is_file():
        command = [sys.executable, "-m", "mdzoo.cli", "train", *words, f"run_dir={run_dir}"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        done = subprocess.run(command, capture_output=True, text=True)
        seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
        if done.returncode:
            run_dir.mkdir(parents=True, exist_ok=True)
            (run_dir / "failed.txt").write_text(f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
            print(f"{run_dir}: {done.stderr.strip()[-300:]}", flush=True)
            return None
        (run_dir / "cpu.json").write_text(json.dumps(seconds))
    return json.loads((run_dir / "metrics.json").read_text())


def step_cost(run_dir: Path, atoms: ase.Atoms) -> float:
    """Return the cost of energies, forces and virial in microseconds per atom, the least of five calls."""
    kept = run_dir / "cost.json"
    if not kept.is_file():
        module = load(run_dir / "model.pt", check=False)
        inputs = inputs_of(graph_from_atoms(atoms, module.atomic_numbers, module.cutoff))
        arguments = [inputs[name] for name in INPUTS]
        times = [timeit(lambda: module(*arguments), timer=time.process_time, number=1) for _ in range(7)]
        kept.write_text(json.dumps(min(times[2:]) * 1e6 / len(atoms)))
    return float(json.loads(kept.read_text()))


def held_out(run_dir: Path) -> float:
    """Return the geometric mean of the energy and force errors on held-out training data, by the log of the fit."""
    lines = (run_dir / "log" / "metrics.csv").read_text().splitlines()
    rows = [dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:]]
    for stage in ("held_out", "val"):
        found = [(r.get(f"{stage}/energy_rmse"), r.get(f"{stage}/force_rmse")) for r in rows]
        scores = [math.sqrt(float(e) * float(f)) for e, f in found if e and f]
        if scores:
            return min(scores)
    return math.inf


def row(name: str, metrics: dict[str, Any], seconds: float, cost: float) -> str:
    """Return a row of the table."""
    test, model = metrics["test"], metrics["model"]
    energy, force = test["intervals"]["energy_mae"], test["intervals"]["force_mae"]
    figures = [
        f"{1e3 * test['energy_mae']:.2f} ({1e3 * energy[0]:.2f} to {1e3 * energy[1]:.2f})",
        f"{test['force_mae']:.4f} ({force[0]:.4f} to {force[1]:.4f})",
        f"{seconds:.0f}",
        f"{cost:.0f}",
    ]
    return f"| {name} | {model['n_features']} | " + " | ".join(figures) + " |"


def front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return those points (cost, error) that none is both cheaper and better than, by cost."""
    best, out = math.inf, []
    for cost, error in sorted(points):
        if error < best:
            best = error
            out.append((cost, error))
    return out


def plot(element: str, cells: dict[Pair, tuple[float, float]], path: Path) -> None:
    """Draw force error against step cost with the Pareto front."""
    figure, axes = plt.subplots(figsize=(7.0, 5.0))
    for regressor in dict.fromkeys(pair[1] for pair in cells):
        mine = {pair[0]: xy for pair, xy in cells.items() if pair[1] == regressor}
        axes.plot(*zip(*mine.values(), strict=True), "o", label=regressor)
        for name, xy in mine.items():
            axes.annotate(name, xy, fontsize=7, xytext=(3, 3), textcoords="offset points")
    axes.plot(*zip(*front(list(cells.values())), strict=True), "-", color="grey", linewidth=1.0, label="Pareto front")
    axes.set(xscale="log", yscale="log", xlabel="us per atom and step", ylabel="force MAE, eV/Angstrom", title=element)
    axes.legend()
    figure.savefig(path, dpi=150, bbox_inches="tight")
    plt.close(figure)


def element_table(
    element: str, pairs: list[tuple[str, str]], options: argparse.Namespace
) -> dict[tuple[str, str], float]:
    """Train what is missing of one element, print its table, draw its plot; return the held-out score of each pair."""
    atoms = ase.io.read(Path(options.data_root) / f"zuo2020/{element}_test.extxyz", 0).repeat(2)
    lines, cells, scores = [], {}, {}
    for descriptor, regressor in track(pairs, element):
        run_dir = options.out / element / f"{descriptor}_{regressor}"
        metrics = train(run_dir, overrides(element, descriptor, regressor, options.data_root))
        if metrics is None:
            continue
        cost = step_cost(run_dir, atoms)
        cells[(descriptor, regressor)] = (cost, metrics["test"]["force_mae"])
        scores[(descriptor, regressor)] = held_out(run_dir)
        seconds = json.loads((run_dir / "cpu.json").read_text())
        lines.append(row(f"{descriptor} + {regressor}", metrics, seconds, cost))
    print(f"\n{element}\n\n| model | features | energy, meV/atom | force, eV/Angstrom | CPU s | us/atom/step |")
    print("|---|---|---|---|---|---|", *lines, sep="\n", flush=True)
    if cells:
        plot(element, cells, options.out / f"{element}.png")
    return scores


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True, help="folder that holds zuo2020/")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS), help="by default all")
    parser.add_argument("--only", nargs="+", default=list(DESCRIPTORS), choices=list(DESCRIPTORS), help="descriptors")
    parser.add_argument(
        "--regressors", nargs="+", default=list(REGRESSORS), choices=list(REGRESSORS), help="by default all"
    )
    parser.add_argument("--out", type=Path, default=Path("outputs/table_regressors"), help="for the runs (%(default)s)")
    return parser.parse_args()


def main() -> None:
    """Make the tables."""
    options = parse()
    torch.set_num_threads(1)
    pairs = [(d, r) for r in options.regressors for d in options.only]
    scores = {element: element_table(element, pairs, options) for element in ALL if element in options.sets}
    common = [pair for pair in pairs if all(pair in found for found in scores.values())]
    ranked = sorted(common, key=lambda pair: math.prod(found[pair] for found in scores.values()))
    for element in BEST:
        if element in options.sets:
            element_table(element, ranked[:COUNT], options)


if __name__ == "__main__":
    main()
