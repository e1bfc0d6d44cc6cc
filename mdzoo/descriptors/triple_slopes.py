"""The slopes of all features of `SO4` by its density, for the rows of linear fits."""

import weakref
from collections import Counter, defaultdict
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mdzoo.basis.hypersphere import Harmonics, rotation_rule
from mdzoo.descriptors.triple_products import TripleProducts

known_slopes: "weakref.WeakKeyDictionary[TripleProducts, TripleSlopes]" = weakref.WeakKeyDictionary()

CHUNK = 64
"""Atoms in one pass."""


class Job(NamedTuple):
    """What one rule does for one channel."""

    rule: int
    channel: int
    pairs: list[tuple[int, int]]  # channels whose products are projected on this one
    place: Tensor  # (features of the job,) pair of each
    times: Tensor  # how often the channel stands in its triple
    feature: Tensor


class TripleSlopes(nn.Module):
    """`dB/da_{e j k} = n_j <rho rho Phi_jk> / (2j + 1)` over the other two of each triple, for all features at once.

    The product of two channels is projected on the polynomials of the third by the rule. Triples with j1 + j2 + j up to
    three quarters of the largest take a smaller rule, which halves the work.

    Arguments:
        products: what makes the features.
    """

    def __init__(self, products: TripleProducts) -> None:
        super().__init__()
        twojmax = len(products.sizes) - 1
        self.sizes, self.n_densities, self.n_features = products.sizes, products.n_densities, products.n_features
        self.spins = sorted({9 * twojmax // 8, 3 * twojmax // 2})
        norms = np.repeat(np.arange(twojmax + 1) + 1.0, self.sizes)
        for rule, spin in enumerate(self.spins):
            points, weights = rotation_rule(spin)
            table = Harmonics(twojmax).at(points).numpy() * np.cbrt(weights) / norms[:, None]
            self.register_buffer(f"table{rule}", torch.as_tensor(table), persistent=False)
        self.register_buffer("scale", products.scale, persistent=False)
        self.jobs = self.plan(products)

    def plan(self, products: TripleProducts) -> list[Job]:
        """Return for each rule and channel the pairs to project, and which feature takes which of them."""
        found: dict[tuple[int, int], list[tuple[tuple[int, int], int]]] = defaultdict(list)
        number = {c: k for k, c in enumerate(product(range(self.n_densities), range(len(self.sizes))))}
        for feature, (e, js) in enumerate(products.features):
            rule = next(k for k, spin in enumerate(self.spins) if sum(js) <= 2 * spin)
            members = [number[c] for c in zip(e, js, strict=True)]
            for k, third in enumerate(members):
                first, second = sorted(members[:k] + members[k + 1 :])
                found[rule, third].append(((first, second), feature))
        jobs = []
        for (rule, channel), uses in sorted(found.items()):
            pairs = sorted({pair for pair, _ in uses})
            counts = Counter(uses)  # a channel that stands twice in a triple
            place = torch.tensor([pairs.index(pair) for pair, _ in counts])
            times = torch.tensor(list(counts.values()), dtype=torch.float64)
            features = torch.tensor([feature for _, feature in counts])
            jobs.append(Job(rule, channel, pairs, place, times, features))
        return jobs

    @torch.no_grad()
    def forward(self, density: Tensor) -> Tensor:
        """Return the slopes of the features by the density with the central atom in it, (n, C, F)."""
        out = density.new_zeros(self.n_features, density.shape[0], density.shape[1])
        for chunk, slopes in zip(density.split(CHUNK), out.split(CHUNK, 1), strict=True):
            for rule in range(len(self.spins)):
                self.add(chunk, rule, slopes)
        return out.mul_(self.scale.view(-1, 1, 1)).permute(1, 2, 0)

    def add(self, density: Tensor, rule: int, slopes: Tensor) -> None:
        """Add what the triples of one rule make."""
        tables = getattr(self, f"table{rule}").split(self.sizes)
        blocks = [b for rho in density.split(sum(self.sizes), 1) for b in rho.split(self.sizes, 1)]
        values = torch.stack([b @ tables[k % len(tables)] for k, b in enumerate(blocks)])
        own = slopes.split(self.sizes * self.n_densities, 2)
        for job in self.jobs:
            if job.rule == rule:
                rows = values.new_empty(len(job.pairs), *values.shape[1:])
                for row, (first, second) in zip(rows, job.pairs, strict=True):
                    torch.mul(values[first], values[second], out=row)
                projected = (rows.flatten(0, 1) @ tables[job.channel % len(tables)].T).view(*rows.shape[:2], -1)
                own[job.channel][job.feature] = projected[job.place] * job.times.to(projected).view(-1, 1, 1)


def slopes_of(products: TripleProducts, density: Tensor) -> Tensor:
    """Return the slopes of the features by the density with the central atom in it, (n, C, F); the plan is kept."""
    if products not in known_slopes:
        known_slopes[products] = TripleSlopes(products)
    return known_slopes[products].to(density)(density)
