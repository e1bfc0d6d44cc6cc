"""A multilayer perceptron on scaled features, beside a linear term."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mdzoo.regressors.base import Regressor
from mdzoo.regressors.linear import Linear
from mdzoo.regressors.scale import Scale

# each activation with the gain that keeps unit variance through a layer: 1 / sqrt(E[f(z)^2]), z standard normal
ACTIVATIONS: dict[str, tuple[type[nn.Module], float]] = {"silu": (nn.SiLU, 1.6765), "tanh": (nn.Tanh, 1.5925)}
OUTPUT = 0.01  # deviation of the untrained output, eV


class MLP(Regressor):
    """`E_i = w_{s_i} . x_i + W_n f(... f(W_1 x_i + b_1) ...) + b_n`, with `x = (B - mean) / std`.

    The network of atomic energies of Behler and Parrinello (DOI 10.1103/PhysRevLett.98.146401) with smooth activations,
    so that a loss of forces has continuous gradients. The linear term carries what a linear model would learn; the
    network starts near zero (0.01 eV) and adds the rest.

    Arguments:
        n_features: F, taken from the descriptor.
        n_species: number of elements.
        hidden: widths of the hidden layers.
        activation: `silu` or `tanh`.
        shared: one network for all species, else one for each; the linear term is always one for each.
        linear: whether there is a linear term.

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
    ) -> None:
        super().__init__(n_features, n_species)
        widths = [int(width) for width in hidden]
        if not widths or min(widths) < 1:
            raise ValueError(f"`hidden` must hold one or more positive widths, got {list(hidden)}; try [32, 32]")
        if activation not in ACTIVATIONS:
            raise ValueError(f"`activation` must be one of {list(ACTIVATIONS)}, got {activation!r}; both are smooth")
        self.scale = Scale(self.n_features)
        self.linear = Linear(self.n_features, self.n_species, bias=False)
        self.linear.weights.requires_grad_(bool(linear))
        self.one = bool(shared) or self.n_species == 1
        sizes = [self.n_features, *widths, 1]
        self.networks = nn.ModuleList(network(sizes, activation) for _ in range(1 if self.one else self.n_species))

    def forward(self, features: Tensor, species: Tensor) -> Tensor:
        """Return the energies, (n,)."""
        x = self.scale(features)
        energy = self.linear(x, species)
        for kind, net in enumerate(self.networks):
            if self.one:
                energy = energy + net(x).squeeze(-1)
            else:
                rows = (species == kind).nonzero().squeeze(-1)
                energy = energy.index_add(0, rows, net(x[rows]).squeeze(-1))
        return energy

    @torch.jit.unused
    def set_linear(self, weights: Tensor, bias: Tensor) -> None:
        """Take the linear term from a linear model of the unscaled features, (n_species, F) and (n_species,) eV."""
        with torch.no_grad():
            self.linear.weights.copy_(weights * self.scale.std)
            self.linear.bias.copy_(bias + weights @ self.scale.mean)


def network(sizes: list[int], activation: str) -> nn.Sequential:
    """Return layers of these sizes whose hidden values start with unit variance, and the output with OUTPUT."""
    function, gain = ACTIVATIONS[activation]
    layers: list[nn.Module] = []
    for index, (n_in, n_out) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        last = index == len(sizes) - 2
        layer = nn.Linear(n_in, n_out, dtype=torch.float64)
        scale = OUTPUT if last else 1.0
        nn.init.normal_(layer.weight, 0.0, scale * (gain if index > 0 else 1.0) / n_in**0.5)
        nn.init.zeros_(layer.bias)
        layers += [layer] if last else [layer, function()]
    return nn.Sequential(*layers)
