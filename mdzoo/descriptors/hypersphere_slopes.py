"""The slopes of the density of `SO4` by the places of neighbours, for the rows of linear fits."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from mdzoo.basis.hypersphere import hyperradial
from mdzoo.basis.spherical import SphericalHarmonics, gradient_matrix
from mdzoo.descriptors.slopes import fresh

CHUNK = 1024
"""Edges in one pass."""


class Polynomials(NamedTuple):
    """The weighted factors of the polynomials of neighbours (E), see `mdzoo.basis.hypersphere`."""

    units: Tensor  # (3, E)
    y: Tensor  # Y_lm, (lm, E)
    along: list[Tensor]  # g' - l g / r for g = w f s^l G_Jl, for each l (J, E)
    turns: list[Tensor]  # g / r

    def part(self, first: int, last: int) -> "Polynomials":
        """Return those of some neighbours."""
        along, turns = ([rows[:, first:last] for rows in table] for table in self[2:])
        return Polynomials(self.units[:, first:last], self.y[:, first:last], along, turns)


def factors(so4: Any, r: Tensor, units: Tensor, here: Tensor, there: Tensor) -> Polynomials:
    """Return the factors for neighbours at r (E,) along `units` (3, E), between species `here` and `there`."""
    (c, s, weight), (d_c, d_s, d_weight) = angle_slopes(so4, r, here, there)
    per_r, turn = weight / r, weight * (c * d_s - s * d_c)
    along, turns = [], []
    for order, (values, slopes) in enumerate(hyperradial(c, s, so4.twojmax)):
        along.append(slopes.mul_(turn).addcmul_(values, d_weight - order * per_r))
        turns.append(values.mul_(per_r))
    return Polynomials(units, SphericalHarmonics(so4.twojmax)(*units), along, turns)


def polynomial_slopes(rows: Polynomials, out: Tensor) -> None:
    """Write the slopes of the weighted polynomials by the places of J neighbours of n atoms, (n, J, lm, 3, J).

    Those with l <= J alone are written. With the gradients of the solid harmonics (`gradient_matrix`) they are

        grad g Y_lm = (g' - l g / r) Y_lm n + (g / r) grad(r^l Y_lm) / r^(l-1)
    """
    n, width = out.shape[0], out.shape[4]
    ys = rows.y.split([2 * order + 1 for order in range(len(rows.turns))])
    for order, y in enumerate(ys):
        part = out[:, order:, order * order : (order + 1) * (order + 1)]
        along, turns = (t[order].view(-1, 1, 1, n, width).permute(3, 0, 1, 2, 4) for t in rows[2:])
        straight = (y.unsqueeze(1) * rows.units).view(-1, 3, n, width).permute(2, 0, 1, 3)
        torch.mul(along, straight.unsqueeze(1), out=part)
        if order > 0:
            turned = gradient_matrix(order).to(y).view(-1, 2 * order - 1) @ ys[order - 1]
            part.addcmul_(turns, turned.view(-1, 3, n, width).permute(2, 0, 1, 3).unsqueeze(1))


def room_for(so4: Any, n: int, width: int, like: Tensor) -> Tensor:
    """Return room for what `polynomial_slopes` gives for n atoms with `width` neighbours."""
    return fresh((n, so4.twojmax + 1, (so4.twojmax + 1) ** 2, 3, width), like)


def density_slopes(so4: Any, vectors: Tensor, here: Tensor, there: Tensor) -> Tensor:
    """Return `dA/dr_ij`, (E, 3, C), of edges (E, 3) from species `here` to species `there`."""
    n_spins, n_densities = so4.twojmax + 1, so4.n_densities
    out = vectors.new_zeros(vectors.shape[0], 3, n_densities, so4.own.shape[1] // n_densities)
    for part, own, *kinds in zip(*(t.split(CHUNK) for t in (out, vectors, here, there)), strict=True):
        r = torch.linalg.vector_norm(own, dim=1)
        room = room_for(so4, 1, len(r), own)
        polynomial_slopes(factors(so4, r, (own / r.unsqueeze(1)).T.contiguous(), *kinds), room)
        slopes = torch.cat([room[0, spin, : (spin + 1) ** 2] for spin in range(n_spins)])  # (K, 3, E)
        mine = kinds[1] == torch.arange(n_densities).view(-1, 1) if n_densities > 1 else torch.ones_like(r).view(1, -1)
        torch.mul(slopes.permute(2, 1, 0).unsqueeze(2), mine.to(r).t().view(-1, 1, n_densities, 1), out=part)
    return torch.nn.functional.pad(out.flatten(2), (0, so4.n_channels - so4.own.shape[1]))


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
