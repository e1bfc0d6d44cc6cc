"""A potential and how the parameters that it is linear in may differ: a Gaussian in closed form, and members."""

import torch
from torch import Tensor

from mdzoo.graph import Graph
from mdzoo.ops import segment_sum
from mdzoo.potentials.base import Deviations, Potential, Uncertainty
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
        features = self.potential.descriptor_features(graph)
        energy = self.potential.regressor(features, graph.species)
        return energy + self.deltas @ self.potential.regressor.phi(features, graph.species).T

    def uncertainty(self, graph: Graph) -> Uncertainty:
        """Return the deviations of the energy of each atom, and how they compare with those in training."""
        said = self.deviations(graph)
        return Uncertainty(
            said.parameter, self.noise.expand_as(said.parameter), torch.zeros_like(said.parameter), said.grade
        )

    def deviations(self, graph: Graph) -> Deviations:
        """Return how the energies of atoms and of whole structures deviate; what is open adds as if independent."""
        features = self.potential.descriptor_features(graph)
        phi = self.potential.regressor.phi(features, graph.species)
        parameter = torch.linalg.vector_norm(phi @ self.root, dim=1)
        sums = segment_sum(phi.to(torch.float64), graph.batch, graph.cell.shape[0])
        total = torch.linalg.vector_norm(sums @ self.root.to(torch.float64), dim=1)
        if self.open:
            rest = self.rest(features, phi, graph.species)
            parameter = (parameter.square() + rest).sqrt()
            total = (total.square() + segment_sum(rest.to(total.dtype), graph.batch, total.shape[0])).sqrt()
        energy = self.potential.regressor(features, graph.species)
        return Deviations(parameter, total, parameter / self.most, energy + self.deltas @ phi.T)

    def rest(self, features: Tensor, phi: Tensor, species: Tensor) -> Tensor:
        """Return the variance of each atom's energy that the inducing points leave open, (N,) in eV^2."""
        known = (phi[:, : self.inverse.shape[0]] @ self.inverse).square().sum(1)
        return (self.scale * self.potential.regressor.diagonal(features, species) - known).clamp_min(0.0)


def n_columns(potential: DescriptorPotential) -> int:
    """Return P, the number of columns of phi."""
    like = next(potential.regressor.parameters())
    kinds = torch.arange(potential.descriptor.n_species)
    return potential.regressor.phi(potential.descriptor.isolated(like), kinds).shape[1]
