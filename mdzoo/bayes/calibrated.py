"""Calibration judges the parameters that a model keeps, on structures that these have not seen.

Parameters of a closed form are judged by left-out folds and groups: without a part of the data they move as the closed
form moves (`LeftOut.about`), at the cost of solves. What descended a gradient, and a network, whose hidden layers saw
all structures, is judged by the validation set, which must not hold a structure of the training set.
"""

import logging
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mdzoo.bayes.apart import check_apart
from mdzoo.bayes.infer import Problem
from mdzoo.bayes.last_layer import LastLayer, linear_view
from mdzoo.bayes.left_out import LeftOut, Residuals, joined
from mdzoo.bayes.recalibration import of_residuals
from mdzoo.fit.design import linear_part
from mdzoo.potentials import ForceField
from mdzoo.potentials.sure_force_field import SureForceField

log = logging.getLogger(__name__)
CALIBRATIONS = ("cross_validation", "validation", "none")
NEAR = 0.3
"""Parameters that predict so much apart from the closed form, in units of its errors, are those of another fit."""
FIXED = 1e-6
"""Deviations below this part of the largest of a structure are of forces that symmetry fixes."""


def check_calibration(calibration: str) -> None:
    """Refuse a word that is no way of calibration."""
    if calibration not in CALIBRATIONS:
        raise ValueError(f"`calibration` must be one of {list(CALIBRATIONS)}, got {calibration!r}; choose one")


def calibrated(problem: Problem, left: LeftOut, calibrate: str, temperature: float) -> dict[str, Any] | None:
    """Return the calibration as plain numbers, None for `none`.

    Raises:
        ValueError: there is no validation set where one is needed, or it overlaps the training set.
    """
    if calibrate == "none":
        return None
    near, far, groups = near_of(problem, Widened(left, temperature), calibrate)
    return of_residuals(near, groups, far)


def near_of(problem: Problem, left: Any, calibrate: str) -> tuple[dict[str, Residuals], Any, Any]:
    """Return the errors that calibrate, those of left-out groups if there are any, and the groups of the structures."""
    view = linear_view(problem.force_field)
    regressor: Any = linear_part(view).regressor
    theta, closed = regressor.theta().detach(), not isinstance(regressor, LastLayer)
    if calibrate == "cross_validation" and closed and is_closed_form(problem, left, theta):
        left.about(theta)
        return left.by_folds(), left.by_groups(), left.groups
    held = held_set(problem, calibrate)
    left.about(theta)
    return left.of_others(view, held), {}, np.asarray(held.groups)


def is_closed_form(problem: Problem, left: Any, theta: Tensor) -> bool:
    """Return whether parameters are those of a closed form: by the settings of their fit, or by what they predict."""
    return (problem.fit or {}).get("name") == "least_squares" or left.gap(theta) < NEAR


def held_set(problem: Problem, calibrate: str) -> Any:
    """Return the validation set, or refuse."""
    data = problem.data
    if data.val_set is None:
        right = "cross_validation or none" if calibrate == "validation" else "none"
        raise ValueError(
            f"`calibration` must be {right} without validation data, got {calibrate}"
            + ("" if calibrate == "validation" else " for parameters that no closed form gave")
            + "; set data.val_fraction=0.1"
        )
    check_apart(data.train_set, data.val_set)
    log.info("calibration by the %d structures of the validation set", len(data.val_set))
    return data.val_set


class Widened:
    """LeftOut with deviations at a temperature."""

    def __init__(self, left: LeftOut, temperature: float) -> None:
        self.left, self.factor = left, temperature**0.5
        self.groups, self.targets = left.groups, left.targets

    def about(self, theta: Tensor) -> None:
        """Judge these parameters."""
        self.left.about(theta)

    def gap(self, theta: Tensor) -> float:
        """Return how far they are from the closed form."""
        return self.left.gap(theta)

    def by_folds(self, exclude: Any = ()) -> dict[str, Residuals]:
        """Return the errors of left-out folds."""
        return self.wider(self.left.by_folds(exclude))

    def by_groups(self, exclude: Any = ()) -> dict[str, Residuals]:
        """Return the errors of left-out groups."""
        return self.wider(self.left.by_groups(exclude))

    def of_others(self, view: Any, dataset: Any) -> dict[str, Residuals]:
        """Return the errors of other structures by the parameters that are kept."""
        return self.wider(self.left.of_others(view, dataset))

    def wider(self, found: dict[str, Residuals]) -> dict[str, Residuals]:
        """Return residuals with wider deviations."""
        return {
            t: r._replace(**{k: self.factor * getattr(r, k) for k in ("sigma", "atom", "whole")})
            for t, r in found.items()
        }


def by_members(force_field: ForceField, data: Any, calibrate: str) -> ForceField:
    """Return a force field with members, calibrated by the validation set if there is one and it is asked for."""
    if calibrate == "none" or data.val_set is None:
        if calibrate != "none":
            log.warning("no validation set: the spread of the members is not calibrated; set data.val_fraction=0.1")
        return force_field
    check_apart(data.train_set, data.val_set)
    known = of_residuals(residuals_of(force_field, data.val_set), np.asarray(data.val_set.groups))
    vars(force_field)["extra"] = {**vars(force_field).get("extra", {}), "calibration": known}
    return force_field


def residuals_of(force_field: ForceField, dataset: Any) -> dict[str, Residuals]:
    """Return the errors of labelled structures beside the deviations that the members of a force field give."""
    sure = SureForceField(force_field, None, "members").eval()
    found: dict[str, list[Residuals]] = {"energy": [], "forces": []}
    for i in range(len(dataset)):
        batch = dataset[[i]]
        out, n = sure(batch.graph), len(batch.graph.species)
        none, size = torch.zeros(3, 1), out.forces.norm(dim=1)
        energy = (batch.labels.energy - out.energy) / n, out.energy_uncertainty / n, *none
        found["energy"].append(columns_of(i, *energy))
        whole = (out.energy_uncertainty / n).expand(len(size))
        each = [x.unsqueeze(1).expand(-1, 3) for x in (out.energies_uncertainty, size, whole)]
        found["forces"].append(columns_of(i, batch.labels.forces - out.forces, out.forces_uncertainty, *each))
    return {target: joined(parts) for target, parts in found.items()}


def columns_of(place: int, error: Tensor, sigma: Tensor, *rest: Tensor) -> Residuals:
    """Return residuals of one structure; labels that are absent, and what symmetry fixes, are left out."""
    every = (error, sigma, torch.full_like(error, place), *rest)
    flat = [x.detach().to(torch.float64).flatten() for x in every]
    keep = flat[0].isfinite() & (flat[1] > FIXED * flat[1].max())
    return Residuals(*[column[keep].numpy() for column in flat])
