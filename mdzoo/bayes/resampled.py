r"""The spread of fits to resampled blocks of structures, from the factors of the blocks.

A fit with the rows A_b of block b counted n_b times moves the parameters of the whole, with residuals r_b, by

    delta = U (1 + sum_b (n_b - 1) B_b^T B_b)^-1 sum_b (n_b - 1) B_b^T r_b
    B_b   = A_b U,    U U^T = (A^T A + prior)^-1

exactly, under the prior of the whole. Blocks are drawn with replacement (Efron, DOI 10.1214/aos/1176344552) or left out
one by one, whose spread counts (G - 1) times for G blocks (the jackknife). Structures of a block are alike: to draw
them one by one would say that there are more of them than there are.
"""

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

from mdzoo.bayes.left_out import LeftOut
from mdzoo.fit.factors import triangle
from mdzoo.fit.solve import LinearPosterior


def counts(kind: str, members: int, blocks: int, seed: int) -> Tensor:
    """Return how often each block counts for each member, (M, blocks): `bootstrap`, or `subsets` without one each."""
    if kind == "subsets":
        return torch.ones(blocks, blocks, dtype=torch.int64) - torch.eye(blocks, dtype=torch.int64)
    chosen = torch.randint(blocks, (members, blocks), generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.one_hot(chosen, blocks).sum(1)


class ResampledLeftOut(LeftOut):
    """LeftOut whose deviations are the spread of fits to resampled folds."""

    kind: str
    members: int
    seed: int
    triangles: dict[tuple[int, ...], Tensor]

    @classmethod
    def of(cls, left: LeftOut, kind: str, members: int = 20, seed: int = 0) -> "ResampledLeftOut":
        """Return the same rows with the deviations of the spread."""
        out = cls.__new__(cls)
        vars(out).update(vars(left), kind=kind, members=members, seed=seed, triangles={})
        return out

    def without(self, parts: Collection[int]) -> LinearPosterior:
        """Return the fit with the spread of fits to resampled folds of what is left."""
        fitted = super().without(parts)
        folds = sorted({fold for place, (fold, _) in enumerate(self.parts) if place not in parts})
        deltas = self.moved(fitted, parts, folds, counts(self.kind, self.members, len(folds), self.seed))
        weight = 1.0 / (len(deltas) - 1) if self.kind == "bootstrap" else (len(folds) - 1) / len(folds)
        return fitted._replace(root=deltas.T * weight**0.5)

    def moved(self, fitted: LinearPosterior, parts: Collection[int], folds: list[Any], often: Tensor) -> Tensor:
        """Return how a fit moves where its folds count so often, (M, P), for counts (M, folds)."""
        u, theta, one = fitted.root / fitted.noise, fitted.mean - self.shift, torch.eye(fitted.root.shape[1])
        pulls = torch.zeros(len(often), u.shape[1], dtype=torch.float64)
        inner = one.to(u).repeat(len(often), 1, 1)
        for place, fold in enumerate(folds):
            rows = self.triangle_of(fold, parts)
            b, more = rows[:, :-1] @ u, (often[:, place] - 1).to(u)
            pulls += more.unsqueeze(1) * (b.T @ (rows[:, -1] - rows[:, :-1] @ theta))
            gram = b.T @ b
            for m in torch.nonzero(more).flatten().tolist():
                inner[m] += more[m] * gram
        return torch.cholesky_solve(pulls.unsqueeze(2), torch.linalg.cholesky(inner)).squeeze(2) @ u.T

    def triangle_of(self, fold: Any, parts: Collection[int]) -> Tensor:
        """Return the factor of the weighed rows of a fold without some parts; found once."""
        key = tuple(place for place, pair in enumerate(self.parts) if pair[0] == fold and place not in parts)
        if key not in self.triangles:
            kept = [k for k in sorted(self.factors.table) if k[0] in key and self.weights.get(k[1])]
            pieces = [self.weights[k[1]] * self.factors.table[k].root() for k in kept]
            self.triangles[key] = triangle(pieces, self.factors.n_columns)
        return self.triangles[key]
