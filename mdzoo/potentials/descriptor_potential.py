"""A descriptor and a regressor make a potential."""

import torch
from torch import Tensor

from mdzoo.descriptors.base import Descriptor
from mdzoo.graph import Graph
from mdzoo.potentials.base import Potential
from mdzoo.regressors.base import Regressor
from mdzoo.regressors.linear import Linear


class DescriptorPotential(Potential):
    """`E_i = regressor(descriptor(neighbourhood of i), s_i)`, the E_ML of the hybrid.

    Where the regressor is linear in the features and the descriptor has a density, the weights are folded into the
    contraction before features exist.

    Arguments:
        descriptor: what surrounds an atom.
        regressor: which energy these numbers mean; its sizes must be those of the descriptor.
    """

    __constants__ = ["folds"]

    def __init__(self, descriptor: Descriptor, regressor: Regressor) -> None:
        super().__init__(descriptor.cutoff, 1, descriptor.smoothness)
        if regressor.n_features != descriptor.n_features:
            raise ValueError(
                f"`regressor` must take the {descriptor.n_features} features that `descriptor` "
                f"{type(descriptor).__name__} gives, got n_features={regressor.n_features}; "
                f"set regressor.n_features={descriptor.n_features}"
            )
        if regressor.n_species != descriptor.n_species:
            raise ValueError(
                f"`regressor` must know the {descriptor.n_species} species of `descriptor`, got n_species="
                f"{regressor.n_species}; give both the same element table"
            )
        self.descriptor = descriptor
        self.regressor = regressor
        self.folds = isinstance(regressor, Linear) and descriptor.has_density

    def forward(self, graph: Graph) -> Tensor:
        """Return the energy of each atom, (N,) in eV; atoms behind the last centre have an empty neighbourhood."""
        n_atoms = graph.species.shape[0]
        n = 0 if graph.centers.numel() == 0 else int(graph.centers[-1]) + 1
        parts: list[Tensor] = []
        if n > 0:
            parts.append(self.energies(graph, graph.species[:n]))
        if n < n_atoms or n == 0:
            kinds = torch.arange(self.descriptor.n_species, device=graph.species.device)
            alone = self.regressor(self.descriptor.isolated(graph.vectors), kinds)
            parts.append(alone[graph.species[n:]])
        return torch.cat(parts)

    def energies(self, graph: Graph, species: Tensor) -> Tensor:
        """Return the energies of the atoms that have edges behind or at them, (n,)."""
        if self.folds:
            return self.folded(self.descriptor.density(graph), species)
        return self.regressor(self.descriptor(graph), species)

    def folded(self, density: Tensor, species: Tensor) -> Tensor:
        """Return `bias + B(A) @ weights` without forming B, one product for each species."""
        weights, bias = self.regressor.weights, self.regressor.bias
        if weights.shape[0] == 1:
            return self.descriptor.contract_with(density, weights[0]) + bias[0]
        out = bias[species]
        for kind in range(weights.shape[0]):
            rows = (species == kind).nonzero().squeeze(-1)
            if rows.numel() > 0:
                out = out.index_add(0, rows, self.descriptor.contract_with(density[rows], weights[kind]))
        return out
