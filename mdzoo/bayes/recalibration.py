r"""From deviations by the parameters to deviations and intervals that hold, by errors of structures left out.

The posterior of the parameters is far too narrow for a model that cannot fit its data: what it says is a scale that
knows the neighbourhood, and no more. On errors e of structures that a fit did not see,

    s = c(sigma),    c the monotone curve of the log width of e over log sigma        (isotonic regression over bins)
    interval of probability p:  +- q_p s,    q_p the ceil((n + 1) p)-th smallest |e| / s of n

where the width is the root mean square, and of the few energies the 90 % quantile of |e| over that of a standard normal
number, so that intervals hold at each sigma; deviations of force components are multiplied by a second such curve over
the deviation of the energy of their structure, which tells a new kind of structure better than they do. The second line
is split conformal prediction (Vovk et al., 2005; Angelopoulos, Bates, DOI 10.1561/2200000101). The
curve sees errors of left-out groups too, so that it rises where a structure is of a new kind; the quantiles see those
of left-out folds alone. Deviations of a group of the data are multiplied by the quantile of its own |e| / s at 90 %
over that of all, where it has `FEW` errors or more: its 90 % interval is then split conformal by itself. Structures
without a group, and of a new one, have the factor one.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import ndtri

from mdzoo.bayes.calibration import LEVELS, Predicted, crps
from mdzoo.bayes.left_out import Residuals

BINS = {"energy": 6, "forces": 20, "novelty": 10}
FEW = 200
"""Errors below which a group has no factor of its own."""
HALF = 8
"""Structures of a block that stays together where errors are halved."""
SHARE = 89
"""Place among LEVELS of the interval that holds in each group."""

Array = np.ndarray


def curve(sigma: Array, error: Array, bins: int, flat: bool, quantile: bool = False) -> dict[str, Any]:
    """Return the knots of a monotone curve from sigma to the width of errors, see `Curve`.

    Raises:
        ValueError: there are too few errors.
    """
    if len(error) < 2 * bins:
        raise ValueError(
            f"`errors` must be {2 * bins} or more for a calibration, got {len(error)}; give more structures, or "
            "bayes.calibration=none"
        )
    order = np.array_split(np.argsort(sigma, kind="stable"), bins)
    x = np.array([0.5 * math.log(np.square(sigma[part]).mean()) for part in order])
    width = squared_quantile if quantile else mean_square
    y = isotonic(np.array([width(error[part]) for part in order]), np.array([len(p) for p in order]))
    apart = np.concatenate([[True], np.diff(x) > 1e-9])
    return {"x": x[apart].tolist(), "y": (0.5 * np.log(y[apart])).tolist(), "flat": flat}


def mean_square(error: Array) -> float:
    """Return the mean of squares."""
    return float(np.square(error).mean())


def squared_quantile(error: Array) -> float:
    """Return the square of the 90 % quantile of |e| in units of that of a standard normal number."""
    return float(quantiles(np.abs(error))[SHARE] / ndtri(0.95)) ** 2


def novelty(whole: Array, scores: Array) -> dict[str, Any]:
    """Return the knots of the curve from the deviation of a structure's energy to rms(e / s), constant at its ends."""
    knots = curve(whole, scores, BINS["novelty"], True)
    x, y = knots["x"], knots["y"]
    return {"x": [x[0] - 1.0, *x, x[-1] + 60.0], "y": [y[0], *y, y[-1]], "flat": True}


def isotonic(values: Array, weights: Array) -> Array:
    """Return the ascending numbers nearest to the values by weighted squares (pool adjacent violators)."""
    blocks: list[list[float]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        blocks.append([value, float(weight), 1.0])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            (a, p, m), (b, q, n) = blocks[-2], blocks.pop()
            blocks[-1] = [(a * p + b * q) / (p + q), p + q, m + n]
    return np.concatenate([np.full(int(count), value) for value, _, count in blocks]).clip(min=1e-300)


def through(knots: Mapping[str, Any], sigma: Array) -> Array:
    """Return `c(sigma)`: the numpy twin of `mdzoo.potentials.sure_force_field.Curve`."""
    x, y, at = np.asarray(knots["x"]), np.asarray(knots["y"]), np.log(np.maximum(sigma, 1e-30))
    below = np.minimum(at - x[0], 0.0) * (not knots["flat"])
    return np.exp(np.interp(at, x, y) + np.maximum(at - x[-1], 0.0) + below)


def quantiles(scores: Array) -> Array:
    """Return the conformal half widths at LEVELS, (99,), from |e| / s; the largest score where n is too small."""
    n = len(scores)
    ranks = np.minimum(np.ceil((n + 1) * LEVELS), n).astype(int) - 1
    return np.sort(scores)[ranks]


def found(near: Residuals, far: Residuals | None, groups: Array, target: str) -> dict[str, Any]:
    """Return the calibration of one target.

    Arguments:
        near: errors without the fold of each structure.
        far: errors without the group of each structure, if any.
        groups: of the structures.
        target: `energy` or `forces`.
    """
    both = [near] if far is None or len(far.error) == 0 else [near, far]
    every = Residuals(*(np.concatenate(column) for column in zip(*both, strict=True)))
    known = widths(every, target)
    if "novelty" in known and not novelty_helps(every, near):
        known.pop("novelty")
    names = groups[near.structure.astype(np.int64)]
    scores = np.abs(near.error) / scale(known, near)
    own = group_factors(scores, names)
    return {**known, "quantile": quantiles(scores / factors(own, names)).tolist(), "groups": own}


def widths(seen: Residuals, target: str) -> dict[str, Any]:
    """Return the curve, and of forces what the novelty of a structure is worth."""
    energies = target == "energy"
    known: dict[str, Any] = {"curve": curve(seen.sigma, seen.error, BINS[target], energies, energies)}
    if not energies and float(seen.whole.min()) > 0.0:
        known["novelty"] = novelty(seen.whole, seen.error / through(known["curve"], seen.sigma))
    return known


def novelty_helps(every: Residuals, near: Residuals) -> bool:
    """Tell whether novelty lowers the score (CRPS) of near errors: found on each half, judged on the other.

    Halves are blocks of HALF structures in turn, for neighbours resemble each other; without two halves it stays.
    """
    gain = 0.0
    for half in (0, 1):
        mine, judged = part(near, half), part(near, 1 - half)
        if min(len(mine.error), len(judged.error)) < FEW:
            return True
        known = widths(part(every, half), "forces")
        for sign, knots in ((-1, known), (1, {"curve": known["curve"]})):
            half_widths = quantiles(np.abs(mine.error) / scale(knots, mine))
            gain += sign * crps(Predicted(judged.error, scale(knots, judged), half_widths)) * len(judged.error)
    return gain > 0.0


def part(residuals: Residuals, half: int) -> Residuals:
    """Return those of every other block of structures."""
    mine = residuals.structure.astype(np.int64) // HALF % 2 == half
    return Residuals(*(column[mine] for column in residuals))


def scale(known: Mapping[str, Any], residuals: Residuals) -> Array:
    """Return s of each error."""
    sigma = through(known["curve"], residuals.sigma)
    return sigma * through(known["novelty"], residuals.whole) if "novelty" in known else sigma


def group_factors(scores: Array, names: Array) -> dict[str, float]:
    """Return by how much the 90 % quantile of |e| / s of each group with enough errors exceeds that of all."""
    whole = quantiles(scores)[SHARE]
    parts = {str(name): scores[names == name] for name in sorted(set(names.tolist()))}
    return {name: float(quantiles(part)[SHARE] / whole) for name, part in parts.items() if len(part) >= FEW}


def factors(known: Mapping[str, float], names: Array) -> Array:
    """Return the factor of each name, one where it is not known."""
    return np.array([known.get(str(name), 1.0) for name in names])


def of_residuals(
    near: Mapping[str, Residuals], groups: Array, far: Mapping[str, Residuals] | None = None
) -> dict[str, Any]:
    """Return the calibration as plain numbers for JSON.

    Arguments:
        near: errors by target of structures that did not train: of left-out folds, or of another data set.
        groups: of the structures.
        far: errors of left-out groups, if any.
    """
    far = far or {}
    out = {target: found(residuals, far.get(target), groups, target) for target, residuals in near.items()}
    if "forces" in out:
        out["local"] = local(near["forces"], far.get("forces"), groups)
    return out


def local_powers(residuals: Residuals) -> tuple[float, float, float]:
    """Return a, b and f of `sigma_i^a (|F_i| + f)^b` by the most likely log-linear scale of normal force errors."""
    least = 0.05 * float(np.sqrt(np.square(residuals.size).mean())) + 1e-6
    x = np.stack([np.ones_like(residuals.atom), np.log(residuals.atom + 1e-30), np.log(residuals.size + least)], 1)
    squares = np.square(residuals.error) + 1e-300
    beta = np.array([math.log(squares.mean()), 0.0, 0.0])
    for _ in range(50):  # Fisher scoring of log s^2 = x . beta, damped by the observed weights
        ratio = np.minimum(squares * np.exp(-np.clip(x @ beta, -80.0, 80.0)), 1e6)
        step = np.linalg.lstsq((x * (0.5 + 0.5 * ratio)[:, None]).T @ x, x.T @ (ratio - 1.0), rcond=1e-12)[0]
        beta = beta + step
        if np.abs(step).max() < 1e-8:
            break
    return 0.5 * max(beta[1], 0.0), 0.5 * max(beta[2], 0.0), least


def local_scale(residuals: Residuals, a: float, b: float, least: float) -> Array:
    """Return `sigma_i^a (|F_i| + f)^b` of each error."""
    return np.maximum(residuals.atom, 1e-30) ** a * (residuals.size + least) ** b


def local(near: Residuals, far: Residuals | None, groups: Array) -> dict[str, Any]:
    """Return the calibration of the scale of forces that costs no derivative, see `SureForceField`."""
    a, b, least = local_powers(near)
    scaled, other = [
        r and r._replace(sigma=local_scale(r, a, b, least), whole=np.zeros_like(r.whole)) for r in (near, far)
    ]
    return {**found(scaled, other, groups, "forces"), "powers": [a, b], "least": least}  # type: ignore[arg-type]


def applied(known: Mapping[str, Any], residuals: Residuals, groups: Array | None = None) -> Predicted:
    """Return errors with calibrated deviations and quantiles; those of known groups with their factors."""
    sigma = scale(known, residuals)
    if groups is not None:
        sigma = sigma * factors(known.get("groups", {}), groups[residuals.structure.astype(np.int64)])
    return Predicted(residuals.error, sigma, np.asarray(known["quantile"]))
