r"""The Gaussian around the parameters of a fit: exact where the energy is linear in them, the last layer of a network.

    theta ~ N(theta_fit, T H^-1),    H = sum_t A_t^T A_t / s_t^2 + L^T L

with the rows A_t of the labels of target t (`mdzoo.fit.rows`), their noise s_t, a prior whose strength has the largest
evidence (MacKay, DOI 10.1162/neco.1992.4.3.448), and a temperature T, that of the likelihood's power 1/T. For a
regressor that is linear in its parameters this is Bayesian linear regression, for a SparseGP the process on its
inducing points, for a network Laplace's approximation on the last layer (Daxberger et al., arXiv:2106.14806).
"""

import math
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from mdzoo.bayes.calibrated import calibrated, check_calibration
from mdzoo.bayes.infer import Problem
from mdzoo.bayes.last_layer import linear_view
from mdzoo.bayes.left_out import LeftOut, Residuals
from mdzoo.bayes.members import linear_table, rebuilt
from mdzoo.fit.design import linear_part
from mdzoo.graph import within
from mdzoo.potentials import DescriptorPotential, ForceField, LinearEnsemble, SumPotential
from mdzoo.potentials.base import deviation
from mdzoo.regressors import MLP, SparseGP

LINEAR = ("gaussian", "tempered")


class Laplace:
    """The Gaussian posterior of a fit, from one pass over the rows of the training data.

    Arguments:
        members: M, draws that stand for the posterior where a number is not linear in the energy.
        noise: `target`: the noise of energies and forces is learnt (`mdzoo.fit.noise`); or deviations by target,
            `{energy: eV/atom, forces: eV/Angstrom}`.
        targets: whose labels count.
        temperature: T, or `held_out`: the T by which errors of left-out folds are most likely.
        calibration: `cross_validation` of folds and groups, `validation` by the validation set, or `none`: by which
            deviations become those that hold, see `mdzoo.bayes.calibrated`.
        folds: their number.
    """

    def __init__(
        self,
        members: int = 20,
        noise: Any = "target",
        targets: Any = ("energy", "forces"),
        temperature: float | str = 1.0,
        calibration: str = "cross_validation",
        folds: int = 10,
    ) -> None:
        if temperature != "held_out" and not 0.0 < float(temperature) < math.inf:
            raise ValueError(f"`temperature` must be positive or held_out, got {temperature}; 1 is plain Bayes")
        check_calibration(calibration)
        self.members, self.noise, self.targets = int(members), noise, list(targets)
        self.temperature, self.calibration, self.folds = temperature, calibration, int(folds)

    def __call__(self, problem: Problem) -> ForceField:
        """Return the force field with its posterior."""
        left = self.left_out(problem)
        temperature = self.chosen(problem, left)
        root = left.posterior.root * temperature**0.5
        generator = torch.Generator().manual_seed(problem.seed)
        draws = torch.randn(self.members, root.shape[1], generator=generator, dtype=torch.float64)
        return with_root(problem, root, draws @ root.T, left, self.calibration, temperature)

    def left_out(self, problem: Problem) -> LeftOut:
        """Return the rows, and the fits of all but some."""
        weights = None
        if self.noise != "target":
            weights = {target: 1.0 / float(self.noise[target]) for target in self.targets}
        data = problem.data
        return LeftOut(
            linear_view(problem.force_field), data.train_set, folds_of(data, self.folds), self.targets, weights
        )

    def chosen(self, problem: Problem, left: LeftOut) -> float:
        """Return the temperature: that of the likelihood, a number, or the most likely one of held-out errors."""
        likelihood = problem.likelihood or {}
        name = likelihood.get("name", "gaussian") if isinstance(likelihood, dict) else likelihood.name
        if name not in LINEAR:
            raise ValueError(f"`likelihood` must be one of {list(LINEAR)} for laplace, got {name}; choose bayes=nuts")
        if name == "tempered":
            return float(likelihood["temperature"] if isinstance(likelihood, dict) else likelihood.temperature)
        if self.temperature != "held_out":
            return float(self.temperature)
        noise = {target: left.posterior.noise / left.weights[target] for target in left.targets}
        return held_out_temperature(left.by_folds(), noise)


def folds_of(data: Any, count: int) -> Any:
    """Return the fold of each training structure; no more folds than structures."""
    return data.folds(min(count, len(data.train_set)))


def held_out_temperature(residuals: dict[str, Residuals], noise: dict[str, float]) -> float:
    """Return the T of largest likelihood of `e ~ N(0, T sigma^2 + s^2)`, the mean over the errors of each target."""

    def loss(log_t: float) -> float:
        total = 0.0
        for target, found in residuals.items():
            variance = math.exp(log_t) * np.square(found.sigma) + noise[target] ** 2
            total += float((np.square(found.error) / variance + np.log(variance)).mean())
        return total

    return math.exp(minimize_scalar(loss, bounds=(-12.0, 24.0), method="bounded").x)


def with_root(
    problem: Problem, root: Tensor, draws: Tensor, left: LeftOut, calibrate: str = "none", temperature: float = 1.0
) -> ForceField:
    """Return the force field whose linear term holds a covariance, its draws and its scale on the training data.

    Arguments:
        problem: its force field is changed.
        root: R of the covariance, (P, K).
        draws: of the parameters about the mean, (M, P).
        left: rows and fits.
        calibrate: see `Laplace`.
        temperature: that R has over the posteriors of `left`.
    """
    force_field = problem.force_field
    part = last_part(force_field)
    gp = part.regressor if isinstance(part.regressor, SparseGP) else None
    new = LinearEnsemble(part, len(draws), root.shape[1], gp is not None)
    new.root.copy_(root)
    new.deltas.copy_(draws)
    new.noise.fill_(left.posterior.noise / left.weights.get("energy", 1.0))
    if gp is not None:
        set_rest(new, gp, left.posterior.prior)
    new.most.copy_(largest(new, problem.data.train_set))
    size = (len(draws), root.shape[1], gp is not None)
    out = replaced(force_field, part, new, lambda table: linear_table(table, *size))
    known = calibrated(problem, left, calibrate, temperature)
    if known is not None:
        vars(out)["extra"] = {**vars(out).get("extra", {}), "calibration": known}
    return out


def set_rest(new: LinearEnsemble, gp: SparseGP, prior: Tensor) -> None:
    """Give a process what its inducing points leave open: the inverse of the root of its prior, and its scale."""
    root, n = gp.prior_root(), len(gp.alpha)
    own = prior[:n, :n]
    new.inverse.copy_(torch.linalg.solve_triangular(own, torch.eye(n).to(own), upper=True))
    new.scale.copy_((root[0, 0] / own[0, 0]).square())


def last_part(force_field: ForceField) -> DescriptorPotential:
    """Return the term that is linear in its parameters, or that of a network."""
    inner: Any = force_field.potential
    terms = list(inner.terms) if isinstance(inner, SumPotential) else [inner]
    networks = [t for t in terms if isinstance(t, DescriptorPotential) and isinstance(t.regressor, MLP)]
    return networks[0] if networks else linear_part(force_field)


@torch.no_grad()
def largest(ensemble: LinearEnsemble, dataset: Any) -> Tensor:
    """Return the largest deviation of an atom's energy in a data set, eV."""
    graphs = (within(dataset[i].graph, ensemble.cutoff) for i in range(len(dataset)))
    found = [ensemble.deviations(graph) for graph in graphs]
    return torch.stack([deviation(said.rows, said.rest).max() for said in found]).max()


def replaced(force_field: ForceField, part: DescriptorPotential, new: Any, table_of: Any) -> ForceField:
    """Return the force field with `new` in the place of a term, and its table."""
    table: Any = vars(force_field).get("table")
    inner: Any = force_field.potential
    if inner is part:
        return rebuilt(force_field, (new, None if table is None else table_of(table)))
    place = next(i for i, term in enumerate(inner.terms) if term is part)
    terms = [new if i == place else term for i, term in enumerate(inner.terms)]
    if table is not None:
        table = {**table, "terms": [table_of(t) if i == place else t for i, t in enumerate(table["terms"])]}
    return rebuilt(force_field, (SumPotential(terms), table))
