r"""Radial parts of the density of Gaussian atoms, projected on radial functions.

An atom at r is the Gaussian `e^(-|r' - r|^2 / (2 sigma^2))`, its projection on `g_n(r') Y_lm` is `Y_lm c_nl(r)`

    c_nl(r) = 4 pi int g_n(r') e^(-a (r^2 + r'^2)) i_l(2 a r r') r'^2 dr',    a = 1 / (2 sigma^2)

with the modified spherical Bessel function i_l (Bartok, Kondor, Csanyi, DOI 10.1103/PhysRevB.87.184115, eq. 29).
"""

from collections.abc import Callable
from decimal import Decimal, localcontext

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import erf, eval_jacobi, gamma, gammainc, ive, roots_legendre

Function = Callable[[np.ndarray], np.ndarray]
DIGITS = 80
NODES = 200


def gto_functions(r_cut: float, n_max: int, l_max: int, sigma: float) -> Function:
    """Return c_nl for Gaussian-type orbitals `g_nl = sum_k b_nk r^l e^(-alpha_kl r^2)`, in closed form; r -> (m, l, n).

    As in dscribe (Himanen et al., DOI 10.1016/j.cpc.2019.106949) the k-th orbital falls to 1e-3 at the k-th of n_max
    distances between 1 Angstrom and r_cut, and b = S^(-1/2) makes them orthonormal.
    """
    a = 0.5 / sigma**2
    reach = np.linspace(1.0, r_cut, n_max)
    alphas = np.stack([(order * np.log(reach) - np.log(1e-3)) / reach**2 for order in range(l_max + 1)])
    scales = [gto_scale(row, order) for order, row in enumerate(alphas)]

    def function(r: np.ndarray) -> np.ndarray:
        columns = []
        for order, (alpha, scale) in enumerate(zip(alphas, scales, strict=True)):
            front = (np.pi / (a + alpha)) ** 1.5 * (a / (a + alpha)) ** order
            waves = front * r[:, None] ** order * np.exp(-alpha * a / (a + alpha) * r[:, None] ** 2)
            columns.append(waves @ scale.T)
        return np.stack(columns, 1)

    return function


def gto_scale(alpha: np.ndarray, order: int) -> np.ndarray:
    """Return S^(-1/2) of `S_ij = int r^(2l+2) e^(-(alpha_i + alpha_j) r^2) dr`, (n, n).

    In many digits: the orbitals are almost dependent, and float64 would lose what tells them apart.
    """
    with localcontext() as context:
        context.prec = DIGITS
        front, power = Decimal(0.5 * gamma(order + 1.5)), Decimal(-order - 1.5)
        rows = [[front * (Decimal(float(x)) + Decimal(float(y))) ** power for y in alpha] for x in alpha]
        return inverse_root(np.array(rows)).astype(float)


def inverse_root(matrix: np.ndarray) -> np.ndarray:
    """Return S^(-1/2) of a positive definite matrix of decimals, by the iteration of Denman and Beavers."""
    root, inverse = matrix, np.array([[Decimal(int(i == j)) for j in range(len(matrix))] for i in range(len(matrix))])
    for _ in range(200):
        change = inverted(root) - inverse
        root, inverse = (root + inverted(inverse)) / 2, inverse + change / 2
        if float(np.abs(change).max()) < 1e-25 * float(np.abs(inverse).max()):
            return inverse
    raise ValueError(f"`n_max` must leave the radial functions independent, got {len(matrix)}; take fewer")


def inverted(matrix: np.ndarray) -> np.ndarray:
    """Return the inverse of a positive definite matrix of decimals, by elimination."""
    n = len(matrix)
    table = np.concatenate([matrix, np.array([[Decimal(int(i == j)) for j in range(n)] for i in range(n)])], 1)
    for i in range(n):
        table[i] = table[i] / table[i, i]
        others = np.arange(n) != i
        table[others] = table[others] - np.outer(table[others, i], table[i])
    return table[:, n:]


def polynomial_functions(r_cut: float, n_max: int, l_max: int, sigma: float) -> Function:
    """Return c_nl for polynomials `g_n = sum_k b_nk (r_cut - r)^(k + 2)`, k = 1..n_max, with b = S^(-1/2)."""
    nodes, weights = roots_legendre(NODES)
    s, w = 0.5 * r_cut * (nodes + 1.0), 0.5 * r_cut * weights
    return projected(polynomials(r_cut, n_max, s) * w, s, l_max, 0.5 / sigma**2)


def mliap_functions(cutoff: float, n_max: int, l_max: int, alpha: float) -> Function:
    """Return c_nl of LAMMPS's `mliap so3` for `a = alpha`: r -> (m, l, n).

    Its g_n are orthonormal combinations, by S^(-1/2), of normalised `(cutoff - r)^(k + 2)`, k = 1..n_max, and its
    integral is the Gauss-Chebyshev sum over `10 (n_max + l_max + 1)` nodes, close to exact but not equal to it.
    """
    size = 10 * (n_max + l_max + 1)
    turn = np.pi * (np.arange(size) + 0.5) / size
    s, w = 0.5 * cutoff * (1.0 + np.cos(turn)), 0.5 * cutoff * np.pi / size * np.sin(turn)
    return projected(polynomials(cutoff, n_max, s, normalised_overlap(cutoff, n_max)) * w, s, l_max, alpha)


def polynomials(r_cut: float, n_max: int, r: np.ndarray, overlap: np.ndarray | None = None) -> np.ndarray:
    """Return the orthonormal g_n, (n_max, m): an orthogonal matrix times Jacobi polynomials, stable for any n_max.

    `overlap` is the S of the functions that S^(-1/2) combines, by default that of `(r_cut - r)^(k + 2)` themselves;
    those of other scales have other combinations. With the Cholesky factor `S = L L^T` the functions are `f = L p` of
    the orthonormal p, so `S^(-1/2) f` is `(S^(-1/2) L) p`; p_k is `(r_cut - r)^3` times the Jacobi polynomial of
    degree k of the weight `(1+x)^6 (1-x)^2`.
    """
    x = 1.0 - 2.0 * r / r_cut
    k = np.arange(n_max)
    ratio = gamma(k + 3.0) * gamma(k + 7.0) / (gamma(k + 9.0) * gamma(k + 1.0))
    norms = np.sqrt(2.0**9 / (2.0 * k + 9.0) * ratio * (r_cut / 2.0) ** 3)
    jacobi = np.stack([eval_jacobi(n, 2.0, 6.0, x) * (1.0 + x) ** 3 / norms[n] for n in k])
    with localcontext() as context:
        context.prec = DIGITS
        overlap = polynomial_overlap(r_cut, n_max) if overlap is None else overlap
        turn = (inverse_root(overlap) @ lower_factor(overlap)).astype(float)
    return turn @ jacobi


def polynomial_overlap(r_cut: float, n_max: int) -> np.ndarray:
    """Return `int (r_cut - r)^(i + j + 4) r^2 dr`, i, j = 1..n_max, decimals (n_max, n_max)."""
    rc, n = Decimal(r_cut), range(1, n_max + 1)
    return np.array([[2 * rc ** (7 + i + j) / ((5 + i + j) * (6 + i + j) * (7 + i + j)) for j in n] for i in n])


def normalised_overlap(r_cut: float, n_max: int) -> np.ndarray:
    """Return the overlap of the same functions, each divided by its norm, decimals (n_max, n_max)."""
    with localcontext() as context:
        context.prec = DIGITS
        overlap = polynomial_overlap(r_cut, n_max)
        norms = [overlap[i, i].sqrt() for i in range(n_max)]
        return overlap / np.outer(norms, norms)


def lower_factor(matrix: np.ndarray) -> np.ndarray:
    """Return L, lower triangular with a positive diagonal, of `L L^T`, for a matrix of decimals."""
    out = matrix * 0
    for i in range(len(matrix)):
        for j in range(i + 1):
            rest = matrix[i, j] - out[i, :j] @ out[j, :j] if j else matrix[i, j]
            out[i, j] = rest.sqrt() if i == j else rest / out[j, j]
    return out


def projected(g: np.ndarray, s: np.ndarray, l_max: int, a: float) -> Function:
    """Return c_nl of radial functions that do not depend on l, given times quadrature weights at nodes s: g (n, m)."""
    left = 4.0 * np.pi * g * s**2

    def function(r: np.ndarray) -> np.ndarray:
        return np.stack([values @ left.T for values in smeared(r, s, a, l_max)], 1)

    return function


def quip_functions(radial_basis: str, cutoff: float, n_max: int, l_max: int, sigma: float) -> Function:
    """Return the radial coefficients of QUIP (its own choice of scale, without the 4 pi); r -> (m, l, n).

    The density is fitted on a grid of distances s, not projected: with `f_l(s) = e^(-a (r^2 + s^2)) i_l(2 a r s)`, the
    values B of the basis on the grid and its overlap `L L^T`, the coefficients are those of the least squares of
    `B L^-T c = f`. `EQUISPACED_GAUSS` has Gaussians of the atoms' own width on a grid of as many points.
    """
    a, outer = 0.5 / sigma**2, cutoff + sigma * np.sqrt(20.0 * np.log(10.0))
    size = n_max if radial_basis == "EQUISPACED_GAUSS" else 3 * n_max
    grid = outer / size * np.arange(size)
    solvers = [fitted(*quip_basis(radial_basis, order, n_max, grid, outer, a)) for order in range(l_max + 1)]

    def function(r: np.ndarray) -> np.ndarray:
        return np.stack([values @ m.T for values, m in zip(smeared(r, grid, a, l_max), solvers, strict=True)], 1)

    return function


def smeared(r: np.ndarray, s: np.ndarray, a: float, l_max: int) -> list[np.ndarray]:
    """Return `e^(-a (r^2 + s^2)) i_l(2 a r s)` for l = 0..l_max, each (len(r), len(s))."""
    z = np.maximum(2.0 * a * r[:, None] * s, 1e-300)
    gauss = np.exp(-a * (r[:, None] - s) ** 2) * np.sqrt(np.pi / (2.0 * z))
    return [gauss * ive(order + 0.5, z) for order in range(l_max + 1)]


def fitted(basis: np.ndarray, overlap: np.ndarray) -> np.ndarray:
    """Return M of the coefficients `c = M f` of the basis (grid, n) with its overlap, made orthonormal by Cholesky."""
    lower = np.linalg.cholesky(overlap)
    return np.linalg.lstsq(solve_triangular(lower, basis.T, lower=True).T, np.eye(len(basis)), rcond=None)[0]


def quip_basis(
    kind: str, order: int, n_max: int, s: np.ndarray, outer: float, a: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of QUIP's basis on the grid s, (grid, n), and its overlap, (n, n)."""
    if kind == "EQUISPACED_GAUSS":
        plus, minus = s[:, None] + s, s[:, None] - s
        tail = np.sqrt(2.0) * a**1.5 * plus * np.exp(-a * (s[:, None] ** 2 + s**2))
        body = 1.0 + erf(np.sqrt(0.5 * a) * plus)
        body = a * np.sqrt(np.pi) * np.exp(-0.5 * a * minus**2) * (1.0 + a * plus**2) * body
        return np.exp(-a * minus**2), (tail + body) / np.sqrt(128.0 * a**5)
    i = np.arange(1, n_max + 1)
    if kind == "POLY":
        norm = np.sqrt(outer ** (2 * i + 7) / ((i + 3.0) * (2 * i + 5) * (2 * i + 7)))
        ij = i[:, None] + i
        cross = 2.0 * outer ** (ij + 7) / ((ij + 5.0) * (ij + 6) * (ij + 7))
        return (outer - s[:, None]) ** (i + 2) / norm, cross / np.outer(norm, norm)
    reach = outer / n_max * i
    alpha = (order * np.log(reach) - np.log(1e-3)) / reach**2
    t, both = order + 1.5, alpha[:, None] + alpha
    return s[:, None] ** order * np.exp(-alpha * s[:, None] ** 2), 0.5 * both**-t * gamma(t) * gammainc(
        t, both * outer**2
    )
