"""What integrators outside Python share behind the interface of ASE's dynamics."""

from collections.abc import Callable

from ase import Atoms, units


class EngineDynamics:
    """An engine moves the atoms; every `interval` steps they are brought back and observers are called.

    A member gives `advance` and `look`, sets `get_conserved_energy` where there is such an energy, and looks once when
    it is made.

    Arguments:
        atoms: they move in place.
        timestep: fs.
        interval: steps between two looks.
    """

    def __init__(self, atoms: Atoms, timestep: float, interval: int) -> None:
        self.atoms, self.timestep, self.interval, self.nsteps = atoms, float(timestep), int(interval), 0
        self.observers: list[Callable[[], None]] = []

    def advance(self, steps: int) -> None:
        """Let the engine move the atoms; `nsteps` have passed before."""
        raise NotImplementedError

    def look(self) -> None:
        """Bring positions, momenta, cell and what the model says to the atoms."""
        raise NotImplementedError

    def attach(self, observer: Callable[[], None], interval: int = 1) -> None:
        """Call `observer` whenever the atoms have been brought back."""
        self.observers.append(observer)

    def run(self, steps: int) -> None:
        """Run, and look every `interval` steps."""
        self.tell()
        while self.nsteps < steps:
            some = min(self.interval, steps - self.nsteps)
            self.advance(some)
            self.nsteps += some
            self.look()
            self.tell()

    def tell(self) -> None:
        """Call the observers."""
        for observer in self.observers:
            observer()

    def get_time(self) -> float:
        """Return the time that has passed, in ASE's unit."""
        return self.nsteps * self.timestep * units.fs
