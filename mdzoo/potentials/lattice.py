"""Where the sums over a lattice take place: periodic structures laid side by side, and which pairs of atoms are near.

A structure is periodic in three directions (crystal), in two (slab) or in none (molecule). A slab stands in a virtual
cell whose third vector is its normal, long enough that a Coulomb interaction cut at half its length never meets the
next image (Rozzi et al., DOI 10.1103/PhysRevB.73.205119; Sohier, Calandra and Mauri, DOI 10.1103/PhysRevB.96.075448):
what is summed is the slab alone, with whatever dipole it has.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mdzoo.graph import Graph
from mdzoo.ops import segment_sum
from mdzoo.potentials.charges import NEUTRAL


class Pairs(NamedTuple):
    """Pairs of atoms that see each other directly, in both directions."""

    centers: Tensor  # (P,)
    neighbors: Tensor  # (P,)
    r: Tensor  # (P,) Angstrom
    kernel: Tensor  # (P,) 1/Angstrom: erfc(alpha r) / r in crystals and slabs, 1/r in molecules


class Layout(NamedTuple):
    """The L periodic structures of a graph and their atoms in a table (L, n)."""

    atoms: Tensor  # (A,) the atoms of periodic structures
    slots: Tensor  # (A,) their places in the flattened table
    width: int  # n
    structures: Tensor  # (L,)
    cells: Tensor  # (L, 3, 3) Angstrom, float64; the third vector of a slab is virtual
    half: Tensor  # (L,) half the height of a slab's virtual cell, 0 for crystals


def check_periods(pbc: Tensor) -> None:
    """Raise ValueError for wires: neither the sum over a lattice nor that over pairs is theirs."""
    if bool((pbc.sum(1) == 1).any()):
        raise ValueError(
            "`pbc` must be periodic along three or two directions or along none, got one; give a wire a cell with room "
            "around it and pbc=True"
        )


def check_neutral(q: Tensor, graph: Graph, tolerance: float = NEUTRAL) -> None:
    """Raise ValueError where a periodic structure has a charge: its energy would be infinite."""
    total = segment_sum(q.detach(), graph.batch, graph.cell.shape[0])
    total = torch.where(graph.pbc.any(1), total.abs(), torch.zeros_like(total))
    if total.numel() > 0 and bool((total > tolerance).any()):
        worst = int(total.argmax())
        raise ValueError(
            f"`charges` must sum to zero in a periodic cell, got {float(total[worst])} e (absolute) in structure "
            f"{worst} of the batch; correct the charges, or set neutral=true"
        )


def direct_pairs(graph: Graph, cutoff: float, alpha: float) -> Pairs:
    """Return the edges of crystals and slabs below the cutoff, and all pairs of each molecule."""
    r = torch.linalg.vector_norm(graph.vectors, dim=-1)
    near = (r.detach() < cutoff) & graph.pbc.any(1)[graph.batch[graph.centers]]
    centers, neighbors = graph.centers, graph.neighbors
    if not bool(near.all()):
        edges = near.nonzero().squeeze(-1)
        r, centers, neighbors = r[edges], centers[edges], neighbors[edges]
    kernel = torch.erfc(alpha * r) / r
    i, j = molecule_pairs(graph)
    if i.numel() == 0:
        return Pairs(centers, neighbors, r, kernel)
    apart = (graph.positions.index_select(0, j) - graph.positions.index_select(0, i)).to(r.dtype)
    free = torch.linalg.vector_norm(apart, dim=-1)
    return Pairs(
        torch.cat([centers, i]), torch.cat([neighbors, j]), torch.cat([r, free]), torch.cat([kernel, 1.0 / free])
    )


def molecule_pairs(graph: Graph) -> tuple[Tensor, Tensor]:
    """Return all (i, j), i != j, of atoms of one molecule; the atoms of a structure are contiguous."""
    free = ~graph.pbc.any(1)
    counts = torch.bincount(graph.batch, minlength=free.shape[0])
    atoms = free[graph.batch].nonzero().squeeze(-1)
    partners = counts[graph.batch[atoms]]
    first = (counts.cumsum(0) - counts)[graph.batch[atoms]] - (partners.cumsum(0) - partners)
    i = torch.repeat_interleave(atoms, partners)
    j = torch.arange(i.numel(), device=i.device) + torch.repeat_interleave(first, partners)
    other = (i != j).nonzero().squeeze(-1)
    return i[other], j[other]


def lay_out(graph: Graph, margin: float) -> Layout:
    """Lay the periodic structures side by side; slabs get `margin` (Angstrom) beyond their thickness."""
    periodic = graph.pbc.any(1)
    structures = periodic.nonzero().squeeze(-1)
    counts = torch.bincount(graph.batch, minlength=periodic.shape[0])
    width = int(counts[structures].max()) if structures.numel() > 0 else 0
    atoms = periodic[graph.batch].nonzero().squeeze(-1)
    batch = graph.batch[atoms]
    rank = periodic.cumsum(0) - 1
    slots = rank[batch] * width + atoms - (counts.cumsum(0) - counts)[batch]
    cells, half = virtual_cells(graph, structures, rank[batch], atoms, margin)
    return Layout(atoms, slots, width, structures, cells, half)


def virtual_cells(
    graph: Graph, structures: Tensor, rank: Tensor, atoms: Tensor, margin: float
) -> tuple[Tensor, Tensor]:
    """Return cells whose third vector is that of the crystal or the normal of the slab, and the slabs' half heights."""
    pbc, cell = graph.pbc[structures], graph.cell[structures]
    last = torch.where(pbc.all(1), 2, (~pbc).long().argmax(1))
    order = (last.unsqueeze(1) + 1 + torch.arange(3, device=last.device)) % 3
    cell = torch.gather(cell, 1, order.unsqueeze(2).expand(-1, -1, 3))
    normal = torch.linalg.cross(cell[:, 0], cell[:, 1])
    normal = normal / torch.linalg.vector_norm(normal, dim=-1, keepdim=True)
    height = (graph.positions[atoms] * normal[rank]).sum(1).detach()
    zeros = torch.zeros_like(normal[:, 0]).detach()
    top = zeros.scatter_reduce(0, rank, height, "amax", include_self=False)
    bottom = zeros.scatter_reduce(0, rank, height, "amin", include_self=False)
    half = torch.where(pbc.all(1), zeros, top - bottom + margin)
    third = torch.where(pbc.all(1).unsqueeze(1), cell[:, 2], 2.0 * half.unsqueeze(1) * normal)
    return torch.stack([cell[:, 0], cell[:, 1], third], 1), half


def table_of(rows: Tensor, layout: Layout) -> Tensor:
    """Return the rows (N, ...) of the atoms of periodic structures as a table (L, n, ...), 0 where there is no atom."""
    n_rows = layout.structures.shape[0] * layout.width
    table = torch.zeros([n_rows] + list(rows.shape[1:]), dtype=rows.dtype, device=rows.device)
    table = table.index_copy(0, layout.slots, rows.index_select(0, layout.atoms))
    return table.view([layout.structures.shape[0], layout.width] + list(rows.shape[1:]))


def kernel_weights(whole: Tensor, layout: Layout, alpha: float, longest: float) -> Tensor:
    """Return `4 pi / (V k^2) exp(-k^2 / 4 alpha^2)` of wave vectors, 0 for k = 0 and beyond `longest`, (L, K) float64.

    In a slab of half height h it is times `1 - exp(-k_xy h) cos(k_z h)`: the interaction ends at |z| = h.

    Arguments:
        whole: (K, 3) whole numbers; `k = 2 pi whole @ inverse cell`.
        layout: the cells.
        alpha: 1/Angstrom.
        longest: |k|, 1/Angstrom.
    """
    rows = 2.0 * math.pi * torch.linalg.inv(layout.cells).mT  # (L, 3, 3), reciprocal vectors
    flat = whole[:, :2] @ rows[:, :2]  # (L, K, 3)
    k2 = (flat + whole[:, 2:] @ rows[:, 2:]).square().sum(2)
    used = (k2.detach() > 0.0) & (k2.detach() < longest * longest)
    k2 = torch.where(used, k2, torch.ones_like(k2))
    weights = 4.0 * math.pi * torch.exp(-k2 / (4.0 * alpha * alpha)) / k2
    if bool((layout.half > 0.0).any()):
        weights = weights * slab_factor(flat, whole[:, 2], layout.half)
    volume = torch.linalg.det(layout.cells).abs().unsqueeze(1)
    return torch.where(used, weights / volume, torch.zeros_like(weights))


def slab_factor(flat: Tensor, n_z: Tensor, half: Tensor) -> Tensor:
    """Return `1 - exp(-k_xy h) cos(k_z h)`, with `k_z h = pi n_z`; 1 for crystals, (L, K)."""
    squares = flat.square().sum(2)
    apart = squares.detach() > 0.0
    k_xy = torch.where(apart, torch.where(apart, squares, torch.ones_like(squares)).sqrt(), torch.zeros_like(squares))
    sign = 1.0 - 2.0 * (n_z.abs() % 2.0)
    factor = 1.0 - torch.exp(-k_xy * half.unsqueeze(1)) * sign
    return torch.where(half.unsqueeze(1) > 0.0, factor, torch.ones_like(factor))
