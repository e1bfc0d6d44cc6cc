"""Invariants of POD: what the body orders make of a density in proper orthogonal modes and harmonics.

The density holds the sums of all radial functions of order 2, then a_klm of order 3; k runs over the radial functions
of each species of neighbour. Inside, atoms are the last axis. Each part gives `forward -> (n, F)`, features in the
order of LAMMPS, or with weights `fold -> (n,)`.
"""

import math
from itertools import combinations_with_replacement

import numpy as np
import torch
from numpy.polynomial import legendre
from torch import Tensor, nn

from mdzoo.descriptors.invariants import Share

Place = tuple[int, int, int, int]  # block of species, number in it, k, degree of a feature


def species_tuples(n_species: int, size: int) -> list[tuple[int, ...]]:
    """Return the tuples of species of so many neighbours, in ascending order."""
    return list(combinations_with_replacement(range(n_species), size))


class TwoBody(nn.Module):
    """Order 2: the sums of the radial functions themselves."""

    def __init__(self, n_species: int, k_max: int) -> None:
        super().__init__()
        self.n_species, self.k_max = n_species, k_max
        self.n_features = n_species * k_max

    def forward(self, density: Tensor) -> Tensor:
        """Return the features, (n, F)."""
        return density[:, : self.n_features]

    def fold(self, density: Tensor, theta: Tensor) -> Tensor:
        """Return the features times theta (F,), (n,)."""
        return density[:, : self.n_features] @ theta

    def labels(self) -> list[str]:
        """Return the name of each feature."""
        return [f"2b[s={s},k={k}]" for s in range(self.n_species) for k in range(1, self.k_max + 1)]


class Channels(nn.Module):
    """The part of the density that one body order uses: (n, C) -> (lm, S, K, n)."""

    def __init__(self, n_species: int, k_two: int, k_all: int, l_all: int, k_max: int, l_max: int) -> None:
        super().__init__()
        self.heads = [n_species * k_two, n_species * k_all * (l_all + 1) ** 2]
        self.share = Share(n_species, k_all, l_all, k_max, l_max)

    def forward(self, density: Tensor) -> Tensor:
        """Return the share, ((l_max + 1)^2, S, K, n)."""
        share = self.share(density.split(self.heads, 1)[1])
        return share.view(share.shape[0], self.share.n_species, self.share.k_max, share.shape[2])


class ThreeBody(nn.Module):
    """Order 3: `sum_jj' R_k(r_j) R_k(r_j') cos^p`, p = 0..P, by way of Legendre polynomials and sums of a_klm a_klm."""

    def __init__(self, n_species: int, k_two: int, k_max: int, degree: int) -> None:
        super().__init__()
        self.channels = Channels(n_species, k_two, k_max, degree, k_max, degree)
        self.pairs, self.k_max, self.degree = species_tuples(n_species, 2), k_max, degree
        self.n_features = len(self.pairs) * k_max * (degree + 1)
        self.places = places(len(self.pairs), k_max, list(range(degree + 1)))
        matrix = np.zeros((degree + 1, (degree + 1) ** 2))
        for p in range(degree + 1):
            for order, c in enumerate(legendre.poly2leg([0.0] * p + [1.0])):
                matrix[p, order * order : (order + 1) ** 2] = c * 4.0 * math.pi / (2 * order + 1)
        self.register_buffer("matrix", torch.as_tensor(matrix), persistent=False)
        self.register_buffer("first", torch.tensor([pair[0] for pair in self.pairs]), persistent=False)
        self.register_buffer("second", torch.tensor([pair[1] for pair in self.pairs]), persistent=False)

    def products(self, density: Tensor) -> Tensor:
        """Return `a_klm a_klm` of each pair of species, (lm, pairs * K * n)."""
        a = self.channels(density)
        return (a.index_select(1, self.first) * a.index_select(1, self.second)).flatten(1)

    def forward(self, density: Tensor) -> Tensor:
        """Return the features, (n, F)."""
        out = (self.matrix @ self.products(density)).view(self.degree + 1, -1, density.shape[0])
        return out.permute(2, 1, 0).flatten(1)

    def fold(self, density: Tensor, theta: Tensor) -> Tensor:
        """Return the features times theta (F,), (n,)."""
        weights = (theta.view(-1, self.degree + 1) @ self.matrix).t().flatten()
        return weights @ self.products(density).view(-1, density.shape[0])

    def labels(self) -> list[str]:
        """Return the name of each feature."""
        powers = range(self.degree + 1)
        return [f"3b[s={s},s'={t},k={k + 1},p={p}]" for s, t in self.pairs for k in range(self.k_max) for p in powers]


class Cross(nn.Module):
    """Orders 5 to 7: products of two features of orders 3 and 4 with few radial functions and low degrees together."""

    def __init__(self, left: nn.Module, right: nn.Module, order: int, k_max: int, degree: int) -> None:
        super().__init__()
        self.left, self.right, self.order, self.same = left, right, order, left is right
        pairs = cross_pairs(left.places, right.places, k_max, degree)
        self.n_features = len(pairs)
        self.register_buffer("first", torch.tensor([i for i, _ in pairs], dtype=torch.int64), persistent=False)
        self.register_buffer("second", torch.tensor([j for _, j in pairs], dtype=torch.int64), persistent=False)

    def forward(self, density: Tensor) -> Tensor:
        """Return the features, (n, F)."""
        left = self.left(density)
        right = left if self.same else self.right(density)
        return left.index_select(1, self.first) * right.index_select(1, self.second)

    def fold(self, density: Tensor, theta: Tensor) -> Tensor:
        """Return the features times theta (F,), (n,)."""
        return self.forward(density) @ theta

    def labels(self) -> list[str]:
        """Return the name of each feature."""
        left, right = self.left.labels(), self.right.labels()
        rows = zip(self.first.tolist(), self.second.tolist(), strict=True)
        return [f"{self.order}b[{left[i]}*{right[j]}]" for i, j in rows]


def cross_pairs(left: list[Place], right: list[Place], k_max: int, degree: int) -> list[tuple[int, int]]:
    """Return which features are multiplied: of LAMMPS's order, with k + k' < k_max and p + p' <= degree (k from 0)."""
    return [
        (i, j)
        for i, (block, number, k, p) in enumerate(left)
        for j, (other_block, other_number, other_k, other_p) in enumerate(right)
        if other_block >= block and other_number >= number and k + other_k < k_max and p + other_p <= degree
    ]


def places(n_blocks: int, k_max: int, degrees: list[int]) -> list[Place]:
    """Return where each feature of one body order stands."""
    inner = [(k, p) for k in range(k_max) for p in degrees]
    return [(block, number, k, p) for block in range(n_blocks) for number, (k, p) in enumerate(inner)]
