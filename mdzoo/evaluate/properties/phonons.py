"""Vibrations of the perfect crystal, through phonopy."""

from typing import Any

import numpy as np
from ase import Atoms
from ase.cell import Cell

from mdzoo.evaluate.properties.calculator import repeats


def phonons(crystal: Atoms, length: float = 10.0, displacement: float = 0.01, points: int = 120) -> dict[str, Any]:
    """Return frequencies in THz, negative where imaginary, at Gamma and along the path through the zone.

    Keys: `gamma` (3n,), `path` (points, 3n) at `distance` (points,), `corners` and `labels`, `gamma_max`, `path_min`.

    Arguments:
        crystal: relaxed, with a calculator.
        length: least, of the sides of the supercell that displacements are made in, Angstrom.
        displacement: of one atom at a time, Angstrom.
        points: along the path.
    """
    phonopy = needed()
    unit = phonopy.structure.atoms.PhonopyAtoms(
        crystal.get_chemical_symbols(), cell=crystal.cell.array, scaled_positions=crystal.get_scaled_positions()
    )
    found = phonopy.Phonopy(
        unit, np.diag(repeats(crystal, length)), phonopy.structure.cells.guess_primitive_matrix(unit), log_level=0
    )
    found.generate_displacements(distance=displacement)
    found.forces = np.array([forces(crystal, cell) for cell in found.supercells_with_displacements])
    found.produce_force_constants()
    path = Cell(found.primitive.cell).bandpath(npoints=points)
    distance, corners, labels = path.get_linear_kpoint_axis()
    gamma, along = frequencies(found, [[0.0, 0.0, 0.0]])[0], frequencies(found, path.kpts)
    return {
        "gamma": gamma.tolist(),
        "path": along.tolist(),
        "distance": distance.tolist(),
        "corners": corners.tolist(),
        "labels": list(labels),
        "gamma_max": float(gamma.max()),
        "path_min": float(along.min()),
    }


def needed() -> Any:
    """Return phonopy, or say how to get it."""
    try:
        import phonopy
        import phonopy.structure.atoms
        import phonopy.structure.cells
    except ImportError as error:
        raise ValueError(
            "`properties` must leave phonons out, got phonons without phonopy; pip install 'mdzoo[phonons]'"
        ) from error
    return phonopy


def forces(crystal: Atoms, cell: Any) -> np.ndarray:
    """Return the forces on the atoms of a supercell of phonopy, (n, 3)."""
    atoms = Atoms(
        cell.symbols, cell=cell.cell, scaled_positions=cell.scaled_positions, pbc=True, calculator=crystal.calc
    )
    return atoms.get_forces()


def frequencies(phonon: Any, points: Any) -> np.ndarray:
    """Return the frequencies at points of the zone, (points, 3n) in THz."""
    phonon.run_qpoints(points)
    return np.asarray(phonon.qpoints.frequencies)
