"""Functions of one direction: real spherical harmonics as polynomials of the unit vector."""

from math import factorial, pi, prod, sqrt

import torch
from torch import Tensor, nn


def exponents(degree: int) -> list[tuple[int, int, int]]:
    """Return the exponents (a, b, c) of x^a y^b z^c of one degree, in the order in which `monomials` makes them."""
    return [(a, b, degree - a - b) for a in range(degree, -1, -1) for b in range(degree - a, -1, -1)]


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
    r"""Real orthonormal spherical harmonics Y_lm, l = 0..L, m = -l..l, one row each; l = 1 gives (y, z, x).

        Y_l,+-m = N_lm p_l^m(z) {Re, Im} (x + i y)^m,    p_l^m = z p_{l-1}^m - c_lm p_{l-2}^m,    p_m^m = 1

    with `c_lm = (l+m-1)(l-m-1) / ((2l-1)(2l-3))`, which is the recursion of the associated Legendre functions (DLMF
    14.10.3) for polynomials of leading coefficient 1. There is no Condon-Shortley phase; negative m are the sines.

    Shapes: components x, y, z (E,) of unit vectors -> ((L + 1)^2, E).
    """

    def __init__(self, l_max: int) -> None:
        super().__init__()
        self.l_max = int(l_max)
        norms = [harmonic_norm(order, abs(m)) for order in range(self.l_max + 1) for m in range(-order, order + 1)]
        self.register_buffer("norms", torch.tensor(norms, dtype=torch.float64).unsqueeze(1), persistent=False)

    def forward(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Return Y_lm of unit vectors, ((L + 1)^2, E)."""
        rows = [torch.ones_like(x)] * ((self.l_max + 1) * (self.l_max + 1))
        cosine, sine = rows[0], torch.zeros_like(x)
        for m in range(self.l_max + 1):
            if m == 1:
                cosine, sine = x, y
            elif m > 1:
                cosine, sine = x * cosine - y * sine, x * sine + y * cosine
            p, before = rows[0], rows[0]
            for order in range(m, self.l_max + 1):
                place = order * order + order
                if order == m + 1:
                    p = z
                elif order > m + 1:
                    c = (order + m - 1) * (order - m - 1) / ((2 * order - 1) * (2 * order - 3))
                    p, before = torch.sub(z * p, before, alpha=c), p
                rows[place + m] = cosine if order == m else p * cosine
                if m > 0:
                    rows[place - m] = sine if order == m else p * sine
        return torch.stack(rows) * self.norms


def harmonic_norm(order: int, m: int) -> float:
    """Return N_lm, m >= 0, with which Y_lm is orthonormal on the sphere."""
    leading = prod(range(1, 2 * order, 2)) / factorial(order - m)
    ratio = factorial(order - m) / factorial(order + m) * (2 if m else 1)
    return sqrt((2 * order + 1) / (4 * pi) * ratio) * leading
