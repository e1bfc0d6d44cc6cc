"""The slopes of all features of `SO4` by its density, and of the features by places, for the rows of linear fits."""

import weakref
from collections import Counter
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mdzoo.descriptors.expansion import laid
from mdzoo.descriptors.hypersphere_slopes import factors, polynomial_slopes, room_for
from mdzoo.descriptors.slopes import fresh
from mdzoo.descriptors.triple_products import TripleProducts
from mdzoo.descriptors.triple_projection import ByAngles, ByPoints, projection
from mdzoo.graph import Graph
from mdzoo.ops import pad, padding

known_slopes: "weakref.WeakKeyDictionary[TripleProducts, TripleSlopes]" = weakref.WeakKeyDictionary()

PIECE = 32
"""Atoms whose rows meet their neighbours in one pass: few enough for the cache."""
NUMBERS = 1 << 21
"""Slopes of rows in one piece, at most, for several densities have many rows."""


class Job(NamedTuple):
    """The product of two channels, projected by one rule on consecutive spins of one parity."""

    pair: tuple[int, int]  # channels
    rule: int
    rows: list[tuple[int, int]]  # spin and place among the rows of this spin


class Use(NamedTuple):
    """How a feature changes with one of its channels: `factor` times the projection of the other two on its spin."""

    density: int
    spin: int
    pair: tuple[int, int]
    factor: float


class TripleSlopes(nn.Module):
    """`dB/da_{e j k} = n_j <rho rho Phi_jk> / (2j + 1)` over the other two of each triple, for all features at once.

    The product of two channels is projected on the polynomials of the third (`triple_projection`). Each spin has one
    row for each pair that it meets; a feature takes up to three rows.

    Arguments:
        products: what makes the features.
    """

    densities: Tensor
    of_feature: Tensor
    factors: Tensor
    firsts: Tensor
    counted: Tensor

    def __init__(self, products: TripleProducts) -> None:
        super().__init__()
        self.sizes, self.n_densities, self.n_features = products.sizes, products.n_densities, products.n_features
        self.projection = projection(len(products.sizes) - 1)
        self.plan(products)

    def plan(self, products: TripleProducts) -> None:
        """Note which pairs are projected on which spins, and what each feature takes of that."""
        uses, degrees = [], {}
        for (e, js), scale in zip(products.features, products.scale.tolist(), strict=True):
            members = [density * len(self.sizes) + j for density, j in zip(e, js, strict=True)]
            mine = []
            for third, times in Counter(members).items():  # a channel may stand twice in a triple
                k = members.index(third)
                first, second = sorted(members[:k] + members[k + 1 :])
                mine.append(Use(*divmod(third, len(self.sizes)), (first, second), times * scale))
                degrees[mine[-1].spin, (first, second)] = sum(js)
            uses.append(mine)
        order = sorted(degrees)  # rows by spin, then by pair
        self.counts = [sum(spin == j for spin, _ in order) for j in range(len(self.sizes))]
        firsts = np.cumsum([0, *self.counts]).tolist()
        for name, numbers in (("firsts", firsts[:-1]), ("counted", self.counts)):  # of the spin of each row
            self.register_buffer(name, torch.tensor(np.repeat(numbers, self.counts)), persistent=False)
        place = {row: k for k, row in enumerate(order)}
        self.jobs = jobs_of({row: (degrees[row], place[row] - firsts[row[0]]) for row in order}, self.projection)
        self.needed = sorted({(rule, channel) for pair, rule, _ in self.jobs for channel in pair})
        nothing = (0, 0, 0.0)
        rows = [[(u.density, place[u.spin, u.pair], u.factor) for u in mine] for mine in uses]
        filled = [mine + [nothing] * (3 - len(mine)) for mine in rows]
        columns = torch.tensor(filled, dtype=torch.float64).permute(2, 1, 0)
        self.register_buffer("densities", columns[0].long(), persistent=False)  # (3, F)
        self.register_buffer("of_feature", columns[1].long(), persistent=False)
        self.register_buffer("factors", columns[2].contiguous().view(3, -1, 1, 1), persistent=False)

    @torch.no_grad()
    def rows(self, density: Tensor) -> list[Tensor]:
        """Return the rows of each spin, (rows, n, K), of the density with the central atom in it."""
        parts, spins = self.channels(density), len(self.sizes)
        values = {(rule, c): self.projection.values(parts[c], rule, c % spins) for rule, c in self.needed}
        rooms = {rule: torch.empty_like(points) for (rule, _), points in values.items()}
        room = density.new_empty(density.numel())
        found = [
            density.new_empty(count, len(density), size) for count, size in zip(self.counts, self.sizes, strict=True)
        ]
        for (first, second), rule, rows in self.jobs:
            both = torch.mul(values[rule, first], values[rule, second], out=rooms[rule])
            projected = self.projection.project(both, rule, [spin for spin, _ in rows], room)
            for (spin, place), part in zip(rows, projected, strict=True):
                found[spin][place] = part
        return found

    def channels(self, density: Tensor, dim: int = 1) -> tuple[Tensor, ...]:
        """Return the part of each channel, (n, K)."""
        return density.split(self.sizes * self.n_densities, dim)

    def forward(self, density: Tensor) -> Tensor:
        """Return the slopes of the features by the density with the central atom in it, (n, C, F)."""
        out = density.new_zeros(self.n_features, density.shape[0], density.shape[1])
        firsts = np.cumsum([0, *self.counts])
        size = self.projection.chunk
        for chunk, slopes in zip(density.split(size), out.split(size, 1), strict=True):
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
        found: list[Tensor] = []
        for e in range(self.n_densities):
            own = self.channels(density)[e * spins : (e + 1) * spins]
            found += [(row * a).sum(2) for row, a in zip(rows, own, strict=True)]
        place = self.densities * sum(self.counts) + self.of_feature
        return (torch.cat(found)[place] * self.factors[..., 0]).sum(0).T / 3.0

    def along(self, rows: list[Tensor], steps: Tensor, kinds: Tensor, room: Tensor) -> Tensor:
        """Return the slopes of the features by the places of neighbours, (n, F, 3, J).

        Arguments:
            rows: of each spin.
            steps: the slopes of what a neighbour adds to each polynomial of its density, (n, J, lm, 3 * J).
            kinds: (n, J), the density of each neighbour.
            room: for the slopes by all rows, densities * n * rows * 3 * J numbers.
        """
        n, width = kinds.shape
        every = room.view(self.n_densities, -1, 3 * width)
        blocks = every.split([n * count for count in self.counts], 1)
        for spin, (row, block) in enumerate(zip(rows, blocks, strict=True)):
            out = block[0].view(n, -1, 3 * width)  # the product is fast where this is contiguous
            torch.bmm(row.transpose(0, 1), steps[:, spin, : self.sizes[spin]], out=out)
            for kind in reversed(range(self.n_densities if self.n_densities > 1 else 0)):
                mine = (kinds == kind).to(out.dtype).repeat(1, 3).unsqueeze(1)
                torch.mul(out, mine, out=block[kind].view_as(out))
        firsts, counts = self.firsts[self.of_feature], self.counted[self.of_feature]
        atoms = torch.arange(n, device=kinds.device).view(-1, 1, 1)
        place = (self.densities * every.shape[1] + self.of_feature + (n - 1) * firsts + atoms * counts).mT
        weights = self.factors[..., 0, 0].T.expand_as(place)
        flat = [tensor.flatten(0, 1).contiguous() for tensor in (place, weights)]
        total = nn.functional.embedding_bag(flat[0], every.flatten(0, 1), mode="sum", per_sample_weights=flat[1])
        return total.view(n, -1, 3, width)


def jobs_of(rows: dict[tuple[int, tuple[int, int]], tuple[int, int]], projection: ByPoints | ByAngles) -> list[Job]:
    """Return the products of all rows, (spin, pair): (2 (j1 + j2 + j), place), each with a rule exact for it."""
    largest: dict[tuple[int, int], int] = {}
    for (_, pair), (degree, _) in rows.items():
        largest[pair] = max(degree, largest.get(pair, 0))
    found = []
    for (spin, pair), (degree, place) in rows.items():
        needed = largest[pair] if projection.one_for_all else degree
        found.append((pair, next(r for r, q in enumerate(projection.rules) if needed <= 2 * q), spin, place))
    groups = groupby(sorted(found), lambda row: row[:2])
    return [Job(pair, rule, [row[2:] for row in some]) for (pair, rule), some in groups]


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
    here, units = graph.species[:n].repeat_interleave(width), torch.stack([around.x, around.y, around.z])
    density, zero = so4.whole(so4.density(graph))
    plan, features = slopes_of(so4.products, density), density.new_empty(n, so4.n_features)
    slopes = fresh((n, width, 3, so4.n_features), density)
    numbers = so4.n_densities * sum(plan.counts) * 3 * width
    most = max(1, numbers, len(plan.sizes) * plan.sizes[-1] * 3 * width)  # of rows, and of `room_for`
    size = max(1, min(PIECE, n, NUMBERS // most))
    # room for all pieces: new memory costs more than the arithmetic
    steps, room = room_for(so4, size, width, density), fresh((size * numbers,), density)
    several = plan.projection.chunk
    for first in range(0, n, several):
        last = min(first + several, n)
        chunk = slice(first, last)
        rows = plan.rows(density[chunk])
        features[chunk] = plan.features(density[chunk], rows)
        edges = slice(first * width, last * width)
        every = factors(so4, around.r[edges], units[:, edges], here[edges], there[edges])
        for start in range(0, last - first, size):
            stop = min(start + size, last - first)
            own, kinds = steps[: stop - start], there[edges].view(-1, width)[start:stop]
            polynomial_slopes(every.part(start * width, stop * width), own)
            mine = [row[:, start:stop] for row in rows]
            found = plan.along(mine, own.flatten(3), kinds, room[: (stop - start) * numbers])
            slopes[first + start : first + stop] = found.permute(0, 3, 2, 1)
    return features - zero, slopes
