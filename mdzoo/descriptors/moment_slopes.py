"""The slopes of all scalars of moments by the density, for the rows of linear fits, with atoms as the last axis.

A scalar B is a sum of products of two rows, components of moments (legs) and of pairs, and a pair one of two legs:

    dB/drow_a = sum m row_b,    dB/dleg_c = dB/drow_c + sum_pairs dB/dpair m leg_d,    dB/dA = dB/dleg dleg/dA

Only what is not zero by construction is made; there is no pass for each channel of the density.
"""

import weakref
from collections import defaultdict

import torch
from torch import Tensor, nn

from mdzoo.descriptors.moment_products import Scalars, Tables

NUMBERS = 1 << 21
"""Products of one pass, at most: what the cache nearly holds."""

known_slopes: "weakref.WeakKeyDictionary[Scalars, MomentSlopes]" = weakref.WeakKeyDictionary()

Key = tuple[int, int]  # scalar, row
Weighted = list[tuple[int, float]]  # (row, weight)


class Sums(nn.Module):
    """A constant matrix of few numbers times rows, (rows, n) -> (outputs, n).

    Arguments:
        sums: for each output the rows and their weights; none give zero.
    """

    rows: Tensor
    weights: Tensor
    starts: Tensor

    def __init__(self, sums: list[Weighted]) -> None:
        super().__init__()
        flat = [term for terms in sums for term in terms]
        counts = torch.tensor([0] + [len(terms) for terms in sums])
        self.register_buffer("rows", torch.tensor([row for row, _ in flat]), persistent=False)
        self.register_buffer("weights", torch.tensor([w for _, w in flat], dtype=torch.float64), persistent=False)
        self.register_buffer("starts", counts.cumsum(0)[:-1], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sums."""
        return nn.functional.embedding_bag(
            self.rows, x, self.starts, mode="sum", per_sample_weights=self.weights.to(x.dtype)
        )


class MomentSlopes(nn.Module):
    """Derivatives of all scalars by the density, (n, C) -> (n, F, C).

    Arguments:
        scalars: what makes the features.
        plan: of the scalars.
    """

    through: Tensor
    factor: Tensor
    places: Tensor

    def __init__(self, scalars: Scalars, plan: Tables) -> None:
        super().__init__()
        self.shape = (scalars.n_features, scalars.n_channels)
        by_row = slopes_by_rows(plan)
        keys = sorted(by_row)
        self.by_row = Sums([by_row[key] for key in keys])
        products, by_leg = slopes_by_legs(plan, keys)
        self.register_buffer("through", torch.tensor([k for k, _ in products]), persistent=False)
        self.register_buffer("factor", torch.tensor([row for _, row in products]), persistent=False)
        legs = sorted(by_leg)
        self.by_leg = Sums([by_leg[key] for key in legs])
        by_channel = slopes_by_channels(scalars, legs)
        self.register_buffer("places", torch.tensor(sorted(by_channel)), persistent=False)
        self.by_channel = Sums([by_channel[place] for place in sorted(by_channel)])

    def forward(self, scalars: Scalars, density: Tensor) -> Tensor:
        """Return the slopes at the density (n, C)."""
        out = density.new_zeros(len(density), *self.shape)
        size = max(1, NUMBERS // len(self.through))
        for part, slopes in zip(density.split(size), out.split(size), strict=True):
            rows = scalars.rows(scalars.moments(part))
            rows = torch.cat([rows, torch.ones_like(rows[:1])])
            products = self.by_row(rows)[self.through].mul_(rows[self.factor])
            slopes.flatten(1).index_copy_(1, self.places, self.by_channel(self.by_leg(products)).T)
        return out


def slopes_by_rows(plan: Tables) -> dict[Key, Weighted]:
    """Return dB/drow as sums over rows; the last row is 1."""
    out: dict[Key, Weighted] = defaultdict(list)
    for scalar, row in plan.direct:
        out[scalar, row].append((len(plan.legs) + len(plan.pairs), 1.0))
    for scalar, terms in plan.sums:
        for a, b, times in terms:
            out[scalar, a].append((b, times))
            out[scalar, b].append((a, times))
    return out


def slopes_by_legs(plan: Tables, keys: list[Key]) -> tuple[list[Key], dict[Key, Weighted]]:
    """Return products (slope by a row, row), and dB/dleg as sums over them; `keys` name the slopes by rows."""
    n_legs, one = len(plan.legs), len(plan.legs) + len(plan.pairs)
    products: list[Key] = []
    out: dict[Key, Weighted] = defaultdict(list)
    for k, (scalar, row) in enumerate(keys):
        terms = [(row, one, 1)] if row < n_legs else plan.pairs[row - n_legs]
        for a, b, times in terms:
            for leg, other in ((a, b), (b, a)):
                if leg != one:
                    out[scalar, leg].append((len(products), times))
                    products.append((k, other))
    return products, out


def slopes_by_channels(scalars: Scalars, keys: list[Key]) -> dict[int, Weighted]:
    """Return what is not zero of dB/dA, by its place in (F, C), as sums over the slopes by legs that `keys` name."""
    moments = scalars.moments
    sizes, table = zip(moments.heights, moments.widths, strict=True), moments.get_buffer("matrix").double()
    matrix = torch.block_diag(*[table[:height, :width] for height, width in sizes])
    used = [[(c, float(row[c])) for c in row.nonzero().flatten().tolist()] for row in matrix]
    out: dict[int, Weighted] = defaultdict(list)
    for k, (scalar, leg) in enumerate(keys):
        for channel, weight in used[leg]:
            out[scalar * scalars.n_channels + channel].append((k, weight))
    return out


def slopes_of(scalars: Scalars, plan: Tables, density: Tensor) -> Tensor:
    """Return the slopes of the scalars of a plan at the density (n, C), (n, F, C); the sums are kept."""
    if scalars not in known_slopes:
        known_slopes[scalars] = MomentSlopes(scalars, plan)
    return known_slopes[scalars].to(density.device)(scalars, density)
