r"""All ridge strengths for one decomposition.

With the weighted factor `R = [A | b]` of all rows, column scales `d_p = |A_p|` and a ridge strength lambda,

    |A theta - b|^2 + lambda sum_p (d_p h_p theta_p)^2

is minimised by the singular values of the scaled columns: the prior root L of `mdzoo.fit.solve` is the diagonal of
`sqrt(lambda) d_p h_p / sigma`. The scales make lambda a pure number that means the same for every descriptor and size
of the data; h is an optional shape of the prior. A kernel brings a prior of its own, `lambda |R theta|^2` for its block
of columns: R stands in the place of d_p h_p.
"""

import math
from typing import NamedTuple

import torch
from scipy.optimize import brentq
from torch import Tensor

from mdzoo.fit.solve import LinearPosterior, check

GRID = torch.logspace(-16, 0, 65, dtype=torch.float64)
"""Ridge strengths that are tried."""


class Shape(NamedTuple):
    """The prior but for its strength."""

    stiffness: Tensor  # (P,) h, of columns that have no root
    roots: dict[int, Tensor]  # by their first columns, upper triangular R of blocks


class Spectrum(NamedTuple):
    """The decomposition `A R^-1 = U S V^T` and what it says of b; `penalty = lambda |R theta|^2`."""

    singular: Tensor  # (P,)
    right: Tensor  # (P, P), R^-1 V
    projected: Tensor  # (P,) U^T b
    rest: float  # |b|^2 outside the span of A
    prior: Tensor  # R, (P,) if it is diagonal, else (P, P)
    rows: int


def spectrum(root: Tensor, rows: int, shape: Tensor | Shape | None = None) -> Spectrum:
    """Decompose the factor `root` (m, P + 1) of `rows` weighted rows.

    Arguments:
        root: triangular factor, or the rows themselves.
        rows: how many rows it stands for; the evidence and the noise need it.
        shape: h (P,), relative stiffness of the prior of each column, or a Shape.

    Raises:
        ValueError: there are no rows, or some are not finite.
    """
    check(root, rows)
    a, b = root[:, :-1], root[:, -1]
    shape = shape if isinstance(shape, Shape) else Shape(a.new_ones(a.shape[1]) if shape is None else shape, {})
    scale = scales(a, shape)
    a = a / scale
    for first, block in shape.roots.items():
        mine = slice(first, first + len(block))
        a[:, mine] = torch.linalg.solve_triangular(block, a[:, mine], upper=True, left=False)
    fewer = max(0, a.shape[1] - a.shape[0])  # rows of zeros make the decomposition square
    left, singular, right = torch.linalg.svd(torch.nn.functional.pad(a, (0, 0, 0, fewer)), full_matrices=False)
    projected = left[: b.shape[0]].T @ b
    rest = float((b - left[: b.shape[0]] @ projected).square().sum())
    right, prior = right.T / scale.unsqueeze(1), torch.diag(scale) if shape.roots else scale
    for first, block in shape.roots.items():
        mine = slice(first, first + len(block))
        right[mine] = torch.linalg.solve_triangular(block, right[mine], upper=True)
        prior[mine, mine] = block
    return Spectrum(singular, right, projected, rest, prior, int(rows))


def scales(a: Tensor, shape: Shape) -> Tensor:
    """Return d_p h_p of each column, 1 where it has a root, (P,)."""
    scale = a.square().sum(0).sqrt()
    scale = torch.where(scale > 0.0, scale, torch.ones_like(scale)) * shape.stiffness
    for first, block in shape.roots.items():
        scale[first : first + len(block)] = 1.0
    return scale


def solutions(spec: Spectrum, ridges: Tensor) -> Tensor:
    """Return theta for each ridge strength, (len(ridges), P); directions without information stay at zero."""
    s, squares = spec.singular, spec.singular.square()
    tiny = s[0] * torch.finfo(s.dtype).eps * s.numel()
    filters = torch.where(s > tiny, s / (squares + ridges.unsqueeze(1)).clamp_min(tiny**2), torch.zeros_like(s))
    return (filters * spec.projected) @ spec.right.T


def noise_variance(spec: Spectrum, ridges: Tensor) -> Tensor:
    """Return the noise variance of largest evidence at each ridge strength, `(|A theta - b|^2 + penalty) / m`."""
    shrunk = ridges.unsqueeze(1) / (spec.singular.square() + ridges.unsqueeze(1))
    shrunk = torch.where(ridges.unsqueeze(1) > 0.0, shrunk, torch.zeros_like(shrunk))
    return ((shrunk * spec.projected.square()).sum(1) + spec.rest) / spec.rows


def evidence(spec: Spectrum, ridges: Tensor) -> Tensor:
    r"""Return the log marginal likelihood at each ridge strength, with the noise at its best.

    `log p = -m/2 (log(2 pi s^2) + 1) + 1/2 sum_p log(lambda / (lambda + S_p^2))`
    (MacKay, DOI 10.1162/neco.1992.4.3.415).
    """
    variance = noise_variance(spec, ridges)
    volume = (ridges.log().unsqueeze(1) - (ridges.unsqueeze(1) + spec.singular.square()).log()).sum(1)
    return -0.5 * spec.rows * ((2.0 * torch.pi * variance).log() + 1.0) + 0.5 * volume


def evidence_slope(spec: Spectrum, ridges: Tensor) -> Tensor:
    """Return `d log p / d log lambda` at each ridge strength."""
    squares, lam = spec.singular.square(), ridges.unsqueeze(1)
    change = (lam * squares / (lam + squares).square() * spec.projected.square()).sum(1) / spec.rows
    effective = (squares / (lam + squares)).sum(1)
    return 0.5 * effective - 0.5 * spec.rows * change / noise_variance(spec, ridges)


def best_evidence(spec: Spectrum, grid: Tensor = GRID) -> float:
    """Return the ridge strength of largest evidence: the best of the grid, which bounds it, refined by the slope."""
    top = int(evidence(spec, grid).argmax())
    low, high = float(grid[max(0, top - 1)].log()), float(grid[min(len(grid) - 1, top + 1)].log())

    def slope(log_ridge: float) -> float:
        return float(evidence_slope(spec, torch.tensor([log_ridge], dtype=torch.float64).exp())[0])

    if not slope(low) > 0.0 > slope(high):
        return float(grid[top])
    return math.exp(brentq(slope, low, high, xtol=1e-14))


def posterior(spec: Spectrum, ridge: float) -> LinearPosterior:
    """Return the posterior at a ridge strength."""
    lam = torch.tensor([float(ridge)], dtype=torch.float64)
    squares = spec.singular.square()
    sigma = float(noise_variance(spec, lam)[0]) ** 0.5
    tiny = float(spec.singular[0]) * torch.finfo(torch.float64).eps * len(squares)
    widths = (squares + lam).clamp_min(tiny**2).rsqrt() * sigma
    root = spec.right * widths
    return LinearPosterior(
        solutions(spec, lam)[0],
        root,
        sigma,
        ridge**0.5 * spec.prior / max(sigma, torch.finfo(torch.float64).tiny),
        float(evidence(spec, lam)[0]) if ridge > 0.0 else float("nan"),
        float((squares / (squares + lam).clamp_min(tiny**2)).sum()),
    )


def condition(spec: Spectrum) -> float:
    """Return the condition number of the scaled columns."""
    return float(spec.singular[0] / spec.singular[-1].clamp_min(torch.finfo(torch.float64).tiny))


def rank(spec: Spectrum) -> int:
    """Return in how many directions the rows say anything."""
    return int((spec.singular > spec.singular[0] * torch.finfo(torch.float64).eps * len(spec.singular)).sum())
