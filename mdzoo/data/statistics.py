"""What the data look like: ranges, outliers, close pairs, forces that do not add up."""

from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii

from mdzoo.data.dataset import StructureSet
from mdzoo.data.neighbors import neighbor_list
from mdzoo.data.reference_energies import reference_energies
from mdzoo.units import GPA

FAR = 8.0  # robust standard deviations from the median of its group that make an outlier
MANY = 0.1  # part of a group that is too many for outliers
CLOSE = 0.6  # fraction of the sum of covalent radii under which a pair is close
NET = 0.02  # eV/Angstrom, net force per atom that is worth a word


class Ranges(NamedTuple):
    """Ranges of one group of one split; NaN where there is no label."""

    split: str
    group: str
    structures: int
    atoms: int
    energy: tuple[float, float]  # eV/atom
    force: float  # eV/Angstrom, largest
    pressure: tuple[float, float]  # GPa, minus a third of the trace of the stress
    volume: tuple[float, float]  # Angstrom^3/atom, of structures with a full cell
    closest: float  # Angstrom, shortest distance


class Closest(NamedTuple):
    """The shortest distance of a structure, and the pair that is nearest for its covalent radii."""

    distance: float  # Angstrom
    pair: str
    ratio: float  # distance of this pair over the sum of its covalent radii


class Odd(NamedTuple):
    """A structure that a person should look at."""

    name: str
    group: str
    what: str


def ranges(part: StructureSet, split: str, closest: list[Closest]) -> list[Ranges]:
    """Return the ranges of each group; `closest` holds the closest pair of each structure."""
    return [_ranges(part, split, group, closest) for group in sorted(set(part.groups))]


def _ranges(part: StructureSet, split: str, group: str, closest: list[Closest]) -> Ranges:
    mine = [k for k, name in enumerate(part.groups) if name == group]
    frames, rows = [part.frames[k] for k in mine], [part.rows[k] for k in mine]
    pairs = list(zip(frames, rows, strict=True))
    return Ranges(
        split,
        group,
        len(mine),
        sum(len(atoms) for atoms in frames),
        _span([row.energy / len(atoms) for atoms, row in pairs if row.energy is not None]),
        _span([largest_force(row.forces) for row in rows if row.forces is not None])[1],
        _span([-float(np.trace(row.stress)) / 3.0 * GPA for row in rows if row.stress is not None]),
        _span([atoms.get_volume() / len(atoms) for atoms in frames if atoms.cell.rank == 3 and atoms.pbc.all()]),
        _span([closest[k].distance for k in mine])[0],
    )


def _span(values: list[float]) -> tuple[float, float]:
    finite = [value for value in values if np.isfinite(value)]
    return (min(finite), max(finite)) if finite else (np.nan, np.nan)


def largest_force(forces: np.ndarray) -> float:
    """Return the length of the longest force, eV/Angstrom."""
    return float(np.linalg.norm(forces, axis=1).max())


def closest_pair(atoms: Atoms, radius: float = 4.0) -> Closest:
    """Return what is closest in a structure; atoms farther apart than `radius` (Angstrom) do not count."""
    i, j, _, distances = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, radius)
    if len(distances) == 0:
        return Closest(np.inf, "", np.inf)
    z = atoms.numbers
    ratios = distances / (covalent_radii[z[i]] + covalent_radii[z[j]])
    k = int(ratios.argmin())
    pair = "-".join(sorted([chemical_symbols[z[i[k]]], chemical_symbols[z[j[k]]]]))
    return Closest(float(distances.min()), pair, float(ratios[k]))


def close_pairs(part: StructureSet, closest: list[Closest]) -> list[Odd]:
    """Return the structures with atoms nearer than 0.6 of the sum of their covalent radii."""
    return [
        Odd(name, group, f"{near.pair}, {near.ratio:.2f} of the covalent radii; closest {near.distance:.2f} Angstrom")
        for name, group, near in zip(part.names, part.groups, closest, strict=True)
        if near.ratio < CLOSE
    ]


def robust_z(values: np.ndarray) -> np.ndarray:
    """Return how far values lie from their median, in units of 1.4826 times the median deviation; NaN stays."""
    if not np.isfinite(values).any():
        return np.full_like(values, np.nan)
    deviations = values - np.nanmedian(values)
    spread = 1.4826 * np.nanmedian(np.abs(deviations))
    return deviations / spread if spread > 0.0 else np.zeros_like(values)


def outliers(part: StructureSet) -> list[Odd]:
    """Return structures whose energy per atom (beyond the elements' own) or largest force stands far out in its group.

    Groups of fewer than ten structures have no spread to speak of; a group with more than a tenth far out is a mixture.
    """
    energies = np.array([np.nan if energy is None else energy for energy in part.energies])
    if np.isfinite(energies).any():
        own = reference_energies("least_squares", part.frames, energies.tolist(), part.atomic_numbers)
        table = dict(zip(part.atomic_numbers, own, strict=True))
        base = [sum(table[z] for z in atoms.numbers.tolist()) for atoms in part.frames]
        energies = (energies - base) / [len(atoms) for atoms in part.frames]
    forces = np.array([np.nan if row.forces is None else largest_force(row.forces) for row in part.rows])
    found = []
    for group in sorted(set(part.groups)):
        mine = np.flatnonzero(np.asarray(part.groups) == group)
        for label, values, unit in (("energy", energies, "eV/atom"), ("largest force", forces, "eV/Angstrom")):
            z = robust_z(values[mine]) if len(mine) >= 10 else np.zeros(len(mine))
            far = np.flatnonzero(np.abs(z) > FAR)
            for k in far if len(far) <= MANY * len(mine) else []:
                text = f"{label} {values[mine[k]]:.4g} {unit}, {z[k]:.0f} robust standard deviations from its group"
                found.append(Odd(part.names[mine[k]], group, text))
    return found


def net_forces(part: StructureSet) -> list[Odd]:
    """Return structures whose forces do not add up to zero."""
    found = []
    for name, row, atoms in zip(part.names, part.rows, part.frames, strict=True):
        if row.forces is None:
            continue
        net = float(np.linalg.norm(row.forces.sum(0))) / len(atoms)
        if net > NET:
            found.append(Odd(name, row.group, f"net force {net:.3g} eV/Angstrom per atom"))
    return found
