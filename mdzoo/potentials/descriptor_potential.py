"""A descriptor and a regressor make a potential."""

import torch
from torch import Tensor

from mdzoo.descriptors.base import Descriptor
from mdzoo.descriptors.expansion import Expansion
from mdzoo.graph import Graph, n_centers, with_leaves
from mdzoo.potentials.base import Deviations, Potential, Uncertainty, each, of_members, spread
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

    def first_order_features(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Return the energies of `first_order` and the features of all atoms, (N, F), from one evaluation."""
        if not self.pulls or graph.centers.numel() == 0:
            return self.first_order(graph), self.descriptor_features(graph)
        density, expansion, features = self.expanded(graph)
        energies, slopes = self.slopes(density.detach(), graph.species[: density.shape[0]])
        energies = with_slopes(self.completed(energies, graph), graph.vectors, self.descriptor.pull(expansion, slopes))
        return energies, self.with_alone(features.detach(), graph)

    def pulled(self, graph: Graph) -> Tensor:
        """Return the energies with their slopes by the vectors alone behind them, both without a backward pass."""
        bare = with_leaves(graph, graph.vectors.detach(), graph.positions, graph.cell)
        density, expansion = self.descriptor.first_order(bare)
        energies, slopes = self.slopes(density, graph.species[: density.shape[0]])
        return with_slopes(self.completed(energies, graph), graph.vectors, self.descriptor.pull(expansion, slopes))

    def expanded(self, graph: Graph) -> tuple[Tensor, Expansion, Tensor]:
        """Return the density as a leaf, what `pull` needs, and the features, (n, F), of that leaf."""
        bare = with_leaves(graph, graph.vectors.detach(), graph.positions, graph.cell)
        density, expansion = self.descriptor.first_order(bare)
        density = density.detach().requires_grad_()
        return density, expansion, self.descriptor.contract(density)

    def pulled_members(
        self, members: Tensor, alone: Tensor, density: Tensor, expansion: Expansion, graph: Graph
    ) -> list[Tensor]:
        """Return the energies of each member with their slopes by the vectors alone behind them.

        Energies (M, n) with the density behind them, of isolated atoms (M, species), and what `expanded` gave.
        """
        rest = graph.species[density.shape[0] :]
        out: list[Tensor] = []
        for m in range(members.shape[0]):
            slopes = torch.autograd.grad([members[m].sum()], [density], retain_graph=True)[0]
            assert slopes is not None
            energies = torch.cat([members[m], alone[m][rest]]).detach()
            out.append(with_slopes(energies, graph.vectors, self.descriptor.pull(expansion, slopes)))
        return out

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
        return self.regressor(self.descriptor.isolated(graph.vectors), self.kinds(graph))

    def kinds(self, graph: Graph) -> Tensor:
        """Return each species once."""
        return torch.arange(self.descriptor.n_species, device=graph.species.device)

    def energies(self, graph: Graph, species: Tensor) -> Tensor:
        """Return the energies of the atoms that have edges behind or at them, (n,)."""
        if self.folds:
            return self.folded(self.descriptor.density(graph), species)
        return self.regressor(self.descriptor(graph), species)

    def descriptor_features(self, graph: Graph) -> Tensor:
        """Return the descriptor's features of all atoms, (N, F)."""
        if n_centers(graph) == 0:
            return self.descriptor.isolated(graph.vectors)[graph.species]
        return self.with_alone(self.descriptor(graph), graph)

    def with_alone(self, features: Tensor, graph: Graph) -> Tensor:
        """Return the features of the leading atoms (n, F) with those of the rest, (N, F)."""
        rest = graph.species[features.shape[0] :]
        return torch.cat([features, self.descriptor.isolated(graph.vectors)[rest]]) if rest.numel() > 0 else features

    def features(self, graph: Graph) -> Tensor:
        """Return what the regressor's last, linear layer multiplies, (N, P), in the order of its `theta()`.

        What a Bayesian treatment of the last layer needs: the columns of a linear or quadratic regressor, or the last
        hidden values of a network.
        """
        return self.regressor.phi(self.descriptor_features(graph), graph.species)

    def members(self, graph: Graph) -> Tensor:
        """Return the energy of each atom by each member of the regressor, (M, N) in eV."""
        return self.members_of(self.descriptor_features(graph), graph.species)

    def members_of(self, features: Tensor, species: Tensor) -> Tensor:
        """Return the same of the features."""
        return self.regressor.members(features.expand([self.n_members, -1, -1]), species)

    def first_order_members(self, graph: Graph) -> list[Tensor]:
        """Return the same, each for one derivative."""
        if not self.pulls or graph.centers.numel() == 0:
            return each(self.members(graph))
        density, expansion, features = self.expanded(graph)
        members = self.members_of(features, graph.species[: density.shape[0]])
        alone = self.members_of(self.descriptor.isolated(graph.vectors), self.kinds(graph))
        return self.pulled_members(members, alone, density, expansion, graph)

    def first_order_deviations(self, graph: Graph) -> tuple[Tensor, Deviations]:
        """Return the energies of `first_order` and the spread of the members, from one evaluation of the descriptor."""
        energies, features = self.first_order_features(graph)
        return energies, of_members(self.members_of(features, graph.species))

    def uncertainty(self, graph: Graph) -> Uncertainty:
        """Return the spread of the members."""
        return spread(self.members(graph))

    def folded(self, density: Tensor, species: Tensor) -> Tensor:
        """Return `bias + B(A) @ weights` without forming B, one product for each species."""
        weights, bias = self.regressor.weights, self.regressor.bias
        if weights.shape[0] == 1:
            return self.descriptor.contract_with(density, weights[0]) + bias[0]
        out = bias[species]
        if torch.compiler.is_compiling():  # which rows are of a kind would ask the data
            for kind in range(weights.shape[0]):
                out = out + (species == kind).to(out.dtype) * self.descriptor.contract_with(density, weights[kind])
            return out
        for kind in range(weights.shape[0]):
            rows = (species == kind).nonzero().squeeze(-1)
            if rows.numel() > 0:
                out = out.index_add(0, rows, self.descriptor.contract_with(density[rows], weights[kind]))
        return out


def with_slopes(energies: Tensor, vectors: Tensor, slopes: Tensor) -> Tensor:
    """Return energies (N,) whose sum has the derivatives (E, 3) by the vectors, and no other history."""
    change = (vectors * slopes).sum()
    return energies + torch.nn.functional.pad((change - change.detach()).view(1), [0, energies.shape[0] - 1])
