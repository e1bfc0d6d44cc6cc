"""How a neighbour leaves: cutoff functions of the reduced distance x = r / cutoff."""

import torch
from torch import Tensor


def polynomial_cutoff(x: Tensor, smoothness: int) -> Tensor:
    """Return `(1 - x^2)^(smoothness + 1)` below x = 1 and 0 beyond, with `smoothness` continuous derivatives at 1."""
    inside = torch.clamp(1.0 - x * x, min=0.0)
    out = inside
    for _ in range(smoothness):
        out = out * inside
    return out
