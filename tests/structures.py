"""Small structures for tests, and their graphs by plain loops over atoms and images: the oracle of the lists."""

import itertools
import math
from typing import NamedTuple

import numpy as np
import torch

from mdzoo.graph import Graph, make_graph


class Structure(NamedTuple):
    species: list[int]
    positions: np.ndarray  # (N, 3) Angstrom
    cell: np.ndarray  # (3, 3)
    pbc: tuple[bool, bool, bool]


def brute_force_edges(structure: Structure, cutoff: float) -> list[tuple[int, int, tuple[int, int, int]]]:
    """All (centre, neighbour, shift) with a distance below the cutoff; atoms may lie outside the cell."""
    _, positions, cell, pbc = structure
    extent = float(np.linalg.norm(np.ptp(positions, axis=0)))
    ranges = []
    for axis in range(3):
        others = np.cross(cell[(axis + 1) % 3], cell[(axis + 2) % 3])
        height = abs(np.linalg.det(cell)) / np.linalg.norm(others) if pbc[axis] else math.inf
        reach = math.ceil((cutoff + extent) / height)
        ranges.append(range(-reach, reach + 1))
    edges = []
    for i, j in itertools.product(range(len(positions)), repeat=2):
        for shift in itertools.product(*ranges):
            distance = np.linalg.norm(positions[j] + np.array(shift) @ cell - positions[i])
            if distance < cutoff and not (i == j and shift == (0, 0, 0)):
                edges.append((i, j, shift))
    return edges


def brute_force_graph(structure: Structure, cutoff: float) -> Graph:
    edges = brute_force_edges(structure, cutoff)
    n = len(structure.positions)
    return make_graph(
        species=torch.tensor(structure.species),
        positions=torch.tensor(structure.positions, dtype=torch.float64),
        batch=torch.zeros(n, dtype=torch.int64),
        ids=torch.arange(n),
        charges=torch.zeros(n, dtype=torch.float64),
        total_charge=torch.zeros(1, dtype=torch.float64),
        cell=torch.tensor(structure.cell, dtype=torch.float64).reshape(1, 3, 3),
        pbc=torch.tensor([structure.pbc]),
        centers=torch.tensor([e[0] for e in edges], dtype=torch.int64),
        neighbors=torch.tensor([e[1] for e in edges], dtype=torch.int64),
        shifts=torch.tensor([e[2] for e in edges], dtype=torch.float64).reshape(-1, 3),
    )


def crystal(n_species: int = 1) -> Structure:
    """Four atoms in a skewed cell with edges below the cutoffs of the zoo: atoms see their own images."""
    cell = np.array([[4.3, 0.2, -0.1], [0.9, 4.5, 0.3], [-0.4, 0.8, 4.1]])
    fractions = np.array([[0.03, 0.02, 0.05], [0.46, 0.53, 0.02], [0.55, -0.03, 0.52], [0.04, 0.48, 0.57]])
    return Structure([i % n_species for i in range(4)], fractions @ cell, cell, (True, True, True))


def molecule(n_species: int = 1) -> Structure:
    """Five atoms in free space, no two distances alike."""
    positions = [[0.0, 0.0, 0.0], [1.9, 0.3, -0.2], [-0.7, 1.8, 0.4], [0.2, -1.1, 2.0], [2.2, 1.9, 1.7]]
    return Structure([(i + 1) % n_species for i in range(5)], np.array(positions), np.zeros((3, 3)), (False,) * 3)


def slab(n_species: int = 1) -> Structure:
    """Three atoms, periodic along two left-handed vectors, one of them outside the cell."""
    cell = np.array([[0.3, 3.6, 0.0], [3.9, -0.2, 0.1], [0.0, 0.0, 12.0]])
    positions = np.array([[0.1, 0.2, 0.0], [6.1, 1.7, 1.1], [1.8, 0.3, 2.3]])
    return Structure([(2 - i) % n_species for i in range(3)], positions, cell, (True, True, False))


def graphs(n_species: int, cutoff: float) -> list[Graph]:
    return [brute_force_graph(build(n_species), cutoff) for build in (crystal, molecule, slab)]
