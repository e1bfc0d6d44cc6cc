"""The slopes of the density of `SO4` by the edge vectors, for the rows of linear fits."""

from typing import Any

import torch
from torch import Tensor

from mdzoo.descriptors.so4 import SO4

CHUNK = 16384
"""Edges in one pass."""


def edge_slopes(so4: SO4, vectors: Tensor, here: Tensor, there: Tensor) -> Tensor:
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


def polynomial_slopes(so4: SO4, vectors: Tensor, here: Tensor, there: Tensor) -> Tensor:
    """Return the slopes of the weighted orthonormal polynomials, (K, 3, E).

    The rows of an edge and their slopes, by forward mode, are few; for each m the axial ones are made orthonormal
    before they meet the turning ones: two products for each number.
    """

    def rows(v: Tensor) -> tuple[Tensor, Tensor]:
        x, y, z = v.unbind(1)
        r = torch.sqrt(x * x + y * y + z * z)
        return so4.rows(r, x / r, y / r, z / r, here, there)

    def along(direction: Tensor) -> Any:
        return torch.func.jvp(rows, (vectors,), (direction.expand_as(vectors),))

    once: Any = torch.func.vmap(along, out_dims=((None, None), (1, 1)))  # type: ignore[arg-type]
    (turning, axial), (d_turning, d_axial) = once(torch.eye(3).to(vectors))
    blocks: list[list[Tensor]] = [[] for _ in range(so4.twojmax + 1)]
    first = 0
    for m, matrix in enumerate(so4.harmonics.matrix.split(so4.harmonics.counts, 1)):
        to_functions = matrix[: so4.harmonics.counts[m]].T
        g = (to_functions @ axial[: len(to_functions)]).unsqueeze(1)
        d_g = (to_functions @ d_axial[: len(to_functions)].flatten(1)).view(len(g), 3, -1)
        for row in range(first, first + so4.harmonics.turns[m]):
            slopes = (d_turning[row] * g).addcmul_(turning[row], d_g)
            for level, part in enumerate(slopes.split(list(range(1, so4.twojmax - m + 2)))):
                blocks[m + level].append(part)
        first += so4.harmonics.turns[m]
    return torch.cat([part for parts in blocks for part in parts])
