"""Averages of products of three functions of a rotation: what `SO4` makes of its density."""

from itertools import product

import numpy as np
import torch
from torch import Tensor, nn

from mdzoo.basis.hypersphere import harmonics, rotation_rule

CHUNK = 32
"""Atoms in one pass: about what the cache holds of their functions on the points."""


def triples(twojmax: int) -> list[tuple[int, int, int]]:
    """Return all (2 j1, 2 j2, 2 j), j >= j1 >= j2, with the triangle rule and a whole sum, in the order of LAMMPS."""
    return [
        (j1, j2, j)
        for j1 in range(twojmax + 1)
        for j2 in range(j1 + 1)
        for j in range(j1 - j2, min(twojmax, j1 + j2) + 1, 2)
        if j >= j1
    ]


class TripleProducts(nn.Module):
    """`B = n_j <rho_{e1 j1} rho_{e2 j2} rho_{e3 j}>`, the average over all rotations, by a rule exact for it.

    At the points q of the rule `rho_{e j}(q) = sum_k a_{e j k} Phi_{j k}(q) / (2j + 1)`, a product with a constant
    matrix. A channel is (e, j), even or odd by 2j. As j1 + j2 + j is whole, none or two of a triple are odd: pairs of
    like channels have an even third, mixed pairs an odd one.

    Arguments:
        n_densities: number of e.
        twojmax: largest 2j.
        normalised: n_j = 1 instead of 2j + 1.
    """

    def __init__(self, n_densities: int, twojmax: int, normalised: bool) -> None:
        super().__init__()
        points, weights = rotation_rule(3 * twojmax // 2)
        _, _, values = harmonics(twojmax, points, weights)
        self.sizes = [(twoj + 1) ** 2 for twoj in range(twojmax + 1)]
        norms = np.repeat(np.arange(twojmax + 1) + 1.0, self.sizes)
        table = values * np.cbrt(weights) / norms[:, None]  # a product of three carries the weight
        self.register_buffer("table", torch.as_tensor(table), persistent=False)
        self.chunk = CHUNK
        self.n_densities, self.n_points = n_densities, len(weights)
        self.features = list(product(product(range(n_densities), repeat=3), triples(twojmax)))
        self.n_features = len(self.features)
        scale = [1.0 if normalised else js[2] + 1.0 for _, js in self.features]
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64), persistent=False)
        self.number(twojmax)

    def number(self, twojmax: int) -> None:
        """Number even and odd channels and their pairs, and note where the features stand among the products."""
        even, odd = ([(e, j) for e in range(self.n_densities) for j in range(k, twojmax + 1, 2)] for k in (0, 1))
        same = [(a, b) for group in (even, odd) for i, a in enumerate(group) for b in group[i:]]
        mixed = list(product(even, odd))
        place = {pair: k for pairs in (same, mixed) for k, pair in enumerate(pairs)}
        own = {c: k for group in (even, odd) for k, c in enumerate(group)}
        self.n_even, self.n_odd, self.n_same, self.n_mixed = len(even), len(odd), len(same), len(mixed)
        found: dict[str, list[int]] = {"value": [], "even_place": [], "even_from": [], "odd_place": [], "odd_from": []}
        for feature, (e, js) in enumerate(self.features):
            members = list(zip(e, js, strict=True))
            for k, third in enumerate(members):
                pair = sorted(members[:k] + members[k + 1 :], key=lambda c: (c[1] % 2, c))
                kind, width = ("odd", len(mixed)) if third[1] % 2 else ("even", len(same))
                found[f"{kind}_place"].append(own[third] * width + place[tuple(pair)])
                found[f"{kind}_from"].append(feature)
                if kind == "even" and len(found["value"]) == feature:
                    found["value"].append(place[tuple(pair)] * len(even) + own[third])
        for name, numbers in found.items():
            self.register_buffer(name, torch.tensor(numbers, dtype=torch.int64), persistent=False)

    def on_points(self, density: Tensor) -> tuple[Tensor, Tensor]:
        """Return the even (channels, n, Q) and odd channels at the points, of the density (n, C)."""
        tables = self.table.split(self.sizes)
        even: list[Tensor] = []
        odd: list[Tensor] = []
        for rho in density.split(self.table.shape[0], 1):
            for twoj, block in enumerate(rho.split(self.sizes, 1)):
                if twoj % 2 == 0:
                    even.append(block @ tables[twoj])
                else:
                    odd.append(block @ tables[twoj])
        nothing = density.new_zeros([0, density.shape[0], self.n_points])
        return torch.stack(even), torch.stack(odd) if len(odd) > 0 else nothing

    def forward(self, density: Tensor) -> Tensor:
        """Return the features, (n, F)."""
        parts: list[Tensor] = []
        for chunk in density.split(self.chunk):
            even, odd = self.on_points(chunk)
            same = torch.cat([pairs(even), pairs(odd)]).transpose(0, 1)
            parts.append((same @ even.permute(1, 2, 0)).flatten(1).index_select(1, self.value))
        return torch.cat(parts) * self.scale

    def slopes_with(self, density: Tensor, theta: Tensor) -> Tensor:
        """Return the slopes of `B(density) @ theta` by the density, (n, C), for weights (1, F) or (n, F); no graph.

        `B(density) @ theta` is a third of the slopes times the density: it is cubic.
        """
        out = torch.empty_like(density)
        with torch.no_grad():
            theta = theta * self.scale
            for_even = added(theta, self.even_from, self.even_place, self.n_even, self.n_same)
            for_odd = added(theta, self.odd_from, self.odd_place, self.n_odd, self.n_mixed)
            for first in range(0, density.shape[0], self.chunk):
                atoms = slice(first, first + self.chunk)
                even, odd = self.on_points(density[atoms])
                same, mixed = torch.cat([pairs(even), pairs(odd)]), (even.unsqueeze(1) * odd.unsqueeze(0)).flatten(0, 1)
                if theta.shape[0] == 1:
                    even = (for_even[0] @ same.flatten(1)).view_as(even)
                    odd = (for_odd[0] @ mixed.flatten(1)).view_as(odd)
                else:
                    even = (for_even[atoms] @ same.transpose(0, 1)).transpose(0, 1)
                    odd = (for_odd[atoms] @ mixed.transpose(0, 1)).transpose(0, 1)
                self.gather(even, odd, out[atoms])
        return out

    def gather(self, even: Tensor, odd: Tensor, out: Tensor) -> None:
        """Bring slopes by the channels at the points back to the density, into `out` (n, C)."""
        tables = self.table.split(self.sizes)
        n_even = n_odd = 0
        for block in out.split(self.table.shape[0], 1):
            for twoj, part in enumerate(block.split(self.sizes, 1)):
                if twoj % 2 == 0:
                    part.copy_(even[n_even] @ tables[twoj].t())
                    n_even += 1
                else:
                    part.copy_(odd[n_odd] @ tables[twoj].t())
                    n_odd += 1


def pairs(rows: Tensor) -> Tensor:
    """Return the products of each row with itself and those behind it."""
    parts: list[Tensor] = []
    for k in range(rows.shape[0]):
        parts.append(rows[k : k + 1] * rows[k:])
    return torch.cat(parts) if len(parts) > 0 else rows


def added(theta: Tensor, origin: Tensor, places: Tensor, rows: int, columns: int) -> Tensor:
    """Return matrices (n, rows, columns) to whose flat `places` the weights theta (n, F) from `origin` are added."""
    flat = theta.new_zeros([theta.shape[0], rows * columns])
    return flat.index_add(1, places, theta.index_select(1, origin)).view(-1, rows, columns)
