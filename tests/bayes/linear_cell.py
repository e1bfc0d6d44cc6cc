"""A conjugate cell: a linear potential under a normal prior, whose posterior has a closed form at given noise."""

import torch

from mdzoo.bayes.coordinates import conjugate
from mdzoo.bayes.left_out import LeftOut
from mdzoo.bayes.lift import Density, Lifted
from mdzoo.bayes.likelihood import Likelihood
from mdzoo.bayes.prior import sites_of, units_of
from mdzoo.bayes.sufficient import Columns, FactorTerm, RowTerm, streamed
from mdzoo.fit.design import set_theta
from mdzoo.fit.solve import solve
from tests.fit import cases

WEIGHTS = "potential.terms.2.regressor.weights"
BIAS = "potential.terms.2.regressor.bias"


def closed(module, field=None):
    """A linear potential at the closed form of its data."""
    field = field or cases.linear()
    set_theta(field, LeftOut(field, module.train_set, module.folds(3)).posterior.mean)
    return field


class Cell:
    """Linear SO3 of Lennard-Jones cells under a normal prior, noise given or learnt."""

    def __init__(self, width: float = 0.0, table: dict | None = None, **options) -> None:
        self.data, self.field = cases.data(cases.frames(18)), cases.linear()
        noise = {"energy": {"scale": 0.02, "width": width}, "forces": {"scale": 0.1, "width": width}}
        self.likelihood = Likelihood(["energy", "forces"], noise=noise, **options)
        table = table or {"*": {"name": "normal", "scale": 0.5}}
        units = units_of(self.field, self.data.train_set)
        self.lifted = Lifted(sites_of(self.field, table, units), self.likelihood)
        self.columns = Columns(self.field)
        batches = [self.data.train_set[[i]] for i in range(len(self.data.train_set))]
        self.factors, self.rows = streamed(self.field, batches, self.likelihood, True)
        self.factor_term = FactorTerm(self.factors, self.columns, self.likelihood)
        self.row_term = RowTerm(self.rows, self.columns, self.likelihood)
        self.density = Density(self.lifted, self.factor_term)

    def coordinates(self, density=None):
        return conjugate(density or self.density, self.factor_term.blocks, self.columns)

    def exact(self):
        """Mean and covariance of the parameters at the given noise, from the dense rows."""
        rows = torch.cat([self.rows[t][0] / self.likelihood.scales[t] for t in ("energy", "forces")])
        deviation = self.columns.theta({n: (s.prior.scale * s.unit) for n, s in self.lifted.sites.items()})
        post = solve(rows[:, :-1], rows[:, -1], 1.0, 1.0 / deviation)
        return post.mean, post.root @ post.root.T

    def theta(self, parameters):
        """Draws (..., P) of the columns from draws by name."""
        flat = {n: x.flatten(0, 1) for n, x in parameters.items()}
        return torch.stack([self.columns.theta({n: x[i] for n, x in flat.items()}) for i in range(len(flat[WEIGHTS]))])
