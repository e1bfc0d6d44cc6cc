"""M networks side by side, evaluated by batched products with a leading member axis."""

import torch
from torch import Tensor, nn

# each activation with the gain that keeps unit variance through a layer: 1 / sqrt(E[f(z)^2]), z standard normal
ACTIVATIONS: dict[str, tuple[type[nn.Module], float]] = {"silu": (nn.SiLU, 1.6765), "tanh": (nn.Tanh, 1.5925)}
OUTPUT = 0.01  # deviation of the untrained output, eV


class Affine(nn.Module):
    """`y_m = x_m W_m + b_m`, (M, n, in) to (M, n, out), with weights of deviation `scale / sqrt(in)`."""

    def __init__(self, members: int, n_in: int, n_out: int, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(members, n_in, n_out, dtype=torch.float64) * (scale / n_in**0.5))
        self.bias = nn.Parameter(torch.zeros(members, 1, n_out, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """Return y, (M, n, out)."""
        return torch.baddbmm(self.bias, x, self.weight)


class Hidden(nn.Module):
    """`h = f(x W + b)`; with `residual` x is added, with `layer_norm` the argument of f is normalised over the units.

    The norm (Ba, Kiros, Hinton, arXiv:1607.06450) brings each atom's values to zero mean and unit deviation.
    """

    def __init__(self, affine: Affine, function: nn.Module, residual: bool, layer_norm: bool) -> None:
        super().__init__()
        self.affine, self.function = affine, function
        self.residual, self.layer_norm = residual, layer_norm

    def forward(self, x: Tensor) -> Tensor:
        """Return h, (M, n, out)."""
        h = self.activated(self.affine(x))
        return x + h if self.residual else h

    def activated(self, z: Tensor) -> Tensor:
        """Return f of the affine map's result, (M, n, out)."""
        return self.function(nn.functional.layer_norm(z, [z.shape[2]]) if self.layer_norm else z)


class Network(nn.Module):
    """The layers of M networks; the hidden values start with unit variance, and the output with deviation OUTPUT.

    Arguments:
        members: M.
        sizes: widths of the input and of the hidden layers.
        activation: a key of ACTIVATIONS.
        residual: whether a hidden layer as wide as the one before adds to it.
        layer_norm: whether hidden layers are normalised.
    """

    def __init__(self, members: int, sizes: list[int], activation: str, residual: bool, layer_norm: bool) -> None:
        super().__init__()
        function, gain = ACTIVATIONS[activation]
        self.layers = nn.ModuleList()
        for index, (n_in, n_out) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
            affine = Affine(members, n_in, n_out, gain if index > 0 else 1.0)
            adds = residual and index > 0 and n_in == n_out
            self.layers.append(Hidden(affine, function(), adds, layer_norm))
        self.last = Affine(members, sizes[-1], 1, gain * OUTPUT)

    def hidden(self, x: Tensor) -> Tensor:
        """Return what the last layer multiplies, (M, n, W), from what each member is given, (M, n, F)."""
        for layer in self.layers:
            x = layer(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Return the output of each member, (M, n), from (M, n, F)."""
        return self.last(self.hidden(x)).squeeze(2)


class LinearTerm(nn.Module):
    """`w_{m s_i} . x_i + b_{m s_i}` of each member: weights (M, n_species, F) and constants (M, n_species)."""

    def __init__(self, members: int, n_species: int, n_features: int, trains: bool) -> None:
        super().__init__()
        weights = torch.zeros(members, n_species, n_features, dtype=torch.float64)
        self.weights = nn.Parameter(weights, requires_grad=trains)
        self.bias = nn.Parameter(torch.zeros(members, n_species, dtype=torch.float64), requires_grad=False)

    def forward(self, x: Tensor, species: Tensor) -> Tensor:
        """Return the energies, (M, n), from what each member is given, (M, n, F)."""
        every = torch.baddbmm(self.bias.unsqueeze(1), x, self.weights.transpose(1, 2))  # (M, n, n_species)
        if every.shape[2] == 1:
            return every.squeeze(2)
        return every.gather(2, species.view(1, -1, 1).expand(every.shape[0], -1, 1)).squeeze(2)
