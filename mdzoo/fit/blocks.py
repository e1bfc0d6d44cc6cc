"""Derivatives of densities and columns, block of atoms by block of atoms, in bounded memory."""

from collections.abc import Callable

import torch
from torch import Tensor

from mdzoo.descriptors import Descriptor
from mdzoo.graph import Graph, edge_starts
from mdzoo.ops import pad, padding, segment_sum

BYTES = 200_000_000
"""Default bound of the arrays in flight."""

Local = Callable[[Tensor, Tensor], Tensor]


def star(graph: Graph, edges: slice) -> Graph:
    """Return the graph in which each of these edges is its own centre and its neighbour has no edges."""
    centers, neighbors = graph.centers[edges], graph.neighbors[edges]
    atoms = torch.cat([centers, neighbors])
    own = torch.arange(centers.numel(), device=centers.device)
    return graph._replace(
        species=graph.species[atoms],
        positions=graph.positions[atoms],
        batch=graph.batch[atoms],
        ids=graph.ids[atoms],
        charges=graph.charges[atoms],
        centers=own,
        neighbors=own + centers.numel(),
        shifts=graph.shifts[edges],
        vectors=graph.vectors[edges],
    )


def edge_slopes(descriptor: Descriptor, graph: Graph, edges: slice) -> Tensor:
    """Return `dA/dr_ij` of what each edge adds to the density, (e, 3, C), by three forward-mode passes."""
    alone = star(graph, edges)
    slopes = []
    for direction in range(3):
        tangent = torch.zeros_like(alone.vectors)
        tangent[:, direction] = 1.0
        slopes.append(
            torch.func.jvp(lambda v: descriptor.density(alone._replace(vectors=v)), (alone.vectors,), (tangent,))[1]
        )
    return torch.stack(slopes, 1)


def column_slopes(local: Local, density: Tensor, species: Tensor, per_pass: int) -> Tensor:
    """Return `dphi_i/dA_i`, (C, n, W), by forward mode: one tangent for each channel, `per_pass` of them at a time."""
    n, n_channels = density.shape
    units = torch.eye(n_channels, dtype=density.dtype, device=density.device).unsqueeze(1).expand(-1, n, -1)

    def one(tangent: Tensor) -> Tensor:
        return torch.func.jvp(lambda a: local(a, species), (density,), (tangent,))[1]

    return torch.func.vmap(one, chunk_size=max(1, per_pass))(units)


def density_blocks(
    descriptor: Descriptor, local: Local, kinds: Tensor, n_kinds: int, graph: Graph, max_bytes: int
) -> tuple[Tensor, Tensor]:
    """Return the rows `-dE/dr` (N, 3, n_kinds * W) and `-dE/dstrain` (9, n_kinds * W) of one structure."""
    density = descriptor.density(graph)
    n, n_atoms = density.shape[0], graph.species.shape[0]
    width = local(density[:1], graph.species[:1]).shape[1]
    starts = edge_starts(graph.centers, n_atoms).tolist()
    dense = n_atoms <= 2 * (starts[n] / n)
    row = density.element_size() * density.shape[1] * (2 * width + 3 * (n_atoms + 3 * starts[n] // n))
    size = max(1, int(max_bytes / row))
    forces = density.new_zeros(n_atoms, n_kinds, 3, width)
    virial = density.new_zeros(9, n_kinds, width)
    for first in range(0, n, size):
        last = min(first + size, n)
        edges = slice(starts[first], starts[last])
        left = column_slopes(local, density[first:last], graph.species[first:last], 32)
        right = edge_slopes(descriptor, graph, edges)
        centers = graph.centers[edges] - first
        virial -= virial_block(left, right, graph.vectors[edges], centers, kinds[first:last], n_kinds)
        add = dense_block if dense else sparse_block
        add(forces, left, right, graph.centers[edges], graph.neighbors[edges], first, kinds[first:last])
    return forces.transpose(1, 2).flatten(2), virial.flatten(1)


def virial_block(left: Tensor, right: Tensor, vectors: Tensor, centers: Tensor, kinds: Tensor, n_kinds: int) -> Tensor:
    """Return `sum_i dphi_i/dA_i . sum_j r_ij (x) dA_i/dr_ij` for each kind of centre, (9, n_kinds, W)."""
    strain = (vectors.view(-1, 3, 1, 1) * right.unsqueeze(1)).flatten(1, 2)  # (e, 9, C)
    strain = segment_sum(strain, centers, left.shape[1])  # (n, 9, C)
    out = left.new_zeros(9, n_kinds, left.shape[2])
    for kind in kinds.unique().tolist():
        mine = (kinds == kind).nonzero().squeeze(-1)
        out[:, kind] = torch.einsum("ikc,ciw->kw", strain[mine], left[:, mine])
    return out


def dense_block(
    forces: Tensor, left: Tensor, right: Tensor, centers: Tensor, neighbors: Tensor, first: int, kinds: Tensor
) -> None:
    """Add the rows of these centres by one dense product, (3N, n C) with (n C, W): best while N is about J."""
    n_atoms, n = forces.shape[0], left.shape[1]
    place = (centers - first) * n_atoms
    table = segment_sum(right, place + neighbors, n * n_atoms)
    table = table.index_add_(0, place + centers, right, alpha=-1.0).view(n, 3 * n_atoms, -1)
    for kind in kinds.unique().tolist():
        mine = (kinds == kind).nonzero().squeeze(-1)
        rows = torch.einsum("ikc,ciw->kw", table[mine], left[:, mine])
        forces[:, kind] -= rows.view(n_atoms, 3, -1)


def sparse_block(
    forces: Tensor, left: Tensor, right: Tensor, centers: Tensor, neighbors: Tensor, first: int, kinds: Tensor
) -> None:
    """Add the rows of these centres by one product for each centre, (3J, C) with (C, W): best beyond."""
    local = centers - first
    layout = padding(local)
    table = pad(right.flatten(1), layout, right.new_zeros(1)).view(layout.n, layout.width * 3, -1)
    rows = torch.bmm(table, left[:, : layout.n].transpose(0, 1))
    rows = rows.view(layout.n * layout.width, 3, -1)[layout.slots]
    n_kinds, kind = forces.shape[1], kinds[local]
    flat = forces.flatten(0, 1)  # a view: (N * n_kinds, 3, W)
    flat.index_add_(0, neighbors * n_kinds + kind, rows, alpha=-1.0)
    flat.index_add_(0, centers * n_kinds + kind, rows)


def vector_slopes(
    descriptor: Descriptor, phi: Callable[[Tensor, Tensor], Tensor], graph: Graph, dtype: torch.dtype, max_bytes: int
) -> Tensor:
    """Return `dE/dr_ij` for each column, (P, E, 3), by backward passes batched within the bound of memory."""
    with torch.enable_grad():
        vectors = graph.vectors.detach().to(dtype).requires_grad_()
        features = descriptor(graph._replace(vectors=vectors))
        energy = phi(features, graph.species[: features.shape[0]]).sum(0)
    n_columns = energy.shape[0]
    size = max(1, int(max_bytes / (64 * vectors.numel() * vectors.element_size())))
    units = torch.eye(n_columns, dtype=dtype, device=vectors.device)
    blocks = [torch.autograd.grad(energy, vectors, u, True, is_grads_batched=True)[0] for u in units.split(size)]
    return torch.cat(blocks)
