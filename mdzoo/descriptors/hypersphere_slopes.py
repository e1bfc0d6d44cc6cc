"""The slopes of the density of `SO4` by the edge vectors, for the rows of linear fits."""

from typing import Any

import torch
from torch import Tensor

from mdzoo.basis.hypersphere import turning_rows
from mdzoo.basis.radial import chebyshev_slopes

CHUNK = 16384
"""Edges in one pass."""


def density_slopes(so4: Any, vectors: Tensor, here: Tensor, there: Tensor) -> Tensor:
    """Return `dA/dr_ij`, (E, 3, C), of edges (E, 3) from species `here` to species `there`."""
    out = vectors.new_zeros(vectors.shape[0], 3, so4.n_densities, so4.own.shape[1] // so4.n_densities)
    for part, *edges in zip(*(t.split(CHUNK) for t in (out, vectors, here, there)), strict=True):
        slopes = polynomial_slopes(so4, *edges).permute(2, 1, 0).unsqueeze(2)
        if so4.n_densities > 1:
            slopes = slopes * torch.nn.functional.one_hot(edges[2], so4.n_densities).to(slopes).view(
                -1, 1, so4.n_densities, 1
            )
        part.copy_(slopes)
    return torch.nn.functional.pad(out.flatten(2), (0, so4.n_channels - so4.own.shape[1]))


def polynomial_slopes(so4: Any, vectors: Tensor, here: Tensor, there: Tensor) -> Tensor:
    """Return the slopes of the weighted orthonormal polynomials, (K, 3, E).

    For each m the axial rows are made orthonormal before they meet the turning ones: two products for each number.
    """
    r = torch.linalg.vector_norm(vectors, dim=1)
    n = (vectors / r.unsqueeze(1)).T.contiguous()
    (c, s, weight), (d_c, d_s, d_weight) = angle_slopes(so4, r, here, there)
    point = s * n
    along = s / r * torch.eye(3).to(n).unsqueeze(2) + (d_s - s / r) * n.unsqueeze(1) * n  # d point_k, (k, 3, E)
    turning = turning_rows(point[0], point[1], torch.ones_like(r), so4.twojmax)
    d_turning = turning.unsqueeze(1) * (d_weight * n) + weight * in_plane(turning, along)
    turning = turning * weight
    axial, by_c, by_z = axial_slopes(c, point[2], so4.twojmax)
    blocks: list[list[Tensor]] = [[] for _ in range(so4.twojmax + 1)]
    first = 0
    for m, matrix in enumerate(so4.harmonics.matrix.split(so4.harmonics.counts, 1)):
        to_functions = matrix[: so4.harmonics.counts[m]].T
        g, g_c, g_z = ((to_functions @ rows[: len(to_functions)]).unsqueeze(1) for rows in (axial, by_c, by_z))
        d_g = (g_c * (d_c * n)).addcmul_(g_z, along[2])
        for row in range(first, first + so4.harmonics.turns[m]):
            slopes = (d_turning[row] * g).addcmul_(turning[row], d_g)
            for level, part in enumerate(slopes.split(list(range(1, so4.twojmax - m + 2)))):
                blocks[m + level].append(part)
        first += so4.harmonics.turns[m]
    return torch.cat([part for parts in blocks for part in parts])


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
    out = torch.zeros(turning.shape[0], 3, turning.shape[1]).to(turning)
    nothing = torch.zeros_like(turning[0])
    for m in range(1, (turning.shape[0] + 1) // 2):
        re, im = turning[max(2 * m - 3, 0)], turning[2 * m - 2] if m > 1 else nothing
        out[2 * m - 1] = m * (re * along[0] - im * along[1])
        out[2 * m] = m * (im * along[0] + re * along[1])
    return out


def axial_slopes(c: Tensor, z: Tensor, degree: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return T_p(c) T_q(z) and their derivatives by c and z, in the order of `axial_rows`."""
    (of_c, d_c), (of_z, d_z) = (chebyshev_slopes(u, degree) for u in (c, z))
    pairs = [(p, n - p) for n in range(degree + 1) for p in range(n + 1)]
    left, right = (torch.tensor(k, device=c.device) for k in zip(*pairs, strict=True))
    return of_c[left] * of_z[right], d_c[left] * of_z[right], of_c[left] * d_z[right]
