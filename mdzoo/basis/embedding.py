"""Functions of one number that are learnt: small residual networks."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "silu": nn.SiLU}


class EmbeddingLayer(nn.Module):
    """`y = dt * f(W x + b) + x`, with (x, x) where the layer doubles the width and no x where the widths do not fit.

    Starts as in deepmd-kit: W from N(0, 1 / (n_in + n_out)), b from N(0, 1), dt from N(0.1, 0.001^2).

    Shapes: (n_in, e) -> (n_out, e); long rows are fastest.
    """

    def __init__(self, n_in: int, n_out: int, activation: str, time_step: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.repeats = n_out // n_in if n_out in (n_in, 2 * n_in) else 0
        weight = torch.randn(n_out, n_in, generator=generator, dtype=torch.float64) / (n_in + n_out) ** 0.5
        bias, step = torch.randn(2, n_out, generator=generator, dtype=torch.float64)
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.step = nn.Parameter(0.1 + 0.001 * step) if time_step and self.repeats > 0 else None
        self.function = ACTIVATIONS[activation]()

    def forward(self, x: Tensor) -> Tensor:
        """Return y."""
        y = self.function(torch.addmm(self.bias.unsqueeze(1), self.weight, x))
        if self.step is not None:
            y = y * self.step.unsqueeze(1)
        if self.repeats == 2:
            return (y.view(2, x.shape[0], x.shape[1]) + x).flatten(0, 1)
        return y + x if self.repeats == 1 else y


class EmbeddingNetwork(nn.Module):
    """M functions G_m of one number, by layers that keep or double their width (Zhang et al., arXiv:1805.09003).

    Arguments:
        neuron: widths of the layers, the last one is M.
        activation: `tanh` or `silu`.
        time_step: whether residual layers have a trainable step dt.
        seed: of the first weights.

    Shapes: (1, e) -> (M, e).
    """

    def __init__(self, neuron: Sequence[int], activation: str = "tanh", time_step: bool = False, seed: int = 0) -> None:
        super().__init__()
        widths = [1, *(int(width) for width in neuron)]
        if len(widths) < 2 or min(widths) < 1:
            raise ValueError(f"`neuron` must hold one or more positive widths, got {list(neuron)}; try [25, 50, 100]")
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"`activation_function` must be one of {list(ACTIVATIONS)}, got {activation!r}; both are smooth"
            )
        generator = torch.Generator().manual_seed(int(seed))
        pairs = zip(widths[:-1], widths[1:], strict=True)
        self.layers = nn.ModuleList(EmbeddingLayer(a, b, activation, time_step, generator) for a, b in pairs)

    def forward(self, x: Tensor) -> Tensor:
        """Return G, (M, e)."""
        for layer in self.layers:
            x = layer(x)
        return x
