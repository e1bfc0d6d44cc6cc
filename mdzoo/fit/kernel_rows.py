"""The rows of kernels: one product of the slopes of the features with the inducing points, for a block of atoms.

A kernel's slopes along a direction d of the features are `a_im (d . y_m) + b_im (d . x_i)` (`Kernel.pull`), so the rows
of forces and virials need dB/dr of each edge once, whatever the number of inducing points. Slopes of edges to the same
atom are summed first: a small cell has fewer atoms than edges.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from mdzoo.fit.blocks import Slopes, slopes_by_blocks
from mdzoo.graph import Graph
from mdzoo.ops import pad, padding
from mdzoo.potentials import DescriptorPotential

NEAR = 50_000_000
"""Bound of the arrays in flight: with more of them at once memory waits, with fewer products are thin (measured)."""


class Directions(NamedTuple):
    """Directions of the features of a block of atoms, and in which rows of the structure they count."""

    along: Tensor  # (q, F)
    atom: Tensor  # (q,) of the block
    to: Tensor  # (q,) 3 for the force on each atom of the structure, then 9 for the virial


def kernel_rows(part: DescriptorPotential, graph: Graph, max_bytes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the features (N, F), the force rows (N, 3, M) and the virial rows (9, M) of one structure."""
    regressor: Any = part.regressor
    width, first_edge = len(regressor.alpha), 0
    features = part.descriptor.isolated(graph.vectors)[graph.species]
    out = graph.vectors.new_zeros(3 * len(graph.species) + 9, width)
    for found in slopes_by_blocks(part.descriptor, graph, 2 * width, min(max_bytes, NEAR)):
        last_edge = first_edge + found.graph.centers.numel()
        mine = slice(found.first, found.first + len(found.features))
        features[mine] = found.features
        directions = gathered(found, graph.neighbors[first_edge:last_edge], len(graph.species))
        regressor.add_slopes(out, found.features, graph.species[mine], *directions)
        first_edge = last_edge
    return features, out[:-9].view(-1, 3, width), out[-9:]


def gathered(found: Slopes, neighbors: Tensor, n_atoms: int) -> Directions:
    """Return the directions in which the features of a block change with each atom and with the strain, negative."""
    n, width = found.table.shape[:2]
    layout, own = padding(found.graph.centers), torch.arange(n)
    there = pad(neighbors, layout, torch.full_like(neighbors[:1], n_atoms)[0]).view(n, width)  # n_atoms: nobody
    places = torch.cat([there, found.first + own.unsqueeze(1)], 1) + own.unsqueeze(1) * (n_atoms + 1)
    pairs, place = torch.unique(places, return_inverse=True)
    on_atoms = found.table.new_zeros(len(pairs), 3, found.table.shape[3])
    on_atoms.index_add_(0, place[:, :-1].flatten(), found.table.reshape(n * width, 3, -1), alpha=-1.0)
    on_atoms[place[:, -1]] += found.table.sum(1)
    acted = pairs % (n_atoms + 1) < n_atoms
    pairs, on_atoms = pairs[acted], on_atoms[acted]
    vectors = pad(found.graph.vectors, layout, found.table.new_zeros(1)).view(n, width, 3)
    strained = (-vectors.mT @ found.table.flatten(2)).view(9 * n, -1)
    to = (3 * (pairs % (n_atoms + 1)).unsqueeze(1) + torch.arange(3)).flatten()
    return Directions(
        torch.cat([on_atoms.flatten(0, 1), strained]),
        torch.cat([(pairs // (n_atoms + 1)).repeat_interleave(3), own.repeat_interleave(9)]),
        torch.cat([to, (3 * n_atoms + torch.arange(9)).repeat(n)]),
    )
