"""In which rows of which matrix do the nodes of all trees stand.

Nodes of one L and parity share a bin. Its rows are the leaves a_{c L} (true tensors only), the pairs that order 4 uses,
then the pairs that order 3 alone uses. Pairs of one (l1, l2) are made together, so they stand together.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mdzoo.descriptors.invariant_functions import Function, Node


class Group(NamedTuple):
    """Pairs of one (l1, l2) and the L to which they couple."""

    l1: int
    l2: int
    channels: list[tuple[int, int]]
    orders: list[int]
    bins: list[int]  # of each L


class Bin(NamedTuple):
    """The rows of one L and parity: [0, leaves), then pairs of order 4 to `shared`, then the rest."""

    order: int
    leaves: int
    shared: int
    rows: int


class Plan(NamedTuple):
    """Groups in the order in which they fill the bins, and the bin and row of each node."""

    groups: list[Group]
    bins: list[Bin]
    places: dict[Node, tuple[int, int]]


def plan(functions: Sequence[Function], n_channels: int, l_max: int) -> Plan:
    """Lay out the nodes of the functions; the first bin is L = 0, and true tensors up to l_max always have theirs."""
    quartic = pairs_of(function for function in functions if len(function.factors) == 4)
    cubic = pairs_of(function for function in functions if len(function.factors) < 4) - quartic
    leaves = {Node(order, ((c, order),)) for order in range(l_max + 1) for c in range(n_channels)}
    keys = sorted({(node.order, node.odd) for node in quartic | cubic | leaves})
    first = [n_channels if order <= l_max and not odd else 0 for order, odd in keys]
    places = {leaf: (keys.index((leaf.order, False)), leaf.factors[0][0]) for leaf in leaves}
    groups: list[Group] = []
    shared = fill(quartic, keys, first, groups, places)
    ends = fill(cubic, keys, shared, groups, places)
    sizes = zip(keys, first, shared, ends, strict=True)
    return Plan(groups, [Bin(key[0], c, s, end) for key, c, s, end in sizes], places)


def pairs_of(functions: Iterable[Function]) -> set[Node]:
    """Return the pairs in the trees of some functions."""
    nodes = {node for function in functions for term in function.terms for node in term[:2] if node is not None}
    return {node for node in nodes if len(node.factors) == 2}


def fill(
    nodes: set[Node],
    keys: list[tuple[int, bool]],
    starts: list[int],
    groups: list[Group],
    places: dict[Node, tuple[int, int]],
) -> list[int]:
    """Append the groups of some pairs and their places behind `starts`; return where the rows of each bin end."""
    ends = list(starts)
    kinds: dict[tuple[int, int], list[Node]] = {}
    for node in nodes:
        kinds.setdefault((node.factors[0][1], node.factors[1][1]), []).append(node)
    for (l1, l2), members in sorted(kinds.items()):
        channels = sorted({(node.factors[0][0], node.factors[1][0]) for node in members})
        orders = sorted({node.order for node in members})
        bins = [keys.index((order, (l1 + l2 + order) % 2 == 1)) for order in orders]
        groups.append(Group(l1, l2, channels, orders, bins))
        for order, place in zip(orders, bins, strict=True):
            for row, (c1, c2) in enumerate(channels, ends[place]):
                places.setdefault(Node(order, ((c1, l1), (c2, l2))), (place, row))
            ends[place] += len(channels)
    return ends
