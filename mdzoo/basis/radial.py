"""Functions of one distance: families of radial functions, all evaluated as one Chebyshev series.

A family is given at construction by plain NumPy functions of x = r / cutoff in (0, 1]. Each is smooth there (`bessel2`
after its pole is divided out), so a Chebyshev series of some twenty terms holds it to rounding: in a forward pass there is
one recursion and one matrix product, whatever the family, with exact derivatives to any order.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.polynomial import chebyshev
from scipy.optimize import brentq
from scipy.special import spherical_jn, spherical_yn
from torch import Tensor, nn

from mdzoo.basis.cutoff import polynomial_cutoff

Function = Callable[[np.ndarray], np.ndarray]
FAMILIES = ("bessel", "bessel2", "chebyshev")


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
    """Return `g_kl(x) = sqrt(2 / (rc^3 j_{l+1}(z_lk)^2)) j_l(z_lk x)`, orthonormal on the ball of radius rc; l outer."""
    zeros = bessel_zeros(spherical_jn, l_max, k_max)

    def function(order: int, zero: float) -> Function:
        norm = np.sqrt(2.0 / cutoff**3) / abs(spherical_jn(order + 1, zero))
        return lambda x: norm * spherical_jn(order, zero * x)

    return [function(order, zero) for order in range(l_max + 1) for zero in zeros[order]]


def bessel2_functions(cutoff: float, l_max: int, k_max: int) -> list[Function]:
    """Return `x^(l+1) y_l(z_lk x)` times the norm of the first kind's form; the pole is put back in the forward pass."""
    zeros = bessel_zeros(spherical_yn, l_max, k_max)

    def function(order: int, zero: float) -> Function:
        norm = np.sqrt(2.0 / cutoff**3) / abs(spherical_yn(order + 1, zero))
        return lambda x: norm * x ** (order + 1) * spherical_yn(order, zero * x)

    return [function(order, zero) for order in range(l_max + 1) for zero in zeros[order]]


def chebyshev_functions(k_max: int, stretch: float) -> list[Function]:
    """Return `T_k(xi(x))`, k = 0..k_max-1, with `xi = 1 - 2 (e^(-s (x - 1)) - 1) / (e^s - 1)`, finer at short distances.

    This is the exponentially scaled distance of Drautz (DOI 10.1103/PhysRevB.99.014104, eq. 24); s -> 0 is linear.
    """

    def transform(x: np.ndarray) -> np.ndarray:
        return 2.0 * x - 1.0 if stretch == 0.0 else 1.0 - 2.0 * np.expm1(-stretch * (x - 1.0)) / np.expm1(stretch)

    return [lambda x, c=np.eye(k_max)[k]: chebyshev.chebval(transform(x), c) for k in range(k_max)]


def series(functions: list[Function], tolerance: float = 1e-13) -> np.ndarray:
    """Return the Chebyshev coefficients in u = 2 x - 1 of functions on (0, 1], (degree + 1, functions)."""
    nodes = np.cos(np.pi * (np.arange(96) + 0.5) / 96)
    values = np.stack([function(0.5 * (nodes + 1.0)) for function in functions], -1)
    basis = chebyshev.chebvander(nodes, 95)
    coefficients = 2.0 / 96 * basis.T @ values
    coefficients[0] *= 0.5
    large = np.abs(coefficients / np.abs(values).max(0)).max(1) > tolerance
    return coefficients[: max(2, int(np.flatnonzero(large)[-1]) + 1)]


def chebyshev_values(u: Tensor, degree: int) -> Tensor:
    """Return T_0..T_degree of u (E,), (E, degree + 1), doubling the degree: `T_{m+n} = 2 T_m T_n - T_{m-n}`."""
    table = torch.stack([torch.ones_like(u), u], -1)
    while table.shape[1] <= degree:
        m = table.shape[1] - 1
        last = table[:, m:]
        n = min(m, degree - m)
        table = torch.cat([table, 2.0 * last * table[:, 1 : n + 1] - table[:, m - n : m].flip(1)], 1)
    return table


class Radial(nn.Module):
    """Radial functions `g_kl(r) f(r)` with a smooth cutoff f; zero at and beyond the cutoff.

    Arguments:
        family: `bessel` (spherical Bessel functions of the first kind, orthonormal), `bessel2` (second kind, the form of
            the slides; singular as r -> 0, like r^-(l+1): only with a repulsive term that keeps atoms apart), or
            `chebyshev` (of a transformed distance; they do not depend on l, which is fastest).
        cutoff: Angstrom.
        k_max: K, number of functions for each l.
        l_max: L.
        smoothness: continuous derivatives at the cutoff.
        stretch: of the distance of `chebyshev`.

    Shapes: r (E,) -> (E, blocks, K), blocks = L + 1 where the functions depend on l, else 1.
    """

    def __init__(
        self, family: str, cutoff: float, k_max: int, l_max: int, smoothness: int = 2, stretch: float = 3.0
    ) -> None:
        super().__init__()
        if family not in FAMILIES:
            raise ValueError(f"`radial` must be one of {list(FAMILIES)}, got {family!r}; see mdzoo.basis.radial.Radial")
        functions = {
            "bessel": lambda: bessel_functions(cutoff, l_max, k_max),
            "bessel2": lambda: bessel2_functions(cutoff, l_max, k_max),
            "chebyshev": lambda: chebyshev_functions(k_max, float(stretch)),
        }[family]()
        self.cutoff = float(cutoff)
        self.smoothness = int(smoothness)
        self.k_max = int(k_max)
        self.blocks = len(functions) // self.k_max
        self.has_pole = family == "bessel2"
        self.register_buffer("coefficients", torch.as_tensor(series(functions), dtype=torch.float64), persistent=False)

    def forward(self, r: Tensor) -> Tensor:
        """Return the functions at the distances r, (E, blocks, K)."""
        x = torch.clamp(r / self.cutoff, max=1.0)
        table = chebyshev_values(2.0 * x - 1.0, self.coefficients.shape[0] - 1)
        values = (table * polynomial_cutoff(x, self.smoothness).unsqueeze(1)) @ self.coefficients
        values = values.view(-1, self.blocks, self.k_max)
        if self.has_pole:
            orders = torch.arange(1, self.blocks + 1, device=r.device, dtype=r.dtype)
            values = values * (x.unsqueeze(1) ** -orders).unsqueeze(2)
        return values
