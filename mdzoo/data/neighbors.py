"""Which atoms are neighbours, periodic images included: full lists by vesin."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import vesin
from ase import Atoms
from ase.geometry import complete_cell

CLOSEST = 1e-3  # Angstrom; two atoms nearer than this are taken for one atom written twice
FLATTEST = 1e-6  # smallest volume of a cell whose periodic vectors have the length 1


class Edges(NamedTuple):
    """The edges of one structure, sorted by centre, in few bytes."""

    counts: np.ndarray  # (N,) int32, neighbours of each atom
    neighbors: np.ndarray  # (E,) int32
    shifts: np.ndarray  # (E, 3) int16, whole lattice shifts of the neighbour


def neighbor_list(
    positions: np.ndarray, cell: np.ndarray, pbc: Sequence[bool], cutoff: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return centres (E,), neighbours (E,), shifts (E, 3) and distances (E,) of all edges shorter than `cutoff`.

    Both i->j and j->i are listed; an atom is a neighbour of its own images. Any cell will do: smaller than the cutoff,
    skewed, left-handed, partly periodic, with atoms outside.
    """
    lists = vesin.NeighborList(cutoff=float(cutoff), full_list=True, sorted=True, n_threads=1)
    box = complete_cell(np.where(np.asarray(pbc)[:, None], cell, 0.0))
    i, j, shifts, distances = lists.compute(
        points=np.ascontiguousarray(positions), box=box, periodic=[bool(p) for p in pbc], quantities="ijSd"
    )
    return i.astype(np.int64), j.astype(np.int64), shifts, distances


def check_atoms(atoms: Atoms, name: str = "atoms") -> None:
    """Raise ValueError where a structure is empty, its positions are not numbers or its periodic cell is flat."""
    if len(atoms) == 0:
        raise ValueError(f"`{name}` must hold at least one atom, got 0; drop the empty structure")
    bad = np.flatnonzero(~np.isfinite(atoms.positions).all(1))
    if len(bad):
        raise ValueError(
            f"`{name}` must have finite positions, got {atoms.positions[bad[0]].tolist()} for atom {bad[0]}; "
            "repair or drop the structure"
        )
    periodic = atoms.cell.array[atoms.pbc]
    if not _independent(periodic):
        raise ValueError(
            f"`{name}` must have a cell with independent vectors along its periodic directions, got "
            f"{atoms.cell.array.tolist()} with pbc={atoms.pbc.tolist()}; set the cell, or pbc=False"
        )


def _independent(vectors: np.ndarray) -> bool:
    """Say whether the periodic vectors (k, 3) span a volume."""
    if not np.isfinite(vectors).all():
        return False
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not lengths.all():
        return False
    units = vectors / lengths
    return bool(np.linalg.det(units @ units.T) > FLATTEST**2)


def find_edges(atoms: Atoms, cutoff: float, name: str = "atoms") -> Edges:
    """Return the edges of a structure; errors name the structure `name`."""
    check_atoms(atoms, name)
    if not cutoff > 0.0:
        return Edges(np.zeros(len(atoms), np.int32), np.zeros(0, np.int32), np.zeros((0, 3), np.int16))
    centers, neighbors, shifts, distances = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)
    if len(distances) and distances.min() < CLOSEST:
        e = int(distances.argmin())
        raise ValueError(
            f"`{name}` must have one atom at one place, got atoms {centers[e]} and {neighbors[e]} at a distance of "
            f"{distances[e]:.2g} Angstrom; remove one of them"
        )
    counts = np.bincount(centers, minlength=len(atoms))
    return Edges(counts.astype(np.int32), neighbors.astype(np.int32), shifts.astype(np.int16))
