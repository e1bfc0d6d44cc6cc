"""Radial functions of POD: the modes that carry most of a family of pair potentials."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from mdzoo.basis.cutoff import exponential_cutoff, exponential_cutoff_slope

ALPHAS = (1e-3, 2.0, 4.0)  # stretches of the distance in the Bessel functions
POINTS = 2000  # of the quadrature


def bessel_family(r: np.ndarray, rin: float, rcut: float, degree: int) -> np.ndarray:
    """Return `sqrt(2 / (rcut - rin)) sin(k pi x_a) / (k (r - rin))` for each a and k = 1..degree, (points, 3 * degree).

    with `x_a = (1 - exp(-a (r - rin) / (rcut - rin))) / (1 - exp(-a))`.
    """
    width, s = rcut - rin, r - rin
    x = [np.expm1(-alpha * s / width) / math.expm1(-alpha) for alpha in ALPHAS]
    rows = [np.sin(k * np.pi * x_alpha) / (k * s) for x_alpha in x for k in range(1, degree + 1)]
    return math.sqrt(2.0 / width) * np.stack(rows, 1)


def modes(rin: float, rcut: float, bessel_degree: int, inverse_degree: int) -> np.ndarray:
    """Return the coefficients of the modes over the family, (members, modes), the largest first.

    The members are those of `bessel_family` and r^-k, k = 1..inverse_degree, each times the cutoff function. The modes
    are eigenvectors of their covariance, scaled such that each mode is normalized on (rin, rcut), and of the sign that
    makes the diagonal positive: the quadratures are those of LAMMPS, so that its coefficients apply.
    """
    r = rin + 1e-6 + (rcut - rin - 1e-6) * np.arange(POINTS) / (POINTS - 1)
    inverse = np.stack([r**-k for k in range(1, inverse_degree + 1)], 1)
    envelope = exponential_cutoff(torch.as_tensor((r - rin) / (rcut - rin))).numpy()
    family = envelope[:, None] * np.concatenate([bessel_family(r, rin, rcut, bessel_degree), inverse], 1)
    vectors = np.linalg.eigh(family.T @ family / POINTS)[1][:, ::-1]
    vectors = vectors / np.sqrt(np.trapezoid((family @ vectors) ** 2, r, axis=0))
    return vectors * np.where(np.diag(vectors) < 0.0, -1.0, 1.0)


class ProperOrthogonal(nn.Module):
    """The first K modes of the family of pair potentials (Nguyen, Rohskopf, DOI 10.1016/j.jcp.2023.112030, sec. 3).

    Arguments:
        k_max: K.
        rin: where the family begins, Angstrom; distances below it are extrapolated.
        rcut: cutoff, Angstrom.
        bessel_degree: number of sines for each stretch of the distance.
        inverse_degree: largest inverse power.

    Shapes: r (E,) -> (1, K, E).
    """

    matrix: Tensor

    def __init__(self, k_max: int, rin: float, rcut: float, bessel_degree: int, inverse_degree: int) -> None:
        super().__init__()
        self.rin, self.rcut = float(rin), float(rcut)
        self.bessel_degree, self.inverse_degree = int(bessel_degree), int(inverse_degree)
        found = modes(self.rin, self.rcut, self.bessel_degree, self.inverse_degree)[:, :k_max]
        sines = math.sqrt(2.0 / (self.rcut - self.rin)) / np.tile(np.arange(1, self.bessel_degree + 1), len(ALPHAS))
        scale = np.concatenate([sines, np.ones(self.inverse_degree)])
        self.register_buffer("matrix", torch.as_tensor((scale[:, None] * found).T.copy()), persistent=False)
        self.stretches = list(ALPHAS)

    def forward(self, r: Tensor) -> Tensor:
        """Return the modes at the distances r, (1, K, E); 0 beyond the cutoff."""
        r = torch.clamp(r, max=self.rcut)
        s = r - self.rin
        s = torch.where(s.abs() < 1e-6, torch.full_like(s, 1e-6), s)  # sin(s) / s at 0
        y = s / (self.rcut - self.rin)
        envelope = exponential_cutoff(y)
        rows: list[Tensor] = []
        for alpha in self.stretches:
            theta = (math.pi / math.expm1(-alpha)) * torch.expm1(-alpha * y)
            twice = 2.0 * torch.cos(theta)
            last, here = torch.zeros_like(s), envelope / s * torch.sin(theta)
            for _ in range(self.bessel_degree):
                rows.append(here)
                last, here = here, twice * here - last
        for _ in range(self.inverse_degree):
            envelope = envelope / r
            rows.append(envelope)
        return (self.matrix @ torch.stack(rows)).unsqueeze(0)

    def with_slopes(self, r: Tensor) -> tuple[Tensor, Tensor]:
        """Return the modes and their derivatives by r, (1, K, E) each."""
        inside, r = (r < self.rcut).to(r.dtype), torch.clamp(r, max=self.rcut)
        s = r - self.rin
        s = torch.where(s.abs() < 1e-6, torch.full_like(s, 1e-6), s)
        width = self.rcut - self.rin
        y = s / width
        envelope, slope = exponential_cutoff(y), exponential_cutoff_slope(y) / width * inside
        front, step = envelope / s, (slope - envelope / s) / s
        rows: list[Tensor] = []
        steps: list[Tensor] = []
        for alpha in self.stretches:
            scale = math.pi / math.expm1(-alpha)
            theta, turn = scale * torch.expm1(-alpha * y), -alpha / width * scale * torch.exp(-alpha * y)
            for k in range(1, self.bessel_degree + 1):
                sine = torch.sin(k * theta)
                rows.append(front * sine)
                steps.append(step * sine + front * (k * turn) * torch.cos(k * theta))
        for _ in range(self.inverse_degree):
            slope = (slope - envelope / r) / r
            envelope = envelope / r
            rows.append(envelope)
            steps.append(slope)
        return (self.matrix @ torch.stack(rows)).unsqueeze(0), (self.matrix @ torch.stack(steps)).unsqueeze(0)
