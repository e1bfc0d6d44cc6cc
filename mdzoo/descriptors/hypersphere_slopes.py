"""The slopes of the density of `SO4` by the edge vectors, for the rows of linear fits."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from mdzoo.basis.hypersphere import turning_rows
from mdzoo.basis.radial import chebyshev_slopes
from mdzoo.descriptors.slopes import fresh

CHUNK = 16384
"""Edges in one pass."""


def density_slopes(so4: Any, vectors: Tensor, here: Tensor, there: Tensor) -> Tensor:
    """Return `dA/dr_ij`, (E, 3, C), of edges (E, 3) from species `here` to species `there`."""
    out = vectors.new_zeros(vectors.shape[0], 3, so4.n_densities, so4.own.shape[1] // so4.n_densities)
    for part, *edges in zip(*(t.split(CHUNK) for t in (out, vectors, here, there)), strict=True):
        r = torch.linalg.vector_norm(edges[0], dim=1)
        n = (edges[0] / r.unsqueeze(1)).T.contiguous()
        slopes = torch.cat(polynomial_slopes(so4, edge_rows(so4, r, n, *edges[1:]), rooms_like(so4, n)))
        slopes = slopes.permute(2, 1, 0).unsqueeze(2)
        if so4.n_densities > 1:
            slopes = slopes * torch.nn.functional.one_hot(edges[2], so4.n_densities).to(slopes).view(
                -1, 1, so4.n_densities, 1
            )
        part.copy_(slopes)
    return torch.nn.functional.pad(out.flatten(2), (0, so4.n_channels - so4.own.shape[1]))


class EdgeRows(NamedTuple):
    """The factors of the polynomials of each edge, with their slopes."""

    d_cosine: Tensor  # (3, E) of cos t
    d_z: Tensor  # (3, E) of sin t n_z
    turning: Tensor  # (rows, E) weighted
    d_turning: Tensor  # (rows, 3, E)
    axial: Tensor  # (rows, E)
    by_cosine: Tensor  # (rows, E) their derivatives
    by_z: Tensor


def edge_rows(so4: Any, r: Tensor, n: Tensor, here: Tensor, there: Tensor) -> EdgeRows:
    """Return the factors for edges at r (E,) along n (3, E) between species `here` and `there`."""
    (c, s, weight), (d_c, d_s, d_weight) = angle_slopes(so4, r, here, there)
    point = s * n
    along = s / r * torch.eye(3).to(n).unsqueeze(2) + (d_s - s / r) * n.unsqueeze(1) * n  # d point_k, (k, 3, E)
    turning = turning_rows(point[0], point[1], torch.ones_like(r), so4.twojmax)
    d_turning = turning.unsqueeze(1) * (d_weight * n) + weight * in_plane(turning, along)
    turning = turning * weight
    return EdgeRows(d_c * n, along[2], turning, d_turning, *axial_slopes(c, point[2], so4.twojmax))


def polynomial_slopes(so4: Any, rows: EdgeRows, out: list[Tensor]) -> list[Tensor]:
    """Write the slopes of the weighted orthonormal polynomials of each spin to `out`, (K, 3, E), and return it.

    For each m the axial rows are made orthonormal before they meet the turning ones: two products for each number.
    """
    first, starts = 0, [0] * len(out)
    for m, matrix in enumerate(so4.harmonics.matrix.split(so4.harmonics.counts, 1)):
        turns, sizes = so4.harmonics.turns[m], list(range(1, so4.twojmax - m + 2))
        to_functions = matrix[: so4.harmonics.counts[m]].T
        value, g_c, g_z = ((to_functions @ each[: len(to_functions)]).unsqueeze(1) for each in rows[-3:])
        slopes = (g_c * rows.d_cosine).addcmul_(g_z, rows.d_z)
        own, d_own = rows.turning[first : first + turns, None, None], rows.d_turning[first : first + turns, None]
        for spin, (g, d_g) in enumerate(zip(value.split(sizes), slopes.split(sizes), strict=True), m):
            start = starts[spin]
            starts[spin] += turns * len(g)
            part = out[spin][start : starts[spin]].unflatten(0, (turns, -1))
            torch.mul(d_own, g, out=part)
            part.addcmul_(own, d_g)
        first += turns
    return out


def rooms_like(so4: Any, n: Tensor) -> list[Tensor]:
    """Return room for what `polynomial_slopes` gives for n (3, E)."""
    sizes = so4.products.sizes
    return list(fresh((sum(sizes), *n.shape), n).split(sizes))


def angle_slopes(so4: Any, r: Tensor, here: Tensor, there: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Return cos t, sin t and w f at r, and their derivatives."""
    with torch.enable_grad():
        r = r.detach().requires_grad_()
        values = so4.angles(r, here, there)
        slopes = [
            torch.autograd.grad(v.sum() + 0.0 * r.sum(), r, retain_graph=True, materialize_grads=True)[0]
            for v in values
        ]
    return [v.detach() for v in values], slopes


def in_plane(turning: Tensor, along: Tensor) -> Tensor:
    """Return the slopes (rows, 3, E) of the rows Re and Im (x + iy)^m, of which x and y have the slopes `along`."""
    count = turning.shape[0] // 2
    out = turning.new_zeros(turning.shape[0], 3, turning.shape[1])
    orders = torch.arange(1, count + 1, device=turning.device).view(-1, 1)
    before = torch.cat([turning[:1], torch.zeros_like(turning[:1]), turning[1:]])  # Re and Im of m - 1
    re, im = ((orders * rows[:count]).unsqueeze(1) for rows in (before[0::2], before[1::2]))
    torch.mul(re, along[0], out=out[1::2]).addcmul_(im, along[1], value=-1.0)
    torch.mul(im, along[0], out=out[2::2]).addcmul_(re, along[1])
    return out


def axial_slopes(c: Tensor, z: Tensor, degree: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return T_p(c) T_q(z) and their derivatives by c and z, in the order of `axial_rows`."""
    (of_c, of_z), (d_c, d_z) = (rows.unbind(1) for rows in chebyshev_slopes(torch.stack([c, z]), degree))
    pairs = [(p, n - p) for n in range(degree + 1) for p in range(n + 1)]
    left, right = (torch.tensor(k, device=c.device) for k in zip(*pairs, strict=True))
    return of_c[left] * of_z[right], d_c[left] * of_z[right], of_c[left] * d_z[right]
