r"""Last-layer prediction rigidity: how far the features of a structure lie from those of training.

    sigma^2(f) = alpha^2 f^T (F^T F + c^2 I)^-1 f

with the rows F of the last layer's features of the training structures, mean over their atoms, as their energies are
compared (Bigi, Chong, Ceriotti, Grasselli, DOI 10.1088/2632-2153/ad805f). For a regressor that is linear in its
parameters f are its columns. alpha^2 is the mean of `e^2 / sigma^2` over the energies of structures that did not train:
this is Bayesian linear regression on the last layer with noise alpha and a prior of precision (c / alpha)^2.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mdzoo.bayes.calibrated import check_calibration, near_of
from mdzoo.bayes.infer import Problem
from mdzoo.bayes.laplace import folds_of, with_root
from mdzoo.bayes.last_layer import linear_view
from mdzoo.bayes.left_out import LeftOut
from mdzoo.fit.factors import triangle
from mdzoo.fit.solve import LinearPosterior
from mdzoo.potentials import ForceField


class LLPR:
    """The rigidity of the last layer of a network, or of a linear model.

    Arguments:
        members: M, draws of it.
        regulariser: c^2, in units of the mean eigenvalue of F^T F.
        calibration: see `mdzoo.bayes.calibrated`; with `none` alpha is one.
        folds: of it.
    """

    def __init__(
        self, members: int = 20, regulariser: float = 1e-8, calibration: str = "cross_validation", folds: int = 10
    ) -> None:
        check_calibration(calibration)
        if not 0.0 < float(regulariser) < np.inf:
            raise ValueError(f"`regulariser` must be positive and finite, got {regulariser}; 1e-8 is a start")
        self.members, self.regulariser = int(members), float(regulariser)
        self.calibration, self.folds = calibration, int(folds)

    def __call__(self, problem: Problem) -> ForceField:
        """Return the force field with its rigidity."""
        data = problem.data
        left = RigidLeftOut.of(
            LeftOut(linear_view(problem.force_field), data.train_set, folds_of(data, self.folds)), self.regulariser
        )
        if self.calibration != "none":
            near = near_of(problem, left, self.calibration)[0]["energy"]
            left.alpha = float(np.sqrt(np.square(near.error / near.sigma).mean()))
        left.posterior = left.posterior._replace(root=left.rigidity(()))
        generator, root = torch.Generator().manual_seed(problem.seed), left.posterior.root
        draws = torch.randn(self.members, root.shape[1], generator=generator, dtype=torch.float64) @ root.T
        return with_root(problem, root, draws, left, self.calibration)


class RigidLeftOut(LeftOut):
    """LeftOut whose deviations are those of the last layer's rigidity."""

    alpha: float
    regulariser: float

    @classmethod
    def of(cls, left: LeftOut, regulariser: float) -> "RigidLeftOut":
        """Return the same rows with the deviations of the rigidity."""
        out = cls.__new__(cls)
        vars(out).update(vars(left), regulariser=regulariser, alpha=1.0)
        out.posterior = left.posterior._replace(root=out.rigidity(()))
        return out

    def rigidity(self, parts: Any) -> Tensor:
        """Return R (P, P) of `alpha^2 (F^T F + c^2 I)^-1` without some parts, by singular values of F's factor."""
        kept = [k for k in sorted(self.factors.table) if k[1] == "energy" and k[0] not in parts]
        root = triangle([self.factors.table[k].root() for k in kept], self.factors.n_columns)[:, :-1]
        short = torch.nn.functional.pad(root, (0, 0, 0, max(0, root.shape[1] - len(root))))
        _, singular, right = torch.linalg.svd(short, full_matrices=False)
        squares = singular.square()
        return self.alpha * right.T * (squares + self.regulariser * squares.mean()).rsqrt()

    def without(self, parts: Any) -> LinearPosterior:
        """Return the fit with the rigidity of what is left."""
        return super().without(parts)._replace(root=self.rigidity(parts))
