"""What each descriptor + Linear costs per atom and step of molecular dynamics, against body order and feature count.

A silicon crystal (or --elements of them at random) with its edges made before; one thread, CPU time; the contestants
take turns, and medians are shown. `energies` and `forces` are eager float64, `ratio` is of the same turn; `exported` is
energies, forces and virial from the TorchScript file. Weights are random: the arithmetic does not depend on them.

Examples:
  python scripts/bench_descriptors.py
  python scripts/bench_descriptors.py --only SO3 ACE --plot cost.png --json cost.json
"""

import argparse
import json
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from timeit import timeit
from typing import Any

import ase.build
import numpy as np
import torch
from ase import Atoms
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mdzoo.data import graph_from_atoms
from mdzoo.export.contract import INPUTS, inputs_of
from mdzoo.export.torchscript import export, load
from mdzoo.graph import Graph
from mdzoo.potentials import ForceField, build

NUMBERS = [14, 42, 28, 8]
WEIGHT = 1e-6  # eV, small: nothing is learnt here
G4 = [[eta, zeta, sign] for eta in (0.01, 0.05) for zeta in (1, 4) for sign in (1, -1)]
# name of a row: body order, table of the descriptor
MODELS: dict[str, tuple[int, dict[str, Any]]] = {
    "SO3 3": (3, {"name": "SO3", "K": 4, "L": 3, "body_order": 3}),
    "SO3 4, slides": (4, {"name": "SO3", "K": 4, "L": 3, "body_order": 4}),
    "SO3 4, full": (4, {"name": "SO3", "K": 4, "L": 3, "body_order": 4, "pairing": "full", "radial": "chebyshev"}),
    "SO3 5, slides": (5, {"name": "SO3", "K": [4, 4, 2], "L": [3, 3, 2], "body_order": 5, "radial": "chebyshev"}),
    "SO3 3, as SOAP": (3, {"name": "SO3", "K": 8, "L": 6, "body_order": 3, "radial": "chebyshev"}),
    "SOAP 3": (3, {"name": "Soap", "n_max": 8, "l_max": 6, "r_cut": 5.0, "cutoff": None}),
    "SOAP 3, as ACE": (3, {"name": "Soap", "n_max": 8, "l_max": 6, "r_cut": 5.0, "cutoff": 5.0, "width": 0.5}),
    "SOAP 3, QUIP": (3, {"name": "SoapQuip", "n_max": 8, "l_max": 6}),
    "ACE 3": (3, {"name": "ACE", "K": 4, "L": 3, "body_order": 3}),
    "ACE 4": (4, {"name": "ACE", "K": 4, "L": 3, "body_order": 4}),
    "ACE 5": (5, {"name": "ACE", "K": [4, 4, 4, 2], "L": [0, 3, 3, 2], "body_order": 5}),
    "ACE 3, as SOAP": (3, {"name": "ACE", "K": 8, "L": 6, "body_order": 3}),
    "ACSF": (3, {"name": "ACSF", "g2": [[eta, 0.0] for eta in (0.05, 0.2, 0.8, 3.2)], "g4": G4}),
    "SO4 2J=6": (4, {"name": "SO4", "twojmax": 6}),
    "SO4 2J=8": (4, {"name": "SO4", "twojmax": 8}),
    "MTP 12": (5, {"name": "MTP", "level": 12}),
    "MTP 16": (5, {"name": "MTP", "level": 16}),
    "MTP 20": (5, {"name": "MTP", "level": 20}),
    "POD": (4, {"name": "POD"}),
    "DeepMD": (3, {"name": "DeepMD"}),
}


def model(table: dict[str, Any], n_species: int, cutoff: float) -> ForceField:
    """Return descriptor + Linear with random weights."""
    torch.manual_seed(0)
    descriptor = {"cutoff": cutoff, "n_species": n_species, **table}
    regressor = {"name": "Linear", "n_features": build(descriptor).n_features, "n_species": n_species}
    learnt = build({"name": "DescriptorPotential", "descriptor": descriptor, "regressor": regressor})
    torch.nn.init.normal_(learnt.regressor.weights, 0.0, WEIGHT)
    return ForceField(learnt, NUMBERS[:n_species]).eval()


def crystal(size: int, n_species: int) -> Atoms:
    """Return a rattled crystal of 8 size^3 atoms, of the elements at random."""
    atoms = ase.build.bulk("Si", a=5.431, cubic=True) * (size, size, size)
    atoms.rattle(0.05, seed=0)
    atoms.numbers = np.random.default_rng(0).choice(NUMBERS[:n_species], len(atoms))
    atoms.numbers[:n_species] = NUMBERS[:n_species]
    return atoms


class Contestant:
    """One model on one crystal: calls whose CPU time is read."""

    def __init__(self, name: str, order: int, force_field: ForceField, atoms: Atoms, folder: str) -> None:
        self.name, self.order, self.features = name, order, force_field.potential.descriptor.n_features
        graph = graph_from_atoms(atoms, force_field.atomic_numbers, force_field.cutoff)
        small = crystal(1, len(force_field.atomic_numbers))
        self.calls = {
            "energies": torch.no_grad()(partial(force_field.potential, graph)),
            "forces": partial(force_field, graph),
            "exported": exported(force_field, graph, small, f"{folder}/{name}.pt", "float64"),
            "exported, float32": exported(force_field, graph, small, f"{folder}/{name}32.pt", "float32"),
        }
        for call in self.calls.values():
            call(), call()

    def turn(self, n_atoms: int) -> dict[str, float]:
        """Return the cost of each call in microseconds per atom."""
        return {k: timeit(call, timer=time.process_time, number=1) * 1e6 / n_atoms for k, call in self.calls.items()}


def exported(force_field: ForceField, graph: Graph, small: Atoms, path: str, dtype: str) -> Any:
    """Return the call of the exported model."""
    module = load(export(force_field, path, references=[small], dtype=dtype), check=False)
    inputs = inputs_of(graph)
    return partial(module, *[inputs[name] for name in INPUTS])


def figures(contestants: list[Contestant], n_atoms: int, repeats: int) -> list[dict[str, Any]]:
    """Return a row of medians for each contestant; they take turns."""
    turns = [[each.turn(n_atoms) for each in contestants] for _ in track(range(repeats), "turns")]
    rows = []
    for each, mine in zip(contestants, zip(*turns, strict=True), strict=True):
        row = {key: statistics.median(turn[key] for turn in mine) for key in mine[0]}
        ratio = statistics.median(turn["forces"] / turn["energies"] for turn in mine)
        rows.append({"name": each.name, "order": each.order, "features": each.features, **row, "ratio": ratio})
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """Print the table."""
    table = Table("descriptor", title="us per atom and step, one thread")
    keys = [key for key in rows[0] if key != "name"]
    for key in keys:
        table.add_column(key, justify="right")
    for row in rows:
        table.add_row(
            row["name"], *(f"{row[key]:.3g}" if isinstance(row[key], float) else str(row[key]) for key in keys)
        )
    Console(width=110).print(table)


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw the cost against the number of features, a mark for each body order."""
    from matplotlib.figure import Figure

    axes = (figure := Figure(figsize=(7, 4.5), layout="constrained")).add_subplot()
    for order, mark in ((3, "o"), (4, "s"), (5, "D")):
        mine = [row for row in rows if row["order"] == order]
        axes.scatter(
            [r["features"] for r in mine], [r["exported"] for r in mine], marker=mark, label=f"body order {order}"
        )
    for row in rows:
        axes.annotate(row["name"], (row["features"], row["exported"]), (4, 3), textcoords="offset points", fontsize=7)
    axes.set(xscale="log", yscale="log", xlabel="features", ylabel="us per atom and step, exported, float64")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[""], help="beginnings of the names of rows, by default all")
    parser.add_argument("--size", type=int, default=4, help="the crystal has 8 size^3 atoms (%(default)s)")
    parser.add_argument("--elements", type=int, default=1, choices=[1, 2, 3, 4], help="number of them (%(default)s)")
    parser.add_argument("--cutoff", type=float, default=5.0, help="Angstrom (%(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="turns (%(default)s)")
    parser.add_argument("--plot", type=Path, help="draw cost against features into this file")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    return parser.parse_args()


def main() -> None:
    """Time the models that were asked for."""
    options = parse()
    torch.set_num_threads(1)
    chosen = {k: v for k, v in MODELS.items() if k.startswith(tuple(options.only))}
    atoms = crystal(options.size, options.elements)
    with tempfile.TemporaryDirectory() as folder:
        contestants = [
            Contestant(name, order, model(table, options.elements, options.cutoff), atoms, folder)
            for name, (order, table) in track(chosen.items(), "models")
        ]
        rows = figures(contestants, len(atoms), options.repeats)
    show(rows)
    if options.plot:
        plot(rows, options.plot)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
