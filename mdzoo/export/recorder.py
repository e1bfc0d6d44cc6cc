"""What is written down while atoms move: a log, a trajectory, a progress bar, and the end when they explode."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import ase.io
import numpy as np
from ase import Atoms, units
from ase.io.trajectory import Trajectory
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

COLUMNS = ["step", "time", "potential", "kinetic", "conserved", "temperature", "pressure", "volume"]
HEADER = "step,time_ps,potential_eV,kinetic_eV,conserved_eV,temperature_K,pressure_GPa,volume_A3"
HOTTEST = 1e5  # K
STEEPEST = 1e3  # eV/Angstrom
LARGEST_LEAK = 0.1  # eV/atom of a conserved energy
FORMATS = (".extxyz", ".xyz", ".traj")


class Recorder:
    """A context that follows a run of ASE's dynamics and closes its files, whatever happens.

    Arguments:
        atoms: the moving atoms.
        dynamics: of ASE.
        steps: of the whole run.
        interval: steps between two records.
        trajectory: file of the frames, or None.
        log: CSV file, or None.
        progress: whether to show a bar.
    """

    def __init__(
        self,
        atoms: Atoms,
        dynamics: Any,
        steps: int,
        interval: int,
        trajectory: str | Path | None,
        log: str | Path | None,
        progress: bool,
    ) -> None:
        self.atoms, self.dynamics, self.steps, self.interval = atoms, dynamics, steps, interval
        self.trajectory = None if trajectory is None else Path(trajectory)
        if self.trajectory is not None and self.trajectory.suffix not in FORMATS:
            raise ValueError(f"`trajectory` must end in one of {list(FORMATS)}, got {str(trajectory)!r}; rename it")
        self.log_path = None if log is None else Path(log)
        self.conserves = hasattr(dynamics, "get_conserved_energy") or type(dynamics).__name__ == "VelocityVerlet"
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        self.bar = Progress(*columns, disable=not progress)
        self.rows: list[tuple[float, ...]] = []
        self.log: TextIO | None = None
        self.frames: Any = None

    def __enter__(self) -> Self:
        """Open the files and start to follow."""
        for path in (self.trajectory, self.log_path):
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
        if self.log_path is not None:
            self.log = open(self.log_path, "w", buffering=1)  # noqa: SIM115 - closed on exit
            self.log.write(HEADER + "\n")
        if self.trajectory is not None:
            self.trajectory.unlink(missing_ok=True)
            if self.trajectory.suffix == ".traj":
                self.frames = Trajectory(self.trajectory, "w", self.atoms)
        self.task = self.bar.add_task("MD", total=self.steps)
        self.bar.start()
        self.dynamics.attach(self.observe, interval=1)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the files."""
        self.bar.stop()
        for file in (self.log, self.frames):
            if file is not None:
                file.close()

    def observe(self) -> None:
        """Look at one step: stop an explosion, record every `interval` steps and the last one."""
        step = self.dynamics.nsteps
        row = self.row(step)
        self.check(row)
        if step % self.interval == 0 or step == self.steps:
            self.rows.append(row)
            self.write(row)
            note = f"MD  {row[5]:6.0f} K  {row[2] / len(self.atoms):.4f} eV/atom"
            self.bar.update(self.task, completed=step, description=note)

    def row(self, step: int) -> tuple[float, ...]:
        """Return what `COLUMNS` names."""
        atoms, recorded = self.atoms, step % self.interval == 0 or step == self.steps
        potential, kinetic = atoms.get_potential_energy(), atoms.get_kinetic_energy()
        total = potential + kinetic
        if hasattr(self.dynamics, "get_conserved_energy"):
            total = self.dynamics.get_conserved_energy()
        pressure, volume = float("nan"), float("nan")
        if recorded and atoms.cell.rank == 3 and atoms.pbc.all():
            stress = atoms.get_stress(voigt=False, include_ideal_gas=True)
            pressure, volume = -float(np.trace(stress)) / 3.0 / units.GPa, atoms.cell.volume
        time = self.dynamics.get_time() / (1e3 * units.fs)
        return (step, time, potential, kinetic, total, atoms.get_temperature(), pressure, volume)

    def write(self, row: tuple[float, ...]) -> None:
        """Append to the log and to the trajectory."""
        if self.log is not None:
            self.log.write(",".join(f"{value:.10g}" for value in row) + "\n")
        if self.frames is not None:
            self.frames.write()
        elif self.trajectory is not None:
            ase.io.write(self.trajectory, self.atoms, format="extxyz", append=True)

    def check(self, row: tuple[float, ...]) -> None:
        """Raise RuntimeError where no physical run can be."""
        steepest = np.abs(self.atoms.get_forces(apply_constraint=False)).max()
        leak = abs(row[4] - self.rows[0][4]) / len(self.atoms) if self.rows and self.conserves else 0.0
        healthy = np.isfinite(row[:6]).all() and row[5] < HOTTEST and steepest < STEEPEST and leak < LARGEST_LEAK
        if not healthy:
            raise RuntimeError(
                f"`structure` must stay together, got {row[5]:.3g} K, forces up to {steepest:.3g} eV/Angstrom and a "
                f"conserved energy off by {leak:.3g} eV/atom at step {int(row[0])}; lower `timestep`, relax the "
                "structure, or train the model on close atoms (a ZBL term keeps them apart)"
            )

    def table(self) -> np.ndarray:
        """Return the records as a structured array with the fields `COLUMNS`."""
        return np.array(self.rows, dtype=[(name, float) for name in COLUMNS])
