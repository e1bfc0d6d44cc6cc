"""Molecular dynamics from an exported file."""

import time
from pathlib import Path
from typing import Any, NamedTuple

import ase.io
import numpy as np
import torch
from ase import Atoms, units
from ase.md.langevin import Langevin
from ase.md.md import MolecularDynamics
from ase.md.nose_hoover_chain import IsotropicMTKNPT
from ase.md.verlet import VelocityVerlet

from mdzoo.export.ase import Calculator
from mdzoo.export.lammps.dynamics import LammpsDynamics
from mdzoo.export.recorder import Recorder

ENGINES = ("ase", "lammps", "openmm")
ENSEMBLES = ("nve", "langevin", "npt")


class Summary(NamedTuple):
    """What a run was like."""

    steps: int
    time: float  # ps
    atoms: int
    drift: float  # meV/atom/ps: slope of the conserved energy, NaN where none is conserved (langevin, OpenMM's npt)
    spread: float  # meV/atom: standard deviation of the conserved energy about that line, likewise
    temperature: float  # K, mean of the second half
    temperature_std: float  # K
    pressure: float  # GPa, mean of the second half, kinetic part included; NaN without three periods
    seconds: float  # wall time
    neighbor_lists: int  # how often the list was made


def run(
    model: str | Path | torch.nn.Module,
    structure: str | Path | Atoms,
    *,
    engine: str = "ase",
    ensemble: str = "nve",
    steps: int = 1000,
    timestep: float = 1.0,
    temperature: float = 300.0,
    pressure: float = 0.0,
    friction: float = 0.01,
    trajectory: str | Path | None = None,
    log: str | Path | None = None,
    interval: int = 10,
    skin: float = 0.5,
    device: str = "cpu",
    seed: int = 0,
    progress: bool = True,
) -> Summary:
    """Run molecular dynamics and return a summary.

    Velocities that the structure brings are kept; else they are drawn at `temperature` (in `nve` a crystal at rest
    gives half of it to its potential energy). Atoms given as an object move in place.

    Args:
        model: path of an exported file, or a loaded module.
        structure: a file that ASE reads, or Atoms.
        engine: "ase", "lammps" (`model` is then a path) or "openmm"; in the last two the atoms are looked at every
            `interval` steps.
        ensemble: "nve" (velocity Verlet), "langevin", or "npt" (Martyna-Tobias-Klein, volume changes, shape stays).
        steps: number of steps.
        timestep: fs.
        temperature: K.
        pressure: GPa, of npt.
        friction: 1/fs, of langevin, and of npt in OpenMM.
        trajectory: file to write, `.extxyz`, `.xyz` or `.traj`; None writes none.
        log: CSV file to write: step, time, energies, temperature, pressure, volume.
        interval: steps between two lines or frames.
        skin: Angstrom, of the neighbour list.
        device: "cpu" or "cuda".
        seed: of velocities and thermostat.
        progress: whether to show a bar.

    Raises:
        ValueError: for a setting out of range, an unknown engine or ensemble, an element that the model does not know.
        RuntimeError: when the dynamics explode; what was written so far stays.
    """
    check(engine, ensemble, steps, timestep, temperature, interval)
    atoms: Any = structure if isinstance(structure, Atoms) else ase.io.read(structure)
    rng = np.random.default_rng(seed)
    warm(atoms, temperature, rng)
    if ensemble == "npt":
        check_periodic(atoms)
    dynamics: Any
    bath = (timestep, temperature, pressure, friction)
    if engine == "openmm":
        from mdzoo.export.openmm.dynamics import OpenMMDynamics

        dynamics = OpenMMDynamics(atoms, model, ensemble, *bath, interval, skin, device, seed)
    elif engine == "lammps":
        if isinstance(model, torch.nn.Module):
            raise ValueError("`model` must be the path of an exported file for engine=lammps, got a loaded module")
        dynamics = LammpsDynamics(atoms, model, ensemble, *bath, interval, skin, seed)
    else:
        atoms.calc = Calculator(model, skin, device)
        dynamics = integrator(atoms, ensemble, timestep, temperature, pressure, friction, rng)
    start = time.perf_counter()
    with Recorder(atoms, dynamics, steps, interval, trajectory, log, progress) as recorder:
        dynamics.run(steps)
    seconds = time.perf_counter() - start
    lists = atoms.calc.inputs.builds if engine == "ase" else dynamics.neighbor_lists()  # type: ignore[union-attr]
    return summary(recorder, steps, timestep, seconds, lists)


def check(engine: str, ensemble: str, steps: int, timestep: float, temperature: float, interval: int) -> None:
    """Refuse settings out of range."""
    if engine not in ENGINES:
        raise ValueError(f"`engine` must be one of {list(ENGINES)}, got {engine!r}; say engine=ase")
    if ensemble not in ENSEMBLES:
        raise ValueError(f"`ensemble` must be one of {list(ENSEMBLES)}, got {ensemble!r}; choose one")
    least = {"steps": (steps, 1), "interval": (interval, 1), "temperature": (temperature, 0)}
    for name, (value, bound) in least.items():
        if not value >= bound:
            raise ValueError(f"`{name}` must be at least {bound}, got {value}; raise it")
    if not 0.0 < timestep <= 20.0:
        raise ValueError(f"`timestep` must be between 0 and 20 fs, got {timestep}; 1 suits most, 0.25 hydrogen")


def check_periodic(atoms: Atoms) -> None:
    """Refuse a constant pressure where there is no volume."""
    if not (atoms.pbc.all() and atoms.cell.rank == 3):
        raise ValueError(
            f"`structure` must be periodic in three directions for ensemble=npt, got pbc={atoms.pbc.tolist()}; use "
            "langevin or nve"
        )


def warm(atoms: Atoms, temperature: float, rng: np.random.Generator) -> None:
    """Draw velocities, without a motion of the whole, unless the structure has some."""
    if atoms.has("momenta") and atoms.get_momenta().any():
        return
    masses = atoms.get_masses()[:, None]
    momenta = rng.standard_normal((len(atoms), 3)) * np.sqrt(masses * units.kB * temperature)
    if len(atoms) > 1:
        momenta -= momenta.sum(0) * masses / masses.sum()
    atoms.set_momenta(momenta)
    if atoms.get_temperature() > 0.0:
        atoms.set_momenta(atoms.get_momenta() * np.sqrt(temperature / atoms.get_temperature()))


def integrator(
    atoms: Atoms,
    ensemble: str,
    timestep: float,
    temperature: float,
    pressure: float,
    friction: float,
    rng: np.random.Generator,
) -> MolecularDynamics:
    """Return the dynamics of an ensemble."""
    step = timestep * units.fs
    if ensemble == "nve":
        return VelocityVerlet(atoms, step)
    if ensemble == "langevin":
        return Langevin(atoms, step, temperature_K=temperature, friction=friction / units.fs, fixcm=False, rng=rng)
    times: dict[str, Any] = {"tdamp": 100 * step, "pdamp": 1000 * step}
    return IsotropicMTKNPT(atoms, step, temperature_K=temperature, pressure_au=pressure * units.GPa, **times)


def summary(recorder: Recorder, steps: int, timestep: float, seconds: float, neighbor_lists: int) -> Summary:
    """Condense what was recorded."""
    rows = recorder.table()
    late = rows[len(rows) // 2 :]
    drift, spread = line(rows["time"], rows["conserved"]) if recorder.conserves else (float("nan"),) * 2
    n = len(recorder.atoms)
    return Summary(
        steps=steps,
        time=steps * timestep * 1e-3,
        atoms=n,
        drift=1e3 * drift / n,
        spread=1e3 * spread / n,
        temperature=float(late["temperature"].mean()),
        temperature_std=float(late["temperature"].std()),
        pressure=float(late["pressure"].mean()),
        seconds=seconds,
        neighbor_lists=neighbor_lists,
    )


def line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return the slope of the straight line through (x, y) and the standard deviation about it."""
    x, y = x - x.mean(), y - y.mean()
    slope = float(x @ y / (x @ x))
    return slope, float((y - slope * x).std())
