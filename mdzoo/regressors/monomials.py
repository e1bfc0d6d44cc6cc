"""Energies that are polynomials of the features."""

import math

import torch
from torch import Tensor

from mdzoo.regressors.by_species import BySpecies


class Monomials(BySpecies):
    """`E_i = b + sum_{d=1}^{D} sum_{f1 <= ... <= fd} w_{f1...fd} B_f1 ... B_fd / (m_1! m_2! ...)`, linear in w and b.

    The m count how often each feature occurs, as in a Taylor series. With the monomials `p_q` of degree below D and
    `T_qf` the weight of p_q times one more feature,

        E_i = b + sum_q p_q(B) (w_q [q of degree one] + sum_f T_qf B_f)

    costs one product of (n, F) with T^T; the monomials of degree D are never formed.

    Arguments:
        n_features: F, taken from the descriptor.
        n_species: number of elements.
        degree: D, from 2 up.
        bias: whether each species has a constant term (eV).

    Parameters: `weights` (n_species, W), degree by degree, in each the tuples f1 <= ... <= fd in lexicographic order;
    `bias` (n_species,) in eV.
    """

    parents: Tensor  # for each monomial of degree 2 and more, the place of the one without its last feature
    lasts: Tensor  # its last feature
    factors: Tensor  # 1 / (m_1! m_2! ...)
    sizes: list[int]

    def __init__(self, n_features: int, n_species: int, degree: int, bias: bool) -> None:
        sizes = [math.comb(int(n_features) + d, d + 1) for d in range(int(degree))]
        super().__init__(n_features, n_species, sum(sizes), bias)
        self.sizes = sizes
        parents, lasts, factors = tables(self.n_features, int(degree))
        self.register_buffer("parents", parents, persistent=False)
        self.register_buffer("lasts", lasts, persistent=False)
        self.register_buffer("factors", factors, persistent=False)

    def forward(self, features: Tensor, species: Tensor) -> Tensor:
        """Return the energies, (n,)."""
        if self.n_species == 1:
            return self.energies(features, self.weights[0]) + self.bias[0]
        out = self.bias[species]
        for kind in range(self.n_species):
            rows = (species == kind).nonzero().squeeze(-1)
            out = out.index_add(0, rows, self.energies(features[rows], self.weights[kind]))
        return out

    def energies(self, features: Tensor, weights: Tensor) -> Tensor:
        """Return the energies of atoms of one species without the constant, (n,)."""
        below = self.products(features, len(self.sizes) - 1)
        first, rest = weights.split([self.n_features, weights.shape[0] - self.n_features])
        table = torch.zeros([below.shape[1], self.n_features], dtype=weights.dtype, device=weights.device)
        table = table.index_put((self.parents, self.lasts), self.factors * rest)
        first = torch.nn.functional.pad(first, [0, below.shape[1] - self.n_features])
        return (below * (first + features @ table.T)).sum(-1)

    def products(self, features: Tensor, degree: int) -> Tensor:
        """Return the monomials up to a degree without their factors, (n, M)."""
        found: list[Tensor] = [features]
        begin, above = 0, 0
        for d in range(1, degree):
            end = begin + self.sizes[d]
            found.append(found[-1][:, self.parents[begin:end] - above] * features[:, self.lasts[begin:end]])
            begin, above = end, above + self.sizes[d - 1]
        return torch.cat(found, -1) if degree > 1 else features

    def columns(self, features: Tensor) -> Tensor:
        """Return the monomials with their factors, (n, W)."""
        return self.products(features, len(self.sizes)) * torch.nn.functional.pad(
            self.factors.to(features.dtype), [self.n_features, 0], value=1.0
        )

    @torch.jit.unused
    def column_slopes(self, features: Tensor, slopes: Tensor) -> Tensor:
        """Return the slopes of the monomials (n, J, 3, W) from those of the features (n, J, 3, F): the product rule."""
        values, found, begin = [features], [slopes], 0
        for d, size in enumerate(self.sizes[1:]):
            here = slice(begin, begin + size)
            parents, lasts = self.parents[here] - sum(self.sizes[:d]), self.lasts[here]
            left, right = values[-1][:, parents], features[:, lasts]
            found.append(found[-1][..., parents] * right[:, None, None] + left[:, None, None] * slopes[..., lasts])
            values.append(left * right)
            begin += size
        products = torch.cat(found[1:], -1).mul_(self.factors.to(features.dtype))
        return torch.cat([slopes, products], -1)


def tables(n_features: int, degree: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return `parents`, `lasts` and `factors` of the monomials of degree 2 to `degree`."""
    last, repeats, factor = torch.arange(n_features), torch.ones(n_features), torch.ones(n_features).double()
    parents, lasts, factors, first = [], [], [], 0
    for _ in range(1, degree):
        children = n_features - last
        parent = torch.arange(len(last)).repeat_interleave(children)
        before = (children.cumsum(0) - children)[parent]
        new = last[parent] + torch.arange(len(parent)) - before
        repeats = torch.where(new == last[parent], repeats[parent] + 1.0, torch.ones(len(parent)))
        factor = factor[parent] / repeats
        parents.append(parent + first)
        lasts.append(new)
        factors.append(factor)
        first, last = first + len(last), new
    return torch.cat(parents), torch.cat(lasts), torch.cat(factors)
