"""Inputs of LAMMPS as a user runs them: a file, a number of ranks, an exit code and a log."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.data import atomic_numbers

import mdzoo

ROOT = Path(mdzoo.__file__).parents[1]


def under_ranks(
    ranks: int, words: list, program: str = sys.executable, folder: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess:
    """Run python, or another program, with these words on some ranks in a folder."""
    mpirun = Path(sys.executable).parent / "mpirun"
    if not mpirun.exists():
        pytest.skip("mpirun of the wheel of mpich is not beside python")
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    command = list(map(str, [mpirun, "-n", ranks, program, *words]))
    return subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True)


def run_input(plugin: Path, lines: list[str], folder: Path, ranks: int = 1) -> tuple[int, str]:
    """Return the exit code and what was said of an input, run in a folder of its own by the `lmp` beside python."""
    (folder / "in").write_text("\n".join(lines) + "\n")
    lmp, place = str(Path(sys.executable).parent / "lmp"), str(Path(plugin).parent)
    done = under_ranks(ranks, ["-in", "in", "-log", "none"], lmp, folder, LAMMPS_PLUGIN_PATH=place)
    return done.returncode, done.stdout + done.stderr


def box_of(atoms: Atoms, folder: Path, elements: list[str], pair: list[str]) -> list[str]:
    """Return the lines that read these atoms, in an orthogonal box, and set the pair style."""
    sides = atoms.cell.lengths().tolist()
    kinds = [elements.index(symbol) + 1 for symbol in atoms.symbols]
    rows = [f"{i + 1} {kinds[i]} {' '.join(map(repr, p))}" for i, p in enumerate(atoms.positions.tolist())]
    bounds = [f"0 {side!r} {name}lo {name}hi" for side, name in zip(sides, "xyz", strict=True)]
    head = ["made by a test", "", f"{len(atoms)} atoms", f"{len(elements)} atom types", *bounds, "", "Atoms", ""]
    (folder / "data").write_text("\n".join([*head, *rows]) + "\n")
    masses = [f"mass {k + 1} {atomic_numbers[symbol] * 2.0}" for k, symbol in enumerate(elements)]
    return ["units metal", "atom_modify map array", "read_data data", *masses, *pair]


def dumped(path: Path) -> list[np.ndarray]:
    """Return the frames of a dump, each sorted by its first column."""
    parts = path.read_text().split("ITEM: TIMESTEP\n")[1:]
    tables = [np.loadtxt(part.split("ITEM: ATOMS")[1].splitlines()[1:], ndmin=2) for part in parts]
    return [table[np.argsort(table[:, 0])] for table in tables]
