r"""The Gaussian around the parameters of a fit: exact where the energy is linear in them, Laplace's elsewhere.

    theta ~ N(theta_fit, H^-1),    H = sum_t A_t^T A_t / s_t^2 + L^T L

with the rows A_t of the labels of target t (`mdzoo.fit.rows`), their noise s_t, and the prior of the fit, whose
strength has the largest evidence (MacKay, DOI 10.1162/neco.1992.4.3.448). For a regressor that is linear in its
parameters this is the posterior of Bayesian linear regression, and for a SparseGP that of the process.
"""

from typing import Any

import torch

from mdzoo.bayes.infer import Problem
from mdzoo.bayes.members import linear_table, rebuilt
from mdzoo.data.labels import collate_batch
from mdzoo.fit.design import linear_part
from mdzoo.fit.least_squares import LeastSquares
from mdzoo.fit.solve import LinearPosterior
from mdzoo.graph import within
from mdzoo.potentials import DescriptorPotential, ForceField, LinearEnsemble, SumPotential
from mdzoo.regressors import SparseGP


class Laplace:
    """The Gaussian posterior of a fit, from one pass over the rows of the training data.

    Arguments:
        members: M, draws that stand for the posterior where a number is not linear in the energy.
        noise: `target`: the noise of energies and forces is learnt (`mdzoo.fit.noise`); or deviations by target,
            `{energy: eV/atom, forces: eV/Angstrom}`.
        targets: whose labels count.
    """

    def __init__(self, members: int = 20, noise: Any = "target", targets: Any = ("energy", "forces")) -> None:
        self.members, self.noise, self.targets = int(members), noise, list(targets)

    def __call__(self, problem: Problem) -> ForceField:
        """Return the force field with its posterior."""
        posterior, weights = self.posterior(problem)
        return with_posterior(problem, posterior, weights.get("energy", 1.0), self.members)

    def posterior(self, problem: Problem) -> tuple[LinearPosterior, dict[str, float]]:
        """Return the posterior of the linear parameters and the weight of each target: s_t is noise / weight."""
        weights = {target: 1.0 for target in self.targets}
        if self.noise != "target":
            weights = {target: 1.0 / float(self.noise[target]) for target in self.targets}
        module = LeastSquares(problem.force_field, weights, "evidence")
        if self.noise == "target":
            module.learn_noise("target")
        data = problem.data
        for i in range(len(data.train_set)):
            module.stream(module.train_factors, collate_batch([data.train_set[i]]), None)
        regressor: Any = linear_part(problem.force_field).regressor
        theta = regressor.theta().detach().clone()
        found = module.solve()
        regressor.set_theta(theta)
        return found, module.chosen


def with_posterior(problem: Problem, posterior: LinearPosterior, energy_weight: float, members: int) -> ForceField:
    """Return the force field whose linear term holds a posterior, its draws and its scale on the training data."""
    force_field = problem.force_field
    part = linear_part(force_field)
    gp = part.regressor if isinstance(part.regressor, SparseGP) else None
    rank = posterior.root.shape[1]
    new = LinearEnsemble(part, members, rank, gp is not None).to(torch.float64)
    new.root.copy_(posterior.root)
    generator = torch.Generator().manual_seed(problem.seed)
    draws = torch.randn(members, rank, generator=generator, dtype=torch.float64)
    new.deltas.copy_(draws @ posterior.root.T)
    new.noise.fill_(posterior.noise / energy_weight)
    if gp is not None:
        root, n = gp.prior_root(), len(gp.alpha)
        prior = posterior.prior[:n, :n]
        new.inverse.copy_(torch.linalg.solve_triangular(prior, torch.eye(n).to(prior), upper=True))
        new.scale.copy_((root[0, 0] / prior[0, 0]).square())
    new.most.copy_(largest(new, problem.data.train_set))
    return replaced(force_field, part, new, lambda table: linear_table(table, members, rank, gp is not None))


@torch.no_grad()
def largest(ensemble: LinearEnsemble, dataset: Any) -> torch.Tensor:
    """Return the largest deviation of an atom's energy in a data set, eV."""
    graphs = (within(dataset[i].graph, ensemble.cutoff) for i in range(len(dataset)))
    found = [ensemble.uncertainty(graph).parameter.max() for graph in graphs]
    return torch.stack(found).max()


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
