"""Several descriptors as one."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mdzoo.descriptors.base import Descriptor
from mdzoo.descriptors.slopes import Block
from mdzoo.graph import Graph, n_centers, seen, select_edges


class Concatenate(Descriptor):
    """The features of several descriptors, one behind the other: `B_i = (B_i^1, B_i^2, ...)`.

    Each sees the edges within its own cutoff. Densities stand one behind the other too, so weights are folded by each
    descriptor as it knows best; where one has no density, the whole has none.

    Arguments:
        descriptors: two or more descriptors of the same species.

    Shapes: density (n, sum of C), features (n, sum of F); labels have the name and number of their descriptor in front.

    Example:
        >>> from mdzoo.descriptors import ACE, SO3
        >>> Concatenate([SO3(5.0, K=2, L=1), ACE(4.0, K=2, L=1, body_order=2)]).labels()[-2:]
        ['ACE2.B1[k1=1,l1=0]', 'ACE2.B1[k1=2,l1=0]']
    """

    __constants__ = ["has_density"]

    def __init__(self, descriptors: Sequence[Descriptor]) -> None:
        members = list(descriptors)
        if len(members) < 2 or len({d.n_species for d in members}) != 1:
            raise ValueError(
                "`descriptors` must be two or more of the same number of species, got "
                f"{[f'{type(d).__name__}(n_species={d.n_species})' for d in members]}; give each the same element table"
            )
        super().__init__(max(d.cutoff for d in members), members[0].n_species)
        self.descriptors = nn.ModuleList(members)
        self.smoothness = min(d.smoothness for d in members)
        self.has_density = all(d.has_density for d in members)
        self.has_fold = self.has_density and all(d.has_fold for d in members)
        self.n_features = sum(d.n_features for d in members)
        self.channel_counts = [d.n_channels for d in members]
        self.n_channels = sum(self.channel_counts)

    def density(self, graph: Graph) -> Tensor:
        """Return the densities of all, (n, C)."""
        n = n_centers(graph)
        species = graph.species[:n]
        parts: list[Tensor] = []
        for descriptor in self.descriptors:
            rows = descriptor.empty(graph.vectors)[species]
            near = seen(graph, descriptor.cutoff)
            if near.centers.numel() > 0:
                found = descriptor.density(near)
                rows = torch.cat([found, rows[found.shape[0] :]])
            parts.append(rows)
        return torch.cat(parts, 1)

    def contract(self, density: Tensor) -> Tensor:
        """Return the features, (n, F), of the density (n, C)."""
        parts: list[Tensor] = []
        shares = density.split(self.channel_counts, 1)
        for number, descriptor in enumerate(self.descriptors):
            parts.append(descriptor.contract(shares[number]))
        return torch.cat(parts, 1)

    def contract_with(self, density: Tensor, theta: Tensor) -> Tensor:
        """Return `B(A) @ theta`, (n,), each descriptor with its own weights."""
        out = torch.zeros_like(density[:, 0])
        first = 0
        shares = density.split(self.channel_counts, 1)
        for number, descriptor in enumerate(self.descriptors):
            out = out + descriptor.contract_with(shares[number], theta[first : first + descriptor.n_features])
            first += descriptor.n_features
        return out

    def fold(self, density: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return `B(A) @ theta`, (n,), and its slopes by A, (n, C), for weights (1, F) or (n, F)."""
        out = torch.zeros_like(density[:, 0])
        slopes: list[Tensor] = []
        first = 0
        shares = density.split(self.channel_counts, 1)
        for number, descriptor in enumerate(self.descriptors):
            found, slope = descriptor.fold(shares[number], theta[:, first : first + descriptor.n_features])
            out = out + found
            slopes.append(slope)
            first += descriptor.n_features
        return out, torch.cat(slopes, 1)

    @torch.jit.unused
    def feature_slopes(self, density: Tensor) -> list[Block]:
        """Return dB/dA, the blocks of all, each with its own columns of the density."""
        out, first = [], 0
        for descriptor, own in zip(self.descriptors, density.split(self.channel_counts, 1), strict=True):
            out += [Block(first + block.channels, block.values) for block in descriptor.feature_slopes(own)]
            first += descriptor.n_channels
        return out

    @torch.jit.unused
    def edge_slopes(self, graph: Graph) -> Tensor:
        """Return dA_i/dr_ij for each edge, (E, 3, C), zero by those channels that do not reach so far."""
        out = graph.vectors.new_zeros(graph.centers.numel(), 3, self.n_channels)
        for descriptor, own in zip(self.descriptors, out.split(self.channel_counts, 2), strict=True):
            near = (graph.vectors.square().sum(1) < descriptor.cutoff**2).nonzero().squeeze(-1)
            if near.numel() > 0:
                own[near] = descriptor.edge_slopes(select_edges(graph, near))
        return out

    def forward(self, graph: Graph) -> Tensor:
        """Return the features, (n, F)."""
        n = n_centers(graph)
        species = graph.species[:n]
        parts: list[Tensor] = []
        for descriptor in self.descriptors:
            rows = descriptor.isolated(graph.vectors)[species]
            near = seen(graph, descriptor.cutoff)
            if near.centers.numel() > 0:
                found = descriptor(near)
                rows = torch.cat([found, rows[found.shape[0] :]])
            parts.append(rows)
        return torch.cat(parts, 1)

    def empty(self, like: Tensor) -> Tensor:
        """Return the density of an atom without neighbours, one row for each species."""
        parts: list[Tensor] = []
        for descriptor in self.descriptors:
            parts.append(descriptor.empty(like))
        return torch.cat(parts, 1)

    def isolated(self, like: Tensor) -> Tensor:
        """Return the features of an atom without neighbours, one row for each species, in the dtype of `like`."""
        parts: list[Tensor] = []
        for descriptor in self.descriptors:
            parts.append(descriptor.isolated(like))
        return torch.cat(parts, 1)

    def labels(self) -> list[str]:
        """Return the labels of all, with the name and the number of their descriptor in front."""
        named = [(f"{type(d).__name__}{i}", d) for i, d in enumerate(self.descriptors, 1)]
        return [f"{name}.{label}" for name, d in named for label in d.labels()]
