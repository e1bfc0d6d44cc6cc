"""How a structure of ASE becomes a Graph."""

from collections.abc import Sequence

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols
from torch import Tensor

from mdzoo.data.neighbors import Edges, find_edges
from mdzoo.graph import Graph, make_graph


def graph_from_atoms(
    atoms: Atoms,
    atomic_numbers: Sequence[int],
    cutoff: float,
    charges_key: str | None = None,
    name: str = "atoms",
) -> Graph:
    """Return the Graph of a structure with all edges shorter than `cutoff`, in float64, sorted by centre.

    Arguments:
        atoms: the structure; any cell and any periodicity.
        atomic_numbers: the element table of the model; species k is element atomic_numbers[k].
        cutoff: radius (Angstrom) up to which atoms are neighbours.
        charges_key: array of the structure that holds the charges (e); by default ASE's initial charges, else 0.
            The total charge is `atoms.info["total_charge"]`, else the sum of the charges.
        name: how error messages call the structure.

    Raises:
        ValueError: no atoms, positions that are not finite, a flat periodic cell, two atoms at one place, an element
            that the table lacks.

    Example:
        >>> from ase.build import bulk
        >>> graph_from_atoms(bulk("Cu"), [29], 3.0).centers.tolist()
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    """
    return graph_from_edges(atoms, atomic_numbers, find_edges(atoms, cutoff, name), charges_key, name)


def species_of(atoms: Atoms, atomic_numbers: Sequence[int], name: str = "atoms") -> Tensor:
    """Return the place of each atom's element in the table, (N,) int64."""
    table = list(atomic_numbers)
    for z in sorted(set(atoms.numbers.tolist()) - set(table)):
        known = [chemical_symbols[k] for k in table]
        raise ValueError(
            f"`{name}` must consist of the model's elements {known}, got {chemical_symbols[z]} (Z={z}); use a model "
            "that was fitted to it"
        )
    lookup = np.zeros(max(table) + 1, np.int64)
    lookup[table] = np.arange(len(table))
    return torch.from_numpy(lookup[atoms.numbers])


def graph_from_edges(
    atoms: Atoms, atomic_numbers: Sequence[int], edges: Edges, charges_key: str | None = None, name: str = "atoms"
) -> Graph:
    """Return the Graph of a structure whose edges are known."""
    n = len(atoms)
    charges = torch.from_numpy(charges_of(atoms, charges_key, name))
    total = float(atoms.info.get("total_charge", charges.sum().item()))
    return make_graph(
        species=species_of(atoms, atomic_numbers, name),
        positions=torch.tensor(atoms.positions, dtype=torch.float64),
        batch=torch.zeros(n, dtype=torch.int64),
        ids=torch.arange(n),
        charges=charges,
        total_charge=torch.tensor([total], dtype=torch.float64),
        cell=torch.tensor(atoms.cell.array, dtype=torch.float64).unsqueeze(0),
        pbc=torch.tensor(atoms.pbc).unsqueeze(0),
        centers=torch.repeat_interleave(torch.arange(n), torch.from_numpy(edges.counts.astype(np.int64))),
        neighbors=torch.from_numpy(edges.neighbors.astype(np.int64)),
        shifts=torch.from_numpy(edges.shifts.astype(np.float64)),
    )


def charges_of(atoms: Atoms, charges_key: str | None, name: str = "atoms") -> np.ndarray:
    """Return the given charges (N,) in e, 0 where there are none."""
    if charges_key is None:
        return np.asarray(atoms.get_initial_charges(), dtype=np.float64)
    found = atoms.arrays.get(charges_key)
    if found is None and atoms.calc is not None:
        found = atoms.calc.results.get(charges_key)
    if found is None:
        raise ValueError(
            f"`charges_key` must be an array of `{name}` ({sorted(atoms.arrays)}), got {charges_key!r}; name the "
            "column that holds the charges"
        )
    return np.asarray(found, dtype=np.float64).reshape(len(atoms))
