"""Which structures are copies of one another by symmetry."""

import logging
from collections.abc import Sequence

import numpy as np
from ase import Atoms

from mdzoo.data.neighbors import neighbor_list

log = logging.getLogger(__name__)
RADIUS = 6.0  # Angstrom, distances that a fingerprint holds
DISTANCE = 5e-3  # Angstrom, root mean square by which the sorted distances of copies differ at most
ENERGY = 1e-5  # eV/atom, by which energies of copies differ at most


Energies = Sequence[float | None]


def fingerprint(atoms: Atoms, radius: float = RADIUS) -> dict[tuple[int, int], np.ndarray]:
    """Return the sorted distances (Angstrom) up to `radius` for each pair of elements, all pairs of all atoms.

    Rotations, reflections, translations and permutations leave it as it is.
    """
    i, j, _, distances = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, radius)
    elements = sorted(set(atoms.numbers.tolist()))
    ends = [atoms.numbers[i], atoms.numbers[j]]
    pairs = [(a, b) for a in elements for b in elements if a <= b]
    return {(a, b): np.sort(distances[(ends[0] == a) & (ends[1] == b)]) for a, b in pairs}


def alike(
    a: dict[tuple[int, int], np.ndarray],
    b: dict[tuple[int, int], np.ndarray],
    distance: float = DISTANCE,
    radius: float = RADIUS,
) -> bool:
    """Say whether two fingerprints agree; distances at the radius may fall on either side of it."""
    if a.keys() != b.keys():
        return False
    for pair in a:
        n = min(len(a[pair]), len(b[pair]))
        rest = np.concatenate([a[pair][n:], b[pair][n:]])
        if (rest < radius - 10.0 * distance).any():
            return False
        if n and np.sqrt(np.square(a[pair][:n] - b[pair][:n]).mean()) > distance:
            return False
    return True


class Comparison:
    """Structures to compare: candidates by composition and energy first, fingerprints only of those."""

    def __init__(
        self, frames: Sequence[Atoms], energies: Energies, distance: float = DISTANCE, energy: float = ENERGY
    ) -> None:
        self.distance, self.energy = distance, energy
        self.frames = list(frames)
        self.formulas = [atoms.get_chemical_formula() for atoms in self.frames]
        self.energies = np.array(
            [np.nan if e is None else e / len(a) for e, a in zip(energies, self.frames, strict=True)], dtype=np.float64
        )
        self._found: dict[int, dict[tuple[int, int], np.ndarray]] = {}
        self._same: dict[str, np.ndarray] = {
            formula: np.array([k for k, f in enumerate(self.formulas) if f == formula]) for formula in {*self.formulas}
        }

    def candidates(self, formula: str, energy: float) -> np.ndarray:
        """Return the structures of this formula whose energy per atom agrees or is unknown."""
        same = self._same.get(formula, np.zeros(0, dtype=np.int64))
        return same[~(np.abs(self.energies[same] - energy) > self.energy)]

    def fingerprint(self, index: int) -> dict[tuple[int, int], np.ndarray]:
        """Return the fingerprint of one structure, computed once."""
        if index not in self._found:
            self._found[index] = fingerprint(self.frames[index])
        return self._found[index]

    def first_twin(self, other: "Comparison", index: int, before: int | None = None) -> int:
        """Return the first structure (among those `before`) that is a copy of structure `index` of `other`, else -1."""
        for k in self.candidates(other.formulas[index], other.energies[index]):
            if before is not None and k >= before:
                break
            if alike(self.fingerprint(int(k)), other.fingerprint(index), self.distance):
                return int(k)
        return -1


def twins(
    train: Sequence[Atoms],
    test: Sequence[Atoms],
    train_energies: Energies,
    test_energies: Energies,
    distance: float = DISTANCE,
    energy: float = ENERGY,
) -> np.ndarray:
    """Return for each test structure the first training structure that is its copy by symmetry, else -1.

    Copies have the same composition, sorted pair distances up to 6 Angstrom that agree to `distance` (Angstrom, root
    mean square) and energies that agree to `energy` (eV/atom). A model that fits the one has seen the other.

    Arguments:
        train: training structures.
        test: test structures.
        train_energies: their total energies (eV), None where absent.
        test_energies: the same for the test structures.
        distance: Angstrom.
        energy: eV/atom.
    """
    one = Comparison(train, train_energies, distance, energy)
    two = Comparison(test, test_energies, distance, energy)
    found = np.array([one.first_twin(two, k) for k in range(len(test))], dtype=np.int64)
    if (found >= 0).any():
        log.warning("%d of %d test structures are copies of training structures", (found >= 0).sum(), len(test))
    return found


def twin_classes(
    frames: Sequence[Atoms], energies: Energies, distance: float = DISTANCE, energy: float = 20.0 * ENERGY
) -> np.ndarray:
    """Return for each structure the first one of which it is a copy, itself where it is the first."""
    one = Comparison(frames, energies, distance, energy)
    found = [one.first_twin(one, k, before=k) for k in range(len(frames))]
    return np.array([k if first < 0 else first for k, first in enumerate(found)], dtype=np.int64)
