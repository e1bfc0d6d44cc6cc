"""How angular momenta couple: Clebsch-Gordan coefficients in the real basis of `SphericalHarmonics`."""

from functools import cache
from math import factorial, sqrt

import numpy as np


def clebsch_gordan(l1: int, m1: int, l2: int, m2: int, order: int, m: int) -> float:
    """Return <l1 m1 l2 m2 | l m> by Racah's formula (DLMF 34.2.4 with 34.1.1), exact integers until the last step."""
    if m1 + m2 != m or not abs(l1 - l2) <= order <= l1 + l2:
        return 0.0
    f = factorial
    triangle = f(l1 + l2 - order) * f(l1 - l2 + order) * f(-l1 + l2 + order) / f(l1 + l2 + order + 1)
    states = f(order + m) * f(order - m) * f(l1 + m1) * f(l1 - m1) * f(l2 + m2) * f(l2 - m2)
    total = 0.0
    for k in range(max(0, l2 - order - m1, l1 - order + m2), min(l1 + l2 - order, l1 - m1, l2 + m2) + 1):
        below = f(k) * f(l1 + l2 - order - k) * f(l1 - m1 - k) * f(l2 + m2 - k)
        total += (-1) ** k / (below * f(order - l2 + m1 + k) * f(order - l1 - m2 + k))
    return sqrt((2 * order + 1) * triangle * states) * total


def real_from_complex(order: int) -> np.ndarray:
    """Return U with Y_real = U Y_complex (Condon-Shortley phase in the complex ones), (2l + 1, 2l + 1)."""
    u = np.zeros((2 * order + 1, 2 * order + 1), dtype=complex)
    u[order, order] = 1.0
    for m in range(1, order + 1):
        sign = (-1) ** m
        u[order + m, order + m], u[order + m, order - m] = sign / sqrt(2), 1 / sqrt(2)
        u[order - m, order + m], u[order - m, order - m] = -1j * sign / sqrt(2), 1j / sqrt(2)
    return u


@cache
def coupling(l1: int, l2: int, order: int) -> np.ndarray:
    """Return C with `sum a*_m <l1 m1 l2 m2|l m> b_m1 c_m2 = sum C[m1, m2, m] a_m b_m1 c_m2` for real a, b, c.

    For odd l1 + l2 + l, whose exchange of l1 and l2 costs a sign, it is imaginary, and this is its imaginary part. Its
    norm is sqrt(2 l + 1).
    """
    shape = (2 * l1 + 1, 2 * l2 + 1, 2 * order + 1)
    table = np.zeros(shape)
    for i, j in np.ndindex(shape[:2]):
        m = i - l1 + j - l2
        if abs(m) <= order:
            table[i, j, m + order] = clebsch_gordan(l1, i - l1, l2, j - l2, order, m)
    u1, u2, u = (real_from_complex(n) for n in (l1, l2, order))
    out = np.einsum("ai,bj,cm,ijm->abc", u1.conj(), u2.conj(), u, table)
    return out.imag if (l1 + l2 + order) % 2 else out.real


def real_coupling(l1: int, l2: int, order: int) -> np.ndarray:
    """Return `coupling` for even l1 + l2 + l; odd sums, which change sign under reflection, are refused."""
    if (l1 + l2 + order) % 2:
        raise ValueError(
            f"`l1 + l2 + l` must be even, got {l1} + {l2} + {order}; odd ones change sign under reflection"
        )
    return coupling(l1, l2, order)


def even_triples(l_max: int) -> list[tuple[int, int, int]]:
    """Return all (l, l1, l2), sorted by l, with l1 <= l2, the triangle rule, an even sum and none above l_max."""
    return [
        (order, l1, l2)
        for order in range(l_max + 1)
        for l1 in range(l_max + 1)
        for l2 in range(l1, l_max + 1)
        if l2 - l1 <= order <= l1 + l2 and (order + l1 + l2) % 2 == 0
    ]
