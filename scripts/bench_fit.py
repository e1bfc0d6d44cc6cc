"""A linear fit at scale: what is forecast, and what it then takes.

Cells of 1 to 8 atoms, rattled and strained, get energies and forces of a Lennard-Jones potential with noise; SO3
features of the wanted number, or some more, are fitted to them in closed form, streamed into triangles in blocks of 4P
rows. A tenth as many further structures tell the error; the noise (2 meV/atom, 20 meV/Angstrom) is its floor.

Examples:
  python scripts/bench_fit.py --parameters 5000 --structures 5000
  python scripts/bench_fit.py --parameters 10000 --structures 100000 --forecast 24e9     # says what it would take
"""

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import ase.build
import numpy as np
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from rich.progress import track

from mdzoo.data import DataModule, graph_from_atoms
from mdzoo.fit import LeastSquares, fit
from mdzoo.fit.forecast import Forecast, forecast, memory_needed, work
from mdzoo.potentials import ForceField, LennardJones, build

CUTOFF = 4.5
NOISE = {"energy": 0.002, "forces": 0.02}
SHAPES = [(1, 1, 1), (2, 1, 1), (3, 1, 1), (2, 2, 1), (2, 2, 2)]


def structures(count: int, seed: int) -> list[Atoms]:
    """Return labelled cells."""
    rng = np.random.default_rng(seed)
    truth = ForceField(LennardJones(epsilon=0.3, sigma=2.3, cutoff=CUTOFF), [29]).eval()
    return [structure(rng, truth, SHAPES[k % len(SHAPES)]) for k in track(range(count), "structures")]


def structure(rng: np.random.Generator, truth: ForceField, shape: tuple[int, int, int]) -> Atoms:
    """Return one labelled cell."""
    atoms = ase.build.bulk("Cu", "fcc", a=3.75) * shape
    atoms.set_cell(atoms.cell @ (np.eye(3) + 0.03 * rng.normal(size=(3, 3))), scale_atoms=True)
    atoms.positions += 0.15 * rng.normal(size=(len(atoms), 3))
    found = truth(graph_from_atoms(atoms, [29], CUTOFF))
    energy = float(found.energy[0]) + NOISE["energy"] * len(atoms) * rng.normal()
    forces = found.forces.numpy() + NOISE["forces"] * rng.normal(size=(len(atoms), 3))
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
    return atoms


def model(n_parameters: int) -> ForceField:
    """Return SO3 + Linear with that many features or some more."""
    sizes = [(2, 1, 1), (4, 3, 3), (6, 5, 4), (7, 6, 5), (9, 8, 5), (16, 8, 6), (11, 10, 6), (15, 12, 6), (14, 13, 7)]
    for pair, triple, L in sizes:
        descriptor = {"name": "SO3", "cutoff": CUTOFF, "K": [pair, triple], "L": [L, L], "radial": "chebyshev"}
        n_features = build(descriptor).n_features
        if n_features >= n_parameters:
            break
    regressor = {"name": "Linear", "n_features": n_features, "n_species": 1, "bias": False}
    return ForceField(build({"name": "DescriptorPotential", "descriptor": descriptor, "regressor": regressor}), [29])


def errors(force_field: ForceField, frames: list[Atoms]) -> dict[str, float]:
    """Return root mean squares, eV/atom and eV/Angstrom."""
    energy, forces = [], []
    for atoms in frames:
        found = force_field(graph_from_atoms(atoms, [29], CUTOFF))
        energy.append((float(found.energy[0]) - atoms.get_potential_energy()) / len(atoms))
        forces.append((found.forces.detach().numpy() - atoms.get_forces()).ravel())
    return {"energy_rmse": rms(np.array(energy)), "force_rmse": rms(np.concatenate(forces))}


def rms(error: np.ndarray) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(error**2)))


def data_of(count: int) -> DataModule:
    """Return the training data."""
    frames = structures(count, 0)
    data = DataModule(frames, atomic_numbers=[29], cutoff=CUTOFF, energies="zero", optional=["stress"], cache=False)
    data.setup()
    return data


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Fit, and return what was forecast and what it took."""
    force_field = model(options.parameters)
    data = DataModule(
        structures(options.structures, 0), atomic_numbers=[29], cutoff=CUTOFF, energies="zero", cache=False
    )
    data.setup()
    settings = {"name": "least_squares", "weights": {"energy": 10.0, "forces": 1.0}, "ridge": options.ridge}
    expected = forecast(LeastSquares(force_field, settings["weights"], options.ridge), data.train_set)
    before, begin, cpu = peak(), time.perf_counter(), time.process_time()
    result = fit(force_field, data, options.out, settings, progress=True)
    out: dict[str, Any] = {"forecast": expected._asdict(), "bytes_before": before, "bytes_peak": peak()}
    out |= {"seconds": time.perf_counter() - begin, "cpu_seconds": time.process_time() - cpu, "train": result.metrics}
    return out | {"test": errors(force_field, structures(options.structures // 10, 1))}


def peak() -> int:
    """Return the most memory that this process has had, bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def forecast_only(options: argparse.Namespace) -> str:
    """Return the forecast of the wanted size; the rows are timed on a few structures."""
    force_field = model(options.parameters)
    data = data_of(20)
    module = LeastSquares(force_field, {"energy": 10.0, "forces": 1.0}, options.ridge, memory=options.forecast)
    few = forecast(module, data.train_set)
    n, rows = module.train_factors.n_columns - 1, few.rows * options.structures // 20
    seconds = (few.seconds[0] * options.structures / 20, *work(n, rows, module.decompositions()))
    return Forecast(n, options.structures, rows, memory_needed(n, 2), options.forecast, seconds).text()


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parameters", type=int, default=1000, help="features, at least (%(default)s)")
    parser.add_argument("--structures", type=int, default=1000, help="that are fitted (%(default)s)")
    parser.add_argument("--ridge", default="evidence", help="evidence or a number (%(default)s)")
    parser.add_argument("--forecast", type=float, default=0.0, help="bytes: only say what it would take with these")
    parser.add_argument("--threads", type=int, default=1, help="(%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("outputs/bench_fit"), help="run directory (%(default)s)")
    options = parser.parse_args()
    options.ridge = options.ridge if options.ridge == "evidence" else float(options.ridge)
    return options


def main() -> None:
    """Print the forecast, or run and print both."""
    options = parse()
    torch.set_num_threads(options.threads)
    if options.forecast > 0.0:
        print(forecast_only(options))
        return
    found = run(options)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "bench_fit.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
