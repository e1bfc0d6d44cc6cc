"""Functions of one rotation: orthonormal polynomials on the unit sphere of four dimensions, and points to average over.

A point is a unit quaternion (c, x, y, z) = (cos t, sin t n), the rotation by 2t about n. The polynomials of degree J
orthogonal to all lower ones span what the elements of the Wigner matrix of spin J/2 span, (J + 1)^2 functions.
"""

import numpy as np
import torch
from numpy.polynomial.legendre import leggauss
from torch import Tensor

from mdzoo.basis.radial import chebyshev_rows


def rotation_rule(spin: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points (Q, 4) and weights (Q,), sum 1, that average polynomials of even degree up to 2 `spin` exactly.

    Euler angles: Gauss-Legendre in cos(beta), equal steps in alpha and gamma.
    """
    nodes, weights = leggauss(spin // 2 + 1)
    turns = 2.0 * np.pi * np.arange(spin + 1) / (spin + 1)
    beta, alpha, gamma = np.meshgrid(np.arccos(nodes), turns, turns, indexing="ij")
    c, s, plus, minus = np.cos(beta / 2), np.sin(beta / 2), (alpha + gamma) / 2, (alpha - gamma) / 2
    points = np.stack([c * np.cos(plus), s * np.cos(minus), s * np.sin(minus), c * np.sin(plus)], -1).reshape(-1, 4)
    return points, np.repeat(0.5 * weights / (spin + 1) ** 2, (spin + 1) ** 2)


def axial_rows(c: Tensor, z: Tensor, degree: int) -> Tensor:
    """Return the products T_p(c) T_q(z), p and q up to `degree`, ((degree + 1)^2, E)."""
    one = torch.ones_like(c)
    return (chebyshev_rows(c, one, degree).unsqueeze(1) * chebyshev_rows(z, one, degree).unsqueeze(0)).flatten(0, 1)


def turning_rows(x: Tensor, y: Tensor, weight: Tensor, degree: int) -> Tensor:
    """Return `weight` times Re and Im of (x + iy)^m: 1, Re 1, Im 1, Re 2 ..., (2 degree + 1, E)."""
    real, imaginary = weight, torch.zeros_like(weight)
    rows = [weight]
    for _ in range(degree):
        real, imaginary = x * real - y * imaginary, x * imaginary + y * real
        rows.append(real)
        rows.append(imaginary)
    return torch.stack(rows)


def harmonics(degree: int, points: np.ndarray, weights: np.ndarray) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Return the orthonormal polynomials of degrees 0..`degree`: coefficients, order, and values at the points (K, Q).

    The products of turning and axial rows are orthonormalised degree by degree, each m by itself (Re and Im alike). The
    coefficients, one matrix (axial rows, functions of m) for each m, give the functions turning row by turning row;
    `order` sorts these by degree.
    """
    c, x, y, z = torch.as_tensor(points).unbind(1)
    axial, turning = axial_rows(c, z, degree).numpy(), turning_rows(x, y, torch.ones_like(x), degree).numpy()
    matrices, values, degrees = [], [], []
    for m in range(degree + 1):
        matrix, own = orthonormalised(turning[max(2 * m - 1, 0)] * axial, degree - m, weights)
        matrices.append(matrix)
        for turn in turning[max(2 * m - 1, 0) : 2 * m + 1]:
            values.append(turn * (matrix.T @ axial))
            degrees.append(m + own)
    order = np.argsort(np.concatenate(degrees), kind="stable")
    return matrices, order, np.concatenate(values)[order]


def orthonormalised(rows: np.ndarray, degree: int, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the matrix (rows, functions) that orthonormalises the rows p, q with p + q <= `degree`, and each p + q."""
    side = round(len(rows) ** 0.5)
    total = np.add.outer(np.arange(side), np.arange(side)).ravel()
    chosen = np.concatenate([np.flatnonzero(total == n) for n in range(degree + 1)])
    matrix = np.zeros((len(rows), len(chosen)))
    for odd in (0, 1):  # functions of different parity are orthogonal, which the rule need not know
        columns = np.flatnonzero(total[chosen] % 2 == odd)
        if len(columns):
            _, r = np.linalg.qr((np.sqrt(weights) * rows[chosen[columns]]).T)
            matrix[np.ix_(chosen[columns], columns)] = np.linalg.inv(r) * np.sign(np.diag(r))
    return matrix, total[chosen]
