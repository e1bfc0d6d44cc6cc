"""How two to four angular momenta couple to an invariant that does not mind which of equal factors is which.

Products of commuting numbers a_{l1 m1} ... a_{lv mv} are contracted with the tensor of a coupling tree,

    v = 4:  T_L = sum_M C^{l1 l2 L}_{m1 m2 M} C^{l3 l4 L}_{m3 m4 M} / sqrt(2L + 1)

whose trees L are orthonormal and span all invariants (Dusson et al., DOI 10.1016/j.jcp.2022.110946, section 3). Where
factors are equal, only the part of T_L that is symmetric under their exchange counts, and the trees depend on each
other: the projector on symmetric tensors, in the basis of the trees, has the independent ones as its image.
"""

from functools import cache
from itertools import permutations
from math import sqrt

import numpy as np

from mdzoo.basis.coupling import coupling


def tree_orders(l1: int, l2: int, l3: int, l4: int) -> list[int]:
    """Return the L to which both (l1, l2) and (l3, l4) couple."""
    return list(range(max(abs(l1 - l2), abs(l3 - l4)), min(l1 + l2, l3 + l4) + 1))


@cache
def trees(ls: tuple[int, int, int, int]) -> np.ndarray:
    """Return the orthonormal tensors T_L of four factors, (trees, 2 l1 + 1, ..., 2 l4 + 1)."""
    l1, l2, l3, l4 = ls
    pairs = [(coupling(l1, l2, n), coupling(l3, l4, n), sqrt(2 * n + 1)) for n in tree_orders(*ls)]
    return np.stack([np.einsum("abm,cdm->abcd", left, right) / norm for left, right, norm in pairs])


@cache
def symmetric_trees(ls: tuple[int, int, int, int], kinds: tuple[int, int, int, int]) -> np.ndarray:
    """Return U, (independent, trees): combinations that are orthonormal as tensors symmetric among factors of one kind.

    Rows come from the columns of the projector in ascending L (Gram-Schmidt), so that they are the same on every
    machine. The sum of ls must be even, for invariance under reflections.
    """
    tensors = trees(ls)
    same = [p for p in permutations(range(4)) if all(kinds[i] == kinds[p[i]] for i in range(4))]
    if len(same) == 1:
        return np.eye(len(tensors))
    mean = sum(np.transpose(tensors, (0, *(1 + i for i in p))) for p in same) / len(same)
    projector = np.tensordot(tensors, mean, axes=((1, 2, 3, 4), (1, 2, 3, 4)))
    rows: list[np.ndarray] = []
    for column in projector.T:
        rest = column - sum((row * (row @ column) for row in rows), start=np.zeros_like(column))
        if np.linalg.norm(rest) > 1e-6:
            rows.append(rest / np.linalg.norm(rest))
    return np.array(rows).reshape(len(rows), len(tensors))
