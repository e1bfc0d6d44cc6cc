"""A sparse Gaussian process fitted end to end, beside gap_fit of quippy: SOAP, dot-product kernel, the same sizes.

Both get the same structures of molybdenum (Zuo et al. 2020), the same SOAP (n_max 8, l_max 6, 5 Angstrom), the same
number of inducing points (CUR), zeta 4 and the same deviations of energies and forces, each in a process of its own on
one thread; CPU seconds and the largest memory are those of the whole process, reading included.

Example:
  OMP_NUM_THREADS=1 python scripts/bench_gp.py --data-root FOLDER
  python scripts/bench_gp.py --data-root FOLDER --structures 40       # a quick look
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

SIGMA_E, SIGMA_F, ZETA = 0.002, 0.1, 4
SOAP = {"cutoff": 5.0, "cutoff_transition_width": 0.5, "n_max": 8, "l_max": 6, "atom_sigma": 0.5}


def main() -> None:
    """Run what was asked: both, or one of the two in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="the folder that holds zuo2020/")
    parser.add_argument("--structures", type=int, default=0, help="how many, evenly out of the file; 0 for all")
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--own", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.own:
        fit(chosen.own, chosen.points)
        return
    with tempfile.TemporaryDirectory() as folder:
        n = write(chosen, Path(folder))
        print(f"{n[0]} structures, {n[1]} atoms, {chosen.points} inducing points")
        ours = [
            sys.executable,
            str(Path(__file__).resolve()),
            "--data-root",
            str(chosen.data_root.resolve()),
            "--own",
            folder,
        ]
        theirs = gap_fit(chosen.points)
        one = measured("mdzoo", [*ours, "--points", str(chosen.points)], folder)
        other = measured("gap_fit", theirs, folder)
        print(f"gap_fit / mdzoo: CPU time {other[0] / one[0]:.1f}, memory {other[1] / one[1]:.1f}")


def write(chosen: argparse.Namespace, folder: Path) -> tuple[int, int]:
    """Write the training structures with their labels under names that ASE leaves alone; return their sizes."""
    frames = ase.io.read(chosen.data_root / "zuo2020" / "Mo_train.extxyz", ":")
    frames = [atoms for atoms in frames if len(atoms) > 1]
    count = min(chosen.structures, len(frames)) or len(frames)
    out = []
    for place in np.linspace(0, len(frames) - 1, count).round().astype(int):
        atoms = frames[place]
        bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
        bare.info["dft_energy"], bare.arrays["dft_force"] = atoms.get_potential_energy(), atoms.get_forces()
        out.append(bare)
    ase.io.write(folder / "train.xyz", out)
    return len(out), sum(map(len, out))


def gap_fit(points: int) -> list[str]:
    """Return the command of gap_fit."""
    soap = " ".join(f"{key}={value}" for key, value in SOAP.items())
    soap += f" zeta={ZETA} delta=1.0 covariance_type=dot_product n_sparse={points} sparse_method=cur_points"
    words = ["at_file=train.xyz", f"gap={{soap {soap} add_species=T}}", "e0={Mo:0.0}", "gp_file=gap.xml"]
    words += [f"default_sigma={{{SIGMA_E} {SIGMA_F} 0.0 0.0}}", "energy_parameter_name=dft_energy"]
    words += ["force_parameter_name=dft_force", "virial_parameter_name=none", "do_copy_at_file=F"]
    return [str(Path(sys.executable).parent / "gap_fit"), *words, "sparse_jitter=1e-10"]


def measured(name: str, command: list[str], folder: str) -> tuple[float, float]:
    """Run a command and return its CPU seconds and its largest memory (MB)."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{name} stopped with status {status}")
    seconds = usage.ru_utime + usage.ru_stime
    print(f"{name:8s} {seconds:8.1f} CPU s {usage.ru_maxrss / 1024.0:8.0f} MB")
    return seconds, usage.ru_maxrss / 1024.0


def fit(folder: Path, points: int) -> None:
    """Read, fit and save with mdzoo, in this process."""
    import torch

    from mdzoo.data import DataModule
    from mdzoo.fit.inducing import select_inducing
    from mdzoo.fit.least_squares import LeastSquares
    from mdzoo.potentials import DescriptorPotential, ForceField, build

    torch.set_num_threads(1)
    keys = {"energy_key": "dft_energy", "forces_key": "dft_force"}
    data = DataModule(str(folder / "train.xyz"), cutoff=SOAP["cutoff"], cache=False, **keys)
    data.setup()
    descriptor = build({"name": "SoapQuip", **SOAP})
    kernel = {"name": "DotProduct", "n_features": descriptor.n_features, "zeta": ZETA}
    sizes = {"n_features": descriptor.n_features, "n_species": 1, "n_inducing": points}
    gp = build({"name": "SparseGP", **sizes, "kernel": kernel, "bias": False})
    force_field = ForceField(DescriptorPotential(descriptor, gp), data.atomic_numbers)
    select_inducing(force_field, data.train_set)
    weights = {"energy": 1.0 / SIGMA_E, "forces": 1.0 / SIGMA_F}
    module = LeastSquares(force_field, weights, 1.0)
    for i in range(len(data.train_set)):
        module.training_step(data.train_set.one(i), i)
    module.solve()
    torch.save(force_field.state_dict(), folder / "model.pt")


if __name__ == "__main__":
    main()
