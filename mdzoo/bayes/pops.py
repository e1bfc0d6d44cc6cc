r"""Parameter uncertainties of a model that cannot fit its data: pointwise optimal parameter sets (POPS).

Each label alone is fitted exactly by the parameters nearest to the mean in the metric of the posterior,

    dtheta_i = S phi_i (y_i - phi_i . mean) / h_i,    h_i = phi_i . S phi_i,    S = (A^T A + prior)^-1

and all of them that have large leverage h_i are within a box along their principal axes. Parameters are uniform in the
box (Swinburne, Perez, DOI 10.1088/2632-2153/ad9fce); with many parameters and errors that are no noise it is far wider
than the posterior.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mdzoo.bayes.infer import Problem
from mdzoo.bayes.laplace import folds_of, with_root
from mdzoo.bayes.last_layer import linear_view
from mdzoo.bayes.left_out import LeftOut
from mdzoo.fit.solve import LinearPosterior
from mdzoo.potentials import ForceField


class Box(NamedTuple):
    """Parameters within a box about the mean."""

    axes: Tensor  # (P, K) orthonormal
    low: Tensor  # (K,)
    high: Tensor  # (K,)

    def root(self) -> Tensor:
        """Return R (P, K + 1) with `R R^T = E[dtheta dtheta^T]`, about the mean of the fit, in closed form."""
        middle, deviation = 0.5 * (self.low + self.high), (self.high - self.low) / 12.0**0.5
        return torch.cat([self.axes * deviation, (self.axes @ middle).unsqueeze(1)], 1)

    def draws(self, count: int, generator: torch.Generator) -> Tensor:
        """Return dtheta of draws from the box, (count, P)."""
        part = torch.rand(count, len(self.low), generator=generator, dtype=self.low.dtype)
        return (self.low + (self.high - self.low) * part) @ self.axes.T

    def envelope(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        """Return the least and the largest `phi . dtheta` over the box, (m,) each, exactly."""
        along = phi @ self.axes
        ends = torch.stack([along * self.low, along * self.high])
        return ends.amin(0).sum(1), ends.amax(0).sum(1)


def corrections(rows: Tensor, error: Tensor, root: Tensor) -> tuple[Tensor, Tensor]:
    """Return dtheta_i (m, P) and h_i (m,).

    Arguments:
        rows: weighted, (m, P).
        error: weighted labels minus predictions, (m,).
        root: of S, (P, K): of the posterior in units of the noise.
    """
    moved = (rows @ root) @ root.T
    leverage = (moved * rows).sum(1)
    safe = torch.where(leverage > 0.0, leverage, torch.full_like(leverage, torch.inf))
    return moved * (error / safe).unsqueeze(1), leverage


def box(dtheta: Tensor, leverage: Tensor, percentile: float = 50.0, mode: float = 1e-8, clip: float = 0.0) -> Box:
    """Return the box around the corrections of large leverage.

    Arguments:
        dtheta: (m, P).
        leverage: (m,).
        percentile: of the leverage, from which on a correction counts.
        mode: axes with less than this part of the largest eigenvalue are dropped.
        clip: percentile of the corrections that is cut from either end of an axis.
    """
    chosen = dtheta[leverage >= np.percentile(leverage.numpy(), percentile)]
    values, vectors = torch.linalg.eigh(chosen.T @ chosen)
    axes = vectors[:, values > mode * values.max()]
    along = (chosen @ axes).numpy()
    low, high = (torch.from_numpy(np.percentile(along, p, axis=0)) for p in (clip, 100.0 - clip))
    return Box(axes, low, high)


def of_fit(rows: Tensor, posterior: LinearPosterior, **options: Any) -> Box:
    """Return the box of a fit.

    Arguments:
        rows: weighted, with the weighted targets in the last column, (m, P + 1).
        posterior: of these rows.
        options: of `box`.
    """
    phi, y = rows[:, :-1], rows[:, -1]
    return box(*corrections(phi, y - phi @ posterior.mean, posterior.root / posterior.noise), **options)


class POPS:
    """The box of pointwise optimal parameters about a fit that is linear in its parameters, or a network's last layer.

    Arguments:
        members: M, draws from the box.
        leverage_percentile: labels of more leverage count.
        mode_threshold: of the axes that are kept.
        percentile_clipping: cut from either end of an axis.
        calibration: `cross_validation` or `none`, see `mdzoo.bayes.laplace`.
        folds: of it.
    """

    def __init__(
        self,
        members: int = 20,
        leverage_percentile: float = 50.0,
        mode_threshold: float = 1e-8,
        percentile_clipping: float = 0.0,
        calibration: str = "cross_validation",
        folds: int = 10,
    ) -> None:
        if not 0.0 <= float(leverage_percentile) < 100.0:
            raise ValueError(f"`leverage_percentile` must be within [0, 100), got {leverage_percentile}; 50 is usual")
        if not 0.0 <= float(percentile_clipping) < 50.0:
            raise ValueError(f"`percentile_clipping` must be within [0, 50), got {percentile_clipping}; 0 cuts nothing")
        self.members, self.calibration, self.folds = int(members), calibration, int(folds)
        self.options = {"percentile": float(leverage_percentile), "mode": float(mode_threshold)}
        self.options |= {"clip": float(percentile_clipping)}

    def __call__(self, problem: Problem) -> ForceField:
        """Return the force field with the box around its parameters."""
        view = linear_view(problem.force_field)
        left = PopsLeftOut.of(LeftOut(view, problem.data.train_set, folds_of(problem.data, self.folds)), **self.options)
        found = left.box_of(left.posterior, ())
        generator = torch.Generator().manual_seed(problem.seed)
        root = torch.cat([found.root(), left.posterior.root], 1)
        draws = found.draws(self.members, generator)
        return with_root(problem, compressed(root), draws, left, self.calibration)


class PopsLeftOut(LeftOut):
    """LeftOut whose deviations are those of the box."""

    options: dict[str, Any]

    @classmethod
    def of(cls, left: LeftOut, **options: Any) -> "PopsLeftOut":
        """Return the same rows with the deviations of the box."""
        out = cls.__new__(cls)
        vars(out).update(vars(left), options=options)
        return out

    def box_of(self, posterior: LinearPosterior, parts: Any) -> Box:
        """Return the box of the rows of all parts but some."""
        kept = [k for k in self.kept if k.part not in parts]
        rows = torch.cat([self.weights[t] * k.rows[t] for k in kept for t in self.targets])
        return of_fit(rows, posterior, **self.options)

    def without(self, parts: Any) -> LinearPosterior:
        """Return the fit with the covariance of the box and the posterior together."""
        fitted = super().without(parts)
        root = torch.cat([self.box_of(fitted, parts).root(), fitted.root], 1)
        return fitted._replace(root=compressed(root))


def compressed(root: Tensor) -> Tensor:
    """Return a root (P, P) of the same covariance."""
    return torch.linalg.qr(root.T, mode="r")[1].T
