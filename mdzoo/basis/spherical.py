"""Functions of one direction: real spherical harmonics as polynomials of the unit vector."""

import math
from functools import cache

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

        Y_l,+-m = p_l^m(z) {Re, Im} (x + i y)^m,    p_l^m = a_lm z p_{l-1}^m - b_lm p_{l-2}^m,    p_m^m constant

    which is the recursion of the associated Legendre functions (DLMF 14.10.3), divided by (1 - z^2)^(m/2) and made
    orthonormal. There is no Condon-Shortley phase; negative m are the sines.

    Shapes: components x, y, z (E,) of unit vectors -> ((L + 1)^2, E).
    """

    def __init__(self, l_max: int) -> None:
        super().__init__()
        self.l_max = int(l_max)

    def forward(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Return Y_lm of unit vectors, ((L + 1)^2, E)."""
        return torch.stack(self.rows(x, y, z))

    def rows(self, x: Tensor, y: Tensor, z: Tensor) -> list[Tensor]:
        """Return Y_lm of unit vectors, (L + 1)^2 rows of the shape of x, y and z."""
        rows = [torch.empty(0)] * ((self.l_max + 1) * (self.l_max + 1))
        cosine, sine, first = torch.ones_like(x), torch.zeros_like(x), (4.0 * math.pi) ** -0.5
        for m in range(self.l_max + 1):
            if m > 0:
                first = first * ((2 * m + 1) / (2 * m) * (2 if m == 1 else 1)) ** 0.5
                cosine, sine = (x, y) if m == 1 else (x * cosine - y * sine, x * sine + y * cosine)
            rows[m * m] = first * sine
            rows[m * m + 2 * m] = first * cosine
            for k, p in enumerate(legendre(z, m, self.l_max, first)):
                place = (m + 1 + k) * (m + 2 + k)
                if m > 0:
                    rows[place - m] = p * sine
                rows[place + m] = p * cosine if m > 0 else p
        return rows


def legendre(z: Tensor, m: int, l_max: int, first: float) -> list[Tensor]:
    """Return p_l^m(z), l = m + 1..l_max, each of the shape of z, for the constant p_m^m = `first`."""
    out: list[Tensor] = []
    for order in range(m + 1, l_max + 1):
        a = ((4 * order * order - 1) / (order * order - m * m)) ** 0.5
        if order == m + 1:
            out.append((a * first) * z)
            continue
        b = a * (((order - 1) * (order - 1) - m * m) / (4 * (order - 1) * (order - 1) - 1)) ** 0.5
        before = torch.full_like(z, -b * first) if order == m + 2 else -b * out[-2]
        out.append(torch.addcmul(before, z, out[-1], value=a))
    return out


@cache
def gradient_matrix(order: int) -> Tensor:
    """Return D with `grad r^l Y_lm = r^(l-1) sum_m' D_m,am' Y_l-1,m'` for l >= 1, (2l + 1, 3 (2l - 1)); a is x, y, z.

    By least squares over random directions, exact to rounding as the gradients are harmonics of degree l - 1.
    """
    points = torch.randn(6 * order + 6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    points = torch.nn.functional.normalize(points, dim=1)
    harmonics = SphericalHarmonics(order)

    def solid(v: Tensor) -> Tensor:
        r = torch.linalg.vector_norm(v)
        return r**order * harmonics(*(v / r).unsqueeze(1))[-2 * order - 1 :, 0]

    gradients = torch.func.vmap(torch.func.jacrev(solid))(points)  # (points, 2l + 1, 3)
    lower = harmonics(*points.t())[(order - 1) ** 2 : order**2].t()
    return torch.linalg.lstsq(lower, gradients.flatten(1)).solution.t().reshape(2 * order + 1, -1)


def gradient_table(l_max: int) -> Tensor:
    """Return the matrices of all l in one: rows Y_lm, columns (a, harmonics up to l_max - 1), ((L + 1)^2, 3 L^2)."""
    table = torch.zeros((l_max + 1) ** 2, 3, l_max**2, dtype=torch.float64)
    for order in range(1, l_max + 1):
        below = slice((order - 1) ** 2, order**2)
        table[order**2 : (order + 1) ** 2, :, below] = gradient_matrix(order).view(2 * order + 1, 3, -1)
    return table.flatten(1)
