"""Scalars of moments in bulk: all products of one stage at once, with atoms as the last axis.

Every scalar of up to four moments is a component, or a sum of products of two components, of moments and of pairs of
contracted moments. So there are two stages of products whatever the level: pairs, then scalars of three and four.
"""

from collections import Counter
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mdzoo.basis.cartesian import cartesian_from_harmonics
from mdzoo.basis.contraction import Contraction, Leg, Node, contractions, halves, inner_terms, terms
from mdzoo.basis.spherical import exponents
from mdzoo.ops import segment_sum

Sum = list[tuple[int, int, int]]  # (row, row, multiplicity) of each product
Plan = Counter[tuple[Node, ...]]


class Tables(NamedTuple):
    """Rows of every number: components of moments (legs), then of pairs; and the scalars as sums over these rows."""

    scalars: tuple[Contraction, ...]
    legs: list[Leg]
    pairs: list[Sum]  # over legs
    direct: list[tuple[int, int]]  # (scalar, row) of those of one and two moments
    sums: list[tuple[int, Sum]]  # (scalar, its products) of those of three and four


@cache
def tables(level: int, max_factors: int) -> Tables:
    """Return how all scalars up to a level are evaluated."""
    scalars = contractions(level, max_factors)
    known: set[Node] = set()
    plans: dict[Contraction, Plan] = {}
    for scalar in sorted(scalars, key=lambda s: len(s.moments)):
        plans[scalar] = cheapest(scalar, known)
        known |= pairs_of(plans[scalar])
    legs = [((mu, nu), e) for mu, top in enumerate(ranks(scalars)) for nu in range(top + 1) for e in exponents(nu)]
    pairs = sorted(known)
    row: dict[Node, int] = {((leg,), 0): index for index, leg in enumerate(legs)}
    row |= {pair: len(legs) + index for index, pair in enumerate(pairs)}
    inner = [[(row[(a,), 0], row[(b,), 0], m) for (a, b), m in inner_terms(pair).items()] for pair in pairs]
    direct = [(i, row[next(iter(plans[s]))[0]]) for i, s in enumerate(scalars) if len(s.moments) <= 2]
    sums = [(i, rows_of(plans[s], row)) for i, s in enumerate(scalars) if len(s.moments) > 2]
    return Tables(scalars, legs, inner, direct, sums)


def cheapest(scalar: Contraction, known: set[Node]) -> Plan:
    """Return the scalar as products of halves, parted such that few products and few pairs not yet known arise."""
    plans = [terms(scalar, parts) for parts in halves(len(scalar.moments))]
    return min(plans, key=lambda plan: len(plan) + 2 * len(pairs_of(plan) - known))


def pairs_of(plan: Plan) -> set[Node]:
    """Return the components of pairs that a plan needs."""
    return {factor for factors in plan for factor in factors if len(factor[0]) == 2}


def rows_of(plan: Plan, row: dict[Node, int]) -> Sum:
    """Return the products of a plan in numbers of rows."""
    return [(row[a], row[b], m) for (a, b), m in plan.items()]


def ranks(scalars: tuple[Contraction, ...]) -> list[int]:
    """Return the largest nu for each mu = 0, 1, ... that the scalars use."""
    moments = {moment for scalar in scalars for moment in scalar.moments}
    return [max(nu for m, nu in moments if m == mu) for mu in range(1 + max(m for m, _ in moments))]


class Moments(nn.Module):
    """Components of all moments from a density in harmonics with the same radial functions.

    Shapes: density (n, C), for each mu up to l = its highest rank -> (legs, n), in the order of `Tables.legs`.
    """

    def __init__(self, tops: list[int]) -> None:
        super().__init__()
        self.widths = [(top + 1) ** 2 for top in tops]
        self.heights = [(top + 1) * (top + 2) * (top + 3) // 6 for top in tops]
        self.register_buffer("matrix", torch.as_tensor(cartesian_from_harmonics(max(tops))), persistent=False)

    def forward(self, density: Tensor) -> Tensor:
        """Return the components, (legs, n)."""
        parts: list[Tensor] = []
        for mu, block in enumerate(density.t().split(self.widths)):
            parts.append(self.matrix[: self.heights[mu], : self.widths[mu]] @ block)
        return torch.cat(parts)

    def back(self, slopes: Tensor) -> Tensor:
        """Return the slopes by the density, (n, C), of slopes by the components, (legs, n)."""
        parts: list[Tensor] = []
        for mu, block in enumerate(slopes.split(self.heights)):
            parts.append(self.matrix[: self.heights[mu], : self.widths[mu]].t() @ block)
        return torch.cat(parts).t()


class Products(nn.Module):
    """`z_o = sum_t m_ot x_a(o,t) y_b(o,t)`: one gather for each factor, one product, one segmented sum.

    Arguments:
        sums: the terms (a, b, m) of each output.

    Shapes: x (rows, n), y (rows, n) -> (outputs, n).
    """

    def __init__(self, sums: list[Sum]) -> None:
        super().__init__()
        self.n_outputs = len(sums)
        flat = [term for terms in sums for term in terms]
        owner = [output for output, terms in enumerate(sums) for _ in terms]
        self.register_buffer("first", torch.tensor([t[0] for t in flat], dtype=torch.int64), persistent=False)
        self.register_buffer("second", torch.tensor([t[1] for t in flat], dtype=torch.int64), persistent=False)
        self.register_buffer("times", torch.tensor([t[2] for t in flat], dtype=torch.float64), persistent=False)
        self.register_buffer("owner", torch.tensor(owner, dtype=torch.int64), persistent=False)

    def products(self, x: Tensor, y: Tensor) -> Tensor:
        """Return every product of two rows, (terms, n)."""
        return x.index_select(0, self.first) * y.index_select(0, self.second)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the sums, (outputs, n)."""
        return segment_sum(self.times.unsqueeze(1) * self.products(x, y), self.owner, self.n_outputs)

    def fold(self, x: Tensor, y: Tensor, theta: Tensor) -> Tensor:
        """Return the sums times theta (outputs,), (n,)."""
        return (theta.index_select(0, self.owner) * self.times) @ self.products(x, y)

    def slopes(self, x: Tensor, left: Tensor, right: Tensor, along: Tensor) -> Tensor:
        """Return the slopes by x (rows, n) of `sum_o along_o z_o`, both factors taken from x.

        `left` and `right` are the factors (terms, n), and are overwritten; `along` is (outputs, n) or (outputs, 1).
        """
        weights = along.index_select(0, self.owner) * self.times.unsqueeze(1)
        out = torch.zeros_like(x).index_add_(0, self.first, right.mul_(weights))
        return out.index_add_(0, self.second, left.mul_(weights))


class Scalars(nn.Module):
    """All scalars of the moments: (n, C) -> (n, F), or with weights `fold -> (n,)`, where features never exist."""

    def __init__(self, level: int, max_factors: int) -> None:
        super().__init__()
        plan = tables(level, max_factors)
        self.moments = Moments(ranks(plan.scalars))
        self.pairs = Products(plan.pairs)
        self.sums = Products([terms for _, terms in plan.sums])
        self.n_channels, self.n_features = sum(self.moments.widths), len(plan.scalars)
        order = [i for i, _ in plan.direct] + [i for i, _ in plan.sums]
        self.n_direct = len(plan.direct)
        self.register_buffer("direct", torch.tensor([row for _, row in plan.direct]), persistent=False)
        self.register_buffer("order", torch.tensor(order), persistent=False)
        self.register_buffer("place", torch.argsort(torch.tensor(order)), persistent=False)

    def rows(self, legs: Tensor) -> Tensor:
        """Return the components of moments and of pairs, (rows, n)."""
        return torch.cat([legs, self.pairs(legs, legs)])

    def forward(self, density: Tensor) -> Tensor:
        """Return the scalars in the order of `contractions`, (n, F)."""
        return self.of_components(self.moments(density))

    def of_components(self, legs: Tensor) -> Tensor:
        """Return the scalars of the components of the moments (legs, n), (n, F)."""
        rows = self.rows(legs)
        found = torch.cat([rows.index_select(0, self.direct), self.sums(rows, rows)])
        return found.index_select(0, self.place).t()

    def fold(self, density: Tensor, theta: Tensor) -> Tensor:
        """Return the scalars times theta (F,), (n,)."""
        rows = self.rows(self.moments(density))
        theta = theta.index_select(0, self.order)
        direct = theta[: self.n_direct] @ rows.index_select(0, self.direct)
        return direct + self.sums.fold(rows, rows, theta[self.n_direct :])

    def slopes(self, density: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scalars times theta (F, n) or (F, 1), (n,), and their slopes by the density, (n, C); no graph."""
        legs = self.moments(density)
        first, second = legs.index_select(0, self.pairs.first), legs.index_select(0, self.pairs.second)
        pairs = segment_sum(
            (first * second).mul_(self.pairs.times.unsqueeze(1)), self.pairs.owner, self.pairs.n_outputs
        )
        rows = torch.cat([legs, pairs])
        theta = theta.index_select(0, self.order)
        left, right = rows.index_select(0, self.sums.first), rows.index_select(0, self.sums.second)
        along = theta[self.n_direct :].index_select(0, self.sums.owner) * self.sums.times.unsqueeze(1)
        energies = (theta[: self.n_direct] * rows.index_select(0, self.direct)).sum(0) + (left * right * along).sum(0)
        slopes = self.sums.slopes(rows, left, right, theta[self.n_direct :])
        slopes.index_add_(0, self.direct, theta[: self.n_direct].expand(-1, rows.shape[1]))
        by_legs = slopes[: legs.shape[0]] + self.pairs.slopes(legs, first, second, slopes[legs.shape[0] :])
        return energies, self.moments.back(by_legs)
