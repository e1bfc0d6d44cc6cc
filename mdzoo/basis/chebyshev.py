"""Chebyshev polynomials of the first kind and their derivatives, a row for each degree."""

import torch
from torch import Tensor


def chebyshev_rows(u: Tensor, weight: Tensor, degree: int) -> Tensor:
    """Return `weight T_n(u)`, n = 0..degree, one row each: (E,), (E,) -> (degree + 1, E)."""
    rows = [weight, weight * u]
    twice = 2.0 * u
    for n in range(2, degree + 1):
        rows.append(twice * rows[n - 1] - rows[n - 2])
    return torch.stack(rows[: degree + 1])


def chebyshev_slopes(u: Tensor, degree: int) -> tuple[Tensor, Tensor]:
    """Return T_n(u) and their derivatives, `T'_(n+1) = 2 T_n + 2 u T'_n - T'_(n-1)`, n = 0..degree, one row each."""
    values, slopes = chebyshev_rows(u, torch.ones_like(u), degree), [torch.zeros_like(u), torch.ones_like(u)]
    for n in range(1, degree):
        slopes.append(2.0 * values[n] + 2.0 * u * slopes[n] - slopes[n - 1])
    return values, torch.stack(slopes[: degree + 1])
