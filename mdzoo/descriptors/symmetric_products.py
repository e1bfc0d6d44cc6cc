"""How all invariant products of a density are evaluated: pairs once, then one matrix product for each L and parity.

For each L and parity the rows `z_L = (a_{c L}; y_{p L})`, coefficients and coupled pairs, are a matrix with (M, atoms)
as its columns. Functions of order 2 to 4 are scalar products of two rows; with weights they are quadratic forms
`sum_L <z_L, W_L z_L>`, and neither features nor products of more than two coefficients exist.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from mdzoo.basis.coupling import coupling
from mdzoo.descriptors.invariant_functions import Function
from mdzoo.descriptors.invariants import Share
from mdzoo.descriptors.product_plan import Group, Plan, plan
from mdzoo.descriptors.product_slopes import slopes


class Pairs(nn.Module):
    """`y_{p L M} = sum C^{l1 l2 L}_{m1 m2 M} a_{c1 l1 m1} a_{c2 l2 m2}` for pairs p = (c1, c2) of one (l1, l2).

    Shapes: coefficients of each l (2l + 1, C, n) -> for each L of the group (2L + 1, pairs, n).
    """

    def __init__(self, group: Group) -> None:
        super().__init__()
        self.l1, self.l2, self.bins = group.l1, group.l2, group.bins
        self.heights = [2 * order + 1 for order in group.orders]
        matrix = [coupling(self.l1, self.l2, order).reshape(-1, 2 * order + 1).T for order in group.orders]
        self.register_buffer("matrix", torch.tensor(np.concatenate(matrix)), persistent=False)
        self.register_buffer("first", torch.tensor([c1 for c1, _ in group.channels]), persistent=False)
        self.register_buffer("second", torch.tensor([c2 for _, c2 in group.channels]), persistent=False)

    def forward(self, blocks: list[Tensor]) -> list[Tensor]:
        """Return y of each L."""
        left = blocks[self.l1].index_select(1, self.first)
        right = blocks[self.l2].index_select(1, self.second)
        if self.l1 == 0:
            return [left * right]
        products = left.unsqueeze(1) * right
        y = self.matrix @ products.flatten(2).flatten(0, 1)
        return list(y.view(-1, right.shape[1], right.shape[2]).split(self.heights))


class SymmetricProducts(nn.Module):
    """The invariants of a list of functions, of a density of `n_species * k_all` channels and l up to `l_all`.

    Shapes: density (n, species * K * (L + 1)^2) -> features (n, F); with weights (F,), `fold` -> (n,).
    """

    def __init__(self, n_species: int, k_all: int, l_all: int, functions: Sequence[Function]) -> None:
        super().__init__()
        self.share = Share(n_species, k_all, l_all, k_all, l_all)
        self.n_features = len(functions)
        self.factors = [function.factors for function in functions]
        self.numbers = [function.number for function in functions]
        made = plan(functions, self.share.n_channels, l_all)
        self.pairs = nn.ModuleList([Pairs(group) for group in made.groups])
        self.orders = [entry.order for entry in made.bins]
        self.leaves = [entry.leaves for entry in made.bins]
        self.shared = [entry.shared for entry in made.bins]
        self.sizes: list[int] = [self.leaves[0]]
        for entry in made.bins:
            self.sizes += [entry.leaves * entry.rows, (entry.shared - entry.leaves) ** 2]
        self.counts = [0] * len(made.bins)
        self.set_terms(functions, made)

    @torch.jit.unused
    def set_terms(self, functions: Sequence[Function], made: Plan) -> None:
        """Register the terms of all functions, bin by bin: rows, value, feature and place among the weights."""
        starts = np.cumsum([0, *self.sizes])
        terms: list[tuple[int, int, int, float, int, int]] = []
        singles: list[tuple[int, int, int, float, int, int]] = []
        for f, function in enumerate(functions):
            for left, right, value in function.terms:
                b, i = made.places[left]
                if right is None:
                    singles.append((-1, i, i, value, f, i))
                    continue
                j, entry = made.places[right][1], made.bins[b]
                width, part, skip = (entry.rows, 1, 0) if len(left.factors) == 1 else (entry.shared, 2, entry.leaves)
                place = starts[2 * b + part] + (i - skip) * (width - skip) + j - skip
                terms.append((b, i, j, value, f, int(place)))
                self.counts[b] += 1
        rows = singles + sorted(terms)
        self.n_singles = len(singles)
        for column, name in ((1, "left"), (2, "right"), (4, "feature"), (5, "place")):
            self.register_buffer(name, torch.tensor([row[column] for row in rows]), persistent=False)
        values = torch.tensor([row[3] for row in rows], dtype=torch.float64)
        self.register_buffer("value", values, persistent=False)

    def rows(self, density: Tensor) -> list[Tensor]:
        """Return z of each bin, (rows, 2L + 1, n)."""
        a = self.share(density)
        blocks: list[Tensor] = list(a.split(self.share.widths))
        parts: list[list[Tensor]] = []
        for order, n_leaves in zip(self.orders, self.leaves):  # noqa: B905 - TorchScript
            none: list[Tensor] = []
            parts.append([blocks[order].transpose(0, 1)] if n_leaves > 0 else none)
        for pairs in self.pairs:
            for place, y in zip(pairs.bins, pairs(blocks)):  # noqa: B905 - TorchScript
                parts[place].append(y.transpose(0, 1))
        return [torch.cat(part) for part in parts]

    def forward(self, density: Tensor) -> Tensor:
        """Return the features, (n, F)."""
        z = self.rows(density)
        first = self.n_singles
        products: list[Tensor] = [z[0][:, 0].index_select(0, self.left[:first])]
        for rows, count in zip(z, self.counts):  # noqa: B905 - TorchScript
            last = first + count
            left = rows.index_select(0, self.left[first:last])
            products.append((left * rows.index_select(0, self.right[first:last])).sum(1))
            first = last
        terms = self.value.unsqueeze(1) * torch.cat(products)
        features = torch.zeros([self.n_features, density.shape[0]], dtype=density.dtype, device=density.device)
        return features.index_add(0, self.feature, terms).t()

    def fold(self, density: Tensor, theta: Tensor) -> Tensor:
        """Return the features times theta (F,), (n,)."""
        weights = torch.zeros([sum(self.sizes)], dtype=theta.dtype, device=theta.device)
        weights = weights.index_add(0, self.place, self.value * theta.index_select(0, self.feature))
        blocks = weights.split(self.sizes)
        z = self.rows(density)
        out = blocks[0] @ z[0][: self.leaves[0], 0]
        for b, rows in enumerate(z):
            c, q = self.leaves[b], self.shared[b]
            flat = rows.flatten(1)
            found = torch.zeros_like(flat[0])
            if c > 0:
                found = found + (flat[:c] * (blocks[2 * b + 1].view(c, -1) @ flat)).sum(0)
            if q > c:
                middle = flat[c:q]
                found = found + (middle * (blocks[2 * b + 2].view(q - c, q - c) @ middle)).sum(0)
            out = out + found.view(2 * self.orders[b] + 1, -1).sum(0)
        return out

    @torch.jit.unused
    def slopes(self, density: Tensor) -> Tensor:
        """Return the derivatives of the features by the channels of the density, (n, C * lm, F)."""
        return slopes(self, density)

    def labels(self) -> list[str]:
        """Return names such as `B3[k1=1,l1=2,k2=1,l2=1,k3=2,l3=1]`; k is species.k with several species."""
        k = self.share.names()
        out: list[str] = []
        for factors, number in zip(self.factors, self.numbers, strict=True):
            names = [f"k{i}={k[c]},l{i}={order}" for i, (c, order) in enumerate(factors, 1)]
            out.append(f"B{len(factors)}[{','.join(names)}{f',i={number}' if len(factors) == 4 else ''}]")
        return out
