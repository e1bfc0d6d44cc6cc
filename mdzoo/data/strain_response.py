"""Do the stress labels agree with what the energies do when the cell is strained?

For two structures a and b of one crystal, with cells h and fractional coordinates s, along the straight path between
them `dE = V sigma : (h^-1 dh) - sum_i F_i . (ds_i h)`, so

    E_b - E_a = 1/2 (w_a + w_b) + O(strain^3),    w = V sigma : (h^-1 (h_b - h_a)) - sum_i F_i . (s_b - s_a)_i h .

The difference of the two sides, per volume and strain, is the stress that the energies have and the labels lack. It is
taken over all pairs of neighbours of a group, by the component that the strain between them changes most: its mean is
an offset (a basis that changes with the cell gives a constant pressure), and what remains beside the mean, against the
stress of the energies themselves, says whether label and energy know of one another at all.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from ase import Atoms

from mdzoo.data.keys import Row
from mdzoo.data.masks import COMPONENTS
from mdzoo.units import GPA

LARGEST = 0.03  # strain between neighbours; the error of the trapezoid grows with its square
SMALLEST = 1e-4  # below it a pair says nothing
MOVED = 0.05  # Angstrom, root mean square of displacements beyond the strain
NEIGHBORS = 4  # pairs of each structure
MOST = 1000  # structures of a family that are looked at
HALF = np.array([1.0, 1.0, 1.0, 0.5, 0.5, 0.5])  # tensor strain of each gamma
PAIRS = 8  # fewest pairs for a verdict on a component


class Pair(NamedTuple):
    """Two neighbouring structures, per volume (eV/Angstrom^3)."""

    strain: np.ndarray  # (6,) gamma: normal strains, then twice the shear strains, ASE's order
    stress: np.ndarray  # (6,) mean of the labels
    work: float  # of the labels of the stress
    missing: float  # energy difference minus the works of stress and forces


class Component(NamedTuple):
    """What the energies say of one component of the stress."""

    name: str
    n_pairs: int
    offset: float  # GPa, mean of (stress of the energies minus label)
    error: float  # GPa, standard error of the offset
    scatter: float  # GPa, root mean square of (stress of the energies minus label minus offset)
    size: float  # GPa, root mean square of the stress of the energies


class Response(NamedTuple):
    """What the energies of a group say of its stress labels."""

    components: list[Component]
    pressure: float  # GPa, constant on the diagonal that brings the labels nearest to the energies
    slope: float  # factor on the labels that brings them nearest to the energies; 1 if unit and sign are right
    n_pairs: int


def families(frames: Sequence[Atoms], rows: Sequence[Row]) -> list[list[int]]:
    """Return the structures with energy and stress that have the same atoms in the same order in a full cell."""
    found: dict[bytes, list[int]] = {}
    for k, (atoms, row) in enumerate(zip(frames, rows, strict=True)):
        if row.energy is not None and row.stress is not None and np.isfinite(row.stress).all() and atoms.pbc.all():
            found.setdefault(atoms.numbers.tobytes(), []).append(k)
    return [members[:MOST] for members in found.values() if len(members) > 1]


def find_pairs(frames: Sequence[Atoms], rows: Sequence[Row]) -> list[Pair]:
    """Return pairs of neighbours: nearest in strain, displaced little beyond it."""
    pairs = []
    for members in families(frames, rows):
        cells = np.array([frames[k].cell.array for k in members])
        strains = _symmetric(np.linalg.solve(cells.mean(0), cells - cells.mean(0)))
        distances = (np.abs(strains[:, None] - strains[None]) * HALF).max(-1)
        distances[(distances < SMALLEST) | (distances > LARGEST)] = np.inf
        seen: set[tuple[int, int]] = set()
        for a in range(len(members)):
            order = np.argsort(distances[a], kind="stable")[: 3 * NEIGHBORS]
            near = [b for b in order.tolist() if np.isfinite(distances[a, b])]
            seen |= set(_close(frames, members, a, near))
        pairs += [_pair(frames, rows, members[a], members[b]) for a, b in sorted(seen)]
    return pairs


def _close(frames: Sequence[Atoms], members: list[int], a: int, near: list[int]) -> list[tuple[int, int]]:
    """Return up to NEIGHBORS pairs of `a` whose atoms are displaced little beyond the strain."""
    found: list[tuple[int, int]] = []
    for b in near:
        if len(found) == NEIGHBORS:
            break
        steps = _steps(frames[members[a]], frames[members[b]])
        moved = np.sqrt(np.square(steps @ frames[members[a]].cell.array).sum(1).mean())
        if moved <= MOVED:
            found.append((min(a, b), max(a, b)))
    return found


def _steps(one: Atoms, two: Atoms) -> np.ndarray:
    """Return the differences of the fractional coordinates, to the nearest image, without their mean."""
    steps = np.linalg.solve(two.cell.array.T, two.positions.T).T - np.linalg.solve(one.cell.array.T, one.positions.T).T
    steps -= np.rint(steps)
    return steps - steps.mean(0)


def _symmetric(gradients: np.ndarray) -> np.ndarray:
    """Return gamma (..., 6) of deformations (..., 3, 3): shear components count both halves."""
    return np.stack([gradients[..., i, j] + (i != j) * gradients[..., j, i] for i, j in COMPONENTS.values()], -1)


def _pair(frames: Sequence[Atoms], rows: Sequence[Row], a: int, b: int) -> Pair:
    """Return strain, mean stress and missing energy of a pair, per mean volume."""
    one, two = frames[a], frames[b]
    change, steps = two.cell.array - one.cell.array, _steps(one, two)
    volume = 0.5 * (one.get_volume() + two.get_volume())
    strain, stress, work, of_forces = np.zeros(6), np.zeros(6), 0.0, 0.0
    for atoms, row in ((one, rows[a]), (two, rows[b])):
        gamma = _symmetric(np.linalg.solve(atoms.cell.array, change))
        label = np.array([np.asarray(row.stress)[i, j] for i, j in COMPONENTS.values()])
        work += 0.5 * atoms.get_volume() * float(gamma @ label)
        if row.forces is not None:
            of_forces -= 0.5 * float((row.forces * (steps @ atoms.cell.array)).sum())
        strain, stress = strain + 0.5 * gamma, stress + 0.5 * label
    rise = float(np.subtract(rows[b].energy, rows[a].energy))  # type: ignore[arg-type]
    return Pair(strain, stress, work / volume, (rise - work - of_forces) / volume)


def strain_response(frames: Sequence[Atoms], rows: Sequence[Row]) -> Response:
    """Return what the energies of the structures of one group say of their stress labels, component by component.

    A component without enough pairs is left out; none are left where the structures are not related by strains.
    """
    pairs = find_pairs(frames, rows)
    if len(pairs) < PAIRS:
        return Response([], 0.0, 1.0, len(pairs))
    strain = np.array([pair.strain for pair in pairs])
    stress = np.array([pair.stress for pair in pairs]) * GPA
    missing = np.array([pair.missing for pair in pairs]) * GPA
    found = []
    for c, name in enumerate(COMPONENTS):
        mine = np.abs(strain[:, c]) > 0.9 * np.abs(strain).max(1)
        if mine.sum() >= PAIRS:
            found.append(_component(name, strain[mine, c], stress[mine, c], missing[mine]))
    trace = strain[:, :3].sum(1)
    pressure = float(trace @ missing) / max(float(trace @ trace), 1e-12)
    work = np.array([pair.work for pair in pairs]) * GPA
    slope = 1.0 + float(work @ missing) / max(float(work @ work), 1e-12)
    return Response(found, pressure, slope, len(pairs))


def _component(name: str, strain: np.ndarray, label: np.ndarray, missing: np.ndarray) -> Component:
    """Return the statistics of one component over the pairs that it dominates, weighted by the squares of the strains.

    Small strains say little, for the noise of the energies is divided by them.
    """
    wanted = missing / strain
    weight = np.square(strain) / np.square(strain).sum()
    offset = float(weight @ wanted)
    scatter = float(np.sqrt(weight @ np.square(wanted - offset)))
    size = float(np.sqrt(weight @ np.square(label + wanted)))
    error = scatter * float(np.sqrt(np.square(weight).sum()))
    return Component(name, len(wanted), offset, error, scatter, size)
