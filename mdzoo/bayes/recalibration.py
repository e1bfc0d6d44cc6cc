r"""From deviations by the parameters to deviations and intervals that hold, by errors of structures left out.

The posterior of the parameters is far too narrow for a model that cannot fit its data: what it says is a scale that
knows the neighbourhood, and no more. On errors e of structures that a fit did not see,

    s = c(sigma),    c the monotone curve of log rms(e) over log sigma        (isotonic regression over bins)
    interval of probability p:  +- q_p s,    q_p the ceil((n + 1) p)-th smallest |e| / s of n

the second line being split conformal prediction (Vovk et al., 2005; Angelopoulos, Bates, DOI 10.1561/2200000101). The
curve sees errors of left-out groups too, so that it rises where a structure is of a new kind; the quantiles see those
of left-out folds alone, of each group by itself where it has `FEW` errors or more.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from mdzoo.bayes.calibration import LEVELS, Predicted
from mdzoo.bayes.left_out import Residuals

BINS = {"energy": 6, "forces": 20}
FEW = 200
"""Errors below which a group has no quantiles of its own."""

Array = np.ndarray


def curve(sigma: Array, error: Array, bins: int, flat: bool) -> dict[str, Any]:
    """Return the knots of a monotone curve from sigma to the root mean square of errors, see `Curve`.

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
    y = isotonic(np.array([np.square(error[part]).mean() for part in order]), np.array([len(p) for p in order]))
    apart = np.concatenate([[True], np.diff(x) > 1e-9])
    return {"x": x[apart].tolist(), "y": (0.5 * np.log(y[apart])).tolist(), "flat": flat}


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
    sigma, error = (np.concatenate([getattr(r, name) for r in both]) for name in ("sigma", "error"))
    knots = curve(sigma, error, BINS[target], target == "energy")
    scores = np.abs(near.error) / through(knots, near.sigma)
    names = groups[near.structure.astype(np.int64)]
    own = {str(g): scores[names == g] for g in sorted(set(names.tolist()))}
    return {
        "curve": knots,
        "quantile": quantiles(scores).tolist(),
        "groups": {g: quantiles(part).tolist() for g, part in own.items() if len(part) >= FEW},
    }


def of_residuals(near: Mapping[str, Residuals], groups: Array) -> dict[str, Any]:
    """Return the calibration from errors of a data set that did not train."""
    out = {target: found(residuals, None, groups, target) for target, residuals in near.items()}
    if "forces" in out:
        out["local"] = local(near["forces"], None, groups)
    return out


def calibration(left: Any, exclude: Any = ()) -> dict[str, Any]:
    """Return the calibration of a linear model from errors of left-out folds and groups, as plain numbers for JSON.

    Arguments:
        left: `mdzoo.bayes.left_out.LeftOut`.
        exclude: groups that are left out of everything.
    """
    near, far = left.by_folds(exclude), left.by_groups(exclude)
    out = {target: found(near[target], far[target], left.groups, target) for target in left.targets}
    if "forces" in out:
        out["local"] = local(near["forces"], far["forces"], left.groups)
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
    scaled, other = [r and r._replace(sigma=local_scale(r, a, b, least)) for r in (near, far)]
    return {**found(scaled, other, groups, "forces"), "powers": [a, b], "least": least}  # type: ignore[arg-type]


def applied(known: Mapping[str, Any], residuals: Residuals) -> Predicted:
    """Return errors with calibrated deviations and quantiles."""
    return Predicted(residuals.error, through(known["curve"], residuals.sigma), np.asarray(known["quantile"]))
