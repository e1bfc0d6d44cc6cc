"""Edges by vesin against a sum over images, written plainly."""

import itertools

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, fcc111

from mdzoo.data import graph_from_atoms
from mdzoo.data.neighbors import find_edges


def brute_force(atoms, cutoff):
    """Return all (i, j, shift) shorter than the cutoff; images as far as the heights of the cell demand."""
    cell = atoms.cell.array
    spread = np.ptp(atoms.positions, axis=0).max() + cutoff if len(atoms) else cutoff
    reach = [0, 0, 0]
    for k in range(3):
        if atoms.pbc[k]:
            full = atoms.cell.complete().array
            height = abs(np.linalg.det(full)) / np.linalg.norm(np.cross(full[(k + 1) % 3], full[(k + 2) % 3]))
            reach[k] = int(np.ceil(2.0 * spread / height)) + 1
    found = set()
    for shift in itertools.product(*[range(-n, n + 1) for n in reach]):
        offset = np.array(shift) @ cell
        d = np.linalg.norm(atoms.positions[None] + offset - atoms.positions[:, None], axis=-1)
        for i, j in zip(*np.nonzero(d < cutoff), strict=True):
            if i != j or any(shift):
                found.add((int(i), int(j), *shift))
    return found


def cases():
    rng = np.random.default_rng(3)
    skewed = Atoms("Si3", rng.uniform(0, 3, (3, 3)), cell=[[3, 0, 0], [2.6, 2.5, 0], [-2.2, 2.4, 3.1]], pbc=True)
    slab = fcc111("Al", (1, 1, 3), vacuum=6.0)
    outside = bulk("Cu", cubic=True)
    outside.positions += rng.integers(-3, 4, (4, 3)) @ outside.cell.array
    left = bulk("NaCl", "rocksalt", a=5.6)
    left.set_cell(left.cell.array[[1, 0, 2]])
    wire = Atoms("C2", [[0, 0, 0], [0.3, 0.2, 1.1]], cell=[[0, 0, 0], [0, 0, 0], [0, 0, 2.4]], pbc=[False, False, True])
    mixed = Atoms(
        "H4", rng.uniform(-4, 8, (4, 3)), cell=[[4, 0, 0], [1.5, 4, 0], [0.5, 0.3, 2]], pbc=[True, False, True]
    )
    return {
        "one atom, cell smaller than the cutoff": (bulk("Cu"), 7.0),
        "skewed": (skewed, 4.5),
        "slab": (slab, 5.0),
        "atoms outside the cell": (outside, 4.0),
        "left-handed": (left, 5.0),
        "wire without other vectors": (wire, 4.0),
        "mixed periodicity": (mixed, 5.0),
        "cluster": (Atoms("H5", rng.uniform(0, 5, (5, 3))), 3.5),
        "cluster in an unused cell": (Atoms("H5", rng.uniform(0, 9, (5, 3)), cell=[2, 2, 2], pbc=False), 5.0),
        "flat triclinic": (Atoms("Mo", cell=[[2.7, 0, 0], [2.6, 0.8, 0], [0.3, 0.4, 2.9]], pbc=True), 5.2),
        "alone": (Atoms("H"), 5.0),
    }


@pytest.mark.parametrize("name", cases())
def test_edges_are_those_of_a_sum_over_images(name):
    atoms, cutoff = cases()[name]
    graph = graph_from_atoms(atoms, sorted(set(atoms.numbers.tolist())), cutoff)
    edges = list(zip(graph.centers.tolist(), graph.neighbors.tolist(), *graph.shifts.long().T.tolist(), strict=True))
    assert len(edges) == len(set(edges))
    assert set(edges) == brute_force(atoms, cutoff)


@pytest.mark.parametrize("name", cases())
def test_edges_are_sorted_and_their_vectors_shorter_than_the_cutoff(name):
    atoms, cutoff = cases()[name]
    graph = graph_from_atoms(atoms, sorted(set(atoms.numbers.tolist())), cutoff)
    assert (graph.centers.diff() >= 0).all()
    assert graph.vectors.dtype == torch.float64
    lengths = torch.linalg.vector_norm(graph.vectors, dim=-1)
    assert (lengths < cutoff).all()
    assert (lengths > 0.1).all()


def test_reversed_edges_are_edges():
    graph = graph_from_atoms(bulk("Si"), [14], 6.0)
    there = set(zip(graph.centers.tolist(), graph.neighbors.tolist(), *graph.shifts.long().T.tolist(), strict=True))
    back = set(zip(graph.neighbors.tolist(), graph.centers.tolist(), *(-graph.shifts.long()).T.tolist(), strict=True))
    assert there == back


def test_no_edges_without_a_cutoff():
    assert find_edges(bulk("Si"), 0.0).neighbors.size == 0


def test_the_same_structure_gives_the_same_edges_in_the_same_order():
    atoms = bulk("Si", cubic=True).repeat(2)
    one, two = find_edges(atoms, 5.0), find_edges(atoms, 5.0)
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
