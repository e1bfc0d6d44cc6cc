"""Which invariant products of one to four density coefficients are there, and by which tree is each formed.

A factor is (channel, l); a function is a multiset of factors with one of its independent couplings. Trees are

    order 1  a_{c 0 0}                    order 3  sum_m a_{1 m} y_{23 l1 m}           / sqrt(2 l1 + 1)
    order 2  sum_m a_{1 m} a_{2 m} / ...  order 4  sum_LM U_L y_{12 L M} y_{34 L M}    / sqrt(2 L + 1)

with `y_{ij L M} = sum C^{li lj L}_{m m' M} a_{i m} a_{j m'}`, U of `mdzoo.basis.symmetric_coupling`, and l descending
from factor 1, so that few pairs and low L are needed.
"""

from collections.abc import Iterator, Sequence
from math import sqrt
from typing import NamedTuple

from mdzoo.basis.symmetric_coupling import symmetric_trees, tree_orders

Factor = tuple[int, int]  # channel, l


class Node(NamedTuple):
    """A leaf a_{c l} (one factor) or a coupled pair y_{12 L} (two, by ascending (l, channel))."""

    order: int  # L
    factors: tuple[Factor, ...]

    @property
    def odd(self) -> bool:
        """Whether l1 + l2 + L is odd, a pseudotensor."""
        return (sum(factor[1] for factor in self.factors) + self.order) % 2 == 1


class Function(NamedTuple):
    """One invariant: the sum of `value * left . right`; of order 1, `right` is None."""

    factors: tuple[Factor, ...]
    number: int  # among those of the same factors
    terms: tuple[tuple[Node, Node | None, float], ...]


class Limits(NamedTuple):
    """Which factors one order may have."""

    n_max: int  # radial functions of each species
    l_max: int
    degree: float  # of the whole product: sum of n - 1 + l_weight * l
    l_weight: float


def functions(n_species: int, k_all: int, limits: Sequence[Limits]) -> list[Function]:
    """Return all functions of the orders 1, 2 ... that their limits admit; channel = species * k_all + n - 1."""
    out: list[Function] = []
    for order, limit in enumerate(limits, 1):
        for factors in multisets(admitted(n_species, k_all, order, limit), order, limit.degree):
            out.extend(couplings(factors))
    return out


def admitted(n_species: int, k_all: int, order: int, limit: Limits) -> list[tuple[float, Factor]]:
    """Return the degree and the factor of all that one order may use, by descending l, then channel."""
    l_max = limit.l_max if order > 1 else 0
    return [
        (n + limit.l_weight * l, (s * k_all + n, l))
        for l in range(l_max, -1, -1)  # noqa: E741
        for s in range(n_species)
        for n in range(limit.n_max)
    ]


def multisets(items: list[tuple[float, Factor]], size: int, degree: float) -> Iterator[tuple[Factor, ...]]:
    """Yield the multisets of `size` items in their order whose degrees add up to `degree` at most."""
    if size == 0:
        yield ()
        return
    for first, (cost, factor) in enumerate(items):
        if cost <= degree + 1e-9:
            for rest in multisets(items[first:], size - 1, degree - cost):
                yield (factor, *rest)


def couplings(factors: tuple[Factor, ...]) -> list[Function]:
    """Return the independent functions of a multiset of factors with descending l; none if they do not couple to 0."""
    ls = [factor[1] for factor in factors]
    if sum(ls) % 2 or ls[0] > sum(ls[1:]):
        return []
    if len(factors) == 4:
        return four(factors)
    leaf = Node(ls[0], factors[:1])
    rest = None if len(factors) == 1 else Node(ls[0], ascending(factors[1:]))
    return [Function(factors, 0, ((leaf, rest, 1.0 / sqrt(2 * ls[0] + 1)),))]


def ascending(factors: tuple[Factor, ...]) -> tuple[Factor, ...]:
    """Return the factors by ascending (l, channel)."""
    return tuple(sorted(factors, key=lambda factor: (factor[1], factor[0])))


def four(factors: tuple[Factor, ...]) -> list[Function]:
    """Return the independent functions of four factors."""
    left, right = ascending(factors[:2]), ascending(factors[2:])
    tree = (*left, *right)
    l1, l2, l3, l4 = (factor[1] for factor in tree)
    k1, k2, k3, k4 = (tree.index(factor) for factor in tree)
    orders = tree_orders(l1, l2, l3, l4)
    out: list[Function] = []
    for number, row in enumerate(symmetric_trees((l1, l2, l3, l4), (k1, k2, k3, k4))):
        terms = [
            (Node(order, left), Node(order, right), float(value) / sqrt(2 * order + 1))
            for order, value in zip(orders, row, strict=True)
            if abs(value) > 1e-12
        ]
        out.append(Function(factors, number, tuple(terms)))
    return out
