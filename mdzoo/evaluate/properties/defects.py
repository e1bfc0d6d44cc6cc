"""The imperfect crystal: a vacancy, and surfaces."""

import itertools

import numpy as np
from ase import Atoms
from ase.build import make_supercell

from mdzoo.evaluate.properties.calculator import relax, repeats

JOULE = 16.02176634  # J/m^2 in one eV/Angstrom^2


def vacancy_energy(crystal: Atoms, length: float = 10.0) -> float:
    """Return `E(N - 1) - (N - 1) / N E(N)` in eV, relaxed at constant cell.

    Arguments:
        crystal: relaxed, of one element, with a calculator.
        length: least, of the sides of the cell of N sites, Angstrom.
    """
    energy = crystal.get_potential_energy() / len(crystal)
    cell = crystal.repeat(repeats(crystal, length))
    del cell[0]
    cell.calc = crystal.calc
    return float(relax(shaken(cell), fmax=1e-4).get_potential_energy() - len(cell) * energy)


def shaken(atoms: Atoms) -> Atoms:
    """Return a copy with atoms moved by about 0.02 Angstrom, off places that forces leave by symmetry alone."""
    out = atoms.copy()
    out.calc = atoms.calc
    out.rattle(0.02, seed=0)
    return out


def surface_energies(crystal: Atoms, miller: tuple[int, int, int], thickness: float = 15.0) -> tuple[float, float]:
    """Return `(E - N e) / (2 A)` in J/m^2 of a slab with two like faces, as cut and relaxed.

    The crystal is cut between the two planes of atoms that are furthest apart; what needs a larger cell than its own to
    reconstruct does not.

    Arguments:
        crystal: relaxed, with a calculator; Miller indices are those of its cell.
        miller: of the face.
        thickness: least, Angstrom.
    """
    slab = cut(crystal, miller, thickness, 2.0 * crystal.calc.force_field.cutoff + 5.0)
    slab.calc = crystal.calc
    area = np.linalg.norm(np.cross(slab.cell[0], slab.cell[1]))
    bulk = len(slab) * crystal.get_potential_energy() / len(crystal)
    found = (slab.get_potential_energy(), relax(shaken(slab), fmax=1e-4).get_potential_energy())
    as_cut, relaxed = (float((energy - bulk) / (2.0 * area) * JOULE) for energy in found)
    return as_cut, relaxed


def cut(crystal: Atoms, miller: tuple[int, int, int], thickness: float, vacuum: float) -> Atoms:
    """Return a slab whose faces are `miller`, with `vacuum` (Angstrom) above it."""
    slab = make_supercell(crystal, along(crystal, miller))
    height = slab.cell.volume / np.linalg.norm(np.cross(slab.cell[0], slab.cell[1]))
    slab = slab.repeat((1, 1, int(np.ceil(thickness / height))))
    height *= int(np.ceil(thickness / height))
    normal = np.cross(slab.cell[0], slab.cell[1])
    normal /= np.linalg.norm(normal)
    place = np.sort(slab.get_scaled_positions()[:, 2])
    gaps = np.append(place[1:], place[0] + 1.0) - place
    top = place[np.argmax(np.round(gaps, 6))] + 0.5 * gaps.max()
    fractions = slab.get_scaled_positions()
    fractions[:, 2] = (fractions[:, 2] - top) % 1.0
    slab.set_scaled_positions(fractions)
    slab.set_cell([slab.cell[0], slab.cell[1], (height + vacuum) * normal * np.sign(normal @ slab.cell[2])])
    return slab


def along(crystal: Atoms, miller: tuple[int, int, int]) -> np.ndarray:
    """Return the integer matrix of a cell with two short vectors in the face `miller` and one out of it."""
    if np.gcd.reduce(miller) != 1:
        raise ValueError(f"`surfaces` must be whole numbers without a common divisor, got {miller}; divide them by it")
    vectors = np.array(list(itertools.product(range(-3, 4), repeat=3)))
    lengths = np.linalg.norm(vectors @ crystal.cell.array, axis=1)
    vectors = vectors[np.argsort(lengths, kind="stable")]
    inside, outside = vectors[vectors @ miller == 0][1:], vectors[vectors @ miller == 1]

    def area(pair: tuple[np.ndarray, np.ndarray]) -> float:
        return float(np.linalg.norm(np.cross(pair[0] @ crystal.cell.array, pair[1] @ crystal.cell.array)))

    pairs = [(a, b) for a, b in itertools.combinations(inside[:12], 2) if np.cross(a, b).any()]
    first, second = min(pairs, key=lambda pair: round(area(pair), 6))
    matrix = np.array([first, second, outside[0]])
    return matrix if np.linalg.det(matrix) > 0.0 else matrix[[1, 0, 2]]
