"""What a regressor adds to the cost of a step: each on the same descriptor, beside Linear, in one run on one thread.

A step is a call of the exported file for a rattled silicon crystal: energies, forces and virial. Neighbour lists, which
cost all alike, are left out, so that the ratios are those of dearer steps. Contestants take turns and CPU time is read;
medians and ratios of the same turn are reported. Weights are random: the arithmetic does not depend on them. `sigma`
are deviations of the energies of structures and atoms and of forces by the local scale, `20 members` of forces by the
spread of as many.

Examples:
  python scripts/bench_regressors.py
  python scripts/bench_regressors.py --only Linear "Linear, sigma" "Linear, 20 members"
  python scripts/bench_regressors.py --only Linear MLP --dtype float32 --descriptor '{"name": "ACE", "K": 4, "L": 3}'
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
import torch

from mdzoo.data import graph_from_atoms
from mdzoo.export.contract import INPUTS, inputs_of
from mdzoo.export.torchscript import export, load
from mdzoo.potentials import ForceField, LinearEnsemble, SumPotential, build

SO3 = {"name": "SO3", "cutoff": 5.0, "K": 4, "L": 3}
REGRESSORS: dict[str, dict[str, Any]] = {
    "Linear": {"name": "Linear"},
    "MLP": {"name": "MLP"},
    "MLP of 8": {"name": "MLP", "members": 8},
    "Quadratic": {"name": "Quadratic"},
    "GP, zeta 1": {"name": "MappedGP", "zeta": 1},
    "GP, zeta 2": {"name": "MappedGP", "zeta": 2},
    "Linear, sigma": {"name": "Linear"},
    "Linear, 20 members": {"name": "Linear"},
}
MEMBERS = 20


def force_field(descriptor: dict[str, Any], regressor: dict[str, Any]) -> ForceField:
    """Return reference energies and a learnt term with small random weights."""
    sizes = {"n_features": build(descriptor).n_features, "n_species": 1}
    learnt = {"name": "DescriptorPotential", "descriptor": descriptor, "regressor": regressor | sizes}
    torch.manual_seed(0)
    potential = build({"name": "SumPotential", "terms": [{"name": "AtomicEnergies", "energies": [-158.0]}, learnt]})
    with torch.no_grad():
        for parameter in potential.terms[1].regressor.parameters():
            parameter.add_(1e-6 * torch.randn_like(parameter))
    return ForceField(potential, [14]).eval()


def with_deviations(model: ForceField) -> ForceField:
    """Return the model with a random covariance of all its weights, members, and a calibration that changes nothing."""
    energies, learnt = model.potential.terms
    n = learnt.descriptor.n_features + 1
    ensemble = LinearEnsemble(learnt, MEMBERS, n)
    ensemble.root += 1e-6 * torch.randn(n, n)
    ensemble.deltas += 1e-6 * torch.randn(MEMBERS, n)
    sure = ForceField(SumPotential([energies, ensemble]), model.atomic_numbers).eval()
    curve = {"curve": {"x": [0.0, 1.0], "y": [0.0, 1.0]}}
    vars(sure)["extra"] = {"calibration": {"local": curve | {"powers": [0.5, 0.5], "least": 0.1}}}
    return sure


def call(path: Path, atoms: ase.Atoms) -> Any:
    """Return what makes one step with an exported file."""
    module = load(path, check=False)
    inputs = inputs_of(graph_from_atoms(atoms, module.atomic_numbers, module.cutoff))
    return partial(module, *[inputs[name] for name in INPUTS])


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(REGRESSORS), choices=list(REGRESSORS), help="by default all")
    parser.add_argument("--descriptor", type=json.loads, default=SO3, help="its table, by default SO3(K=4, L=3)")
    parser.add_argument("--dtype", nargs="+", default=["float64", "float32"], help="by default both")
    parser.add_argument("--cells", type=int, default=4, help="cubic cells along each axis, 8 atoms each (%(default)s)")
    parser.add_argument("--turns", type=int, default=15, help="calls of each contestant (%(default)s)")
    return parser.parse_args()


def main() -> None:
    """Time the regressors that were asked for."""
    options = parse()
    torch.set_num_threads(1)
    atoms = ase.build.bulk("Si", a=5.431, cubic=True) * ([options.cells] * 3)
    atoms.rattle(0.05, seed=0)
    small = [ase.build.bulk("Si", a=5.431, cubic=True)]
    print("| regressor | dtype | us/atom | times Linear |\n|---|---|---|---|")
    for dtype in options.dtype:
        calls = {}
        with tempfile.TemporaryDirectory() as folder:
            for name in dict.fromkeys(["Linear", *options.only]):
                model = force_field(options.descriptor, REGRESSORS[name])
                way = {"Linear, sigma": "local", "Linear, 20 members": "members"}.get(name, "none")
                model = with_deviations(model) if way != "none" else model
                path = export(model, Path(folder) / "model.pt", references=small, dtype=dtype, uncertainty=way)
                calls[name] = call(path, atoms)
        times: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(options.turns + 3):
            for name, step in calls.items():
                times[name].append(timeit(step, timer=time.process_time, number=1))
        for name, turns in times.items():
            ratio = statistics.median(a / b for a, b in zip(turns[3:], times["Linear"][3:], strict=True))
            print(
                f"| {name} | {dtype} | {1e6 * statistics.median(turns[3:]) / len(atoms):.1f} | {ratio:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
