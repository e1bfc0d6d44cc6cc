r"""Do errors scatter as wide as was said? Numbers of calibration, each beside what a perfect model would get.

With errors e and deviations s of a predicted distribution, normal by default, z = e / s and coverage c(p) of the
central interval of probability p,

    miscalibration area = int_0^1 |c(p) - p| dp
    ENCE = mean over bins of s of  |RMSE_b - RMV_b| / RMV_b                     (Levi et al., DOI 10.3390/s22155540)
    CRPS = s [z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)]       (Gneiting, Raftery, DOI 10.1198/016214506000001437)
    NLL  = z^2 / 2 + log s + log(2 pi) / 2

Rank numbers say whether wide means wrong: Spearman's rho of |e| and s, and the area under the ROC curve (AUC) by which
s finds the tenth of largest |e|. What a perfect model of the same s gets by chance is simulated: its central 99 %.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata

Array = np.ndarray
LEVELS = np.linspace(0.01, 0.99, 99)
"""Probabilities of the central intervals of a coverage curve."""
BINS = 10
WORST = 0.1


class Predicted(NamedTuple):
    """Errors and the distributions that were predicted for them."""

    error: Array  # (n,)
    sigma: Array  # (n,) deviation
    quantile: Array | None = None  # (99,) half widths at LEVELS in units of sigma; None for those of a normal one

    def half_widths(self) -> Array:
        """Return the half widths of the central intervals at LEVELS in units of sigma, (99, 1)."""
        return (ndtri(0.5 + 0.5 * LEVELS) if self.quantile is None else self.quantile)[:, None]

    def scores(self) -> Array:
        """Return |e| / s, (n,)."""
        return np.abs(self.error) / self.sigma


def coverage(said: Predicted, levels: Sequence[float] | None = None) -> Array:
    """Return the fraction of errors within the central interval of each probability; of LEVELS by default.

    It is NaN where there are no errors: forces that symmetry fixes.
    """
    count = np.searchsorted(np.sort(said.scores()), said.half_widths()[:, 0], side="right")
    inside = count / (len(said.error) or np.nan)
    return inside if levels is None else np.interp(levels, LEVELS, inside)


def miscalibration_area(said: Predicted) -> float:
    """Return the area between the coverage curve and the diagonal."""
    curve = np.concatenate([[0.0], coverage(said), [1.0]])
    gap, x = curve - np.concatenate([[0.0], LEVELS, [1.0]]), np.concatenate([[0.0], LEVELS, [1.0]])
    return float(np.trapezoid(np.abs(gap), x))


def ence(said: Predicted, bins: int = BINS) -> float:
    """Return the expected normalised calibration error, over bins of equal numbers in the order of sigma."""
    parts = np.array_split(np.argsort(said.sigma, kind="stable"), min(bins, len(said.sigma)))
    rmse = np.array([np.sqrt(np.square(said.error[part]).mean()) for part in parts])
    rmv = np.array([np.sqrt(np.square(said.sigma[part]).mean()) for part in parts])
    return float((np.abs(rmse - rmv) / rmv).mean())


def crps(said: Predicted) -> float:
    """Return the mean continuous ranked probability score, in the unit of the errors."""
    z = said.error / said.sigma
    if said.quantile is None:
        density = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
        return float((said.sigma * (z * (2.0 * ndtr(z) - 1.0) + 2.0 * density - 1.0 / math.sqrt(math.pi))).mean())
    half = said.half_widths()
    upper, lower = 0.5 + 0.5 * LEVELS[:, None], 0.5 - 0.5 * LEVELS[:, None]
    loss = (pinball(z - half, upper) + pinball(z + half, lower)).sum(0) + pinball(z, np.full(1, 0.5))
    return float((2.0 * said.sigma * loss / (2 * len(LEVELS) + 1)).mean())


def pinball(rest: Array, level: Array) -> Array:
    """Return the quantile loss of what is left above a quantile."""
    return np.maximum(level * rest, (level - 1.0) * rest)


def nll(said: Predicted) -> float:
    """Return the mean negative log density of a normal distribution."""
    return float((0.5 * said.scores() ** 2 + np.log(said.sigma)).mean() + 0.5 * math.log(2.0 * math.pi))


def spearman(said: Predicted) -> float:
    """Return the rank correlation of |error| and sigma, 0 where sigma is constant."""
    a, b = rankdata(np.abs(said.error)), rankdata(said.sigma)
    return 0.0 if np.ptp(b) == 0.0 or np.ptp(a) == 0.0 else float(np.corrcoef(a, b)[0, 1])


def detection(sigma: Array, wrong: Array) -> float:
    """Return the probability that sigma is larger for one that is wrong than for one that is not (AUC)."""
    count, ranks = int(wrong.sum()), rankdata(sigma)
    if count in (0, len(wrong)):
        return math.nan
    return float((ranks[wrong].sum() - 0.5 * count * (count + 1)) / (count * (len(wrong) - count)))


def worst(error: Array, part: float = WORST) -> Array:
    """Return which errors are among the largest."""
    return np.abs(error) > np.quantile(np.abs(error), 1.0 - part)


def numbers(said: Predicted) -> dict[str, float]:
    """Return all numbers of calibration as plain floats.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> sigma = rng.uniform(1.0, 3.0, 20000)
        >>> found = numbers(Predicted(sigma * rng.normal(size=20000), sigma))
        >>> round(found["coverage_90"], 2), found["miscalibration_area"] < 0.01
        (0.9, True)
    """
    checked(said)
    rmse = float(np.sqrt(np.square(said.error).mean()))
    return {
        **{f"coverage_{round(100 * p)}": float(c) for p, c in zip(SHOWN, coverage(said, SHOWN), strict=True)},
        "miscalibration_area": miscalibration_area(said),
        "ence": ence(said),
        "crps": crps(said),
        "crps_over_rmse": crps(said) / max(rmse, 1e-300),
        "nll": nll(said),
        "spearman": spearman(said),
        "auc_worst": detection(said.sigma, worst(said.error)),
        "rmse": rmse,
        "sharpness": float(np.sqrt(np.square(said.sigma).mean())),
        "n": len(said.error),
    }


SHOWN = (0.5, 0.68, 0.9, 0.95)


def checked(said: Predicted) -> None:
    """Refuse what cannot be judged."""
    if len(said.error) < 2 or len(said.error) != len(said.sigma):
        raise ValueError(
            f"`error` and `sigma` must hold the same number, 2 or more, got {len(said.error)} and {len(said.sigma)}; "
            "give one deviation for each error"
        )
    if not (np.isfinite(said.error).all() and np.isfinite(said.sigma).all() and (said.sigma > 0.0).all()):
        raise ValueError("`sigma` must be positive and finite, as errors, got others; check the model and its labels")


def perfect(said: Predicted, draws: int = 200, seed: int = 0) -> dict[str, list[float]]:
    """Return the central 99 % of each number for a model whose errors are drawn from what was predicted."""
    rng = np.random.default_rng(seed)
    half = said.half_widths()
    table = np.concatenate([np.zeros((1, half.shape[1])), half, half[-1:] * half[-1:] / half[-2:-1]])
    grid, found = np.concatenate([[0.0], LEVELS, [1.0]]), []
    for _ in range(draws):
        p, sign = rng.uniform(size=len(said.sigma)), rng.choice([-1.0, 1.0], len(said.sigma))
        z = np.abs(ndtri(0.5 + 0.5 * p)) if said.quantile is None else np.interp(p, grid, table[:, 0])
        found.append(numbers(said._replace(error=sign * z * said.sigma)))
    keys = [key for key in found[0] if key != "n"]
    return {key: np.nanquantile([f[key] for f in found], [0.005, 0.995]).tolist() for key in keys}


def by_part(said: Predicted, names: Any) -> dict[str, dict[str, float]]:
    """Return the numbers of each part, a group of the data or an element; those with one error only are left out.

    Arguments:
        said: errors and deviations.
        names: the part of each, (n,).
    """
    names = np.asarray(names)
    parts = {str(name): names == name for name in sorted(set(names.tolist()))}
    return {name: numbers(take(said, rows)) for name, rows in parts.items() if rows.sum() > 1}


def take(said: Predicted, rows: Array) -> Predicted:
    """Return some of the errors."""
    return Predicted(said.error[rows], said.sigma[rows], said.quantile)


def summary(said: Predicted, parts: Mapping[str, Any], draws: int = 200, seed: int = 0) -> dict[str, Any]:
    """Return what `metrics.json` says of one quantity: numbers, curve, bands of a perfect model, and each kind of part.

    Arguments:
        said: errors and deviations.
        parts: names by kind, `{"groups": (n,), "elements": (n,)}`.
        draws: simulated sets.
        seed: of these.
    """
    out: dict[str, Any] = {**numbers(said), "perfect": perfect(said, draws, seed)}
    out["curve"] = coverage(said).round(5).tolist()
    return out | {kind: by_part(said, names) for kind, names in parts.items()}
