"""Compute mdzoo's own silicon data: 200 configurations with Quantum ESPRESSO (PBE), through ASE.

Without a mode it computes what is missing and writes train.extxyz and test.extxyz. Each finished frame is a file in the
scratch folder, named by its number, so a run that was killed goes on where it stopped. The frames, the order of
computation and the split follow from the seed alone: whatever is finished, a frame is always in the same file.

    python scripts/make_silicon.py --workers 2          # hours; needs pw.x (Debian: quantum-espresso, -data)
    python scripts/make_silicon.py --write              # only write the two files from what is finished
    python scripts/make_silicon.py --convergence        # errors of cut-off, k-points and SCF threshold, as Markdown
    python scripts/make_silicon.py --stress-check       # stress against central differences of energies, as Markdown
"""

import argparse
import os
import shutil
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from subprocess import SubprocessError

import numpy as np
from ase import Atoms
from ase.build import bulk, diamond100, diamond111
from ase.calculators.calculator import CalculatorError
from ase.calculators.espresso import Espresso, EspressoProfile
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from ase.units import GPa
from rich.progress import track

COUNTS = {"IsolatedAtom": 1, "bulk2": 85, "bulk8": 60, "vacancy7": 38, "slab8": 16}
LATTICE = 5.47  # Angstrom, near the minimum of this pseudopotential with PBE
STRAIN = 0.06  # largest component of the strain
RATTLE = (0.02, 0.35)  # Angstrom, root mean square displacement of a frame
CLOSEST = 1.8  # Angstrom; nearer pairs are drawn again
VACUUM = 8.0  # Angstrom between a slab and its image
TEST_FRACTION = 0.2
OUT = Path(__file__).parents[1] / "mdzoo/data/datasets/silicon"

CUTOFF = 22.0  # Ry
KPOINTS = {"IsolatedAtom": (1, 1, 1), "bulk2": (8, 8, 8), "bulk8": (4, 4, 4), "vacancy7": (4, 4, 4)}
SCF = 3e-8  # Ry per atom
RETRIES = ({}, {"mixing_beta": 0.2, "mixing_ndim": 12, "diago_david_ndim": 4})  # further SCF settings, tried in order
# For --convergence: scans of (cut-off, factor on the mesh, SCF threshold), the finest first
SCANS = (
    [(cutoff, 0.5, SCF) for cutoff in (36.0, 18.0, 20.0, CUTOFF)],
    [(12.0, 1.5, SCF), (12.0, 1.0, SCF)],
    [(CUTOFF, 0.5, 1e-11), (CUTOFF, 0.5, SCF)],
)
# For --stress-check: pressure, and a strain of all components
DIRECTIONS = {"volume": np.eye(3) / 3, "shear": np.array([[0.5, 0.3, -0.2], [0.3, -0.4, 0.4], [-0.2, 0.4, -0.1]])}
STEP = 0.005


def ideal(group: str, number: int) -> Atoms:
    """Return the unstrained crystal, vacancy or slab of a frame; slabs alternate between three surfaces."""
    if group == "IsolatedAtom":
        return Atoms("Si", cell=(11.5, 12.0, 12.5), pbc=True)  # unequal, so that the p shell may choose its axes
    if group == "bulk2":
        return bulk("Si", "diamond", LATTICE)
    if group == "slab8":
        surface, size = ((diamond111, (1, 1, 8)), (diamond100, (1, 1, 8)), (diamond100, (2, 1, 4)))[number % 3]
        atoms = surface("Si", size, a=LATTICE, vacuum=VACUUM / 2)
        atoms.pbc = True
        return atoms
    atoms = bulk("Si", "diamond", LATTICE, cubic=True)
    return atoms if group == "bulk8" else atoms[1:]


def strain(kind: str, group: str, rng: np.random.Generator) -> np.ndarray:
    """Return a symmetric strain (3, 3): equal lengths (volume), traceless (shear), or half of each (both)."""
    lengths = rng.uniform(-STRAIN, STRAIN) * np.eye(3)
    shear = rng.uniform(-STRAIN, STRAIN, (3, 3))
    shear = np.triu(shear, 1) + np.triu(shear, 1).T + np.diag(np.diag(shear) - np.trace(shear) / 3) * 0.75
    weights = {"volume": (1.0, 0.0), "shear": (0.0, 1.0), "both": (0.5, 0.5)}[kind]
    total = weights[0] * lengths + weights[1] * shear
    if group == "slab8":
        total[2, :] = total[:, 2] = 0.0  # the vacuum stays
    return total


def make_frame(group: str, number: int, index: int, seed: int) -> Atoms:
    """Return frame `index`, the `number`th of its group: strained, then rattled until no pair is too close."""
    rng = np.random.default_rng([seed, index])
    atoms = ideal(group, number)
    atoms.info = {"group": group, "index": index}
    if group == "IsolatedAtom":
        return atoms
    kind, rattle = ("volume", "shear", "both")[rng.integers(3)], rng.uniform(*RATTLE)
    atoms.set_cell(atoms.cell @ (np.eye(3) + strain(kind, group, rng)), scale_atoms=True)
    still = atoms.positions.copy()
    while True:
        moves = rng.normal(size=still.shape)
        atoms.positions = still + rattle * moves / np.sqrt((moves**2).sum(1).mean())
        if closest(atoms) > CLOSEST:
            break
    atoms.info.update(strain=kind, rattle=round(float(rattle), 4))
    return atoms


def closest(atoms: Atoms) -> float:
    """Return the shortest distance between two atoms or images, Angstrom."""
    repeated = atoms.repeat((2, 2, 2))
    distances = repeated.get_all_distances(mic=True)
    return float(distances[distances > 1e-9].min())


def frames(seed: int) -> list[Atoms]:
    """Return all frames in order of their number, group after group."""
    groups = [(group, number) for group, count in COUNTS.items() for number in range(count)]
    return [make_frame(group, number, index, seed) for index, (group, number) in enumerate(groups)]


def mesh(atoms: Atoms) -> tuple[int, int, int]:
    """Return the k-point mesh of a frame: one per kind of cell, whatever its strain."""
    if atoms.info["group"] != "slab8":
        return KPOINTS[atoms.info["group"]]
    return tuple(8 if length < 5.0 else 4 for length in atoms.cell.lengths()[:2]) + (1,)


def inputs(atoms: Atoms, cutoff: float, scf: float, scratch: Path) -> dict[str, dict]:
    """Return the namelists of pw.x; the isolated atom is a spin-polarised triplet with whole occupations."""
    system = {"ecutwfc": cutoff, "nosym": True, "occupations": "smearing", "smearing": "gaussian", "degauss": 0.025}
    if len(atoms) == 2:
        system["nbnd"] = 6  # pw.x would double them
    if len(atoms) == 1:
        del system["smearing"], system["degauss"]
        system.update(occupations="fixed", nspin=2, tot_magnetization=2, nbnd=6)
    mixing = "local-TF" if atoms.info["group"] == "slab8" else "plain"
    return {
        "control": {"tprnfor": True, "tstress": True, "disk_io": "none", "outdir": str(scratch)},
        "system": system,
        "electrons": {"conv_thr": scf * len(atoms), "mixing_mode": mixing, "mixing_beta": 0.6, "electron_maxstep": 100},
    }


def compute(atoms: Atoms, args: argparse.Namespace, cutoff=CUTOFF, kpoints=None, scf=SCF, **electrons) -> Atoms:
    """Return a copy with the free energy, its forces and stress; pw.x works in a folder that is removed."""
    kpoints, name = kpoints or mesh(atoms), f"{os.getpid()}_{atoms.info['index']}"
    scratch = (args.scratch / "pw" / name).resolve()
    namelists = inputs(atoms, cutoff, scf, scratch)
    namelists["electrons"].update(electrons)
    copy = atoms.copy()
    copy.calc = Espresso(
        profile=EspressoProfile(args.pw, args.pseudo_dir), directory=scratch, input_data=namelists,
        pseudopotentials={"Si": args.pseudo}, kpts=kpoints, koffset=tuple(int(k > 1) for k in kpoints),
    )  # fmt: skip
    try:
        energy = copy.get_potential_energy(force_consistent=True)
        results = {"energy": energy, "forces": copy.get_forces(), "stress": copy.get_stress()}
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    copy.calc = SinglePointCalculator(copy, **{name: np.round(value, 9) for name, value in results.items()})
    return copy


def labelled(atoms: Atoms, args: argparse.Namespace) -> Atoms:
    """Compute one frame, with more careful mixing if the first attempt fails; write it whole or not at all."""
    for attempt, electrons in enumerate(RETRIES, 1):
        try:
            done = compute(atoms, args, **electrons)
            break
        except (CalculatorError, SubprocessError, ValueError, IndexError) as error:
            print(f"frame {atoms.info['index']}, attempt {attempt}: {type(error).__name__}: {error}", flush=True)
            if attempt == len(RETRIES):
                raise
    if len(done) == 1:
        done.calc = SinglePointCalculator(done, energy=done.calc.results["energy"])
        done.pbc = False
    path = finished(args.scratch, atoms)
    write(path.with_suffix(".part"), done, format="extxyz")
    os.replace(path.with_suffix(".part"), path)
    return done


def finished(scratch: Path, atoms: Atoms) -> Path:
    """Return where a finished frame is kept."""
    return scratch / "frames" / f"{atoms.info['index']:03d}.extxyz"


def run(args: argparse.Namespace) -> int:
    """Compute the frames that are missing, in a shuffled order, the isolated atom first; return how many failed."""
    (args.scratch / "frames").mkdir(parents=True, exist_ok=True)
    everything = frames(args.seed)
    order = [0, *(1 + np.random.default_rng(args.seed).permutation(len(everything) - 1))]
    todo = [everything[i] for i in order if not finished(args.scratch, everything[i]).exists()]
    failed = 0
    with ThreadPoolExecutor(args.workers) as pool:
        jobs = [pool.submit(labelled, atoms, args) for atoms in todo]
        for job in track(as_completed(jobs), f"{len(todo)} frames", total=len(todo)):
            failed += job.exception() is not None
    return failed


def in_test(seed: int) -> set[int]:
    """Return the numbers of the test frames: a fifth of each group, by the seed, whatever is finished."""
    first, chosen = 0, set()
    for number, count in enumerate(COUNTS.values()):
        shuffled = first + np.random.default_rng([seed, number]).permutation(count)
        chosen.update(shuffled[: round(TEST_FRACTION * count)].tolist())
        first += count
    return chosen


def write_files(args: argparse.Namespace) -> None:
    """Write train.extxyz and test.extxyz from the finished frames, ordered by number."""
    done = [read(path) for path in sorted((args.scratch / "frames").glob("*.extxyz"))]
    test, total = in_test(args.seed), sum(COUNTS.values())
    args.out.mkdir(parents=True, exist_ok=True)
    for name, chosen in (("train", False), ("test", True)):
        part = [atoms for atoms in done if (atoms.info["index"] in test) == chosen]
        write(args.out / f"{name}.extxyz", part, format="extxyz")
        print(f"{args.out / name}.extxyz: {len(part)} of {sum((i in test) == chosen for i in range(total))} frames")


def samples(seed: int) -> list[Atoms]:
    """Return what the checks are made on: the crystal, then the first frame of each group and of each surface."""
    crystal = ideal("bulk2", 0)
    crystal.info = {"group": "bulk2", "index": "crystal"}
    first = np.cumsum([0, *COUNTS.values()])
    return [crystal, *(frames(seed)[i] for i in (*first[1:5], first[4] + 1, first[4] + 2))]


def scaled(kpoints: tuple[int, ...], factor: float) -> tuple[int, ...]:
    """Return the mesh with `factor` times as many points along each side; a single point stays."""
    return tuple(k if k == 1 else round(k * factor) for k in kpoints)


def points(kpoints: tuple[int, ...]) -> str:
    """Return how a table names a mesh."""
    return "x".join(map(str, kpoints))


def convergence(args: argparse.Namespace) -> None:
    """Print differences to the finest setting, the first of each scan: Ry, Ry/atom; meV/atom, meV/Angstrom, GPa."""
    print("| cut-off | mesh | SCF | frame | energy | forces, max and rms | stress |\n|---|---|---|---|---|---|---|")
    for scan in SCANS:
        finest: list[Atoms] = []
        for cutoff, factor, scf in scan:
            meshes = [scaled(mesh(atoms), factor) for atoms in samples(args.seed)]
            done = [compute(a, args, cutoff, k, scf) for a, k in zip(samples(args.seed), meshes, strict=True)]
            finest = finest or done
            for atoms, kpoints, row in zip(done, meshes, differences(done, finest), strict=True):
                print(f"| {cutoff:g} | {points(kpoints)} | {scf:g} | {label(atoms)} | {row} |", flush=True)


def differences(done: list[Atoms], finest: list[Atoms]) -> list[str]:
    """Return a row for each frame; energies count from the first, the crystal, under the same setting."""
    energies = np.array([[a.get_potential_energy() / len(a) for a in each] for each in (done, finest)])
    energies = 1e3 * np.subtract(*(energies - energies[:, :1]))
    rows = []
    for energy, one, best in zip(energies, done, finest, strict=True):
        forces = 1e3 * (one.get_forces() - best.get_forces())
        stress = abs(one.get_stress() - best.get_stress()).max() / GPa
        rows.append(f"{energy:+.2f} | {abs(forces).max():.1f}, {forces.std():.1f} | {stress:.2f}")
    return rows


def label(atoms: Atoms) -> str:
    """Return how a table names a frame."""
    return f"{atoms.info['group']} {atoms.info['index']}"


def stress_check(args: argparse.Namespace) -> None:
    """Print stress, projected on two strains, beside the central difference of energies along them, in GPa."""
    print("| frame | mesh | strain | stress | from energies | difference |\n|---|---|---|---|---|---|")
    for atoms in samples(args.seed)[1:]:
        kpoints = scaled(mesh(atoms), 1.0 if atoms.info["group"].startswith("bulk") else 0.5)  # slabs would take hours
        stress = compute(atoms, args, kpoints=kpoints).get_stress(voigt=False) / GPa
        for name, direction in DIRECTIONS.items():
            own = (stress * direction).sum()
            slope = central_difference(atoms, direction, args, kpoints) / atoms.get_volume() / GPa
            row = f"{label(atoms)} | {points(kpoints)} | {name} | {own:.3f} | {slope:.3f} | {own - slope:+.3f}"
            print(f"| {row} |", flush=True)


def central_difference(atoms: Atoms, direction: np.ndarray, args: argparse.Namespace, kpoints: tuple) -> float:
    """Return dE/dh of the strain h * direction, eV; the mesh moves with the cell."""
    energies = []
    for h in (STEP, -STEP):
        strained = atoms.copy()
        strained.set_cell(atoms.cell @ (np.eye(3) + h * direction), scale_atoms=True)
        energies.append(compute(strained, args, kpoints=kpoints).get_potential_energy())
    return (energies[0] - energies[1]) / (2 * STEP)


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    new = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = new.add_mutually_exclusive_group()
    mode.add_argument("--write", action="store_true", help="only write the files, from the frames that are finished")
    mode.add_argument("--convergence", action="store_true", help="print the errors of the settings (half an hour)")
    mode.add_argument("--stress-check", action="store_true", help="print stress beside central differences of energies")
    new.add_argument("--scratch", type=Path, default="outputs/silicon", help="for finished frames (%(default)s)")
    new.add_argument("--out", type=Path, default=OUT, help="for train.extxyz and test.extxyz (the package's data)")
    new.add_argument("--pw", default="pw.x", help="command, with its launcher, e.g. 'mpirun -n 4 pw.x' (%(default)s)")
    new.add_argument("--pseudo-dir", default="/usr/share/espresso/pseudo", help="folder of it (Debian's: %(default)s)")
    new.add_argument("--pseudo", default="Si.pbe-rrkj.UPF", help="pseudopotential (%(default)s)")
    new.add_argument("--workers", type=int, default=1, help="frames computed at a time (%(default)s)")
    new.add_argument("--seed", type=int, default=0, help="of frames, order and split (%(default)s, the published data)")
    return new


def main() -> int:
    """Do what the command line asks; 1 if a frame failed."""
    args = parser().parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if args.convergence:
        convergence(args)
    elif args.stress_check:
        stress_check(args)
    else:
        failed = 0 if args.write else run(args)
        write_files(args)
        return int(failed > 0)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
