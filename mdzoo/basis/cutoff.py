"""How a neighbour leaves: cutoff functions of the reduced distance x = r / cutoff."""

import math

import torch
from torch import Tensor


def polynomial_cutoff(x: Tensor, smoothness: int) -> Tensor:
    """Return `(1 - x^2)^(smoothness + 1)` below x = 1 and 0 beyond, with `smoothness` continuous derivatives at 1."""
    inside = torch.clamp(1.0 - x * x, min=0.0)
    out = inside
    for _ in range(smoothness):
        out = out * inside
    return out


def cosine_cutoff(x: Tensor) -> Tensor:
    """Return `(cos(pi x) + 1) / 2` below x = 1 and 0 beyond; one continuous derivative at 1."""
    return 0.5 * torch.cos(math.pi * torch.clamp(x, max=1.0)) + 0.5


def tanh_cutoff(x: Tensor) -> Tensor:
    """Return `tanh^3(1 - x)` below x = 1 and 0 beyond; two continuous derivatives at 1."""
    inside = torch.tanh(torch.clamp(1.0 - x, min=0.0))
    return inside * inside * inside
