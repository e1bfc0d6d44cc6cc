"""A force field as ASE's optimisers want it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.filters import FrechetCellFilter
from ase.optimize import LBFGS
from ase.stress import full_3x3_to_voigt_6_stress

from mdzoo.data.graphs import graph_from_atoms
from mdzoo.potentials.force_field import ForceField


class ForceFieldCalculator(Calculator):
    """Energy, forces and stress of a force field in float64; see `mdzoo.export.ase` for exported files."""

    implemented_properties = ["energy", "forces", "stress"]

    def __init__(self, force_field: ForceField) -> None:
        super().__init__()
        self.force_field = force_field.double().eval()

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Fill `results`; called by ASE."""
        super().calculate(atoms, properties, system_changes)
        graph = graph_from_atoms(self.atoms, self.force_field.atomic_numbers, self.force_field.cutoff)
        said = self.force_field(graph)
        virial = said.virial[0].detach().numpy()
        self.results = {"energy": float(said.energy.detach()), "forces": said.forces.detach().numpy()}
        self.results["stress"] = full_3x3_to_voigt_6_stress(-virial / self.atoms.cell.volume)


def relax(atoms: Atoms, cell: bool = False, fmax: float = 1e-6, steps: int = 1000) -> Atoms:
    """Return a copy whose forces, and stress times volume if the `cell` may change, are below `fmax` (eV/Angstrom).

    Raises:
        ValueError: they are not, after as many steps: the model is not smooth, or has no minimum nearby.
    """
    out = atoms.copy()
    out.calc = atoms.calc
    moving: Any = FrechetCellFilter(out) if cell else out
    optimizer: Any = LBFGS
    if not optimizer(moving, logfile=None).run(fmax=fmax, steps=steps):
        left = np.abs(out.get_forces()).max()
        raise ValueError(
            f"`structure` must relax to {fmax} eV/Angstrom within {steps} steps, got forces of {left:.2g} for "
            f"{out.get_chemical_formula()}; the model has no smooth minimum there, try another structure"
        )
    return out


def repeats(crystal: Atoms, length: float) -> tuple[int, ...]:
    """Return how often each vector of a cell must be repeated for sides of at least `length` (Angstrom)."""
    return tuple(int(n) for n in np.ceil(length / crystal.cell.lengths() - 1e-6))
