"""The four-body terms of POD: three neighbours and the three angles between them."""

import torch
from torch import Tensor, nn

from mdzoo.basis.cartesian import cartesian_from_harmonics
from mdzoo.basis.contraction import plus, repeats
from mdzoo.basis.spherical import exponents
from mdzoo.descriptors.moment_products import Products, Sum
from mdzoo.descriptors.pod_products import Channels, places, species_tuples

Bonds = tuple[int, int, int]  # powers of the cosines between neighbours 12, 13 and 23


def bonds_up_to(degree: int) -> list[Bonds]:
    """Return the powers of the three cosines of four-body terms: partitions of 0..degree, the largest part first."""
    every = [(a, b, c) for a in range(degree + 1) for b in range(a + 1) for c in range(b + 1) if a + b + c <= degree]
    return sorted(every, key=lambda p: (sum(p), [-part for part in p]))


class FourBody(nn.Module):
    """Order 4: `sum_jj'j'' R_k R_k R_k cos_12^a cos_13^b cos_23^c`, a >= b >= c, a + b + c <= P.

    Contractions of three tensors: the first two over a indices, then both with the third; see `basis.contraction`.
    """

    def __init__(self, n_species: int, k_two: int, k_all: int, l_all: int, k_max: int, degree: int) -> None:
        super().__init__()
        self.channels = Channels(n_species, k_two, k_all, l_all, k_max, degree)
        self.bonds, self.k_max = bonds_up_to(degree), k_max
        self.triples = species_tuples(n_species, 3)
        self.n_features = len(self.triples) * k_max * len(self.bonds)
        self.places = places(len(self.triples), k_max, [sum(b) for b in self.bonds])
        inner, outer = contraction_tables(self.bonds, degree)
        self.inner, self.outer = Products(inner), Products(outer)
        pairs = species_tuples(n_species, 2)
        self.register_buffer("cartesian", torch.as_tensor(cartesian_from_harmonics(degree)), persistent=False)
        self.register_buffer("first", torch.tensor([pair[0] for pair in pairs]), persistent=False)
        self.register_buffer("second", torch.tensor([pair[1] for pair in pairs]), persistent=False)
        self.register_buffer("pair", torch.tensor([pairs.index(t[:2]) for t in self.triples]), persistent=False)
        self.register_buffer("third", torch.tensor([t[2] for t in self.triples]), persistent=False)

    def factors(self, density: Tensor) -> tuple[Tensor, Tensor]:
        """Return the contracted pairs and the third tensors, (components, triples * K * n) each."""
        a = self.channels(density)
        moments = (self.cartesian @ a.flatten(1)).view(-1, a.shape[1], a.shape[2] * a.shape[3])
        left, right = moments.index_select(1, self.first), moments.index_select(1, self.second)
        pairs = self.inner(left.flatten(1), right.flatten(1)).view(-1, left.shape[1], left.shape[2])
        return pairs.index_select(1, self.pair).flatten(1), moments.index_select(1, self.third).flatten(1)

    def forward(self, density: Tensor) -> Tensor:
        """Return the features, (n, F)."""
        pairs, third = self.factors(density)
        return self.outer(pairs, third).view(len(self.bonds), -1, density.shape[0]).permute(2, 1, 0).flatten(1)

    def fold(self, density: Tensor, theta: Tensor) -> Tensor:
        """Return the features times theta (F,), (n,)."""
        pairs, third = self.factors(density)
        weights = theta.view(-1, len(self.bonds)).t().index_select(0, self.outer.owner) * self.outer.times.unsqueeze(1)
        products = self.outer.products(pairs, third)
        return weights.flatten() @ products.view(-1, density.shape[0])

    def labels(self) -> list[str]:
        """Return the name of each feature."""
        names = [f"k={k},a={a},b={b},c={c}" for k in range(1, self.k_max + 1) for a, b, c in self.bonds]
        return [f"4b[s={s},s'={t},s''={u},{name}]" for s, t, u in self.triples for name in names]


def contraction_tables(bonds: list[Bonds], degree: int) -> tuple[list[Sum], list[Sum]]:
    """Return the terms of the contracted pairs over monomials, and those of the scalars over pairs and monomials."""
    row = {e: i for i, e in enumerate(e for d in range(degree + 1) for e in exponents(d))}
    inner: list[Sum] = []
    outer: list[Sum] = []
    for a, b, c in bonds:
        sums: Sum = []
        for f in exponents(b):
            for g in exponents(c):
                sums.append((len(inner), row[plus(f, g)], repeats(f) * repeats(g)))
                inner.append([(row[plus(e, f)], row[plus(e, g)], repeats(e)) for e in exponents(a)])
        outer.append(sums)
    return inner, outer
