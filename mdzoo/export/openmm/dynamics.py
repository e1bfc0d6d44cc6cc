"""Molecular dynamics inside OpenMM, behind the interface of ASE's dynamics: what records one records the other."""

from pathlib import Path
from typing import Any

import numpy as np
import openmm
import torch
from ase import Atoms, units
from ase.calculators.lammps import Prism
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import full_3x3_to_voigt_6_stress

from mdzoo.export.ase import as_array
from mdzoo.export.engine_dynamics import EngineDynamics
from mdzoo.export.openmm.force import KILOJOULE, NANOMETRE, Computation, model_force
from mdzoo.export.torchscript import load

PICOSECOND = 1e3 * units.fs
BAR_IN_GPA = 1e-4
ATTEMPTS = 25  # steps between two changes of the volume


class OpenMMDynamics(EngineDynamics):
    """Integrates with OpenMM in double precision and brings atoms, cell and what the model says back at intervals.

    `nve` is velocity Verlet, `langevin` the middle scheme (Zhang et al., DOI 10.1021/acs.jpca.9b02771), `npt` the same
    with a Monte Carlo barostat, which scales the cell as a whole and conserves no energy.

    Arguments:
        atoms: they move in place.
        model: path of an exported file, or a loaded module.
        ensemble: `nve`, `langevin` or `npt`.
        timestep: fs.
        temperature: K.
        pressure: GPa, of npt.
        friction: 1/fs, of langevin and npt.
        interval: steps between two looks.
        skin: of the neighbour list, Angstrom.
        device: of the model, `cpu` or `cuda`.
        seed: of the thermostat and the barostat.

    Raises:
        ValueError: an element that the model does not know.
    """

    def __init__(
        self,
        atoms: Atoms,
        model: str | Path | torch.nn.Module,
        ensemble: str,
        timestep: float,
        temperature: float,
        pressure: float,
        friction: float,
        interval: int,
        skin: float,
        device: str,
        seed: int,
    ) -> None:
        super().__init__(atoms, timestep, interval)
        self.boxed = bool(atoms.pbc.all()) and atoms.cell.rank == 3
        turn, box = reduced(atoms.cell.array) if self.boxed else (np.eye(3), atoms.cell.array)
        self.turn: np.ndarray = turn
        framed = atoms.copy()
        framed.set_cell(box)
        module: Any = load(model, device) if isinstance(model, str | Path) else model
        self.computation = Computation(module, framed, self.boxed, skin, device)
        system = openmm.System()
        for mass in atoms.get_masses():
            system.addParticle(float(mass))
        system.addForce(model_force(module, framed, (), self.boxed, skin, device))
        if self.boxed:
            system.setDefaultPeriodicBoxVectors(*(box / NANOMETRE).tolist())
        if ensemble == "npt":
            system.addForce(barostat(pressure, temperature, seed))
        move = integrator(ensemble, 1e-3 * self.timestep, temperature, 1e3 * friction, seed)
        self.context = openmm.Context(system, move, openmm.Platform.getPlatformByName("Reference"))
        self.context.setPositions(atoms.positions @ self.turn / NANOMETRE)
        self.context.setVelocities(atoms.get_velocities() @ self.turn * (PICOSECOND / NANOMETRE))
        if ensemble == "nve":
            self.get_conserved_energy = lambda: float(self.total)
        self.look()

    def advance(self, steps: int) -> None:
        """Let OpenMM move the atoms."""
        self.context.getIntegrator().step(steps)

    def neighbor_lists(self) -> int:
        """Return how often the list of the looks was made."""
        return self.computation.inputs.builds

    def look(self) -> None:
        """Bring positions, momenta, cell and what the model says to the atoms."""
        state = self.context.getState(positions=True, velocities=True, energy=True)
        here = self.computation.atoms
        here.positions = NANOMETRE * state.getPositions(asNumpy=True)._value
        if self.boxed:
            here.cell[:] = NANOMETRE * state.getPeriodicBoxVectors(asNumpy=True)._value
            self.atoms.set_cell(self.atoms.cell.array * (here.cell.volume / self.atoms.cell.volume) ** (1 / 3))
        self.atoms.positions = here.positions @ self.turn.T
        velocities = state.getVelocities(asNumpy=True)._value @ self.turn.T
        self.atoms.set_velocities(velocities * (NANOMETRE / PICOSECOND))
        self.total = KILOJOULE * (state.getPotentialEnergy() + state.getKineticEnergy())._value
        out = self.computation.predict()
        results: dict[str, Any] = {"energy": float(out.energy), "forces": as_array(out.forces) @ self.turn.T}
        if self.atoms.cell.rank == 3:
            stress = -self.turn @ as_array(out.virial)[0] @ self.turn.T / here.cell.volume
            results["stress"] = full_3x3_to_voigt_6_stress(stress)
        self.atoms.calc = SinglePointCalculator(self.atoms, **results)


def reduced(cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the turn T and the rows of a cell of the same lattice as `cell @ T` in OpenMM's reduced form.

    The form is lower triangular, with `|b_x| <= a_x / 2` and so on.
    """
    prism = Prism(cell)
    turn, box = prism.rot_mat, np.array(prism.lammps_tilt)
    box[1] -= round(box[1, 0] / box[0, 0]) * box[0]
    box[2] -= round(box[2, 1] / box[1, 1]) * box[1]
    box[2] -= round(box[2, 0] / box[0, 0]) * box[0]
    return turn, box


def integrator(ensemble: str, step: float, temperature: float, friction: float, seed: int) -> openmm.Integrator:
    """Return the integrator of an ensemble, for a step in ps and a friction in 1/ps."""
    if ensemble != "nve":
        move = openmm.LangevinMiddleIntegrator(float(temperature), float(friction), step)
        move.setRandomNumberSeed(int(seed) + 1)
        return move
    verlet = openmm.CustomIntegrator(step)
    verlet.addUpdateContextState()
    verlet.addComputePerDof("v", "v + 0.5 * dt * f / m")
    verlet.addComputePerDof("x", "x + dt * v")
    verlet.addComputePerDof("v", "v + 0.5 * dt * f / m")
    return verlet


def barostat(pressure: float, temperature: float, seed: int) -> openmm.MonteCarloBarostat:
    """Return the barostat of a pressure in GPa."""
    force = openmm.MonteCarloBarostat(float(pressure) / BAR_IN_GPA, float(temperature), ATTEMPTS)
    force.setRandomNumberSeed(int(seed) + 1)
    return force
