"""Functions of one rotation: orthonormal polynomials on the unit sphere of four dimensions, and points to average over.

A point is a unit quaternion (c, x, y, z) = (cos t, sin t n), the rotation by 2t about n. The polynomials of degree J
orthogonal to all lower ones span what the elements of the Wigner matrix of spin J/2 span, (J + 1)^2 functions:

    Phi_Jlm = s^l G_Jl(c) Y_lm(n),    l = 0..J,    s = sin t,    c = cos t

with real spherical harmonics and the Gegenbauer polynomials `C^(l+1)_(J-l)`, scaled to a mean square of 1 (DLMF 18.3).
"""

import math
from itertools import product

import numpy as np
import torch
from numpy.polynomial.legendre import leggauss
from torch import Tensor, nn

from mdzoo.basis.chebyshev import chebyshev_rows
from mdzoo.basis.rotation_orbits import ORBITS
from mdzoo.basis.spherical import SphericalHarmonics

POINTS = 2048
"""Points whose polynomials are made in one pass."""


def rotation_rule(spin: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points (Q, 4) and weights (Q,), sum 1, that average polynomials of even degree up to 2 `spin` exactly.

    The smaller one of two rules: a tabulated one of tetrahedral symmetry, and Gauss-Legendre steps in cos(beta) with
    equal steps in the other two Euler angles.
    """
    known = [n for n in ORBITS if n >= spin and 12 * len(ORBITS[n]) < (spin + 1) ** 2 * (spin // 2 + 1)]
    return tetrahedral_rule(min(known)) if known else euler_rule(spin)


def euler_rule(spin: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rule in Euler angles: Gauss-Legendre in cos(beta), equal steps in alpha and gamma."""
    nodes, weights = leggauss(spin // 2 + 1)
    turns = 2.0 * np.pi * np.arange(spin + 1) / (spin + 1)
    beta, alpha, gamma = np.meshgrid(np.arccos(nodes), turns, turns, indexing="ij")
    c, s, plus, minus = np.cos(beta / 2), np.sin(beta / 2), (alpha + gamma) / 2, (alpha - gamma) / 2
    points = np.stack([c * np.cos(plus), s * np.cos(minus), s * np.sin(minus), c * np.sin(plus)], -1).reshape(-1, 4)
    return points, np.repeat(0.5 * weights / (spin + 1) ** 2, (spin + 1) ** 2)


def tetrahedral_rule(spin: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the tabulated rule: the orbits under the rotations 1, i, j, k and (1 +- i +- j +- k) / 2."""
    x, y, z, weights = np.array(ORBITS[spin]).T
    c = np.sqrt(1.0 - x * x - y * y - z * z)
    left = [*np.eye(4), *(0.5 * np.array([1, *signs]) for signs in product((1, -1), repeat=3))]
    # rows: the product (a, b, d, e) (c, x, y, z) of quaternions
    turned = [
        [a * c - b * x - d * y - e * z, a * x + b * c + d * z - e * y, a * y - b * z + d * c + e * x,
         a * z + b * y - d * x + e * c]
        for a, b, d, e in left
    ]  # fmt: skip
    return np.moveaxis(np.array(turned), 1, 2).reshape(-1, 4), np.tile(weights / 12.0, 12)


def axial_rows(c: Tensor, z: Tensor, degree: int) -> Tensor:
    """Return the products T_p(c) T_q(z), p + q = 0, then 1, ... then `degree`, ((degree + 1) (degree + 2) / 2, E)."""
    one = torch.ones_like(c)
    of_c, of_z = chebyshev_rows(c, one, degree).unbind(0), chebyshev_rows(z, one, degree).unbind(0)
    rows: list[Tensor] = []
    for n in range(degree + 1):
        for p in range(n + 1):
            rows.append(of_c[p] * of_z[n - p])
    return torch.stack(rows)


def turning_rows(x: Tensor, y: Tensor, weight: Tensor, degree: int) -> Tensor:
    """Return `weight` times Re and Im of (x + iy)^m: 1, Re 1, Im 1, Re 2 ..., (2 degree + 1, E)."""
    real, imaginary = weight, torch.zeros_like(weight)
    rows = [weight]
    for _ in range(degree):
        real, imaginary = x * real - y * imaginary, x * imaginary + y * real
        rows.append(real)
        rows.append(imaginary)
    return torch.stack(rows)


def gegenbauer(c: Tensor, first: Tensor, order: int, degree: int) -> Tensor:
    """Return `first` times G_Jl(c) / G_ll, J = l..`degree`, for l = `order`, (degree - order + 1, E): DLMF 18.9.1."""
    rows, below = [first], 0.0
    for n in range(1, degree - order + 1):  # c G_n-1 = b_n G_n + b_n-1 G_n-2
        b = 0.5 * math.sqrt(n * (n + 2 * order + 1) / ((n + order) * (n + order + 1)))
        rows.append(c * rows[-1] / b if n == 1 else torch.sub(c * rows[-1] / b, rows[-2], alpha=below / b))
        below = b
    return torch.stack(rows)


def hyperradial(c: Tensor, s: Tensor, degree: int) -> list[tuple[Tensor, Tensor]]:
    """Return `s^l G_Jl(c)` and the derivatives by t, `l c s^(l-1) G_Jl - sqrt((J - l) (J + l + 2)) s^(l+1) G_J,l+1`.

    Shapes: c, s (E,) -> for each l (degree - l + 1, E) each, J = l..`degree`.
    """
    out: list[tuple[Tensor, Tensor]] = []
    for order in range(degree, -1, -1):
        squares = [(2 * k + 2) / (2 * k + 1) for k in range(1, order + 1)]
        first = math.sqrt(4.0 * math.pi * math.prod(squares)) * s ** max(order - 1, 0)
        values = gegenbauer(c, first, order, degree)
        slopes = (order * c) * values
        if out:
            spins = torch.arange(order + 1, degree + 1, dtype=c.dtype, device=c.device).unsqueeze(1)
            slopes[1:].addcmul_(torch.sqrt((spins - order) * (spins + order + 2)), out[-1][0], value=-1.0)
        out.append((values.mul_(s) if order > 0 else values, slopes))
    return out[::-1]


def harmonics(degree: int) -> list[np.ndarray]:
    """Return the polynomials of degrees 0..`degree` as coefficients, one matrix (axial rows, functions) for each m.

    Times the turning rows of m (Re and Im alike) the axial rows p + q <= `degree` - m give the Phi_Jlm of this m,
    ordered by J and then l: coefficients by least squares over points with y = 0, exact to rounding.
    """
    rng = np.random.default_rng(0)
    t, theta = np.pi * rng.uniform(0.1, 0.9, (2, 4 * (degree + 1) * (degree + 2)))
    c, s, z, x = (torch.as_tensor(v) for v in (np.cos(t), np.sin(t), np.cos(theta), np.sin(theta)))
    axial, radial = axial_rows(c, s * z, degree).numpy(), [rows.numpy() for rows, _ in hyperradial(c, s, degree)]
    y = SphericalHarmonics(degree)(x, torch.zeros_like(x), z).numpy()
    matrices = []
    for m in range(degree + 1):
        wanted = [radial[n][j - n] * y[n * n + n + m] for j in range(m, degree + 1) for n in range(m, j + 1)]
        count = len(wanted)
        matrices.append(np.linalg.lstsq(axial[:count].T, (np.stack(wanted) / (s * x).numpy() ** m).T, rcond=None)[0])
    return matrices


def rows_at(points: np.ndarray, degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the axial and turning rows, without weights, at points (Q, 4)."""
    c, x, y, z = torch.as_tensor(points).unbind(1)
    return axial_rows(c, z, degree).numpy(), turning_rows(x, y, torch.ones_like(x), degree).numpy()


class Harmonics(nn.Module):
    """The orthonormal polynomials Phi_Jlm of degrees J = 0..`degree`, (J + 1)^2 for each J.

    Shapes: moments (n, turning rows, axial rows) -> (n, K), by J, within it by l, within it by m.
    """

    matrix: Tensor
    order: Tensor

    def __init__(self, degree: int) -> None:
        super().__init__()
        self.degree = int(degree)
        self.turns = [1] + [2] * self.degree  # turning rows of each m
        self.counts = [(degree - m + 1) * (degree - m + 2) // 2 for m in range(degree + 1)]
        matrices = [np.pad(matrix, ((0, self.counts[0] - len(matrix)), (0, 0))) for matrix in harmonics(self.degree)]
        self.register_buffer("matrix", torch.as_tensor(np.concatenate(matrices, 1)), persistent=False)
        found = [  # (J, l, m) in the order in which they are made; Re is m, Im is -m
            (spin, order, sign * m)
            for m in range(degree + 1)
            for sign in ((1, -1) if m else (1,))
            for spin in range(m, degree + 1)
            for order in range(m, spin + 1)
        ]
        self.register_buffer("order", torch.tensor(sorted(range(len(found)), key=found.__getitem__)), persistent=False)

    def forward(self, moments: Tensor) -> Tensor:
        """Return the coefficients, (n, K)."""
        parts: list[Tensor] = []
        matrices = self.matrix.split(self.counts, 1)
        for m, rows in enumerate(moments.split(self.turns, 1)):
            count = self.counts[m]
            own = rows.split([count, self.counts[0] - count], 2)[0]
            parts.append((own.flatten(0, 1) @ matrices[m][:count]).view(-1, self.turns[m] * count))
        return torch.cat(parts, 1).index_select(1, self.order)

    @torch.jit.unused
    def at(self, points: np.ndarray) -> Tensor:
        """Return the values at points (Q, 4), (K, Q)."""
        found: list[Tensor] = []
        for some in np.array_split(points, len(points) // POINTS + 1):
            axial, turning = (torch.as_tensor(rows) for rows in rows_at(some, self.degree))
            found.append(self((turning.unsqueeze(1) * axial.unsqueeze(0)).permute(2, 0, 1)))
        return torch.cat(found).T


def polynomials_on(spin: int, degree: int) -> Tensor:
    """Return Phi_Jlm / (J + 1), J = 0..`degree`, at the points of a rule, times the cube roots of its weights, (K, Q).

    A product of three, summed over the points, is an average over all rotations.
    """
    points, weights = rotation_rule(spin)
    table = Harmonics(degree).at(points).contiguous()
    norms = np.repeat(np.arange(degree + 1) + 1.0, (np.arange(degree + 1) + 1) ** 2)
    table *= torch.as_tensor(np.cbrt(weights) / norms[:, None])
    return table
