"""How moments contract: symmetric tensors summed over neighbours, and the scalars that products of a few of them give.

A moment (mu, nu) is `M = sum_j f_mu(r_j) u_j (x) ... (x) u_j` with nu unit vectors u. A scalar is a product of
moments in which every index is contracted with one of another moment (a trace would only give back the moment of nu -
2): a graph with moments for vertices and contracted pairs of indices for bonds, nu of them at each moment. Two
scalars are the same when a permutation of equal moments maps one graph onto the other.
"""

from collections import Counter
from functools import cache
from itertools import combinations, combinations_with_replacement, permutations, product
from math import factorial, prod
from typing import NamedTuple

from mdzoo.basis.spherical import exponents

Moment = tuple[int, int]  # mu, nu
Exponents = tuple[int, int, int]  # of x, y and z
Leg = tuple[Moment, Exponents]  # one component of a moment
Parts = tuple[tuple[int, ...], tuple[int, ...]]  # two groups of the moments of a scalar
Node = tuple[tuple[Leg, ...], int]  # one leg, or two legs with some more indices contracted between their moments


class Contraction(NamedTuple):
    """A scalar: its moments, sorted, and the bonds between each two of them in the order of `combinations`."""

    moments: tuple[Moment, ...]
    bonds: tuple[int, ...]


def level(moments: tuple[Moment, ...]) -> int:
    """Return the level of a product, the sum of 2 + 4 mu + nu (Gubaev et al., DOI 10.1016/j.commatsci.2018.09.031)."""
    return sum(2 + 4 * mu + nu for mu, nu in moments)


@cache
def contractions(max_level: int, max_factors: int) -> tuple[Contraction, ...]:
    """Return all scalars up to a level, of up to `max_factors` moments; a lower level gives the head of the list."""
    every = [(mu, nu) for mu in range(max_level // 4 + 1) for nu in range(max_level)]
    # the nu indices of a moment need others to be contracted with, of which (0, nu) has the lowest level
    kinds = [(mu, nu) for mu, nu in every if level(((mu, nu), (0, nu)) if nu else ((mu, nu),)) <= max_level]
    found: list[Contraction] = []
    for n_factors in range(1, max_factors + 1):
        for moments in combinations_with_replacement(kinds, n_factors):
            if level(moments) <= max_level and sum(nu for _, nu in moments) % 2 == 0:
                bonds = {canonical(moments, b) for b in matchings([nu for _, nu in moments])}
                found += [Contraction(moments, b) for b in sorted(bonds)]
    return tuple(sorted(found, key=lambda c: (level(c.moments), len(c.moments), c)))


def matchings(degrees: list[int]) -> list[tuple[int, ...]]:
    """Return all numbers of bonds between each two vertices such that each vertex has its degree."""
    if len(degrees) == 1:
        return [()] if degrees[0] == 0 else []
    first, others = degrees[0], degrees[1:]
    out: list[tuple[int, ...]] = []
    for taken in product(*[range(min(first, d) + 1) for d in others]):
        if sum(taken) == first:
            left = [d - t for d, t in zip(others, taken, strict=True)]
            out += [taken + rest for rest in matchings(left)]
    return out


def canonical(moments: tuple[Moment, ...], bonds: tuple[int, ...]) -> tuple[int, ...]:
    """Return the largest of the lists of bonds that permutations of equal moments give."""
    n = len(moments)
    table = dict(zip(combinations(range(n), 2), bonds, strict=True))
    same = [p for p in permutations(range(n)) if all(moments[i] == m for i, m in zip(p, moments, strict=True))]
    return max(tuple(table[min(p[a], p[b]), max(p[a], p[b])] for a, b in combinations(range(n), 2)) for p in same)


def repeats(e: Exponents) -> int:
    """Return how many index tuples have these exponents, the multinomial coefficient."""
    return factorial(sum(e)) // prod(factorial(k) for k in e)


def plus(e: Exponents, f: Exponents) -> Exponents:
    """Return the exponents of a product."""
    return e[0] + f[0], e[1] + f[1], e[2] + f[2]


def halves(n: int) -> list[Parts]:
    """Return the ways to part n moments into two groups of at most two, the larger first."""
    if n <= 2:
        return [(tuple(range(n)), ())]
    pairs = list(combinations(range(n), 2))
    parts: list[Parts] = [(pair, tuple(i for i in range(n) if i not in pair)) for pair in pairs]
    return parts if n == 3 else parts[:3]


def node(half: tuple[int, ...], scalar: Contraction, legs: dict[int, Exponents]) -> Node:
    """Return the tensor component that one half of a scalar contributes, given the exponents of its open indices."""
    parts = tuple(sorted((scalar.moments[i], legs[i]) for i in half))
    return parts, bond(scalar, half[0], half[1]) if len(half) == 2 else 0


def bond(scalar: Contraction, a: int, b: int) -> int:
    """Return the number of bonds between two moments of a scalar."""
    return scalar.bonds[list(combinations(range(len(scalar.moments)), 2)).index((min(a, b), max(a, b)))]


def terms(scalar: Contraction, parts: Parts) -> Counter[tuple[Node, ...]]:
    """Return the scalar as a sum of products of one component of each half, with multiplicities."""
    cross = [(a, b) for a in parts[0] for b in parts[1]]
    out: Counter[tuple[Node, ...]] = Counter()
    for chosen in product(*[exponents(bond(scalar, a, b)) for a, b in cross]):
        legs = dict.fromkeys(range(len(scalar.moments)), (0, 0, 0))
        for (a, b), e in zip(cross, chosen, strict=True):
            legs[a], legs[b] = plus(legs[a], e), plus(legs[b], e)
        factors = sorted(node(half, scalar, legs) for half in parts if half)
        out[tuple(factors)] += prod(repeats(e) for e in chosen)
    return out


def inner_terms(pair: Node) -> Counter[tuple[Leg, ...]]:
    """Return the component of two contracted moments as a sum of products of their components."""
    ((left, e), (right, f)), count = pair
    out: Counter[tuple[Leg, ...]] = Counter()
    for g in exponents(count):
        out[tuple(sorted([(left, plus(e, g)), (right, plus(f, g))]))] += repeats(g)
    return out
