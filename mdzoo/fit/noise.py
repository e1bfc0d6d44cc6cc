"""Weights that follow from noise: one over the deviation of each target, or of each target in each group."""

import math
from collections.abc import Sequence

from torch import Tensor

from mdzoo.fit.evidence import Block, learn_noise
from mdzoo.fit.factors import Factors, triangle
from mdzoo.fit.select import decompose
from mdzoo.fit.spectrum import Shape

FEW = 5
"""Structures below which a group has no noise of its own: such groups of a target share one."""

Members = tuple[str, tuple[int, ...]]  # a target and groups


def learn_weights(factors: Factors, targets: Sequence[str], shape: Tensor | Shape | None) -> dict[str, float]:
    """Return the weight of each target by `mdzoo.fit.evidence`, that of forces at one; groups get their emphasis.

    Arguments:
        factors: the data.
        targets: those that count.
        shape: of the prior, see `mdzoo.fit.spectrum`.
    """
    factors.emphasis = {}
    blocks = blocks_of(factors, targets)
    prior = decompose(factors, {t: 1.0 / pooled(factors, t).spread() for t in targets}, shape, None).prior
    noise = dict(zip(blocks, learn_noise(list(blocks.values()), prior).tolist(), strict=True))
    weights = {}
    for target in targets:
        own = {g: 1.0 / noise[key] for key in blocks if key[0] == target for g in key[1]}
        one = next(iter(own.values()))  # equal ones stay equal to the last digit
        weights[target] = one * math.exp(sum(math.log(w / one) for w in own.values()) / len(own))
        factors.emphasis |= {(target, g): w / weights[target] for g, w in own.items()}
    unit = weights["forces"] if "forces" in weights else next(iter(weights.values()))
    return {target: weight / unit for target, weight in weights.items()}


def blocks_of(factors: Factors, targets: Sequence[str]) -> dict[Members, Block]:
    """Return rows that share one noise scale, by target and groups."""
    out: dict[Members, Block] = {}
    for target in targets:
        few: list[int] = []
        for group in sorted({g for _, t, g in factors.table if t == target}):
            block = pooled(factors, target, group)
            if block.structures >= FEW and block.spread() > 0.0:
                out[(target, (group,))] = block
            else:
                few.append(group)
        if few:
            out[(target, tuple(few))] = joined([pooled(factors, target, group) for group in few])
    return out


def pooled(factors: Factors, target: str, group: int | None = None) -> Block:
    """Return the rows of a target in one group or all."""
    found = factors.those(target, group=group)
    root = factors.root(None, target, group)
    return Block(root, sum(f.count for f in found), sum(f.structures for f in found))


def joined(blocks: Sequence[Block]) -> Block:
    """Return several blocks as one."""
    n = blocks[0].root.shape[1]
    return Block(triangle([b.root for b in blocks], n), sum(b.rows for b in blocks), sum(b.structures for b in blocks))
