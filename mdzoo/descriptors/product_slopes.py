"""The derivatives of symmetric products by the coefficients of the density: what rows of linear fits are made of.

A term `value * z_i . z_j` is bilinear in its nodes and a pair `y = C a_1 a_2` in its factors, so each term gives one
block of slopes for each of its factors; functions are not differentiated along channels that they do not have.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Side(NamedTuple):
    """Terms of one bin whose node on one side stands in a range of rows."""

    feature: Tensor  # (T,)
    row: Tensor  # (T,) of that node, counted from the start of the range
    along: Tensor  # (2L + 1, T, n) value times the node of the other side


class Slopes:
    """Collects `dB/da`, kept as (channels * lm * F, n)."""

    def __init__(self, products: Any, density: Tensor) -> None:
        self.products = products
        self.a = products.share(density)
        self.blocks = self.a.split(products.share.widths)
        self.z = products.rows(density)
        self.n_lm, self.n_channels, n = self.a.shape
        self.out = density.new_zeros(self.n_channels * self.n_lm * products.n_features, n)

    def add(self, order: int, channel: Tensor, feature: Tensor, values: Tensor) -> None:
        """Add values (2l + 1, T, n) to the slopes of T features by channels of one l."""
        lm = torch.arange(order * order, (order + 1) * (order + 1), device=channel.device).unsqueeze(1)
        index = (channel * self.n_lm + lm) * self.products.n_features + feature
        self.out.index_add_(0, index.flatten(), values.flatten(0, 1))

    def sides(self, place: int, first: int, last: int) -> Iterator[Side]:
        """Yield for either side the terms of a bin with their node in the rows [first, last)."""
        p = self.products
        start = p.n_singles + sum(p.counts[:place])
        mine = slice(start, start + p.counts[place])
        for near, far in ((p.left[mine], p.right[mine]), (p.right[mine], p.left[mine])):
            here = ((near >= first) & (near < last)).nonzero().squeeze(-1)
            along = p.value[mine][here].view(-1, 1, 1) * self.z[place][far[here]]
            yield Side(p.feature[mine][here], near[here] - first, along.transpose(0, 1))

    def add_leaves(self) -> None:
        """Add what the leaves contribute."""
        p, n = self.products, self.products.n_singles
        ones = p.value[:n].view(1, -1, 1).expand(1, n, self.a.shape[2])
        self.add(0, p.left[:n], p.feature[:n], ones)
        for place, order in enumerate(p.orders):
            for side in self.sides(place, 0, p.leaves[place]):
                self.add(order, side.row, side.feature, side.along)

    def add_pairs(self, pairs: Any, starts: list[int]) -> None:
        """Add what the pairs of one group contribute; `starts` are their first rows and move behind them."""
        for place, couple in zip(pairs.bins, pairs.matrix.split(pairs.heights), strict=True):
            table = couple.view(-1, 2 * pairs.l1 + 1, 2 * pairs.l2 + 1).to(self.out)
            first, starts[place] = starts[place], starts[place] + len(pairs.first)
            for side in self.sides(place, first, starts[place]):
                c1, c2 = pairs.first[side.row], pairs.second[side.row]
                by_first = through(table.transpose(0, 1), side.along, self.blocks[pairs.l2][:, c2])
                by_second = through(table.permute(2, 0, 1), side.along, self.blocks[pairs.l1][:, c1])
                self.add(pairs.l1, c1, side.feature, by_first)
                self.add(pairs.l2, c2, side.feature, by_second)


def through(table: Tensor, along: Tensor, other: Tensor) -> Tensor:
    """Return `sum_Mv table_uMv along_Mtn other_vtn`, (2l + 1, T, n)."""
    outer = along.unsqueeze(1) * other
    return (table.flatten(1) @ outer.flatten(2).flatten(0, 1)).view(table.shape[0], *along.shape[1:])


def slopes(products: Any, density: Tensor) -> Tensor:
    """Return the derivatives of the features of `SymmetricProducts` by its channels, (n, C * lm, F)."""
    found = Slopes(products, density)
    found.add_leaves()
    starts = list(products.leaves)
    for pairs in products.pairs:
        found.add_pairs(pairs, starts)
    return found.out.view(found.n_channels * found.n_lm, products.n_features, -1).permute(2, 0, 1)
