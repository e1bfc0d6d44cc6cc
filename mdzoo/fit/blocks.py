"""What features change with neighbours, block of atoms by block of atoms, in bounded memory."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mdzoo.descriptors import Descriptor
from mdzoo.graph import Graph, block, edge_starts
from mdzoo.ops import pad, padding

BYTES = 200_000_000
"""Default bound of the arrays in flight."""


class Slopes(NamedTuple):
    """Features and slopes of the first n of the atoms [first, last), those up to the last one with edges."""

    first: int
    last: int
    graph: Graph  # the block, whose atom 0 is `first`
    features: Tensor  # (n, F)
    table: Tensor  # (n, J, 3, F) dB_i/dr_ij in the table of `mdzoo.ops.padding`


def slopes_by_blocks(descriptor: Descriptor, graph: Graph, width: int, max_bytes: int) -> Iterator[Slopes]:
    """Yield the slopes of one structure; `width` is the number of columns that are made of the features."""
    n_atoms = graph.species.shape[0]
    starts = edge_starts(graph.centers, n_atoms).tolist()
    columns = 2 * descriptor.n_features + descriptor.n_channels + 2 * width
    per_atom = graph.vectors.element_size() * 3 * (starts[-1] // n_atoms + 1) * columns
    size = max(1, int(max_bytes / per_atom))
    for first in range(0, n_atoms, size):
        last = min(first + size, n_atoms)
        if starts[first] < starts[last]:
            here = block(graph, first, last, starts[first], starts[last])
            yield Slopes(first, last, here, *descriptor.slopes(here))


class Rows:
    """Sums up the rows `-dE/dr` (N, 3, kinds * W) and `-dE/dstrain` (9, kinds * W) of one structure.

    An atom of kind k fills the k-th block of the columns.
    """

    def __init__(self, graph: Graph, kinds: Tensor, n_kinds: int, width: int) -> None:
        self.graph, self.kinds, self.n_kinds = graph, kinds, n_kinds
        self.forces = graph.vectors.new_zeros(len(graph.species) + 1, n_kinds, 3, width)  # the last takes what is empty
        self.virial = graph.vectors.new_zeros(n_kinds, 9, width)

    def add(self, first: int, graph: Graph, table: Tensor) -> None:
        """Add the slopes (n, J, 3, W) of the atoms from `first` on, whose edges `graph` holds."""
        n, edges = table.shape[0], self.edges(first, graph)
        kinds, layout = self.kinds[first : first + n], padding(graph.centers)
        nobody = torch.full_like(layout.slots[:1], len(self.graph.species))
        there = pad(self.graph.neighbors[edges], layout, nobody[0]) * self.n_kinds
        there = there + kinds.repeat_interleave(layout.width)
        rows = table.reshape(n * layout.width, 3, -1)
        self.forces.flatten(0, 1).index_add_(0, there, rows, alpha=-1.0)
        self.forces[first + torch.arange(n), kinds] += table.sum(1)
        vectors = pad(graph.vectors, layout, graph.vectors.new_zeros(1)).view(n, -1, 3)
        for kind in kinds.unique().tolist():
            mine = slice(None) if self.n_kinds == 1 else kinds == kind
            flat = vectors[mine].flatten(0, 1).T @ table[mine].reshape(-1, 3 * table.shape[3])
            self.virial[kind] -= flat.view(9, -1)

    def edges(self, first: int, graph: Graph) -> slice:
        """Return which edges of the structure those of a block are."""
        start = int(torch.searchsorted(self.graph.centers.contiguous(), first))
        return slice(start, start + graph.centers.numel())

    def columns(self) -> tuple[Tensor, Tensor]:
        """Return the rows of forces and virial."""
        return self.forces[:-1].transpose(1, 2).flatten(2), self.virial.transpose(0, 1).flatten(1)


def through_features(regressor: Any, features: Tensor, species: Tensor, table: Tensor) -> Tensor:
    """Return the slopes (n, J, 3, P) of the columns of a regressor from those of the features, (n, J, 3, F)."""

    def one(direction: Tensor) -> Tensor:
        return torch.func.jvp(lambda b: regressor.phi(b, species), (features,), (direction.expand_as(features),))[1]

    units = torch.eye(features.shape[1], dtype=features.dtype, device=features.device)
    along = torch.func.vmap(one, out_dims=1, chunk_size=16)(units)  # (n, F, P)
    return (table.flatten(1, 2) @ along).view(*table.shape[:3], -1)
