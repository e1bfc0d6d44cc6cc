"""What a model sees: atoms, and the directed edges between them.

Legend for the shapes written throughout the package: N atoms, E directed edges, S structures, F features, P parameters,
M members. Units are eV, Angstrom and fs. Every convention is stated here, once:

- an edge goes from its centre `i` to its neighbour `j`; both i->j and j->i are edges, periodic images included;
- `vectors[e] = positions[j] + shifts[e] @ cell - positions[i]`, rows of `cell` are lattice vectors;
- edges are sorted by centre (`centers` ascends), so the edges of one atom are contiguous;
- `species` indexes the model's element table, `batch` says to which structure an atom belongs;
- `virial = -dE/dstrain = sum r (x) f` (eV) has the sign of LAMMPS; `stress = -virial / |det cell|` has ASE's;
- positions, cells, shifts and vectors are float64, whatever the dtype of the model.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Graph(NamedTuple):
    """One or several structures with their edges; immutable, and accepted by TorchScript."""

    species: Tensor  # (N,) int64, index into the model's element table
    positions: Tensor  # (N, 3) Angstrom
    batch: Tensor  # (N,) int64, structure of each atom
    ids: Tensor  # (N,) int64, identity of the atom in its structure; negative where another process owns it
    charges: Tensor  # (N,) given charges (e), 0 where none
    total_charge: Tensor  # (S,) e
    cell: Tensor  # (S, 3, 3) Angstrom, rows are lattice vectors, zero where there is none
    pbc: Tensor  # (S, 3) bool
    centers: Tensor  # (E,) int64, ascending
    neighbors: Tensor  # (E,) int64
    shifts: Tensor  # (E, 3) whole lattice shifts of the neighbour
    vectors: Tensor  # (E, 3) Angstrom, from centre to neighbour


def edge_vectors(
    positions: Tensor, cell: Tensor, batch: Tensor, centers: Tensor, neighbors: Tensor, shifts: Tensor
) -> Tensor:
    """Return `r_j + shift @ cell - r_i` for every edge, (E, 3) in Angstrom."""
    if cell.shape[0] == 1:
        offsets = shifts @ cell[0]
    else:
        offsets = torch.einsum("ek,ekl->el", shifts, cell.index_select(0, batch.index_select(0, centers)))
    return positions.index_select(0, neighbors) + offsets - positions.index_select(0, centers)


def make_graph(
    species: Tensor,
    positions: Tensor,
    batch: Tensor,
    ids: Tensor,
    charges: Tensor,
    total_charge: Tensor,
    cell: Tensor,
    pbc: Tensor,
    centers: Tensor,
    neighbors: Tensor,
    shifts: Tensor,
) -> Graph:
    """Form the edge vectors (in the dtype of the positions, float64) and return the Graph."""
    vectors = edge_vectors(positions, cell, batch, centers, neighbors, shifts)
    return Graph(species, positions, batch, ids, charges, total_charge, cell, pbc, centers, neighbors, shifts, vectors)


def with_leaves(graph: Graph, vectors: Tensor, positions: Tensor, cell: Tensor) -> Graph:
    """Return the same graph with other edge vectors, positions and cells."""
    return Graph(
        graph.species,
        positions,
        graph.batch,
        graph.ids,
        graph.charges,
        graph.total_charge,
        cell,
        graph.pbc,
        graph.centers,
        graph.neighbors,
        graph.shifts,
        vectors,
    )


def select_edges(graph: Graph, keep: Tensor) -> Graph:
    """Return the graph with the edges that the index or mask `keep` names; the order of edges is kept."""
    return Graph(
        graph.species,
        graph.positions,
        graph.batch,
        graph.ids,
        graph.charges,
        graph.total_charge,
        graph.cell,
        graph.pbc,
        graph.centers[keep],
        graph.neighbors[keep],
        graph.shifts[keep],
        graph.vectors[keep],
    )


def within(graph: Graph, cutoff: float) -> Graph:
    """Return the graph with only those edges that are shorter than `cutoff` (Angstrom); all of a full table's."""
    if not torch.jit.is_scripting():  # noqa: SIM102 - TorchScript drops what stands inside
        if hasattr(graph.centers, "table"):
            return graph
    x, y, z = graph.vectors.detach().unbind(1)
    short = (x * x + y * y + z * z < cutoff * cutoff).nonzero().squeeze(-1)
    if short.numel() == graph.centers.numel():
        return graph
    return select_edges(graph, short)


def seen(graph: Graph, cutoff: float) -> Graph:
    """Return the same for a reader that edges beyond its cutoff give nothing; all edges where torch compiles."""
    return graph if torch.compiler.is_compiling() else within(graph, cutoff)


def table_centers(n: int, width: int) -> Tensor:
    """Return the centres of n atoms with `width` edges each, which say so by their attribute `table`: (n, width).

    Where torch traces, sizes must not ask the data. Edges of a full table may be longer than any cutoff: they add
    nothing.
    """
    centers = torch.arange(n).unsqueeze(1).expand(n, width).reshape(-1)
    centers.table = (n, width)  # type: ignore[attr-defined]
    return centers


def n_centers(graph: Graph) -> int:
    """Return the number of atoms up to the last centre; those behind it have no edges."""
    if not torch.jit.is_scripting():  # noqa: SIM102 - TorchScript drops what stands inside
        if hasattr(graph.centers, "table"):
            return graph.centers.table[0]
    return 0 if graph.centers.numel() == 0 else int(graph.centers[-1]) + 1


def edge_starts(centers: Tensor, n_atoms: int) -> Tensor:
    """Return where the edges of each atom start in the sorted list of edges, (n_atoms + 1,)."""
    atoms = torch.arange(n_atoms + 1, device=centers.device)
    return torch.searchsorted(centers.contiguous(), atoms)


def block(graph: Graph, first_atom: int, last_atom: int, first_edge: int, last_edge: int) -> Graph:
    """Return the atoms [first_atom, last_atom) with their edges; neighbours follow as atoms without edges of their own.

    The energies of the leading `last_atom - first_atom` atoms are those of the whole graph for a potential of reach 0
    or 1, so a large structure is evaluated piece by piece, in the cache.
    """
    n_centers = last_atom - first_atom
    edges = slice(first_edge, last_edge)
    atoms = torch.cat([torch.arange(first_atom, last_atom, device=graph.species.device), graph.neighbors[edges]])
    return Graph(
        graph.species[atoms],
        graph.positions[atoms],
        graph.batch[atoms],
        graph.ids[atoms],
        graph.charges[atoms],
        graph.total_charge,
        graph.cell,
        graph.pbc,
        graph.centers[edges] - first_atom,
        n_centers + torch.arange(last_edge - first_edge, device=graph.species.device),
        graph.shifts[edges],
        graph.vectors[edges],
    )


def collate(graphs: list[Graph]) -> Graph:
    """Join graphs into one, in order: structure s of the result is structure s of the list."""
    atoms = [0]
    structures = [0]
    for graph in graphs:
        atoms.append(atoms[-1] + graph.species.shape[0])
        structures.append(structures[-1] + graph.cell.shape[0])
    return Graph(
        torch.cat([g.species for g in graphs]),
        torch.cat([g.positions for g in graphs]),
        torch.cat([g.batch + n for g, n in zip(graphs, structures, strict=False)]),
        torch.cat([g.ids for g in graphs]),
        torch.cat([g.charges for g in graphs]),
        torch.cat([g.total_charge for g in graphs]),
        torch.cat([g.cell for g in graphs]),
        torch.cat([g.pbc for g in graphs]),
        torch.cat([g.centers + n for g, n in zip(graphs, atoms, strict=False)]),
        torch.cat([g.neighbors + n for g, n in zip(graphs, atoms, strict=False)]),
        torch.cat([g.shifts for g in graphs]),
        torch.cat([g.vectors for g in graphs]),
    )


def to_device(graph: Graph, device: torch.device) -> Graph:
    """Return the graph with every tensor on `device`."""
    return Graph(*[tensor.to(device, non_blocking=True) for tensor in graph])
