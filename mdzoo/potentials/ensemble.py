"""Several regressors on one descriptor: their mean is the energy, their spread says how far to trust it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mdzoo.descriptors.base import Descriptor
from mdzoo.graph import Graph, n_centers
from mdzoo.potentials.base import Potential, Uncertainty, spread
from mdzoo.regressors.base import Regressor


class Ensemble(Potential):
    """`E_i = 1/M sum_m E_i^(m)`, with one evaluation of the descriptor for all members.

    Arguments:
        descriptor: shared by the members.
        regressors: the members; one that has members itself (`MLP`) brings them all, evaluated in one pass.
    """

    def __init__(self, descriptor: Descriptor, regressors: Sequence[Regressor]) -> None:
        super().__init__(descriptor.cutoff, 1, descriptor.smoothness)
        right = (descriptor.n_features, descriptor.n_species)
        given = [(r.n_features, r.n_species) for r in regressors]
        if set(given) != {right}:
            raise ValueError(
                f"`regressors` must be one or more that take the {right[0]} features and {right[1]} species of "
                f"`descriptor`, got (n_features, n_species) = {given}; give all the same sizes"
            )
        self.descriptor = descriptor
        self.regressors = nn.ModuleList(regressors)
        self.n_members = sum(regressor.n_members for regressor in regressors)
        self.is_uncertain = self.n_members > 1

    def members(self, graph: Graph) -> Tensor:
        """Return the energy of each atom by each member, (M, N) in eV."""
        n_atoms = graph.species.shape[0]
        kinds = torch.arange(self.descriptor.n_species, device=graph.species.device)
        alone = self.descriptor.isolated(graph.vectors)
        n = n_centers(graph)
        features = self.descriptor(graph) if n > 0 else alone[:0]
        rows: list[Tensor] = []
        for regressor in self.regressors:
            count: int = regressor.n_members
            with_edges = regressor.members(features.expand([count, -1, -1]), graph.species[:n])
            lone = regressor.members(alone.expand([count, -1, -1]), kinds)[:, graph.species[n:n_atoms]]
            rows.append(torch.cat([with_edges, lone], 1))
        return torch.cat(rows)

    def forward(self, graph: Graph) -> Tensor:
        """Return the mean energy of each atom, (N,) in eV."""
        return self.members(graph).mean(0)

    def uncertainty(self, graph: Graph) -> Uncertainty:
        """Return the spread of the members."""
        return spread(self.members(graph))
