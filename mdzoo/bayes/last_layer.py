"""The last layer of a network as a regressor that is linear in its parameters: all that is linear then serves it."""

import copy
from typing import Any

import torch
from torch import Tensor

from mdzoo.potentials import DescriptorPotential, ForceField, SumPotential
from mdzoo.regressors import MLP
from mdzoo.regressors.base import Regressor


class LastLayer(Regressor):
    """`E_i = c_{s_i} + phi_i . theta` with the weights theta of a network's last layer and of its linear term.

    Arguments:
        network: of one member; its last layer is changed by `set_theta`.
    """

    def __init__(self, network: MLP) -> None:
        super().__init__(network.n_features, network.n_species)
        if network.n_members > 1:
            raise ValueError(
                f"`network` must have one member, got {network.n_members}; its members are an ensemble already"
            )
        self.is_linear, self.network = True, network

    def forward(self, features: Tensor, species: Tensor) -> Tensor:
        """Return the energies, (n,)."""
        return self.network(features, species)

    def phi(self, features: Tensor, species: Tensor) -> Tensor:
        """Return the columns, (n, P)."""
        return self.network.phi(features, species)

    def theta(self) -> Tensor:
        """Return the parameters in the order of the columns, (P,)."""
        return self.network.theta()

    def set_theta(self, theta: Tensor) -> None:
        """Take the parameters in the order of the columns."""
        network: Any = self.network
        with torch.no_grad():
            for part in network.networks:
                n = part.last.weight.numel()
                part.last.weight.copy_(theta[:n].view_as(part.last.weight))
                part.last.bias.copy_(theta[n : n + 1].view_as(part.last.bias))
                theta = theta[n + 1 :]
            if network.has_linear:
                network.linear.weights.copy_(theta.view_as(network.linear.weights))


def linear_view(force_field: ForceField) -> ForceField:
    """Return the force field in float64 with a network's last layer as a regressor; itself, copied, where it is linear.

    Raises:
        ValueError: there is no term that is linear in its parameters and no network of one member.
    """
    view = copy.deepcopy(force_field).to(torch.float64)
    terms: Any = view.potential.terms if isinstance(view.potential, SumPotential) else [view.potential]
    parts = [term for term in terms if isinstance(term, DescriptorPotential)]
    usable = [p for p in parts if p.regressor.is_linear or isinstance(p.regressor, MLP)]
    if len(usable) != 1:
        raise ValueError(
            f"`force_field` must have one term with a regressor that is linear in its parameters or a network, got "
            f"{len(usable)}; choose bayes=ensemble, svi or nuts"
        )
    part: Any = usable[0]
    if isinstance(part.regressor, MLP):
        part.regressor = LastLayer(part.regressor)
    return view
