"""Empirical parameters outside, linear weights inside: variable projection.

    f(eta) = min_theta  loss(theta, eta) + ridge(theta)

(Golub and Pereyra, DOI 10.1137/0710036.) The rows of the linear part do not depend on eta, so their decomposition is
kept; the loss is quadratic in theta, so one gradient of it at any theta gives the best theta exactly, and at that theta
the gradient of f is the partial derivative at fixed weights. One value of f costs two passes of the ordinary loss.
"""

import logging
from collections.abc import Iterable

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor, nn

from mdzoo.data.labels import Batch
from mdzoo.fit.design import linear_parts, n_parameters, set_theta
from mdzoo.fit.least_squares import LeastSquares
from mdzoo.fit.loss import targets, total_loss
from mdzoo.fit.select import decompose
from mdzoo.fit.solve import whitened
from mdzoo.potentials import ForceField

log = logging.getLogger(__name__)


def outside(force_field: ForceField) -> list[nn.Parameter]:
    """Return the parameters that train and are not those of the linear parts.

    Raises:
        ValueError: there are none.
    """
    inside = {id(parameter) for part in linear_parts(force_field) for parameter in part.parameters()}
    found = [p for p in force_field.parameters() if p.requires_grad and id(p) not in inside]
    if not found:
        raise ValueError(
            "`optimise_empirical` must be false where no empirical parameter trains, got true; set trainable=true in "
            "an empirical term"
        )
    return found


class Projection:
    """The function f of the empirical parameters and its gradient.

    Arguments:
        module: least squares that has been solved; its weights and its ridge stay.
        batches: the training data, gone through twice for each value.
    """

    def __init__(self, module: LeastSquares, batches: Iterable[Batch]) -> None:
        self.force_field, self.batches = module.force_field.train(), batches
        regressors = [part.regressor for part in linear_parts(self.force_field)]
        self.inner = [p for regressor in regressors for p in regressor.parameters() if p.requires_grad]
        self.order = self.order_of_theta(n_parameters(self.force_field))
        self.outer = outside(self.force_field)
        self.targets = targets(module.chosen)
        self.ridge = module.strength
        self.spectrum = decompose(module.train_factors, module.chosen, module.shape, None)
        self.theta = module.posterior.mean.clone()
        set_theta(self.force_field, self.theta)

    def order_of_theta(self, n: int) -> Tensor:
        """Return which entry of theta each number of the regressor's parameters is."""
        set_theta(self.force_field, torch.arange(n, dtype=torch.float64))
        return torch.cat([p.detach().flatten() for p in self.inner]).round().to(torch.int64)

    def loss(self) -> tuple[float, Tensor, Tensor]:
        """Return the loss over all data and its gradients by theta and by the empirical parameters."""
        everything = [*self.inner, *self.outer]
        sums = [torch.zeros_like(p) for p in everything]
        total = 0.0
        for batch in self.batches:
            loss = total_loss(self.targets, self.force_field(batch.graph), batch.graph, batch.labels)
            total += float(loss.detach())
            found = torch.autograd.grad(loss, everything, allow_unused=True)
            sums = [s if g is None else s + g for s, g in zip(sums, found, strict=True)]
        flat = [g.flatten() for g in sums]
        inner = torch.zeros_like(self.theta)
        inner[self.order] = torch.cat(flat[: len(self.inner)])
        return total, inner, torch.cat(flat[len(self.inner) :])

    def value(self, eta: np.ndarray) -> tuple[float, np.ndarray]:
        """Return f and its gradient."""
        nn.utils.vector_to_parameters(torch.as_tensor(eta).to(self.theta), self.outer)
        self.improve(self.loss()[1])
        total, _, slope = self.loss()
        penalty = self.ridge * float(whitened(self.spectrum.prior, self.theta.unsqueeze(1)).square().sum())
        return total + penalty, slope.numpy()

    def improve(self, gradient: Tensor) -> None:
        """Take the one Newton step that ends at the best theta."""
        spec = self.spectrum
        prior = whitened(spec.prior, self.theta.unsqueeze(1))
        half = 0.5 * gradient + self.ridge * whitened(spec.prior.t(), prior).squeeze(1)
        curvature = spec.singular.square() + self.ridge
        curvature = curvature.clamp_min(float(spec.singular[0]) ** 2 * torch.finfo(torch.float64).eps)
        self.theta = self.theta - spec.right @ ((spec.right.T @ half) / curvature)
        set_theta(self.force_field, self.theta)


def optimise_empirical(module: LeastSquares, batches: Iterable[Batch], steps: int) -> float:
    """Leave the best empirical parameters (and their weights) in the force field and return f, by L-BFGS.

    Arguments:
        module: least squares that has been solved.
        batches: the training data.
        steps: of L-BFGS.
    """
    problem = Projection(module, batches)
    start = nn.utils.parameters_to_vector(problem.outer).detach().to(torch.float64).numpy()
    size = np.maximum(np.abs(start), 1.0)

    def scaled(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = problem.value(start + size * x)
        log.info("variable projection: loss %.9g", value)
        return value, size * slope

    found = minimize(scaled, np.zeros_like(start), jac=True, method="L-BFGS-B", options={"maxiter": steps})
    value, _ = problem.value(start + size * found.x)
    module.force_field.eval()
    return value
