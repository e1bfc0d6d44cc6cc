"""A descriptor and a regressor make a potential."""

import torch
from torch import Tensor

from mdzoo.descriptors.base import Descriptor
from mdzoo.graph import Graph, n_centers, with_leaves
from mdzoo.potentials.base import Potential, Uncertainty, spread
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

    __constants__ = ["folds", "linear", "explicit", "pulls", "closed"]

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
        self.n_members = regressor.n_members
        self.is_uncertain = self.n_members > 1
        self.linear = isinstance(regressor, Linear)
        self.folds = self.linear and descriptor.has_density
        self.explicit = descriptor.has_fold
        self.pulls = descriptor.has_pull
        self.closed = hasattr(regressor, "slopes")

    def forward(self, graph: Graph) -> Tensor:
        """Return the energy of each atom, (N,) in eV; atoms behind the last centre have an empty neighbourhood."""
        if graph.centers.numel() == 0:
            return self.alone(graph)[graph.species]
        n = n_centers(graph)
        return self.completed(self.energies(graph, graph.species[:n]), graph)

    def first_order(self, graph: Graph) -> Tensor:
        """Return the same energies; where the descriptor knows slopes by its density, with these alone behind them."""
        if graph.centers.numel() == 0:
            return self.forward(graph)
        if self.pulls:
            return self.pulled(graph)
        if not self.explicit:
            return self.forward(graph)
        density = self.descriptor.density(graph)
        energies, slopes = self.slopes(density.detach(), graph.species[: density.shape[0]])
        change = (density * slopes).sum(1)
        return self.completed(energies + (change - change.detach()), graph)

    def pulled(self, graph: Graph) -> Tensor:
        """Return the energies with their slopes by the vectors alone behind them, both without a backward pass."""
        bare = with_leaves(graph, graph.vectors.detach(), graph.positions, graph.cell)
        density, expansion = self.descriptor.first_order(bare)
        energies, slopes = self.slopes(density, graph.species[: density.shape[0]])
        change = (graph.vectors * self.descriptor.pull(expansion, slopes)).sum()
        energies = self.completed(energies, graph)
        return energies + torch.nn.functional.pad((change - change.detach()).view(1), [0, energies.shape[0] - 1])

    def slopes(self, density: Tensor, species: Tensor) -> tuple[Tensor, Tensor]:
        """Return the energies (n,) and their slopes by the density, (n, C), without a graph behind them."""
        if not self.explicit:
            return self.differentiated(density.detach().requires_grad_(), species)
        if self.linear:
            weights = self.regressor.weights.detach()
            energies, slopes = self.descriptor.fold(density, weights if weights.shape[0] == 1 else weights[species])
            return energies + self.regressor.bias.detach()[species], slopes
        with torch.no_grad():
            features = self.descriptor.contract(density)
        energies, theta = self.tangent(features.detach(), species)
        return energies, self.descriptor.fold(density, theta)[1]

    def tangent(self, features: Tensor, species: Tensor) -> tuple[Tensor, Tensor]:
        """Return the energies (n,) and their slopes by the features, (n, F), without a graph behind them."""
        if self.closed:
            return self.regressor.slopes(features, species)
        features = features.requires_grad_()
        energies = self.regressor(features, species)
        theta = torch.autograd.grad([energies.sum() + 0.0 * features.sum()], [features])[0]
        assert theta is not None
        return energies.detach(), theta

    def differentiated(self, density: Tensor, species: Tensor) -> tuple[Tensor, Tensor]:
        """Return the same of a descriptor that does not know the slopes of its features."""
        if self.folds:
            energies = self.folded(density, species)
            total = energies.sum()
        else:
            features = self.descriptor.contract(density)
            energies, theta = self.tangent(features.detach(), species)
            total = (features * theta).sum()
        slopes = torch.autograd.grad([total + 0.0 * density.sum()], [density])[0]
        assert slopes is not None
        return energies.detach(), slopes

    def completed(self, energies: Tensor, graph: Graph) -> Tensor:
        """Return the energies of the leading atoms (n,) with those of the rest, which have no neighbours, (N,)."""
        rest = graph.species[energies.shape[0] :]
        return torch.cat([energies, self.alone(graph)[rest]]) if rest.numel() > 0 else energies

    def alone(self, graph: Graph) -> Tensor:
        """Return the energies of isolated atoms of each species."""
        kinds = torch.arange(self.descriptor.n_species, device=graph.species.device)
        return self.regressor(self.descriptor.isolated(graph.vectors), kinds)

    def energies(self, graph: Graph, species: Tensor) -> Tensor:
        """Return the energies of the atoms that have edges behind or at them, (n,)."""
        if self.folds:
            return self.folded(self.descriptor.density(graph), species)
        return self.regressor(self.descriptor(graph), species)

    def descriptor_features(self, graph: Graph) -> Tensor:
        """Return the descriptor's features of all atoms, (N, F)."""
        alone = self.descriptor.isolated(graph.vectors)
        n = n_centers(graph)
        return torch.cat([self.descriptor(graph), alone[graph.species[n:]]]) if n > 0 else alone[graph.species]

    def features(self, graph: Graph) -> Tensor:
        """Return what the regressor's last, linear layer multiplies, (N, P), in the order of its `theta()`.

        What a Bayesian treatment of the last layer needs: the columns of a linear or quadratic regressor, or the last
        hidden values of a network.
        """
        return self.regressor.phi(self.descriptor_features(graph), graph.species)

    def members(self, graph: Graph) -> Tensor:
        """Return the energy of each atom by each member of the regressor, (M, N) in eV."""
        features = self.descriptor_features(graph)
        return self.regressor.members(features.expand([self.n_members, -1, -1]), graph.species)

    def uncertainty(self, graph: Graph) -> Uncertainty:
        """Return the spread of the members."""
        return spread(self.members(graph))

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
