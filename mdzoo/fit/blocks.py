"""Derivatives of densities and columns, block of atoms by block of atoms, in bounded memory."""

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mdzoo.descriptors import SO4, Descriptor
from mdzoo.descriptors.edge_slopes import edge_slopes as so4_slopes
from mdzoo.graph import Graph, edge_starts
from mdzoo.ops import pad, padding

BYTES = 200_000_000
"""Default bound of the arrays in flight."""

PASS = 16
"""Tangents that one forward-mode pass carries."""

Local = Callable[[Tensor, Tensor], Tensor]  # density (n, C), species (n,) -> columns (n, W)


class Piece(NamedTuple):
    """Columns that depend on some channels only, and tangents that find their derivatives in few passes."""

    local: Local
    channels: Tensor  # (c,) those that the columns depend on
    color: Tensor  # (c,) tangent that stands for each of these channels
    tangents: Tensor  # (colors, C) sums of unit vectors
    support: Tensor  # (c, W) which columns each of these channels touches
    slopes: Callable[[Tensor], Tensor] | None = None  # (n, C) -> (n, c, W), of a part that knows its own derivatives


known_pieces: "weakref.WeakKeyDictionary[nn.Module, Piece]" = weakref.WeakKeyDictionary()


def whole(local: Local, n_channels: int, width: int, like: Tensor) -> Piece:
    """Return the piece that depends on all channels: one tangent for each."""
    every = torch.arange(n_channels)
    support = torch.ones(n_channels, width, dtype=torch.bool)
    return Piece(local, every, every, torch.eye(n_channels, dtype=like.dtype), support)


def piece(part: Any, n_channels: int, like: Tensor) -> Piece:
    """Return the piece of a descriptor's part (a polynomial of the density): its zeros are found by one trial.

    Channels that touch no column in common share a tangent (Curtis, Powell, Reid, DOI 10.1093/imamat/13.1.117).
    """
    if hasattr(part, "slopes"):
        channels = part.share.channels()
        support = torch.ones(len(channels), part.n_features, dtype=torch.bool)
        return Piece(part, channels, channels[:0], like.new_zeros(0, n_channels), support, part.slopes)
    if part in known_pieces:
        return known_pieces[part]

    def local(density: Tensor, species: Tensor) -> Tensor:
        return part(density)

    trial = 0.5 + torch.rand(1, n_channels, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    support = slopes_along(local, trial.to(like), torch.zeros(1, dtype=torch.int64), torch.eye(n_channels).to(like))
    support = support[:, 0] != 0.0
    channels = support.any(1).nonzero().squeeze(-1)
    color = colors(support[channels])
    tangents = torch.zeros(int(color.max()) + 1, n_channels, dtype=like.dtype)
    tangents[color, channels] = 1.0
    known_pieces[part] = Piece(local, channels, color, tangents, support[channels])
    return known_pieces[part]


def colors(support: Tensor) -> Tensor:
    """Return a color for each row such that rows of one color have no column in common, (c,)."""
    color = torch.zeros(support.shape[0], dtype=torch.int64)
    taken: list[Tensor] = []
    for row, touched in enumerate(support):
        free = [k for k, used in enumerate(taken) if not bool((used & touched).any())]
        if not free:
            taken.append(touched.clone())
        color[row] = free[0] if free else len(taken) - 1
        taken[int(color[row])] |= touched
    return color


def slopes_along(local: Local, density: Tensor, species: Tensor, tangents: Tensor) -> Tensor:
    """Return the derivative of the columns of each atom along each tangent (T, C), (T, n, W), by forward mode."""

    def one(tangent: Tensor) -> Tensor:
        return torch.func.jvp(lambda a: local(a, species), (density,), (tangent.expand_as(density),))[1]

    return torch.func.vmap(one, chunk_size=PASS)(tangents)


def column_slopes(part: Piece, density: Tensor, species: Tensor) -> Tensor:
    """Return `dphi_i/dA_i` for the channels of a piece, (n, c, W)."""
    if part.slopes is not None:
        return part.slopes(density)
    found = slopes_along(part.local, density, species, part.tangents)
    return (found[part.color] * part.support.unsqueeze(1)).transpose(0, 1)


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
    """Return `dA/dr_ij` of what each edge adds to the density, (e, 3, C), by forward mode in three directions."""
    if isinstance(descriptor, SO4):
        here, there = graph.species[graph.centers[edges]], graph.species[graph.neighbors[edges]]
        return so4_slopes(descriptor, graph.vectors[edges], here, there)
    alone = star(graph, edges)

    def one(direction: Tensor) -> Tensor:
        tangent = direction.expand_as(alone.vectors)
        return torch.func.jvp(lambda v: descriptor.density(alone._replace(vectors=v)), (alone.vectors,), (tangent,))[1]

    return torch.func.vmap(one, out_dims=1)(torch.eye(3).to(alone.vectors))


def density_rows(
    descriptor: Descriptor, pieces: list[Piece], kinds: Tensor, n_kinds: int, graph: Graph, max_bytes: int
) -> tuple[Tensor, Tensor]:
    """Return the rows `-dE/dr` (N, 3, n_kinds * W) and `-dE/dstrain` (9, n_kinds * W) of one structure.

    An atom of kind k fills the k-th block of the columns; W is the width of all pieces together.
    """
    density = descriptor.density(graph)
    n, n_atoms = density.shape[0], graph.species.shape[0]
    width = sum(p.support.shape[1] for p in pieces)
    starts = edge_starts(graph.centers, n_atoms).tolist()
    forces = density.new_zeros(n_atoms, n_kinds, 3, width)
    virial = density.new_zeros(n_kinds, 9, width)
    per_atom = density.element_size() * (3 * (starts[n] // n + 1) * (2 * width + density.shape[1]))
    size = max(1, int(max_bytes / per_atom))
    for first in range(0, n, size):
        last = min(first + size, n)
        edges = slice(starts[first], starts[last])
        rows = edge_rows(descriptor, pieces, graph, density, slice(first, last), edges)
        add_rows(forces, virial, rows, graph, edges, kinds)
    return forces.transpose(1, 2).flatten(2), virial.transpose(0, 1).flatten(1)


def edge_rows(
    descriptor: Descriptor, pieces: list[Piece], graph: Graph, density: Tensor, atoms: slice, edges: slice
) -> Tensor:
    """Return `dphi_i/dr_ij`, (e, 3, W): for each centre the product (3J, C) with (C, W), one batch for all."""
    layout = padding(graph.centers[edges] - atoms.start)
    right = edge_slopes(descriptor, graph, edges)
    right = pad(right.flatten(1), layout, right.new_zeros(1)).view(layout.n, 3 * layout.width, -1)
    here = slice(atoms.start, atoms.start + layout.n)
    products = [right[:, :, p.channels] @ column_slopes(p, density[here], graph.species[here]) for p in pieces]
    return torch.cat(products, 2).view(layout.n * layout.width, 3, -1)[layout.slots]


def add_rows(forces: Tensor, virial: Tensor, rows: Tensor, graph: Graph, edges: slice, kinds: Tensor) -> None:
    """Add what the rows of the edges mean for the forces (N, kinds, 3, W) and virials (kinds, 9, W)."""
    centers, neighbors, vectors = graph.centers[edges], graph.neighbors[edges], graph.vectors[edges]
    n_kinds, kind = forces.shape[1], kinds[centers]
    flat = forces.flatten(0, 1)  # a view
    flat.index_add_(0, neighbors * n_kinds + kind, rows, alpha=-1.0)
    flat.index_add_(0, centers * n_kinds + kind, rows)
    for k in kind.unique().tolist():
        mine = (kind == k).nonzero().squeeze(-1)
        virial[k] -= (vectors[mine].T @ rows[mine].flatten(1)).view(9, -1)


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
