"""A potential and how the parameters that it is linear in may differ: a Gaussian in closed form, and members."""

import torch
from torch import Tensor

from mdzoo.graph import Graph
from mdzoo.potentials.base import Deviations, Potential, Uncertainty, deviation, each
from mdzoo.potentials.descriptor_potential import DescriptorPotential


class LinearEnsemble(Potential):
    r"""`E_i^(m) = E_i + phi_i . delta_m`, and in closed form `sigma_i = |phi_i R|` with the covariance `R R^T`.

    phi are the columns of a regressor that is linear in its parameters, or the last hidden values of a network (Laplace
    on the last layer; Bigi, Chong, Ceriotti, Grasselli, DOI 10.1088/2632-2153/ad805f), evaluated once for everything.
    The energy is that of the potential itself, and as fast. A Gaussian process adds what its inducing points leave
    open, `s^2 (k_** - |k_* L|^2)` (Quinonero-Candela, Rasmussen, JMLR 6, 1939 (2005)).

    Arguments:
        potential: whose parameters are the mean.
        members: M.
        rank: K, the number of columns of R.
        open: whether there is such a rest, of a SparseGP.

    Buffers: `deltas` (M, P) and `root` (P, K), in the order of the columns of `phi`; `noise`, the deviation of a label
    of the energy of one atom, eV; `most`, the largest sigma_i of the training set, eV, by which the grade is one; of a
    Gaussian process `inverse` L (Q, Q) for its Q points and `scale` s^2.
    """

    deltas: Tensor
    root: Tensor
    noise: Tensor
    most: Tensor
    inverse: Tensor
    scale: Tensor
    __constants__ = ["open"]

    def __init__(self, potential: DescriptorPotential, members: int, rank: int, open: bool = False) -> None:
        super().__init__(potential.cutoff, potential.reach, potential.smoothness)
        if not hasattr(potential.regressor, "phi") or potential.n_members > 1:
            raise ValueError(
                "`potential` must have one regressor that is linear in its parameters or a network of one member, got "
                f"{type(potential.regressor).__name__} of {potential.n_members}; choose another method"
            )
        if int(members) < 2:
            raise ValueError(f"`members` must be 2 or more, got {members}; 20 or more give a spread to go by")
        self.potential = potential
        self.n_members, self.rank, self.is_uncertain = int(members), int(rank), True
        self.open = bool(open)
        n = n_columns(potential)
        self.register_buffer("deltas", torch.zeros(self.n_members, n, dtype=torch.float64))
        self.register_buffer("root", torch.zeros(n, self.rank, dtype=torch.float64))
        self.register_buffer("noise", torch.zeros((), dtype=torch.float64))
        self.register_buffer("most", torch.ones((), dtype=torch.float64))
        size = len(potential.regressor.alpha) if self.open else 0
        self.register_buffer("inverse", torch.zeros(size, size, dtype=torch.float64))
        self.register_buffer("scale", torch.ones((), dtype=torch.float64))

    def forward(self, graph: Graph) -> Tensor:
        """Return the energy of each atom, (N,) in eV: that of the potential."""
        return self.potential(graph)

    def first_order(self, graph: Graph) -> Tensor:
        """Return the same energies for one derivative, as the potential gives them."""
        return self.potential.first_order(graph)

    def members(self, graph: Graph) -> Tensor:
        """Return the energy of each atom by each member, (M, N) in eV."""
        return self.members_of(self.potential.descriptor_features(graph), graph.species)

    def members_of(self, features: Tensor, species: Tensor) -> Tensor:
        """Return the same of the features."""
        return (
            self.potential.regressor(features, species)
            + self.deltas @ self.potential.regressor.phi(features, species).T
        )

    def first_order_members(self, graph: Graph) -> list[Tensor]:
        """Return the same, each for one derivative."""
        if not self.potential.pulls or graph.centers.numel() == 0:
            return each(self.members(graph))
        density, expansion, features = self.potential.expanded(graph)
        members = self.members_of(features, graph.species[: density.shape[0]])
        alone = self.members_of(self.potential.descriptor.isolated(graph.vectors), self.potential.kinds(graph))
        return self.potential.pulled_members(members, alone, density, expansion, graph)

    def uncertainty(self, graph: Graph) -> Uncertainty:
        """Return the deviations of the energy of each atom, and how they compare with those in training."""
        said = self.deviations(graph)
        parameter = deviation(said.rows, said.rest)
        return Uncertainty(parameter, self.noise.expand_as(parameter), torch.zeros_like(parameter), said.grade)

    def deviations(self, graph: Graph) -> Deviations:
        """Return how the energies deviate; what is open is each atom's own."""
        return self.deviations_of(self.potential.descriptor_features(graph), graph.species)

    def first_order_deviations(self, graph: Graph) -> tuple[Tensor, Deviations]:
        """Return the energies of `first_order` and the deviations, from one evaluation of the descriptor."""
        energies, features = self.potential.first_order_features(graph)
        return energies, self.deviations_of(features, graph.species)

    def deviations_of(self, features: Tensor, species: Tensor) -> Deviations:
        """Return the deviations of the features (N, F)."""
        phi = self.potential.regressor.phi(features, species)
        rows = phi @ self.root
        rest = self.rest(features, phi, species) if self.open else torch.zeros_like(rows[:, 0])
        members = self.potential.regressor(features, species) + self.deltas @ phi.T
        return Deviations(rows, rest, deviation(rows, rest) / self.most, members)

    def rest(self, features: Tensor, phi: Tensor, species: Tensor) -> Tensor:
        """Return the variance of each atom's energy that the inducing points leave open, (N,) in eV^2."""
        known = (phi[:, : self.inverse.shape[0]] @ self.inverse).square().sum(1)
        return (self.scale * self.potential.regressor.diagonal(features, species) - known).clamp_min(0.0)


def n_columns(potential: DescriptorPotential) -> int:
    """Return P, the number of columns of phi."""
    like = next(potential.regressor.parameters())
    kinds = torch.arange(potential.descriptor.n_species)
    return potential.regressor.phi(potential.descriptor.isolated(like), kinds).shape[1]
