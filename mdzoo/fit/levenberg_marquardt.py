"""Damped Gauss-Newton steps on a small network: second order from first derivatives.

    min_delta  |J delta + r|^2 + mu sum_p (d_p delta_p)^2,    d_p = max |J_p| over the steps so far

(Levenberg, DOI 10.1090/qam/10666; Marquardt, DOI 10.1137/0111030; More, DOI 10.1007/BFb0067700: units that have become
saturated stay where they are), with r the weighted residuals of the loss of
`mdzoo.fit.loss` and J their Jacobian, streamed into one triangular factor as in the closed form and never squared into
normal equations. A network whose trained parameters are all linear is solved in one step.
"""

import copy
import logging
import time
from typing import Any

import torch
from torch import Tensor, nn

from mdzoo.data.labels import Batch
from mdzoo.fit.cached import KeptForceField
from mdzoo.fit.factors import TriangularFactor
from mdzoo.fit.kept import KeptSet
from mdzoo.fit.lightning import mean
from mdzoo.fit.loss import Target, targets, total_loss
from mdzoo.fit.network_rows import network_rows, trained
from mdzoo.fit.rows import compared, detached
from mdzoo.fit.settings import LevenbergMarquardtSettings
from mdzoo.fit.totals import Totals
from mdzoo.potentials import DescriptorPotential
from mdzoo.regressors import MLP

log = logging.getLogger(__name__)
TRIES = 8
"""Dampings that are tried for one step."""


class Problem:
    """The loss of one member and its linearisation.

    Arguments:
        fast: predicts from what is kept.
        member: the network, of one member.
        part: the training data with what is kept of them.
        chosen: the targets of the loss.
        decay: penalty on the squares of the parameters.
    """

    def __init__(self, fast: KeptForceField, member: MLP, part: KeptSet, chosen: list[Target], decay: float) -> None:
        self.fast = copy.copy(fast)
        self.fast.part = DescriptorPotential(fast.part.descriptor, member)
        self.member, self.part, self.targets, self.decay = member, part, chosen, decay
        self.parameters = [p for _, p in trained(member)]
        self.lengths = torch.zeros_like(self.theta())

    def theta(self) -> Tensor:
        """Return the parameters that train, (P,) float64."""
        return nn.utils.parameters_to_vector(self.parameters).detach().to(torch.float64)

    def set_theta(self, theta: Tensor) -> None:
        """Take the parameters."""
        nn.utils.vector_to_parameters(theta.to(self.parameters[0].dtype), self.parameters)

    def loss(self, part: KeptSet) -> float:
        """Return the loss over a set, without the penalty."""
        total = 0.0
        for place in range(len(part)):
            batch = part[[place]]
            prediction = detached(self.fast(batch)[0])
            total += float(total_loss(self.targets, prediction, batch.graph, batch.labels))
        return total / len(part)

    def value(self) -> float:
        """Return what is minimised."""
        return self.loss(self.part) + self.decay * float(self.theta().square().sum())

    def linearised(self) -> Tensor:
        """Return the triangular factor of `[J | -r]`, (P + 1, P + 1)."""
        theta = self.theta()
        factor = TriangularFactor(len(theta) + 1)
        names = [target.name for target in self.targets]
        for place in range(len(self.part)):
            batch = self.part[[place]]
            rows = network_rows(self.member, batch.graph, batch.kept[0], "stress" in names)
            found = compared(rows, detached(self.fast(batch)[0]), Batch(batch.graph, batch.labels), names)
            for target in self.targets:
                factor.add(target.weight * found[target.name])
        root = (self.decay * len(self.part)) ** 0.5
        if root > 0.0:
            factor.add(torch.cat([root * torch.eye(len(theta)).to(theta), -root * theta.unsqueeze(1)], 1))
        return factor.root()


def damped(root: Tensor, damping: float, lengths: Tensor) -> Tensor:
    """Return the step delta (P,) of the module docstring from the factor `[J | -r]` and d."""
    n = root.shape[1] - 1
    scale = torch.where(lengths > 0.0, lengths, torch.ones_like(lengths))
    below = torch.cat([damping**0.5 * torch.diag(scale), scale.new_zeros(n, 1)], 1)
    triangle = torch.linalg.qr(torch.cat([root, below]), mode="r")[1]
    return torch.linalg.solve_triangular(triangle[:n, :n], triangle[:n, n:], upper=True).squeeze(1)


def improved(problem: Problem, value: float, damping: float) -> tuple[float, float]:
    """Take one step that lowers the value; return the new value (the same if none was found) and damping."""
    root, theta = problem.linearised(), problem.theta()
    problem.lengths = torch.maximum(problem.lengths, root[:, :-1].square().sum(0).sqrt())
    for _ in range(TRIES):
        problem.set_theta(theta + damped(root, damping, problem.lengths))
        new = problem.value()
        if new < value:
            return new, max(damping / 10.0, 1e-12)
        damping *= 10.0
    problem.set_theta(theta)
    return value, damping


def descend(problem: Problem, val: KeptSet | None, chosen: LevenbergMarquardtSettings, until: float) -> None:
    """Take steps until there is no gain, and leave the parameters that are best on the validation set, if any."""
    value, damping, waited = problem.value(), chosen.damping, 0
    best, kept = (problem.loss(val) if val is not None else value), problem.theta()
    for step in range(chosen.steps):
        before = value
        value, damping = improved(problem, value, damping)
        judged = problem.loss(val) if val is not None else value
        log.info("step %d: loss %.6g, judged %.6g, damping %.0e", step + 1, value, judged, damping)
        waited = 0 if judged < best else waited + 1
        if judged < best:
            best, kept = judged, problem.theta()
        done = value >= before * (1.0 - 1e-9) or (0 < chosen.patience <= waited)
        if done or time.monotonic() > until:
            break
    problem.set_theta(kept)


def levenberg_marquardt(
    fast: KeptForceField, train: KeptSet, val: KeptSet | None, chosen: LevenbergMarquardtSettings
) -> dict[str, float]:
    """Fit the members one after the other and return the errors of their mean.

    Raises:
        ValueError: the regressor is no network, something else trains, or there are too many parameters.
    """
    regressor: Any = fast.part.regressor
    check(fast, regressor, chosen)
    begin, share = time.monotonic(), 60.0 * chosen.minutes / regressor.n_members
    for index in range(regressor.n_members):
        problem = Problem(fast, regressor.member(index), train, targets(chosen.weights), chosen.decay)
        until = begin + share * (index + 1) if chosen.minutes > 0.0 else float("inf")
        descend(problem, val, chosen, until)
        regressor.set_member(index, problem.member)
    sets = {"train": train} | ({"val": val} if val is not None else {})
    return {k: v for stage, part in sets.items() for k, v in errors(fast, part, stage, targets(chosen.weights)).items()}


def check(fast: KeptForceField, regressor: Any, chosen: LevenbergMarquardtSettings) -> None:
    """Raise a ValueError unless this model can be fitted so."""
    if not isinstance(regressor, MLP) or fast.trained is not None:
        what = type(regressor).__name__ if not isinstance(regressor, MLP) else "an empirical term that trains beside it"
        raise ValueError(
            f"`regressor` must be an MLP that trains alone for levenberg_marquardt, got {what}; choose fit=sgd"
        )
    count = sum(p.numel() for _, p in trained(regressor)) // regressor.n_members
    if not 0 < count <= chosen.max_parameters:
        raise ValueError(
            f"`regressor` must have 1 to {chosen.max_parameters} parameters that train for levenberg_marquardt, got "
            f"{count}; make `hidden` or the descriptor smaller, raise fit.max_parameters, or choose fit=sgd"
        )
    log.info("levenberg_marquardt: %d parameters, factor %.2f GB", count, 8e-9 * 6 * (count + 1) ** 2)


def errors(fast: KeptForceField, part: KeptSet, stage: str, chosen: list[Target]) -> dict[str, float]:
    """Return the errors of the members' mean on a set."""
    totals = Totals([target.name for target in chosen])
    for place in range(len(part)):
        batch = part[[place]]
        prediction = detached(mean(fast(batch)))
        for target in chosen:
            residual = target.residual(prediction, batch.graph, batch.labels)
            totals.add(target.name, residual, target.loss(residual))
        totals.structures += 1
    return totals.metrics(stage, 1, torch.device("cpu"))
