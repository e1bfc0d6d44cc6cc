r"""One solver for everything that is linear in its parameters.

    A theta = b + sigma n,    n ~ N(0, 1),    theta ~ N(0, (L^T L)^-1)

is solved by QR of the stacked system `[A / sigma | b / sigma; L | 0]`, never by the normal equations, which square the
condition number. The triangle says the rest: its inverse is a root of the covariance, and with the volume of L its
diagonal gives the evidence,

    log p(b) = -m/2 log(2 pi) - m log(sigma) - |rest|^2 / 2 - log|det R| + log|det L|

(MacKay, DOI 10.1162/neco.1992.4.3.415). Ridge, automatic relevance, smoothness and kernels differ in L alone.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mdzoo.fit.factors import triangle

EPS, TINY = torch.finfo(torch.float64).eps, torch.finfo(torch.float64).tiny


class LinearPosterior(NamedTuple):
    """The Gaussian of the parameters, `theta ~ N(mean, root @ root.T)`, and where it comes from."""

    mean: Tensor  # (P,)
    root: Tensor  # (P, P)
    noise: float  # sigma, the deviation of a row of weight one
    prior: Tensor  # L: (P,) if it is diagonal, else (k, P)
    evidence: float  # log marginal likelihood of the weighted rows, NaN where the prior is improper
    effective: float  # effective number of parameters, P - tr(L cov L^T)


def solve(
    rows: Tensor, targets: Tensor, noise: float | Tensor | None = None, prior: Tensor | None = None
) -> LinearPosterior:
    """Return the posterior of `rows @ theta = targets`; without a prior the mean is that of `numpy.linalg.lstsq`.

    Arguments:
        rows: (m, P).
        targets: (m,).
        noise: sigma, one for all or one for each row (m,); None estimates one for all, and L is that of theta / sigma.
        prior: L, (P,) if it is diagonal, else (k, P); None for a flat prior.
    """
    root = torch.cat([rows, targets.unsqueeze(1)], 1).to(torch.float64)
    if not isinstance(noise, Tensor):
        return of_root(root, rows.shape[0], noise, prior)
    found = of_root(root / noise.unsqueeze(1), rows.shape[0], 1.0, prior)
    return found._replace(evidence=found.evidence - float(noise.log().sum()))


def of_root(root: Tensor, count: int, noise: float | None = None, prior: Tensor | None = None) -> LinearPosterior:
    """Return the posterior from a triangular factor.

    Arguments:
        root: factor (k, P + 1) of `count` weighted rows and targets, or these themselves.
        count: m, the evidence and the noise need it.
        noise: sigma, the deviation of a row of weight one; None estimates it.
        prior: L, see `solve`.

    Raises:
        ValueError: there are no rows, or some are not finite.
    """
    check(root, count)
    n = root.shape[1] - 1
    prior = root.new_zeros(n) if prior is None else prior.to(root)
    found = inverted(triangle([root / (noise or 1.0), padded(prior)], n + 1))
    sigma = noise or max((found.rest / count) ** 0.5, TINY)
    unit = 1.0 if noise else sigma
    evidence = -0.5 * (found.rest if noise else count) - count * (0.5 * math.log(2.0 * math.pi) + math.log(sigma))
    evidence += log_volume(prior) + found.volume
    effective = found.rank - float(whitened(prior, found.inverse).square().sum())
    return LinearPosterior(found.mean, found.inverse * unit, sigma, prior / unit, evidence, effective)


def check(root: Tensor, count: int) -> None:
    """Raise a ValueError unless there are rows and all are finite."""
    if root.shape[0] == 0 or count == 0:
        raise ValueError("`rows` must hold at least one label with a weight, got none; check keys, masks and weights")
    if not torch.isfinite(root).all():
        raise ValueError("`rows` must be finite, got NaN or infinity; run mdzoo doctor on the data")


def padded(prior: Tensor) -> Tensor:
    """Return the rows `[L | 0]` of the prior, (k, P + 1)."""
    return torch.nn.functional.pad(torch.diag(prior) if prior.ndim == 1 else prior, (0, 1))


def whitened(prior: Tensor, columns: Tensor) -> Tensor:
    """Return `L @ columns`."""
    return prior.unsqueeze(1) * columns if prior.ndim == 1 else prior @ columns


def log_volume(prior: Tensor) -> float:
    """Return `log|det L|`, NaN where L is singular."""
    if prior.ndim == 2:
        prior = torch.linalg.qr(prior, mode="r")[1].diagonal() if len(prior) >= prior.shape[1] else prior[:, 0] * 0.0
    return float(prior.abs().log().sum()) if bool((prior != 0.0).all()) else math.nan


class Inverse(NamedTuple):
    """What a stacked system says."""

    inverse: Tensor  # (P, P), a root of the covariance in units of the noise
    mean: Tensor  # (P,)
    rest: float  # squared length of what is left of the targets
    volume: float  # log|det inverse|
    rank: int


def inverted(whole: Tensor) -> Inverse:
    """Return what the factor (k, P + 1) of a stacked system says."""
    n = whole.shape[1] - 1
    whole = whole if len(whole) > n else torch.linalg.qr(whole, mode="r")[1]
    a, b, rest = whole[:n, :n], whole[:n, n], float(whole[n:, n].square().sum())
    lengths = a.square().sum(0).sqrt()
    if len(a) < n or bool((a.diagonal().abs() <= n * EPS * lengths).any()):
        return shortest(a, b, rest, lengths)
    both = torch.linalg.solve_triangular(a, torch.cat([torch.eye(n).to(a), b.unsqueeze(1)], 1), upper=True)
    return Inverse(both[:, :n], both[:, n], rest, -float(a.diagonal().abs().log().sum()), n)


def shortest(a: Tensor, b: Tensor, rest: float, lengths: Tensor) -> Inverse:
    """Return the shortest solution in columns of unit norm, where some depend on one another or rows are few.

    Directions without information have a wide inverse and do not move the mean.
    """
    scale = torch.where(lengths > 0.0, lengths, torch.ones_like(lengths))
    square = torch.nn.functional.pad(a / scale, (0, 0, 0, a.shape[1] - len(a)))
    left, s, right = torch.linalg.svd(square)
    projected, tiny = left[: len(b)].T @ b, float(s[0]) * EPS * len(s)
    mean = (torch.where(s > tiny, projected / s, torch.zeros_like(s)) @ right) / scale
    inverse = (right / s.clamp_min(max(tiny, TINY)).unsqueeze(1)).T / scale.unsqueeze(1)
    rest += float(torch.where(s > tiny, torch.zeros_like(s), projected).square().sum())
    volume = -float(s.clamp_min(TINY).log().sum() + scale.log().sum())
    return Inverse(inverse, mean, rest, volume, int((s > tiny).sum()))
