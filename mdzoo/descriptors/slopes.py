"""Derivatives of features by the places of neighbours, for descriptors that do not know better: forward mode.

    dB_i/dr_ij = dB_i/dA_i . dA_i/dr_ij

dA/dr takes three passes over a graph in which every edge is its own centre, dB/dA one pass along each channel of the
density, or fewer where features depend on few channels. Without a density there is a backward pass for each feature.
"""

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mdzoo.graph import Graph
from mdzoo.ops import pad, padding

PASS = 16
"""Tangents that one forward-mode pass carries."""

BYTES = 200_000_000
"""Bound of what batched backward passes hold."""

Local = Callable[[Tensor], Tensor]  # density (n, C) -> columns (n, W)


class Block(NamedTuple):
    """The slopes of some features, one behind the other, by those channels of the density on which they depend."""

    channels: Tensor  # (c,)
    values: Tensor  # (n, c, W)


class Tangents(NamedTuple):
    """Directions that find the slopes of columns that depend on some channels only, in few passes."""

    channels: Tensor  # (c,) those that the columns depend on
    color: Tensor  # (c,) tangent that stands for each of these channels
    directions: Tensor  # (colors, C) sums of unit vectors
    support: Tensor  # (c, W) which columns each of these channels touches


known_tangents: "weakref.WeakKeyDictionary[nn.Module, Tangents]" = weakref.WeakKeyDictionary()


def whole_block(local: Local, density: Tensor) -> Block:
    """Return the slopes of columns that may depend on all channels: one tangent for each."""
    every = torch.eye(density.shape[1], dtype=density.dtype, device=density.device)
    return Block(torch.arange(density.shape[1]), slopes_along(local, density, every).transpose(0, 1))


def part_block(part: Any, density: Tensor) -> Block:
    """Return the slopes of a part of a descriptor: its own if it has `slopes`, else by tangents that channels share."""
    if hasattr(part, "slopes"):
        return Block(part.share.channels(), part.slopes(density))
    if part not in known_tangents:
        known_tangents[part] = tangents(part, density)
    channels, color, directions, support = known_tangents[part]
    found = slopes_along(part, density, directions.to(density))
    return Block(channels, (found[color] * support.unsqueeze(1)).transpose(0, 1))


def tangents(part: Local, like: Tensor) -> Tangents:
    """Return the tangents of a polynomial of the density (n, C): its zeros are found by one trial.

    Channels that touch no column in common share a tangent (Curtis, Powell, Reid, DOI 10.1093/imamat/13.1.117).
    """
    n_channels = like.shape[1]
    trial = 0.5 + torch.rand(1, n_channels, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    support = slopes_along(part, trial.to(like), torch.eye(n_channels).to(like))[:, 0] != 0.0
    channels = support.any(1).nonzero().squeeze(-1)
    color = colors(support[channels])
    directions = torch.zeros(int(color.max()) + 1, n_channels, dtype=like.dtype)
    directions[color, channels] = 1.0
    return Tangents(channels, color, directions, support[channels])


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


def slopes_along(local: Local, density: Tensor, directions: Tensor) -> Tensor:
    """Return the derivative of the columns of each atom along each direction (T, C), (T, n, W), by forward mode."""

    def one(direction: Tensor) -> Tensor:
        return torch.func.jvp(local, (density,), (direction.expand_as(density),))[1]

    return torch.func.vmap(one, chunk_size=PASS)(directions)


def star(graph: Graph) -> Graph:
    """Return the graph in which each edge is its own centre and its neighbour has no edges."""
    n_edges = graph.centers.numel()
    atoms, own = torch.cat([graph.centers, graph.neighbors]), torch.arange(n_edges, device=graph.centers.device)
    return graph._replace(
        species=graph.species[atoms],
        positions=graph.positions[atoms],
        batch=graph.batch[atoms],
        ids=graph.ids[atoms],
        charges=graph.charges[atoms],
        centers=own,
        neighbors=own + n_edges,
    )


def forward_edges(density: Callable[[Graph], Tensor], graph: Graph) -> Tensor:
    """Return `dA/dr_ij` of what each edge adds to the density, (E, 3, C), by forward mode in three directions."""
    alone = star(graph)

    def one(direction: Tensor) -> Tensor:
        tangent = direction.expand_as(alone.vectors)
        return torch.func.jvp(lambda v: density(alone._replace(vectors=v)), (alone.vectors,), (tangent,))[1]

    return torch.func.vmap(one, out_dims=1)(torch.eye(3).to(alone.vectors))


def through_density(descriptor: Any, graph: Graph) -> tuple[Tensor, Tensor]:
    """Return the features and slopes of a descriptor with a density: for each centre (3J, C) @ (C, F), one batch."""
    density = descriptor.density(graph)
    layout, right = padding(graph.centers), descriptor.edge_slopes(graph)
    right = pad(right.flatten(1), layout, right.new_zeros(1)).reshape(layout.n, 3 * layout.width, -1)
    products = [select(right, b.channels) @ b.values for b in descriptor.feature_slopes(density)]
    table = products[0] if len(products) == 1 else torch.cat(products, 2)
    return descriptor.contract(density), table.view(layout.n, layout.width, 3, -1)


def select(rows: Tensor, channels: Tensor) -> Tensor:
    """Return some channels, the last axis of `rows`; all of them are no copy."""
    return rows if len(channels) == rows.shape[-1] else rows[..., channels]


def backward(descriptor: Callable[[Graph], Tensor], graph: Graph) -> tuple[Tensor, Tensor]:
    """Return the features and slopes of any descriptor, by backward passes batched within a bound of memory."""
    with torch.enable_grad():
        vectors = graph.vectors.detach().requires_grad_()
        features = descriptor(graph._replace(vectors=vectors))
        sums = features.sum(0)
    size = max(1, int(BYTES / (64 * vectors.numel() * vectors.element_size())))
    units = torch.eye(len(sums), dtype=vectors.dtype, device=vectors.device)
    found = torch.cat(
        [torch.autograd.grad(sums, vectors, u, True, is_grads_batched=True)[0] for u in units.split(size)]
    )
    layout = padding(graph.centers)
    table = pad(found.permute(1, 2, 0).flatten(1), layout, found.new_zeros(1))
    return features.detach(), table.view(layout.n, layout.width, 3, -1)


def fresh(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Return an array without values; on the CPU by NumPy, which asks for large pages: two to three times faster."""
    if like.device.type != "cpu":
        return like.new_empty(shape)
    return torch.from_numpy(np.empty(shape, dtype=str(like.dtype).removeprefix("torch.")))
