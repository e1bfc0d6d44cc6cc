"""The slopes of all features of `SO4` by its density, and of the features by places, for the rows of linear fits."""

import math
import weakref
from collections import Counter
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mdzoo.basis.hypersphere import Harmonics, rotation_rule
from mdzoo.descriptors.expansion import laid
from mdzoo.descriptors.hypersphere_slopes import edge_rows, polynomial_slopes, rooms_like
from mdzoo.descriptors.slopes import fresh
from mdzoo.descriptors.triple_products import TripleProducts
from mdzoo.graph import Graph
from mdzoo.ops import pad, padding

known_slopes: "weakref.WeakKeyDictionary[TripleProducts, TripleSlopes]" = weakref.WeakKeyDictionary()

CHUNK = 128
"""Atoms in one pass: enough that calls do not count, few enough for the cache."""
NUMBERS = 1 << 21
"""Slopes of rows in one pass, at most, for several densities have many rows."""


class Job(NamedTuple):
    """The product of two channels, projected by one rule on consecutive spins of one parity."""

    pair: tuple[int, int]  # channels
    rule: int
    spins: list[int]


class Use(NamedTuple):
    """How a feature changes with one of its channels: `factor` times the projection of the other two on its spin."""

    density: int
    spin: int
    pair: tuple[int, int]
    factor: float


class TripleSlopes(nn.Module):
    """`dB/da_{e j k} = n_j <rho rho Phi_jk> / (2j + 1)` over the other two of each triple, for all features at once.

    The product of two channels is projected on the polynomials of the third by the rule. Triples with j1 + j2 + j up to
    three quarters of the largest take a smaller rule, which halves the work. Each spin has one row for each pair that
    it meets; a feature takes up to three rows.

    Arguments:
        products: what makes the features.
    """

    densities: Tensor
    of_feature: Tensor
    factors: Tensor

    def __init__(self, products: TripleProducts) -> None:
        super().__init__()
        twojmax = len(products.sizes) - 1
        self.sizes, self.n_densities, self.n_features = products.sizes, products.n_densities, products.n_features
        self.rules = sorted({9 * twojmax // 8, 3 * twojmax // 2})
        norms = np.repeat(np.arange(twojmax + 1) + 1.0, self.sizes)
        by_parity = [j for odd in (0, 1) for j in range(odd, twojmax + 1, 2)]
        for rule, spin in enumerate(self.rules):
            points, weights = rotation_rule(spin)
            table = torch.as_tensor(Harmonics(twojmax).at(points).numpy() * np.cbrt(weights) / norms[:, None])
            self.register_buffer(f"table{rule}", table, persistent=False)
            parts = table.split(self.sizes)
            self.register_buffer(f"sorted{rule}", torch.cat([parts[j] for j in by_parity]), persistent=False)
        self.starts = {j: sum(self.sizes[i] for i in by_parity[: by_parity.index(j)]) for j in by_parity}
        self.plan(products)

    def plan(self, products: TripleProducts) -> None:
        """Note which pairs are projected on which spins, and what each feature takes of that."""
        uses, rule_of = [], {}
        for (e, js), scale in zip(products.features, products.scale.tolist(), strict=True):
            members = [density * len(self.sizes) + j for density, j in zip(e, js, strict=True)]
            mine = []
            for third, times in Counter(members).items():  # a channel may stand twice in a triple
                k = members.index(third)
                first, second = sorted(members[:k] + members[k + 1 :])
                mine.append(Use(*divmod(third, len(self.sizes)), (first, second), times * scale))
                rule_of[mine[-1].spin, (first, second)] = next(r for r, q in enumerate(self.rules) if sum(js) <= 2 * q)
            uses.append(mine)
        order = sorted(rule_of)  # rows by spin, then by pair
        self.counts = [sum(spin == j for spin, _ in order) for j in range(len(self.sizes))]
        found = sorted((pair, rule, spin) for (spin, pair), rule in rule_of.items())
        self.jobs = [
            Job(pair, rule, [row[2] for row in rows]) for (pair, rule), rows in groupby(found, lambda row: row[:2])
        ]
        place = {row: k for k, row in enumerate(order)}
        nothing = (0, len(order), 0.0)
        rows = [[(u.density, place[u.spin, u.pair], u.factor) for u in mine] for mine in uses]
        filled = [mine + [nothing] * (3 - len(mine)) for mine in rows]
        columns = torch.tensor(filled, dtype=torch.float64).permute(2, 1, 0)
        self.register_buffer("densities", columns[0].long(), persistent=False)  # (3, F)
        self.register_buffer("of_feature", columns[1].long(), persistent=False)
        self.register_buffer("factors", columns[2].contiguous().view(3, -1, 1, 1), persistent=False)

    @torch.no_grad()
    def rows(self, density: Tensor) -> list[Tensor]:
        """Return the rows of each spin, (rows, n, K), of the density with the central atom in it."""
        values = [self.on_points(density, rule) for rule in range(len(self.rules))]
        rooms = [torch.empty_like(points[0]) for points in values]
        parts: list[list[Tensor]] = [[] for _ in self.counts]
        for (first, second), rule, spins in self.jobs:
            both = torch.mul(values[rule][first], values[rule][second], out=rooms[rule])
            start, stop = self.starts[spins[0]], self.starts[spins[-1]] + self.sizes[spins[-1]]
            found = both @ getattr(self, f"sorted{rule}")[start:stop].T
            for spin, part in zip(spins, found.split([self.sizes[spin] for spin in spins], 1), strict=True):
                parts[spin].append(part)
        return [torch.stack(part) for part in parts]

    def on_points(self, density: Tensor, rule: int) -> list[Tensor]:
        """Return the channels at the points of a rule, each (n, Q)."""
        tables = getattr(self, f"table{rule}").split(self.sizes) * self.n_densities
        return [a @ table for a, table in zip(self.channels(density), tables, strict=True)]

    def channels(self, density: Tensor, dim: int = 1) -> tuple[Tensor, ...]:
        """Return the part of each channel, (n, K)."""
        return density.split(self.sizes * self.n_densities, dim)

    def forward(self, density: Tensor) -> Tensor:
        """Return the slopes of the features by the density with the central atom in it, (n, C, F)."""
        out = density.new_zeros(self.n_features, density.shape[0], density.shape[1])
        firsts = np.cumsum([0, *self.counts])
        for chunk, slopes in zip(density.split(CHUNK), out.split(CHUNK, 1), strict=True):
            rows = self.rows(chunk)
            for channel, own in enumerate(self.channels(slopes, 2)):
                e, spin = divmod(channel, len(self.sizes))
                local = self.of_feature - int(firsts[spin])
                slot, mine = ((local >= 0) & (local < self.counts[spin]) & (self.densities == e)).nonzero().unbind(1)
                own.index_add_(0, mine, rows[spin][local[slot, mine]] * self.factors[slot, mine])
        return out.permute(1, 2, 0)

    def features(self, density: Tensor, rows: list[Tensor]) -> Tensor:
        """Return the features, (n, F): as they are cubic, a third of slopes times density."""
        spins = len(self.sizes)
        found, nothing = [], torch.zeros_like(density[:, :1].T)
        for e in range(self.n_densities):
            own = self.channels(density)[e * spins : (e + 1) * spins]
            found += [(row * a).sum(2) for row, a in zip(rows, own, strict=True)] + [nothing]
        place = self.densities * (sum(self.counts) + 1) + self.of_feature
        return (torch.cat(found)[place] * self.factors[..., 0]).sum(0).T / 3.0

    def along(self, rows: list[Tensor], steps: list[Tensor], kinds: Tensor, every: Tensor) -> Tensor:
        """Return the slopes of the features by the places of neighbours, (n, F, 3, J).

        Arguments:
            rows: of each spin.
            steps: the slopes of what a neighbour adds to each spin of its density, (K, 3, n * J).
            kinds: (n, J), the density of each neighbour.
            every: room for the slopes by each row, (n, densities, rows + 1, 3, J), the last row zero.
        """
        n, width = kinds.shape
        room = steps[-1].new_empty(steps[-1].numel())
        found = every[:, 0].flatten(2)
        for row, step, out in zip(rows, steps, found[:, :-1].split(self.counts, 1), strict=True):
            right = room[: step.numel()].view(n, -1, 3, width)  # long rows make the product faster
            right.copy_(step.unflatten(2, (n, width)).permute(2, 0, 1, 3))
            torch.bmm(row.transpose(0, 1), right.flatten(2), out=out)
        if self.n_densities > 1:
            mine = kinds.unsqueeze(1) == torch.arange(self.n_densities, device=kinds.device).view(-1, 1)
            every.copy_(every[:, :1] * mine[:, :, None, None])
        n_rows = every[0].numel() // (3 * width)
        place = (
            n_rows * torch.arange(n, device=kinds.device).view(-1, 1, 1)
            + (self.densities * every.shape[2] + self.of_feature).T
        )
        weights = self.factors[..., 0, 0].T.expand_as(place)
        flat = [tensor.flatten(0, 1).contiguous() for tensor in (place, weights)]
        total = nn.functional.embedding_bag(flat[0], every.view(n * n_rows, -1), mode="sum", per_sample_weights=flat[1])
        return total.view(n, -1, 3, width)


def slopes_of(products: TripleProducts, like: Tensor) -> TripleSlopes:
    """Return the plan of the slopes, which is kept, in the dtype of `like`."""
    if products not in known_slopes:
        known_slopes[products] = TripleSlopes(products)
    return known_slopes[products].to(like)


def slopes_by_places(so4: Any, graph: Graph) -> tuple[Tensor, Tensor]:
    """Return the features, (n, F), and dB_i/dr_ij, (n, J, 3, F), in the table of `mdzoo.ops.padding`."""
    layout = padding(graph.centers)
    n, width, _ = layout
    around = laid(graph, 2.0 * so4.cutoff, layout)
    there = pad(graph.species[graph.neighbors], layout, torch.zeros_like(layout.slots[0]))
    here = graph.species[:n].repeat_interleave(width)
    units = torch.stack([around.x, around.y, around.z])
    density, zero = so4.whole(so4.density(graph))
    plan, features = slopes_of(so4.products, density), density.new_empty(n, so4.n_features)
    slopes = fresh((n, width, 3, so4.n_features), density)
    row_counts = so4.n_densities, sum(plan.counts) + 1, 3, width
    size = max(1, min(CHUNK, n, NUMBERS // math.prod(row_counts)))
    # room for all chunks: new memory costs more than the arithmetic
    room, every = rooms_like(so4, units[:, : size * width]), fresh((size, *row_counts), density).zero_()
    for first in range(0, n, size):
        last = min(first + size, n)
        mine = slice(first * width, last * width)
        rows = plan.rows(density[first:last])
        features[first:last] = plan.features(density[first:last], rows)
        edges = edge_rows(so4, around.r[mine], units[:, mine].contiguous(), here[mine], there[mine])
        steps = polynomial_slopes(so4, edges, [spin[..., : (last - first) * width] for spin in room])
        found = plan.along(rows, steps, there[mine].view(-1, width), every[: last - first])
        slopes[first:last] = found.permute(0, 3, 2, 1)
    return features - zero, slopes
