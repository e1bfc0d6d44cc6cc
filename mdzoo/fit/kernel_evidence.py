r"""Hyperparameters of kernels by the evidence and its gradient, in two passes over the data for each step.

With the weighted rows A, the prior `theta ~ N(0, s^2 (lambda K)^-1)`, the posterior N(mu, S) and lambda and s at their
best, at which the evidence does not change with them,

    d log p / dA = ((b - A mu) mu^T - A S) / s^2,    d log p / dK = K^-1 / 2 - lambda (S + mu mu^T) / 2 s^2

(MacKay, DOI 10.1162/neco.1992.4.3.415; Rasmussen, Williams, Gaussian Processes for Machine Learning, 2006, 5.4). Rows
are made once more, structure by structure, and what they change with the hyperparameters is summed: memory does not
grow with the data.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from torch import nn

from mdzoo.fit.design import columns_of, linear_parts, n_columns
from mdzoo.fit.least_squares import LeastSquares, singles
from mdzoo.fit.rows import weighted_rows
from mdzoo.potentials import ForceField
from mdzoo.regressors import SparseGP

log = logging.getLogger(__name__)


class KernelEvidence:
    """The evidence as a function of the logarithms of variances and lengths, and its gradient.

    Arguments:
        force_field: holds one SparseGP or more with inducing points.
        batches: the training data; gone through twice for each value.
        weights: w_E, w_F, w_S, one number each.
    """

    def __init__(self, force_field: ForceField, batches: Any, weights: Mapping[str, float | Sequence[float]]) -> None:
        self.force_field, self.batches, self.weights = force_field, batches, dict(weights)
        self.parts = [part for part in linear_parts(force_field) if isinstance(part.regressor, SparseGP)]
        if not self.parts:
            raise ValueError(
                "`optimise_kernel` must be false where there is no kernel, got true; choose regressor=sparse_gp"
            )
        found = [p for part in self.parts for p in part.regressor.kernels.parameters()]  # type: ignore[union-attr]
        self.parameters = list(dict.fromkeys(found))

    def value(self, logarithms: np.ndarray) -> tuple[float, np.ndarray]:
        """Return log p and its gradient."""
        nn.utils.vector_to_parameters(torch.as_tensor(logarithms).to(self.parameters[0]), self.parameters)
        module = LeastSquares(self.force_field, self.weights, "evidence")
        for batch in self.batches:
            module.training_step(batch, 0)
        post = module.solve()
        for parameter in self.parameters:
            parameter.requires_grad_(True).grad = None
        self.pull_prior(module)
        for batch in self.batches:
            for single in singles(batch):
                self.pull_rows(module, single)
        slope = torch.cat([parameter.grad.flatten() for parameter in self.parameters])  # type: ignore[union-attr]
        for parameter in self.parameters:
            parameter.requires_grad_(False).grad = None
        return post.evidence, slope.numpy()

    def pull_prior(self, module: LeastSquares) -> None:
        """Add what the evidence changes with K to the gradients."""
        post, first = module.posterior, 0
        for part in linear_parts(self.force_field):
            if isinstance(part.regressor, SparseGP):
                own = slice(first, first + len(part.regressor.alpha))
                covariance, moment = part.regressor.covariance(), post.root[own] @ post.root[own].T
                moment = moment + torch.outer(post.mean[own], post.mean[own])
                inverse = torch.cholesky_inverse(torch.linalg.cholesky(covariance.detach()))
                slope = 0.5 * inverse - 0.5 * module.strength / post.noise**2 * moment
                (slope * covariance).sum().backward()
            first += n_columns(part)

    def pull_rows(self, module: LeastSquares, single: Any) -> None:
        """Add what the evidence changes with the rows of one structure to the gradients."""
        post = module.posterior
        with torch.enable_grad():
            columns = columns_of(self.force_field, single.graph)
            rows = weighted_rows(columns, module.base, single, module.targets)
            scaled = [module.chosen[target] * block for target, block in rows.items()]
            whole = torch.cat(scaled)
            a, b = whole[:, :-1], whole[:, -1]
            with torch.no_grad():
                slope = torch.outer(b - a @ post.mean, post.mean) - (a @ post.root) @ post.root.T
            (slope / post.noise**2 * a).sum().backward()


def optimise_kernel(
    force_field: ForceField, batches: Any, weights: Mapping[str, float | Sequence[float]], steps: int
) -> float:
    """Leave the variances and lengths of largest evidence in the kernels and return log p, by L-BFGS.

    Arguments:
        force_field: see KernelEvidence.
        batches: the training data.
        weights: one number for each target.
        steps: of L-BFGS.
    """
    problem = KernelEvidence(force_field, batches, weights)
    start = nn.utils.parameters_to_vector(problem.parameters).to(torch.float64).numpy().copy()

    def negative(logarithms: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = problem.value(logarithms)
        log.info("kernel: log evidence %.6f, slope %.1e", value, np.abs(slope).max())
        return -value, -slope

    found = minimize(negative, start, jac=True, method="L-BFGS-B", options={"maxiter": steps})
    nn.utils.vector_to_parameters(torch.as_tensor(found.x).to(problem.parameters[0]), problem.parameters)
    return -float(found.fun)
