"""Functions of one direction: real spherical harmonics as polynomials of the unit vector."""

from math import comb, factorial, pi, sqrt

import numpy as np
import torch
from torch import Tensor, nn


def exponents(degree: int) -> list[tuple[int, int, int]]:
    """Return the exponents (a, b, c) of x^a y^b z^c of one degree, in the order in which `monomials` makes them."""
    return [(a, b, degree - a - b) for a in range(degree, -1, -1) for b in range(degree - a, -1, -1)]


def solid_harmonic(order: int, m: int) -> np.ndarray:
    """Return the coefficients of the real solid harmonic r^l Y_lm over `exponents(l)`; orthonormal on the sphere.

    Y_lm has no Condon-Shortley phase; m < 0 are the sines: l = 1 gives (y, z, x).
    """
    place = {powers: i for i, powers in enumerate(exponents(order))}
    out = np.zeros(len(place))
    size = abs(m)
    norm = sqrt((2 * order + 1) / (4 * pi) * factorial(order - size) / factorial(order + size) * (2 if m else 1))
    for k in range((order - size) // 2 + 1):
        legendre = (-1) ** k * 2.0**-order * comb(order, k) * comb(2 * order - 2 * k, order)
        legendre *= factorial(order - 2 * k) / factorial(order - 2 * k - size)
        for p in range(size + 1):
            turn = (size - p) if m >= 0 else (size - p) - 1  # cos(q pi/2), sin(q pi/2) = cos((q - 1) pi/2)
            phase = (1, 0, -1, 0)[turn % 4]
            for a in range(k + 1):
                for b in range(k - a + 1):
                    multinomial = factorial(k) / (factorial(a) * factorial(b) * factorial(k - a - b))
                    powers = (p + 2 * a, size - p + 2 * b, order - 2 * k - size + 2 * (k - a - b))
                    out[place[powers]] += norm * legendre * comb(size, p) * phase * multinomial
    return out


def monomials(unit: Tensor, l_max: int) -> Tensor:
    """Return all monomials of the unit vectors (E, 3) of degrees 0..l_max, (E, sum of (l + 1)(l + 2) / 2)."""
    x, y, z = unit[:, 0:1], unit[:, 1:2], unit[:, 2:3]
    last = torch.ones_like(x)
    parts = [last]
    for degree in range(1, l_max + 1):
        last = torch.cat([x * last, y * last[:, last.shape[1] - degree :], z * last[:, last.shape[1] - 1 :]], 1)
        parts.append(last)
    return torch.cat(parts, 1)


class SphericalHarmonics(nn.Module):
    """Real orthonormal spherical harmonics Y_lm, l = 0..L, m = -l..l: (E, 3) unit vectors -> (E, (L + 1)^2)."""

    def __init__(self, l_max: int) -> None:
        super().__init__()
        self.l_max = int(l_max)
        blocks = [
            np.stack([solid_harmonic(order, m) for m in range(-order, order + 1)], -1) for order in range(l_max + 1)
        ]
        matrix = torch.block_diag(*[torch.as_tensor(block, dtype=torch.float64) for block in blocks])
        self.register_buffer("matrix", matrix, persistent=False)

    def forward(self, unit: Tensor) -> Tensor:
        """Return Y_lm of unit vectors, (E, (L + 1)^2)."""
        return monomials(unit, self.l_max) @ self.matrix
