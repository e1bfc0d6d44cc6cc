"""Retrain an empirical potential of silicon on energies, forces and stresses, alone; what it was and what it becomes.

All parameters that its experiment names (conf/experiment/retrain_*.yaml), and the energy of an atom alone, are found by
least squares on the training file (SciPy's trust region, differences for the Jacobian); the test file judges. Written
to --out: the model, its exported file, LAMMPS's own files of it, and report.json with errors, seconds, lattice
constant, cohesive energy and elastic constants before and after.

Examples:
  python scripts/retrain.py --potential tersoff --data silicon --out outputs/retrained
  python scripts/retrain.py --potential stillinger_weber --data zuo2020 --data-root FOLDER --out outputs/retrained
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import ase.build
import numpy as np
import torch
from scipy.optimize import least_squares
from torch import Tensor

from mdzoo.cli.commands import data_module
from mdzoo.cli.config import compose, plain
from mdzoo.data import DataModule
from mdzoo.data.labels import Batch
from mdzoo.data.parameter_files import with_file
from mdzoo.evaluate.judge import judge
from mdzoo.evaluate.properties import measure
from mdzoo.export.native.lammps import write_lammps
from mdzoo.export.torchscript import export
from mdzoo.fit.loss import Target, targets
from mdzoo.potentials import ForceField, build, checkpoint
from mdzoo.potentials.assemble import assemble


class Problem:
    """The weighted residuals of a force field as a function of its parameters and of the energy of an atom alone."""

    def __init__(self, force_field: ForceField, batches: list[Batch], chosen: list[Target]) -> None:
        self.force_field, self.batches, self.targets = force_field.eval(), batches, chosen
        self.constant = force_field.potential.terms[0].energies
        self.parameters = [p for p in force_field.parameters() if p.requires_grad]
        self.calls = 0

    def start(self) -> np.ndarray:
        """Return the parameters, the energy of an atom last."""
        return np.append(torch.nn.utils.parameters_to_vector(self.parameters).detach().numpy(), float(self.constant[0]))

    @torch.no_grad()
    def set(self, theta: np.ndarray) -> None:
        """Take them."""
        torch.nn.utils.vector_to_parameters(torch.as_tensor(theta[:-1]), self.parameters)
        self.constant.fill_(float(theta[-1]))

    def residuals(self, theta: np.ndarray) -> np.ndarray:
        """Return the weighted errors of all labels: their squares add up to the loss."""
        self.set(theta)
        self.calls += 1
        parts: list[Tensor] = []
        for graph, labels in self.batches:
            prediction = self.force_field(graph)
            for target in self.targets:
                found = target.residual(prediction, graph, labels)
                parts.append(target.weight * found.weight.sqrt() * found.error.detach())
        return torch.cat(parts).nan_to_num(1e3, 1e3, -1e3).numpy()

    def set_constant(self) -> None:
        """Give the energy of an atom alone the value that leaves no mean error in the energies."""
        errors = [
            (labels.energy - self.force_field(graph).energy) / torch.bincount(graph.batch)
            for graph, labels in self.batches
        ]
        with torch.no_grad():
            self.constant += torch.cat(errors).detach().nanmean()


def retrain(problem: Problem) -> float:
    """Leave the best parameters in the force field; return the seconds of CPU that it took."""
    begin = time.process_time()
    done = least_squares(
        problem.residuals, problem.start(), x_scale="jac", method="trf", xtol=1e-6, ftol=1e-6, max_nfev=60
    )
    problem.set(done.x)
    return time.process_time() - begin


def state(force_field: ForceField, table: dict[str, Any], data: DataModule, folder: Path) -> dict[str, Any]:
    """Save the model, and return its errors on both files and its properties."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint.save(folder / "model.safetensors", force_field, table)
    frames = [atoms for atoms in data.sets()["train"].frames if 1 < len(atoms) < 100]
    export(force_field, folder / "model.pt", references=sorted(frames, key=len)[:3])
    write_lammps(folder, force_field)
    found = measure(force_field, ase.build.bulk("Si", "diamond", a=5.43, cubic=True), ["lattice", "elastic"])
    kept = {name: found[name] for name in ("a", "energy", "C11", "C12", "C44")}
    return {**judge(force_field, data, 0).metrics, "properties": kept}


def main() -> None:
    """Retrain and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--potential", default="tersoff", help="tersoff or stillinger_weber")
    parser.add_argument("--data", default="silicon", help="silicon or zuo2020")
    parser.add_argument("--data-root", help="folder that holds zuo2020/")
    parser.add_argument("--out", type=Path, default=Path("outputs/retrained"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    more = ["data.element=Si", *([f"data.root={options.data_root}"] if options.data_root else [])]
    words = [f"experiment=retrain_{options.potential}", f"data={options.data}"]
    settings = plain(compose("train", words + (more if options.data == "zuo2020" else [])))
    data = data_module(settings["data"])
    data.setup()
    terms = {key: with_file(term, data.atomic_numbers) for key, term in settings["empirical"].items()}
    table = assemble(terms, None, None, data.atomic_numbers, data.atomic_energies())
    force_field = ForceField(build(table), data.atomic_numbers)
    data.cutoff = force_field.cutoff
    batches = [
        data.train_set[list(range(k, min(k + 8, len(data.train_set))))] for k in range(0, len(data.train_set), 8)
    ]
    problem = Problem(force_field, batches, targets(settings["fit"]["weights"]))
    problem.set_constant()
    folder = options.out / f"{options.potential}_{options.data}"
    report = {"before": state(force_field, table, data, folder / "before")}
    seconds = retrain(problem)
    report |= {"after": state(force_field, table, data, folder), "seconds": seconds, "evaluations": problem.calls}
    (folder / "report.json").write_text(json.dumps(report, indent=1))
    for key in ("before", "after"):
        errors, found = report[key]["test"], report[key]["properties"]
        shown = {k: errors[k] for k in ("energy_mae", "force_mae", "stress_mae")} | found
        print(key, {name: round(float(value), 4) for name, value in shown.items()})
    print(f"{seconds:.0f} s of CPU, {problem.calls} evaluations of the training file; written: {folder}")


if __name__ == "__main__":
    main()
