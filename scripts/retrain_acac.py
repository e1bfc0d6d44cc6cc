"""Retrain a force field of AMBER's form for acetylacetone on DFT forces, and put it under a learnt term.

The topology is the enol's, written out here, with rounded values of the size of AMBER's to start from, charges by hand.
Each cell is one `mdzoo train` on the first N frames at 300 K, judged on the test trajectory at 300 K. A topology cannot
follow the proton from one oxygen to the other, so of both files only frames with the proton at home are taken. Forces
alone are fitted: energies of one molecule have an offset that a molecular force field lacks.

Example:
  python scripts/retrain_acac.py --data-root FOLDER --frames 25 100
"""

import argparse
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import ase.io
import numpy as np

import mdzoo
from mdzoo.potentials.molecular_mechanics import trained_tables

KCAL = 0.0433641  # eV
KINDS = ["C", "CM", "CM", "OH", "CT", "O", "CT", "HA", "HC", "HC", "HC", "HO", "HC", "HC", "HC"]
NUMBERS = [6, 6, 6, 8, 6, 8, 6, 1, 1, 1, 1, 1, 1, 1, 1]
BONDS = [(0, 1), (1, 2), (2, 3), (0, 5), (3, 11), (2, 4), (0, 6), (1, 7)]
BONDS += [(4, 8), (4, 9), (4, 10), (6, 12), (6, 13), (6, 14)]
STRETCH = {"C-CM": (410, 1.444), "CM-CM": (549, 1.35), "CM-OH": (450, 1.364), "C-O": (570, 1.229)}
STRETCH |= {"HO-OH": (553, 0.96), "CM-CT": (317, 1.51), "C-CT": (317, 1.522), "CM-HA": (367, 1.08)}
STRETCH |= {"CT-HC": (340, 1.09)}  # kcal/mol/Angstrom^2 and Angstrom, E = K (r - r0)^2
TWIST = {"C-CM": 2.2, "CM-CM": 6.65, "CM-OH": 1.0, "C-CT": 0.0, "CM-CT": 0.0}  # kcal/mol about a bond, n = 2 or 3
CHARGES = [0.6, -0.45, 0.4, -0.6, -0.3, -0.6, -0.3, 0.2, 0.1, 0.1, 0.1, 0.45, 0.1, 0.1, 0.1]
LENNARD_JONES = {"C": (3.4, 0.086), "CM": (3.4, 0.086), "CT": (3.4, 0.1094), "O": (2.96, 0.21), "OH": (3.066, 0.2104)}
LENNARD_JONES |= {"HC": (2.65, 0.0157), "HA": (2.6, 0.015), "HO": (1.0, 0.0)}  # Angstrom and kcal/mol


def label(atoms: tuple[int, ...]) -> str:
    """Return the kinds of atoms in the direction that comes first."""
    words = [KINDS[i] for i in atoms]
    return "-".join(min(words, words[::-1]))


def rows(places: list[tuple[int, ...]], names: list[str]) -> tuple[list[list[int]], list[str]]:
    """Return rows `[atom, ..., type]`, and the label of each type."""
    labels = sorted(set(names))
    return [[*place, labels.index(name)] for place, name in zip(places, names, strict=True)], labels


def force_field() -> dict[str, Any]:
    """Return the tables that `MolecularMechanics` takes."""
    near: dict[int, list[int]] = {i: [j for b in BONDS for j in b if i in b and j != i] for i in range(len(KINDS))}
    angles = [(i, j, k) for j in near for i, k in itertools.combinations(near[j], 2)]
    chains = [(i, j, k, m) for j, k in BONDS for i in near[j] for m in near[k] if len({i, j, k, m}) == 4]
    flat = [(*near[j][:2], j, near[j][2]) for j in (0, 1, 2)]
    ends = {tuple(sorted(c[::3])) for c in chains}
    close = {tuple(sorted(b)) for b in BONDS} | {tuple(sorted(a[::2])) for a in angles}
    topology: dict[str, Any] = {"title": "enol", "numbers": NUMBERS, "exclusions": sorted(close)}
    topology["bonds"], bonds = rows(BONDS, [label(b) for b in BONDS])
    topology["angles"], bends = rows(angles, [label(a) for a in angles])
    topology["torsions"], turns = rows(
        [*chains, *flat], [label(c) for c in chains] + [f"plane-{KINDS[f[2]]}" for f in flat]
    )
    topology["types"], kinds = [sorted(set(KINDS)).index(k) for k in KINDS], sorted(set(KINDS))
    topology["pairs"] = [[*pair, 0] for pair in sorted(ends - close)]
    charges = sorted({(k, q) for k, q in zip(KINDS, CHARGES, strict=True)})
    topology["charges"] = [charges.index(c) for c in zip(KINDS, CHARGES, strict=True)]
    return {
        "topologies": [topology],
        "bonds": {
            "labels": bonds,
            "k": [2 * STRETCH[b][0] * KCAL for b in bonds],
            "length": [STRETCH[b][1] for b in bonds],
        },
        "angles": {
            "labels": bends,
            "k": [2 * (35 if bend.count("H") > 1 else 50 if "H" in bend else 70) * KCAL for bend in bends],
            "angle": np.radians([angle_of(bend) for bend in bends]).tolist(),
        },
        "torsions": {
            "labels": turns,
            "k": [twist(turn) * KCAL for turn in turns],
            "phase": [0.0 if "CT" in turn.split("-")[1:3] else np.pi for turn in turns],
            "periodicity": [3 if "CT" in turn.split("-")[1:3] else 2 for turn in turns],
        },
        "atoms": {
            "labels": kinds,
            "sigma": [LENNARD_JONES[k][0] for k in kinds],
            "epsilon": [LENNARD_JONES[k][1] * KCAL for k in kinds],
        },
        "charges": {"labels": [f"{k}:{q}" for k, q in charges], "charge": [q for _, q in charges]},
        "pairs": {"labels": ["scaled"], "lj_scale": [0.5], "charge_scale": [1 / 1.2], "sigma": [1.0], "epsilon": [0.0]},
    }


def angle_of(bend: str) -> float:
    """Return the angle that the middle atom prefers, degrees."""
    middle = bend.split("-")[1]
    return 109.5 if middle in ("CT", "OH") else 120.0


def twist(turn: str) -> float:
    """Return the barrier about the middle bond, or that of a plane, kcal/mol."""
    if turn.startswith("plane"):
        return 10.5 if turn == "plane-C" else 1.1
    return TWIST["-".join(sorted(turn.split("-")[1:3]))]


TERM = "empirical.molecular_mechanics"
SO3 = ["descriptor=so3", "descriptor.cutoff=4.5", "descriptor.K=3", "descriptor.L=2", "descriptor.body_order=3"]
CLOSED = ["fit=least_squares", "fit.weights.energy=0"]
LBFGS = ["fit=sgd", "fit.optimizer=lbfgs", "fit.schedule=constant", "fit.clip=0", "fit.ema=0", "fit.lr=0.5"]
BARE = ["descriptor=null", "regressor=null", *LBFGS, "fit.batch_size=0", "fit.weights.energy=0", "fit.epochs=40"]
ROWS = {
    "as it starts": [
        "empirical=molecular_mechanics",
        *BARE[:-1],
        "fit.epochs=1",
        "fit.lr=1e-12",
        f"{TERM}.trainable=true",
    ],
    "retrained": ["empirical=molecular_mechanics", *BARE, f"{TERM}.trainable=true"],
    "SO3 + Linear": ["empirical=null", *SO3, "regressor=linear", *CLOSED],
    "as it starts + SO3 + Linear": ["empirical=molecular_mechanics", *SO3, "regressor=linear", *CLOSED],
    "retrained + SO3 + Linear": ["empirical=molecular_mechanics", *SO3, "regressor=linear", *CLOSED],
}


def at_home(path: Path) -> list[ase.Atoms]:
    """Return the frames whose proton (atom 11) is at the oxygen of the topology (atom 3)."""
    return [a for a in ase.io.read(path, ":") if a.get_distance(11, 3) < a.get_distance(11, 5)]


def trained(run: Path) -> dict[str, Any]:
    """Return the tables of a run of `retrained` with the values that were found."""
    return trained_tables(mdzoo.load(run).potential.terms[1], force_field())


def force_error(root: Path, out: Path, frames: int, words: list[str]) -> float:
    """Return the mean absolute error of the test forces after one `mdzoo train`, eV/Angstrom."""
    if not (out / "metrics.json").is_file():
        out.mkdir(parents=True, exist_ok=True)
        ase.io.write(out / "train.extxyz", at_home(root / "acac" / "train_300K.extxyz")[:frames])
        ase.io.write(out / "test.extxyz", at_home(root / "acac" / "test_MD_300K.extxyz"))
        tables = trained(out.parent / "retrained") if out.name.startswith("retrained_") else force_field()
        (out / "force_field.json").write_text(json.dumps(tables))
        data = ["data=extxyz", f"data.train={out}/train.extxyz", f"data.test={out}/test.extxyz"]
        data += ["data.energies=least_squares", "data.optional=[stress]", "wandb=disabled", f"run_dir={out}"]
        if "empirical=null" not in words:
            data += [f"{TERM}.force_field={out}/force_field.json", f"{TERM}.cutoff=12", f"{TERM}.coulomb=cut"]
        command = [sys.executable, "-m", "mdzoo.cli", "train", *words, *data]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return json.loads((out / "metrics.json").read_text())["test"]["force_mae"]


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="folder that holds acac/")
    parser.add_argument("--frames", nargs="+", type=int, default=[25, 100], help="training frames (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("outputs/acac"), help="for the runs (%(default)s)")
    options = parser.parse_args()
    print(f"| frames | {' | '.join(ROWS)} |\n|{'---|' * (len(ROWS) + 1)}", flush=True)
    for frames in options.frames:
        cells = [
            force_error(options.data_root, options.out / f"{frames}" / name.replace(" ", "_"), frames, words)
            for name, words in ROWS.items()
        ]
        print(f"| {frames} | {' | '.join(f'{cell:.3f}' for cell in cells)} |", flush=True)


if __name__ == "__main__":
    main()
