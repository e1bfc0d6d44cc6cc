"""Functions of a rotation on a grid of Euler angles and their coefficients: one angle after the other.

The functions of spin J/2 are spanned by (J + 1)^2 orthonormal ones, with m = J/2, J/2 - 1, ... >= 0 and |m'| <= J/2

    R_Jmm' = sqrt(J + 1) sqrt(2)^(m or m' not 0) d^J_mm'(beta) {cos, sin}(m alpha + m' gamma)

(for m = 0 those with m' > 0 and the constant cosine alone). On a grid (S + 1) x (S + 1) x (S / 2 + 1) a sum over points
for all of them costs about S^4 operations, where a matrix of all functions and points costs S^6. Source: Kostelec,
Rockmore, DOI 10.1007/s00041-008-9013-5.
"""

import numpy as np
import torch
from numpy.polynomial.legendre import leggauss
from torch import Tensor, nn

from mdzoo.basis.hypersphere import Harmonics


def small_wigner(degree: int, beta: np.ndarray) -> np.ndarray:
    """Return d^J_mm'(beta) = <m| exp(-i beta J_y) |m'> for m, m' = -J/2..J/2, (angles, J + 1, J + 1)."""
    j = 0.5 * degree
    m = np.arange(-j, j)
    raising = np.diag(np.sqrt(j * (j + 1.0) - m * (m + 1.0)), -1)
    values, vectors = np.linalg.eigh((raising - raising.T) / 2j)
    phases = np.exp(-1j * beta[:, None] * values)
    return ((vectors * phases[:, None, :]) @ vectors.conj().T).real


def orders(degree: int) -> list[tuple[float, int, float]]:
    """Return (m, 0 for the cosine and 1 for the sine, m') of the functions of one degree J."""
    steps = [0.5 * degree - k for k in range(degree, -1, -1)]
    every = [(m, part, other) for m in steps if m >= 0.0 for part in (0, 1) for other in steps]
    return [(m, part, other) for m, part, other in every if m > 0.0 or other > 0.0 or (other == 0.0 and part == 0)]


def functions(degree: int, alpha: np.ndarray, beta: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """Return R_Jmm' of one degree J at Euler angles (Q,), ((J + 1)^2, Q)."""
    d, rows = small_wigner(degree, beta), []
    for m, part, other in orders(degree):
        turn = (np.sin if part else np.cos)(m * alpha + other * gamma)
        rows.append(norm(degree, m, other) * d[:, int(m + 0.5 * degree), int(other + 0.5 * degree)] * turn)
    return np.stack(rows)


def norm(degree: int, m: float, other: float) -> float:
    """Return the factor that makes a function orthonormal."""
    return float(np.sqrt(degree + 1.0) * (np.sqrt(2.0) if m or other else 1.0))


def change_of_basis(degree: int) -> list[Tensor]:
    """Return for J = 0..`degree` the orthogonal matrix with `Phi_Jlm = sum matrix R_Jmm'`, ((J + 1)^2, (J + 1)^2).

    By least squares over random rotations, exact to rounding.
    """
    rng, size = np.random.default_rng(0), 2 * (degree + 1) ** 2 + 20
    alpha, beta, gamma = rng.uniform(0.0, 4.0 * np.pi, size), rng.uniform(0.0, np.pi, size), rng.uniform(0.0, 7.0, size)
    c, s, plus, minus = np.cos(beta / 2), np.sin(beta / 2), (alpha + gamma) / 2, (alpha - gamma) / 2
    points = np.stack([c * np.cos(plus), s * np.cos(minus), s * np.sin(minus), c * np.sin(plus)], 1)
    parts = Harmonics(degree).at(points).split([(n + 1) ** 2 for n in range(degree + 1)])
    every = [torch.as_tensor(functions(n, alpha, beta, gamma)) for n in range(degree + 1)]
    return [torch.linalg.lstsq(r.T, phi.T).solution.T for r, phi in zip(every, parts, strict=True)]


def polar_parts(degree: int, beta: np.ndarray) -> np.ndarray:
    """Return the normalised d^J_mm'(beta), J = ..., `degree` - 2, `degree`, (m * part * m', J, angles)."""
    out = np.zeros((degree // 2 + 1, 2, degree + 1, degree // 2 + 1, len(beta)))
    for k, low in enumerate(range(degree % 2, degree + 1, 2)):
        d = small_wigner(low, beta)
        for m, part, other in orders(low):
            row, column = int(m + 0.5 * low), int(other + 0.5 * low)
            out[int(m), part, int(other + 0.5 * degree), k] = norm(low, m, other) * d[:, row, column]
    return out.reshape(-1, degree // 2 + 1, len(beta))


class EulerTransform(nn.Module):
    """Sums and projections of functions of degrees J, J - 2, ... on the grid of one rule, for n atoms at a time.

    Arguments:
        spin: S, half the degree up to which averages of products are exact.
        degree: J.

    Shapes: coefficients ((J + 1)^2, n); values (S + 1, S + 1, S / 2 + 1, n) in alpha, gamma, beta.
    """

    turn: Tensor
    roll: Tensor
    tilt: Tensor
    top: Tensor
    places: Tensor

    def __init__(self, spin: int, degree: int) -> None:
        super().__init__()
        nodes, weights = leggauss(spin // 2 + 1)
        angles = 2.0 * np.pi * np.arange(spin + 1) / (spin + 1)
        steps = 0.5 * degree - np.arange(degree, -1.0, -1.0)
        m = steps[steps >= 0.0]
        self.shape, self.n_m, self.degree = (spin + 1, spin + 1, len(nodes)), len(m), degree
        self.put("turn", np.stack([np.cos(np.outer(m, angles)), np.sin(np.outer(m, angles))], 1).reshape(-1, spin + 1))
        cos, sin = np.cos(np.outer(steps, angles)), np.sin(np.outer(steps, angles))
        self.put("roll", np.block([[cos, -sin], [sin, cos]]))
        flat = polar_parts(degree, np.arccos(nodes))
        self.put("top", flat[:, -1, :, None])
        self.put("tilt", flat * (0.5 * weights / (spin + 1) ** 2))
        self.register_buffer("places", torch.tensor(self.rows_of(degree)) // (degree // 2 + 1), persistent=False)

    def put(self, name: str, values: np.ndarray) -> None:
        """Keep a table."""
        self.register_buffer(name, torch.as_tensor(np.ascontiguousarray(values)), persistent=False)

    def rows_of(self, low: int) -> list[int]:
        """Return where the coefficients of one degree stand in what `project` gives."""
        rows = [(2 * int(a) + part, int(b + 0.5 * self.degree)) for a, part, b in orders(low)]
        return [((k * (self.degree + 1)) + b) * (self.degree // 2 + 1) + low // 2 for k, b in rows]

    def values(self, coefficients: Tensor) -> Tensor:
        """Return the values on the grid, (S + 1, (S + 1) (S / 2 + 1) n), of coefficients of degree J alone."""
        n = coefficients.shape[1]
        spread = coefficients.new_zeros(self.top.shape[0], 1, n)
        spread[:, 0].index_copy_(0, self.places, coefficients)
        rows = (spread * self.top).view(self.n_m, self.roll.shape[0], -1)
        rolled = torch.bmm(self.roll.T.expand(self.n_m, -1, -1), rows)
        return self.turn.T @ rolled.view(self.turn.shape[0], -1)

    def project(self, values: Tensor) -> Tensor:
        """Return the averages of the values times all functions, rows as in `rows_of`, (rows, n)."""
        turned = (self.turn @ values).view(self.n_m, self.roll.shape[1], -1)
        rolled = torch.bmm(self.roll.expand(self.n_m, -1, -1), turned)
        return torch.bmm(self.tilt, rolled.view(self.tilt.shape[0], self.shape[2], -1)).flatten(0, 1)
