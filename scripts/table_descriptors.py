"""Accuracy and cost of each descriptor + Linear (+ ZBL) in closed form, at about 50 to 1300 features, as Markdown.

Each cell is one `mdzoo train` with its own run directory under --out; what is finished is not done again, so a run that
was stopped goes on. Ridge and the weight of energies are chosen by grouped cross-validation on the training file; the
test file is looked at once, at the end of each fit. Step costs are CPU time of one thread from the exported file,
energies and forces of eight copies of the set's first structure; LAMMPS's snap is timed by scripts/bench_step.py.

Examples:
  python scripts/table_descriptors.py --data-root FOLDER                       # hours on two cores
  python scripts/table_descriptors.py --data-root FOLDER --sets Mo --only so3 ace --sizes 50 150
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from timeit import timeit
from typing import Any

import ase.io
import torch
from rich.progress import track

from mdzoo.data import graph_from_atoms
from mdzoo.export.contract import INPUTS, inputs_of
from mdzoo.export.torchscript import load

SETS = {  # a file whose first structure is timed, the cutoff, and what is trained on
    "Ni": ("zuo2020/Ni_test.extxyz", 4.1, ["data=zuo2020", "data.element=Ni"]),
    "Li": ("zuo2020/Li_test.extxyz", 6.0, ["data=zuo2020", "data.element=Li"]),
    "Mo": ("zuo2020/Mo_test.extxyz", 4.6, ["data=zuo2020", "data.element=Mo"]),
    "Si": ("zuo2020/Si_test.extxyz", 5.0, ["data=zuo2020", "data.element=Si"]),
    "InP": ("inp_fitsnap/InP_all.extxyz.gz", 5.0, ["data=inp_fitsnap"]),
}
COMMON = [
    "empirical=[zbl]",
    "empirical.zbl.inner=1.0",
    "empirical.zbl.outer=2.0",
    "regressor=linear",
    "fit=least_squares",
    "fit.weights.energy=[10.0,30.0,100.0,300.0]",
    "wandb=disabled",
]
Overrides = list[str] | Callable[[float], list[str]]


def symmetry_functions(
    n_radial: int, zetas: list[int], n_narrow: int, n_wide: int, widths: list[int], cutoff: float
) -> list[str]:
    """Return ACSF on a grid: G2 and G5 at even R_s, `widths` times as wide as apart; G4 of even widths at 0."""

    def even(n: int, last: float, width: float = 1.0) -> list[list[float]]:
        apart = cutoff * (last - 0.4) / (n - 1)
        return [[0.5 / (width * apart) ** 2, 0.4 * cutoff + k * apart] for k in range(n)]

    narrow = [[0.5 / (cutoff * k / n_narrow) ** 2, 0.0] for k in range(1, n_narrow + 1)]
    wide = [row for width in widths for row in even(n_wide, 0.9, width)]
    angles = [(zeta, sign) for zeta in zetas for sign in (1, -1)]
    g4, g5 = ([[eta, *angle, centre] for angle in angles for eta, centre in rows] for rows in (narrow, wide))
    tables = {"g2": even(n_radial, 1.0), "g4": g4, "g5": g5}
    texts = {key: ",".join(f"[{','.join(f'{x:.5g}' for x in row)}]" for row in rows) for key, rows in tables.items()}
    return ["descriptor.g1=false", *(f"descriptor.{key}=[{text}]" for key, text in texts.items())]


SO3 = ["descriptor.radial=chebyshev", "descriptor.stretch=0.0"]
# SO4 wants a shorter reach and a smaller angle than the rest: those of least held-out error in force at 2J = 8, of Ni
# at 2J = 16
SO4 = {"Ni": (3.9, 0.8), "Li": (6.0, 0.7), "Mo": (4.3, 0.8), "Si": (4.5, 0.8)}
# for each descriptor and size: overrides for sets of one element, or a function of the cutoff that gives them
ROWS: dict[str, dict[int, Overrides]] = {
    "so3": {
        50: [*SO3, "descriptor.K=[3,2]", "descriptor.L=[3,2]"],
        150: [*SO3, "descriptor.K=[5,3]", "descriptor.L=[3,2]"],
        500: [*SO3, "descriptor.K=[7,5,2]", "descriptor.L=[4,3,2]", "descriptor.body_order=5"],
        1300: [*SO3, "descriptor.K=[8,6,3]", "descriptor.L=[5,4,2]", "descriptor.body_order=5"],
    },
    "ace": {
        50: ["descriptor.K=[6,3,2]", "descriptor.L=[0,3,2]", "descriptor.stretch=0.0"],
        150: ["descriptor.K=[8,5,3]", "descriptor.L=[0,3,2]", "descriptor.stretch=0.0"],
        500: ["descriptor.K=[8,6,4,2]", "descriptor.L=[0,5,3,2]", "descriptor.body_order=5", "descriptor.stretch=0.0"],
    },
    "so4": {50: ["descriptor.twojmax=8"], 150: ["descriptor.twojmax=12"], 500: ["descriptor.twojmax=16"]},
    "mtp": {50: ["descriptor.level=14"], 150: ["descriptor.level=18"], 500: ["descriptor.level=20"]},
    "acsf": {
        50: partial(symmetry_functions, 14, [1, 4, 16], 3, 3, [1]),
        150: partial(symmetry_functions, 30, [1, 2, 4, 8, 16], 6, 6, [1]),
        500: partial(symmetry_functions, 50, [1, 2, 4, 8, 16], 6, 13, [1, 2, 3]),
    },
    "soap": {
        50: ["descriptor.n_max=4", "descriptor.l_max=4"],
        150: ["descriptor.n_max=6", "descriptor.l_max=6"],
        500: ["descriptor.n_max=10", "descriptor.l_max=8"],
    },
    "pod": {
        50: ["descriptor.K=[6,5,4]", "descriptor.P=[4,3]"],
        150: ["descriptor.K=[8,6,4,3]", "descriptor.P=[5,4,3]"],
        500: ["descriptor.K=[10,9,7,5]", "descriptor.P=[6,5,4]"],
    },
}
# the same for sets of two elements, where channels multiply
ROWS_OF_TWO: dict[str, dict[int, Overrides]] = {
    "so3": {
        50: [*SO3, "descriptor.K=[2,1]", "descriptor.L=[2,1]"],
        150: [*SO3, "descriptor.K=[3,2]", "descriptor.L=[2,1]"],
        500: [*SO3, "descriptor.K=[5,3]", "descriptor.L=[3,2]"],
    },
    "ace": {
        50: ["descriptor.K=[5,2,1]", "descriptor.L=[0,2,1]", "descriptor.stretch=0.0"],
        150: ["descriptor.K=[6,3,1]", "descriptor.L=[0,3,2]", "descriptor.stretch=0.0"],
        500: ["descriptor.K=[8,4,2]", "descriptor.L=[0,4,3]", "descriptor.stretch=0.0"],
    },
    "so4": {
        50: ["descriptor.chem=true", "descriptor.twojmax=3"],
        150: ["descriptor.chem=true", "descriptor.twojmax=5"],
        500: ["descriptor.chem=true", "descriptor.twojmax=8"],
    },
    "mtp": ROWS["mtp"],
    "acsf": {
        50: partial(symmetry_functions, 7, [1, 4], 3, 0, []),
        150: partial(symmetry_functions, 12, [1, 4, 16], 3, 4, [1]),
        500: partial(symmetry_functions, 25, [1, 2, 4, 8, 16], 5, 5, [1, 2]),
    },
    "soap": {
        50: ["descriptor.n_max=2", "descriptor.l_max=4"],
        150: ["descriptor.n_max=4", "descriptor.l_max=4"],
        500: ["descriptor.n_max=6", "descriptor.l_max=6"],
    },
    "pod": {
        50: ["descriptor.K=[6,4]", "descriptor.P=[3]"],
        150: ["descriptor.K=[6,5,4]", "descriptor.P=[4,3]"],
        500: ["descriptor.K=[8,6,4,3]", "descriptor.P=[5,4,3]"],
    },
}


def train(run_dir: Path, overrides: list[str]) -> dict[str, Any]:
    """Return the metrics of a run, trained unless it is finished."""
    if not (run_dir / "metrics.json").is_file():
        command = [sys.executable, "-m", "mdzoo.cli", "train", *overrides, f"run_dir={run_dir}"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return json.loads((run_dir / "metrics.json").read_text())


def step_cost(run_dir: Path, atoms: ase.Atoms) -> float:
    """Return the cost of energies, forces and virial in microseconds per atom, the least of five calls."""
    module = load(run_dir / "model.pt", check=False)
    inputs = inputs_of(graph_from_atoms(atoms, module.atomic_numbers, module.cutoff))
    arguments = [inputs[name] for name in INPUTS]
    times = [timeit(lambda: module(*arguments), timer=time.process_time, number=1) for _ in range(7)]
    return min(times[2:]) * 1e6 / len(atoms)


def cell(name: str, metrics: dict[str, Any], cost: float) -> str:
    """Return a row of the table."""
    test, model, seconds = metrics["test"], metrics["model"], metrics["seconds"]
    energy, force = test["intervals"]["energy_mae"], test["intervals"]["force_mae"]
    figures = [
        f"{1e3 * test['energy_mae']:.2f} ({1e3 * energy[0]:.2f} to {1e3 * energy[1]:.2f})",
        f"{test['force_mae']:.4f} ({force[0]:.4f} to {force[1]:.4f})",
        f"{seconds['fit']:.0f}",
        f"{cost:.0f}",
    ]
    return f"| {name} | {model['n_features']} | " + " | ".join(figures) + " |"


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True, help="folder that holds zuo2020/ and inp_fitsnap/")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS), help="data sets, by default all")
    parser.add_argument("--only", nargs="+", default=list(ROWS), choices=list(ROWS), help="descriptors, by default all")
    parser.add_argument("--sizes", nargs="+", type=int, default=[50, 150, 500, 1300], help="about as many features")
    parser.add_argument("--out", type=Path, default=Path("outputs/table"), help="for the runs (%(default)s)")
    return parser.parse_args()


def main() -> None:
    """Train what is missing and print the table of each set."""
    options = parse()
    torch.set_num_threads(1)
    for name in options.sets:
        file, cutoff, of_set = SETS[name]
        atoms = ase.io.read(Path(options.data_root) / file, 0).repeat(2)
        rows = ROWS_OF_TWO if name == "InP" else ROWS
        chosen = [(d, size, rows[d][size]) for d in options.only for size in options.sizes if size in rows[d]]
        lines = []
        for descriptor, size, extra in track(chosen, name):
            run_dir = options.out / name / f"{descriptor}_{size}"
            key = "r_cut" if descriptor == "soap" else "cutoff"
            reach = [f"descriptor.{key}={cutoff}"]
            if descriptor == "so4" and name in SO4:
                reach = [f"descriptor.cutoff={SO4[name][0]}", f"descriptor.rfac0={SO4[name][1]}"]
            overrides = [
                f"descriptor={descriptor}",
                *reach,
                f"data.root={options.data_root}",
                *of_set,
                *COMMON,
                *(extra(cutoff) if callable(extra) else extra),
            ]
            metrics = train(run_dir, overrides)
            lines.append(cell(descriptor, metrics, step_cost(run_dir, atoms)))
        print(f"\n{name}\n\n| descriptor | features | energy, meV/atom | force, eV/Angstrom | fit, s | us/atom/step |")
        print("|---|---|---|---|---|---|", *lines, sep="\n", flush=True)


if __name__ == "__main__":
    main()
