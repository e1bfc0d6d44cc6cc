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


def monomials(x: Tensor, y: Tensor, z: Tensor, l_max: int) -> list[Tensor]:
    """Return all monomials of degrees 0..l_max, in the order of `exponents`, each of the shape of x, y and z."""
    last = [torch.ones_like(x)]
    out = [last[0]]
    for _ in range(l_max):
        degree = len(last)
        rows = [x * row for row in last]
        width = (1 + int(round((8 * degree + 1) ** 0.5))) // 2 - 1
        rows += [y * row for row in last[degree - width :]]
        rows.append(z * last[degree - 1])
        last = rows
        out += rows
    return out


class SphericalHarmonics(nn.Module):
    """Real orthonormal spherical harmonics Y_lm, l = 0..L, m = -l..l, one row each.

    Shapes: components x, y, z (E,) of unit vectors -> ((L + 1)^2, E).
    """

    def __init__(self, l_max: int) -> None:
        super().__init__()
        self.l_max = int(l_max)
        blocks = [
            np.stack([solid_harmonic(order, m) for m in range(-order, order + 1)]) for order in range(self.l_max + 1)
        ]
        matrix = torch.block_diag(*[torch.as_tensor(block, dtype=torch.float64) for block in blocks])
        self.register_buffer("matrix", matrix, persistent=False)

    def forward(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Return Y_lm of unit vectors, ((L + 1)^2, E)."""
        return self.matrix @ torch.stack(monomials(x, y, z, self.l_max))
