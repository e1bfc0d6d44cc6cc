"""Functions of one rotation: orthonormal polynomials on the unit sphere of four dimensions, and points to average over.

A point is a unit quaternion (c, x, y, z) = (cos t, sin t n), the rotation by 2t about n. The polynomials of degree J
orthogonal to all lower ones span what the elements of the Wigner matrix of spin J/2 span, (J + 1)^2 functions.
"""

from itertools import product

import numpy as np
import torch
from numpy.polynomial.legendre import leggauss
from torch import Tensor, nn

from mdzoo.basis.radial import chebyshev_rows
from mdzoo.basis.rotation_orbits import ORBITS


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


def harmonics(degree: int) -> list[np.ndarray]:
    """Return the orthonormal polynomials of degrees 0..`degree` as coefficients, one matrix for each m.

    The products of the turning rows of m (Re and Im alike) with the axial rows p + q <= `degree` - m are made
    orthonormal degree by degree: upper triangular matrices (axial rows, functions), functions ordered as axial rows.
    """
    points, weights = rotation_rule(degree)
    axial, turning = rows_at(points, degree)
    total = np.repeat(np.arange(degree + 1), np.arange(degree + 1) + 1)
    matrices = []
    for m in range(degree + 1):
        mine = total <= degree - m
        matrices.append(orthonormalised(np.sqrt(weights) * turning[max(2 * m - 1, 0)] * axial[mine], total[mine]))
    return matrices


def rows_at(points: np.ndarray, degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the axial and turning rows, without weights, at points (Q, 4)."""
    c, x, y, z = torch.as_tensor(points).unbind(1)
    return axial_rows(c, z, degree).numpy(), turning_rows(x, y, torch.ones_like(x), degree).numpy()


def orthonormalised(rows: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Return the upper triangular matrix (rows, functions) that orthonormalises rows in ascending order of degree."""
    matrix = np.zeros((len(rows), len(rows)))
    for odd in (0, 1):  # functions of different parity are orthogonal, which the rule need not know
        mine = np.flatnonzero(degrees % 2 == odd)
        if len(mine):
            r = np.linalg.qr(rows[mine].T, mode="r")
            matrix[np.ix_(mine, mine)] = np.linalg.inv(r) * np.sign(np.diag(r))
    return matrix


class Harmonics(nn.Module):
    """The orthonormal polynomials Phi_Jk of degrees J = 0..`degree`, (J + 1)^2 for each J.

    Shapes: moments (n, turning rows, axial rows) -> (n, K), by degree, within it by turning row.
    """

    matrix: Tensor

    def __init__(self, degree: int) -> None:
        super().__init__()
        self.degree = int(degree)
        self.turns = [1] + [2] * self.degree  # turning rows of each m
        self.counts = [(degree - m + 1) * (degree - m + 2) // 2 for m in range(degree + 1)]
        matrices = [np.pad(matrix, ((0, self.counts[0] - len(matrix)), (0, 0))) for matrix in harmonics(self.degree)]
        self.register_buffer("matrix", torch.as_tensor(np.concatenate(matrices, 1)), persistent=False)

    def forward(self, moments: Tensor) -> Tensor:
        """Return the coefficients, (n, K)."""
        parts: list[list[Tensor]] = []
        matrices = self.matrix.split(self.counts, 1)
        for m, rows in enumerate(moments.split(self.turns, 1)):
            count = self.counts[m]
            own = rows.split([count, self.counts[0] - count], 2)[0]
            found = (own.flatten(0, 1) @ matrices[m][:count]).view(-1, self.turns[m], count)
            parts.append(found.split([n + 1 for n in range(self.degree - m + 1)], 2))
        ordered: list[Tensor] = []
        for level in range(self.degree + 1):
            for m in range(level + 1):
                ordered.append(parts[m][level - m].flatten(1))
        return torch.cat(ordered, 1)

    @torch.jit.unused
    def at(self, points: np.ndarray) -> Tensor:
        """Return the values at points (Q, 4), (K, Q)."""
        axial, turning = (torch.as_tensor(rows) for rows in rows_at(points, self.degree))
        return self((turning.unsqueeze(1) * axial.unsqueeze(0)).permute(2, 0, 1)).T
