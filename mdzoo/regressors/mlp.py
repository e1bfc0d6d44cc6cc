"""A multilayer perceptron on scaled features, beside a linear term; one, or several members in one pass."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mdzoo.regressors.base import Regressor
from mdzoo.regressors.network import ACTIVATIONS, LinearTerm, Network
from mdzoo.regressors.scale import Scale


class MLP(Regressor):
    """`E_i = w_{s_i} . x_i + W_n f(... f(W_1 x_i + b_1) ...) + b_n`, with `x = (B - mean) / std`.

    The network of atomic energies of Behler and Parrinello (DOI 10.1103/PhysRevLett.98.146401) with smooth activations,
    so that a loss of forces has continuous gradients. The linear term carries what a linear model would learn; the
    network starts near zero (0.01 eV) and adds the rest. With several members the energy is their mean; they differ by
    their random start (Lakshminarayanan, Pritzel, Blundell, arXiv:1612.01474) and share all that comes before them.

    Arguments:
        n_features: F, taken from the descriptor.
        n_species: number of elements.
        hidden: widths of the hidden layers.
        activation: `silu` or `tanh`.
        shared: one network for all species, else one for each; the linear term is always one for each.
        linear: whether there is a linear term.
        residual: whether a hidden layer as wide as the one before adds to it, `h + f(W h + b)`.
        layer_norm: whether the argument of each f is normalised over the units of the layer.
        members: M.

    Attributes: `scale` (set it from the training data), `linear` (weights of the scaled features, eV), `networks`.

    Example:
        >>> MLP(3, 2, hidden=[8])(torch.ones(4, 3, dtype=torch.float64), torch.tensor([0, 1, 1, 0])).shape
        torch.Size([4])
    """

    def __init__(
        self,
        n_features: int,
        n_species: int,
        hidden: Sequence[int] = (32, 32),
        activation: str = "silu",
        shared: bool = False,
        linear: bool = True,
        residual: bool = False,
        layer_norm: bool = False,
        members: int = 1,
    ) -> None:
        super().__init__(n_features, n_species)
        widths = [int(width) for width in hidden]
        if not widths or min(widths) < 1:
            raise ValueError(f"`hidden` must hold one or more positive widths, got {list(hidden)}; try [32, 32]")
        if activation not in ACTIVATIONS:
            raise ValueError(f"`activation` must be one of {list(ACTIVATIONS)}, got {activation!r}; both are smooth")
        if int(members) < 1:
            raise ValueError(f"`members` must be at least 1, got {members}; 8 give a spread to go by")
        self.n_members, self.has_linear = int(members), bool(linear)
        self.scale = Scale(self.n_features)
        self.linear = LinearTerm(self.n_members, self.n_species, self.n_features, bool(linear))
        self.one = bool(shared) or self.n_species == 1
        self.networks = nn.ModuleList(
            Network(self.n_members, [self.n_features, *widths], activation, bool(residual), bool(layer_norm))
            for _ in range(1 if self.one else self.n_species)
        )

    def forward(self, features: Tensor, species: Tensor) -> Tensor:
        """Return the energies, the mean of the members, (n,)."""
        shape = [self.n_members, features.shape[0], features.shape[1]]
        return self.members(features.unsqueeze(0).expand(shape), species).mean(0)

    def members(self, features: Tensor, species: Tensor) -> Tensor:
        """Return the energies by each member, (M, n), from the features that each is given, (M, n, F)."""
        x = self.scale(features)
        energy = self.linear(x, species)
        for kind, network in enumerate(self.networks):
            if self.one:
                energy = energy + network(x)
            else:
                rows = (species == kind).nonzero().squeeze(-1)
                energy = energy.index_add(1, rows, network(x[:, rows]))
        return energy

    def phi(self, features: Tensor, species: Tensor) -> Tensor:
        """Return what the last, linear layer multiplies, (n, P).

        `forward = phi @ theta`, beside the constants.
        Columns, divided by M: the hidden values of each member and a one, in the block of the species' network; then
        the scaled features of each member in the block of their species, if the linear term trains.
        """
        x = self.scale(features)
        places = torch.zeros_like(species) if self.one else species
        parts: list[Tensor] = []
        for kind, network in enumerate(self.networks):
            hidden = network.hidden(x.expand([self.n_members, -1, -1]))
            columns = nn.functional.pad(hidden, (0, 1), value=1.0).transpose(0, 1).flatten(1)
            parts.append(columns * (places == kind).unsqueeze(1))
        if self.has_linear:
            kinds = nn.functional.one_hot(species, self.n_species).to(x.dtype)
            blocks = (kinds.unsqueeze(2) * x.unsqueeze(1)).flatten(1)
            parts.append(blocks.repeat([1, self.n_members]))
        return torch.cat(parts, 1) / self.n_members

    @torch.jit.unused
    def theta(self) -> Tensor:
        """Return the weights of the last layer in the order of the columns of `phi`, (P,)."""
        lasts: list[Any] = [network.last for network in self.networks]
        parts = [torch.cat([last.weight, last.bias], 1).flatten() for last in lasts]
        return torch.cat([*parts, self.linear.weights.flatten()] if self.has_linear else parts)

    @torch.jit.unused
    def member(self, index: int) -> "MLP":
        """Return one of the members as a network of its own, with weights of its own."""
        alone = copy.deepcopy(self)
        alone.n_members = 1
        for parameter in alone.parameters():
            parameter.data = parameter.data[index : index + 1].clone()
        return alone

    @torch.jit.unused
    def set_member(self, index: int, alone: "MLP") -> None:
        """Take the weights of a network of one member."""
        for mine, given in zip(self.parameters(), alone.parameters(), strict=True):
            mine.data[index] = given.data[0]

    @torch.jit.unused
    def set_linear(self, weights: Tensor, bias: Tensor) -> None:
        """Take the linear term from a linear model of the unscaled features, (n_species, F) and (n_species,) eV."""
        with torch.no_grad():
            self.linear.weights.copy_(weights * self.scale.std)
            self.linear.bias.copy_(bias + weights @ self.scale.mean)

    @torch.jit.unused
    def rescale(self, mean: Tensor, std: Tensor) -> None:
        """Take another scale of the features, and stay the same function of them."""
        with torch.no_grad():
            mean, std = mean.to(self.scale.mean), std.to(self.scale.std)
            factor, shift = std / self.scale.std, (mean - self.scale.mean) / self.scale.std
            self.linear.bias.add_(self.linear.weights @ shift)
            self.linear.weights.mul_(factor)
            for network in self.networks:
                first: Any = network
                affine = first.layers[0].affine
                affine.bias.add_((shift @ affine.weight).unsqueeze(1))
                affine.weight.mul_(factor.unsqueeze(1))
            self.scale.mean.copy_(mean)
            self.scale.std.copy_(std)
