"""Functions of one distance: families of radial functions.

The Bessel families are given at construction by plain NumPy functions of x = r / cutoff in (0, 1]. Each is smooth there
(`bessel2` after its pole is divided out), so one `RadialTable` of some twenty to thirty terms holds them to rounding,
with exact derivatives of any order.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.polynomial import chebyshev
from scipy.optimize import brentq
from scipy.special import spherical_jn, spherical_yn
from torch import Tensor, nn

from mdzoo.basis.chebyshev import chebyshev_rows
from mdzoo.basis.cutoff import polynomial_cutoff, polynomial_cutoff_slope
from mdzoo.basis.radial_table import RadialTable

Function = Callable[[np.ndarray], np.ndarray]
FAMILIES = ("bessel", "bessel2", "chebyshev", "chebyshev_power", "agnesi")
POLYNOMIALS = FAMILIES[2:]  # of a transformed distance, the same for every l


def bessel_zeros(kind: Callable[..., np.ndarray], l_max: int, k_max: int) -> np.ndarray:
    """Return the first `k_max` positive zeros of the spherical Bessel functions of orders 0..l_max, (l_max + 1, k_max).

    The zeros of order l + 1 lie between those of order l (DLMF 10.21(i)); those of order 0 are multiples of pi for the
    first kind and odd multiples of pi/2 for the second.
    """
    first = np.pi * np.arange(1, k_max + l_max + 2)
    zeros = [first if kind is spherical_jn else first - np.pi / 2]
    for order in range(1, l_max + 1):
        brackets = zip(zeros[-1][:-1], zeros[-1][1:], strict=True)
        zeros.append(np.array([brentq(lambda z, n=order: kind(n, z), a, b, xtol=1e-14) for a, b in brackets]))
    return np.stack([row[:k_max] for row in zeros])


def bessel_functions(cutoff: float, l_max: int, k_max: int) -> list[Function]:
    """Return `g_kl(x) = sqrt(2 / (rc^3 j_{l+1}(z_lk)^2)) j_l(z_lk x)`, orthonormal on the ball of radius rc; by l."""
    zeros = bessel_zeros(spherical_jn, l_max, k_max)

    def function(order: int, zero: float) -> Function:
        norm = np.sqrt(2.0 / cutoff**3) / abs(spherical_jn(order + 1, zero))
        return lambda x: norm * spherical_jn(order, zero * x)

    return [function(order, zero) for order in range(l_max + 1) for zero in zeros[order]]


def bessel2_functions(cutoff: float, l_max: int, k_max: int) -> list[Function]:
    """Return `x^(l+1) y_l(z_lk x)` with a norm of the same form; the forward pass puts the pole back."""
    zeros = bessel_zeros(spherical_yn, l_max, k_max)

    def function(order: int, zero: float) -> Function:
        norm = np.sqrt(2.0 / cutoff**3) / abs(spherical_yn(order + 1, zero))
        return lambda x: norm * x ** (order + 1) * spherical_yn(order, zero * x)

    return [function(order, zero) for order in range(l_max + 1) for zero in zeros[order]]


class Radial(nn.Module):
    """Radial functions `g_kl(r) f(r)` with a smooth cutoff f; zero at and beyond the cutoff.

    Three families are Chebyshev polynomials `g_k = T_k(xi)`, k = 0..K-1, of a transform xi of x = r / cutoff to
    [-1, 1], the same for every l:

        chebyshev        xi = 1 - 2 (e^(s (1 - x)) - 1) / (e^s - 1), finer at short distances for s > 0 (Drautz,
                         DOI 10.1103/PhysRevB.99.014104, eq. 24); s = 0 is linear in r
        chebyshev_power  xi = 1 - 2 (1 - x)^s, s >= 1 (Bochkarev et al., DOI 10.1103/PhysRevMaterials.6.013804)
        agnesi           xi linear in y = 1 / (1 + a t^4 / (1 + t^2)), t = r / r0, a = 10/13, which is steepest at r0
                         (Witt et al., DOI 10.1063/5.0158783, with p = 2 and q = 4)

    Arguments:
        family: `bessel` (spherical Bessel functions of the first kind, orthonormal), `bessel2` (second kind, the form
            of the slides; singular as r -> 0, like r^-(l+1): only with a repulsive term that keeps atoms apart), or
            one of the above, which are fastest.
        cutoff: Angstrom.
        k_max: K, number of functions for each l.
        l_max: L.
        smoothness: continuous derivatives at the cutoff.
        stretch: s, of the transforms of `chebyshev` and `chebyshev_power`.
        r0: Angstrom, of `agnesi`: about the distance of nearest neighbours.

    Shapes: r (E,) -> (blocks, K, E), blocks = L + 1 where the functions depend on l, else 1.
    """

    def __init__(
        self,
        family: str,
        cutoff: float,
        k_max: int,
        l_max: int,
        smoothness: int = 2,
        stretch: float = 3.0,
        r0: float = 2.5,
    ) -> None:
        super().__init__()
        if family not in FAMILIES:
            raise ValueError(f"`radial` must be one of {list(FAMILIES)}, got {family!r}; see mdzoo.basis.radial.Radial")
        self.family = family
        self.cutoff, self.k_max = float(cutoff), int(k_max)
        self.smoothness, self.stretch, self.r0 = int(smoothness), float(stretch), float(r0)
        if family == "chebyshev_power" and self.stretch < 1.0:
            raise ValueError(f"`stretch` must be at least 1 for chebyshev_power, got {stretch}; 1 is linear in r")
        if not self.r0 > 0.0:
            raise ValueError(f"`r0` must be positive (Angstrom), got {r0}; give the distance of nearest neighbours")
        self.polynomial = family in POLYNOMIALS
        self.blocks = 1 if self.polynomial else int(l_max) + 1
        self.table = None if self.polynomial else RadialTable(self.stacked(family, int(l_max)), self.cutoff, 1e-13)
        derived = np.pad(chebyshev.chebder(np.eye(self.k_max), axis=1), ((0, 0), (0, 1)))[:, : self.k_max]
        self.register_buffer("derived", torch.as_tensor(derived), persistent=False)

    @torch.jit.unused
    def stacked(self, family: str, l_max: int) -> Function:
        """Return the functions of a Bessel family in one, r (m,) -> (m, L + 1, K)."""
        functions = (bessel_functions if family == "bessel" else bessel2_functions)(self.cutoff, l_max, self.k_max)
        return lambda r: np.stack([g(r / self.cutoff) for g in functions], -1).reshape(len(r), l_max + 1, self.k_max)

    def forward(self, r: Tensor) -> Tensor:
        """Return the functions at the distances r, (blocks, K, E)."""
        x = torch.clamp(r / self.cutoff, max=1.0)
        envelope = polynomial_cutoff(x, self.smoothness)
        if self.table is None:
            return chebyshev_rows(self.transform(x), envelope, self.k_max - 1).unsqueeze(0)
        rows = self.table(r, envelope)
        return rows * x ** -self.orders(r) if self.family == "bessel2" else rows

    def with_slopes(self, r: Tensor) -> tuple[Tensor, Tensor]:
        """Return the functions and their derivatives by r, (blocks, K, E) each."""
        x = torch.clamp(r / self.cutoff, max=1.0)
        envelope = polynomial_cutoff(x, self.smoothness)
        slope = polynomial_cutoff_slope(x, self.smoothness) / self.cutoff
        if self.table is None:
            rows = chebyshev_rows(self.transform(x), torch.ones_like(x), self.k_max - 1)
            steps = slope * rows + (envelope * self.transform_slope(x) / self.cutoff) * (self.derived @ rows)
            return (envelope * rows).unsqueeze(0), steps.unsqueeze(0)
        values, steps = self.table.with_slopes(r, envelope, slope)
        if self.family == "bessel2":
            orders = self.orders(r)
            values, steps = values * x**-orders, (steps - orders * values / r) * x**-orders
        return values, steps

    def orders(self, like: Tensor) -> Tensor:
        """Return the power of the pole of each l, (L + 1, 1, 1)."""
        return torch.arange(1, self.blocks + 1, device=like.device, dtype=like.dtype).view(-1, 1, 1)

    def transform(self, x: Tensor) -> Tensor:
        """Return xi(x) in [-1, 1], of the shape of x."""
        if self.family == "agnesi":
            far = self.cutoff / self.r0
            end = 1.0 / (1.0 + 10.0 / 13.0 * far**4 / (1.0 + far**2))
            square = (x * far) ** 2
            y = 1.0 / (1.0 + 10.0 / 13.0 * square * square / (1.0 + square))
            return 1.0 - 2.0 * (y - end) / (1.0 - end)
        if self.family == "chebyshev_power":
            return 1.0 - 2.0 * torch.clamp(1.0 - x, min=1e-9) ** self.stretch
        if self.stretch == 0.0:
            return 2.0 * x - 1.0
        return 1.0 - 2.0 / math.expm1(self.stretch) * torch.expm1(self.stretch * (1.0 - x))

    def transform_slope(self, x: Tensor) -> Tensor:
        """Return the derivative of xi by x."""
        if self.family == "agnesi":
            far = self.cutoff / self.r0
            end = 1.0 / (1.0 + 10.0 / 13.0 * far**4 / (1.0 + far**2))
            square = (x * far) ** 2
            y = 1.0 / (1.0 + 10.0 / 13.0 * square * square / (1.0 + square))
            by_square = 10.0 / 13.0 * square * (2.0 + square) / (1.0 + square) ** 2
            return 4.0 / (1.0 - end) * far * far * x * y * y * by_square
        if self.family == "chebyshev_power":
            return 2.0 * self.stretch * torch.clamp(1.0 - x, min=1e-9) ** (self.stretch - 1.0)
        if self.stretch == 0.0:
            return torch.full_like(x, 2.0)
        return 2.0 * self.stretch / math.expm1(self.stretch) * torch.exp(self.stretch * (1.0 - x))
