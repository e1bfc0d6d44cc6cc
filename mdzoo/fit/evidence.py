r"""Noise scales of targets and groups, and the strength of the prior with them, by largest evidence.

With the rows of block b (a target, or a target in a group) divided by its noise s_b, and L = lambda^(1/2) h,

    log p = sum_b t_b m_b (-log(2 pi) / 2 - log s_b) - |rest|^2 / 2 - log|det R| + log|det L|
    d log p / d log s_b    = |r_b|^2 + |A_b C|^2 - t_b m_b
    d log p / d log lambda = (P - |L theta|^2 - |L C|^2) / 2

where r_b are the residuals of the weighted rows A_b, and C C^T is the covariance. Were all t_b = 1, as for independent
errors, many forces would outvote few energies, whose noise then runs away until they are ignored: what a model cannot
describe is alike for all atoms of a structure. So the m_b rows of S_b structures count as `t_b m_b = sqrt(m_b S_b)`,
between one for each structure and all of them; a likelihood with a power is that of rows known up to some distance
(Miller, Dunson, DOI 10.1080/01621459.2018.1469995). Noise is kept between 1e-4 and once the spread of its labels.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from mdzoo.fit.factors import triangle
from mdzoo.fit.solve import LinearPosterior, of_root, whitened

LEAST = 1e-4
"""Least noise, in units of the spread of the labels about the baseline."""


class Block(NamedTuple):
    """Rows that share one noise scale."""

    root: Tensor  # (k, P + 1) triangular factor
    rows: int  # m_b
    structures: int  # S_b

    def spread(self) -> float:
        """Return the root mean square of the labels, less the baseline."""
        return float(self.root[:, -1].square().sum() / self.rows) ** 0.5

    def power(self) -> float:
        """Return t_b."""
        return (self.structures / self.rows) ** 0.5


class Evidence(NamedTuple):
    """The evidence at noise scales and a strength of the prior, and its slopes."""

    value: float
    by_noise: Tensor  # (B,) d log p / d log s_b
    by_strength: float  # d log p / d log lambda
    posterior: LinearPosterior


def evidence(
    blocks: Sequence[Block], noise: Tensor, strength: float, shape: Tensor, powers: Sequence[float] | None = None
) -> Evidence:
    """Return the evidence of blocks of rows, each with its noise.

    Arguments:
        blocks: the data.
        noise: s_b, (B,).
        strength: lambda.
        shape: h, (P,) or (P, P).
        powers: t_b; by default 1, independent errors.
    """
    powers = [1.0] * len(blocks) if powers is None else powers
    rows = [t**0.5 / s * block.root for t, s, block in zip(powers, noise.tolist(), blocks, strict=True)]
    counts = torch.tensor([t * block.rows for t, block in zip(powers, blocks, strict=True)], dtype=torch.float64)
    prior = strength**0.5 * shape
    post = of_root(triangle(rows, rows[0].shape[1]), 1, 1.0, prior)
    value = post.evidence - 0.5 * (float(counts.sum()) - 1.0) * math.log(2.0 * math.pi)
    value -= float((counts * noise.log()).sum())
    column = torch.cat([post.mean, post.mean.new_full((1,), -1.0)])
    spent = torch.tensor([float((a @ column).square().sum() + (a[:, :-1] @ post.root).square().sum()) for a in rows])
    both = torch.cat([post.mean.unsqueeze(1), post.root], 1)
    by_strength = 0.5 * (len(post.mean) - float(whitened(prior, both).square().sum()))
    return Evidence(value, spent.to(counts) - counts, by_strength, post)


def learn_noise(blocks: Sequence[Block], shape: Tensor, guarded: bool = True) -> Tensor:
    """Return the noise scale of each block, divided by the square roots of t_b: one over it weighs the rows of a fit.

    Arguments:
        blocks: the data; each with labels that are not all on the baseline.
        shape: h, (P,) or (P, P).
        guarded: whether rows count as in the module docstring; else as independent ones.

    Raises:
        ValueError: a block has labels without spread.
    """
    spread = torch.tensor([block.spread() for block in blocks], dtype=torch.float64)
    if not bool((spread > 0.0).all()):
        raise ValueError(
            "`noise` must be given where all labels of a target or group lie on the baseline, got noise=learnt; there "
            "is nothing to learn from"
        )
    powers = [block.power() if guarded else 1.0 for block in blocks]

    def negative(x: np.ndarray) -> tuple[float, np.ndarray]:
        noise = torch.as_tensor(x[:-1]).exp() * spread
        found = evidence(blocks, noise, math.exp(x[-1]), shape, powers)
        return -found.value, -np.append(found.by_noise.numpy(), found.by_strength)

    start = np.append(np.full(len(blocks), math.log(0.1)), 0.0)
    bounds = [(math.log(LEAST), 0.0)] * len(blocks) + [(-60.0, 60.0)]
    found = minimize(negative, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 60})
    return torch.as_tensor(found.x[:-1]).exp() * spread / torch.tensor(powers, dtype=torch.float64).sqrt()
