"""Simulation-based calibration: parameters from the prior, labels from them, draws given the labels.

Talts et al., arXiv:1804.06788: the rank of the planted value among draws is uniform, if prior, likelihood and sampler
belong together. All replicates are sampled at once: they are independent factors of one density, whose Hamiltonian
dynamics the sampler follows in the product space. In half of them the labels scatter by 10 % more than the likelihood
says: that must be caught.
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats

pytest.importorskip("pyro", reason="the extra `bayes`")

from mdzoo.bayes.lift import Density, Lifted
from mdzoo.bayes.likelihood import Likelihood
from mdzoo.bayes.mcmc import chain
from mdzoo.bayes.prior import sites_of
from mdzoo.bayes.sufficient import Columns, FactorTerm
from mdzoo.fit.factors import Factors
from mdzoo.fit.loss import Residual
from mdzoo.potentials import AtomicEnergies, DescriptorPotential, ForceField, LennardJones, SumPotential
from mdzoo.regressors import Linear
from tests.fit import cases


def ranks(draws, planted):
    """Return the rank of each planted value (R, D) among its draws (n, R, D), as numbers from 0 to 1."""
    return (draws < planted).double().mean(0)


def is_uniform(rank):
    """P-value of the Kolmogorov-Smirnov test, the least of all columns times their number."""
    return min(1.0, rank.shape[1] * min(stats.kstest(column, "uniform").pvalue for column in rank.T.numpy()))


class LinearReplicates:
    """A linear model of six weights and one noise scale; 40 rows of each replicate become one factor.

    In the second half of the replicates the labels scatter 1.1 times as wide as they should.
    """

    def __init__(self, count, seed):
        generator = torch.Generator().manual_seed(seed)
        module = torch.nn.Linear(6, 1, bias=False).double()
        noise = {"forces": {"scale": 0.5, "width": 0.3}}
        self.likelihood = Likelihood(["forces"], noise=noise)
        self.density = Density(Lifted(sites_of(module, {"*": {"name": "normal"}}, {}), self.likelihood))
        self.design = torch.randn(40, 6, generator=generator, dtype=torch.float64)
        theta = torch.randn(2 * count, 6, generator=generator, dtype=torch.float64)
        log_s = math.log(0.5) + 0.3 * torch.randn(2 * count, 1, generator=generator, dtype=torch.float64)
        scatter = torch.randn(2 * count, 40, generator=generator, dtype=torch.float64)
        bug = torch.tensor([1.0, 1.1], dtype=torch.float64).repeat_interleave(count).unsqueeze(1)
        y = theta @ self.design.T + bug * log_s.exp() * scatter
        rows = torch.cat([self.design.expand(2 * count, -1, -1), y.unsqueeze(2)], 2)
        self.roots = torch.linalg.qr(rows, mode="r")[1]  # (R, 7, 7)
        self.planted = torch.cat([theta, log_s], 1)

    def term(self, root):
        """Return the room's own term, with the factor of one replicate."""
        factors = Factors(6)
        factors.add(0, "forces", torch.cat([self.design, self.design[:, :1]], 1))
        found = FactorTerm(factors, Identity(), self.likelihood)
        found.blocks = [found.blocks[0]._replace(root=root)]
        return found

    def draws(self, count):
        """Return draws (n, R, 7) of u, one NUTS chain over all replicates; every second is kept."""
        n, size = len(self.roots), self.density.dimension
        mean = torch.linalg.solve_triangular(self.roots[:, :6, :6], self.roots[:, :6, 6:], upper=True).squeeze(2)
        centre = torch.cat([mean, torch.full((n, 1), math.log(0.5)).double()], 1)
        inverse = torch.linalg.inv(self.roots[:, :6, :6]) * 0.5
        prototype = self.term(self.roots[0])

        def one(u, root):
            prototype.blocks = [prototype.blocks[0]._replace(root=root)]
            return self.density(u, prototype)

        def placed(w):
            return torch.cat([torch.einsum("rij,...rj->...ri", inverse, w[..., :6]), 0.11 * w[..., 6:]], -1) + centre

        def log_density(z):
            return torch.func.vmap(one)(placed(z.view(n, size)), self.roots).sum()

        start = torch.zeros(n * size, dtype=torch.float64)
        found = chain(log_density, start, count, 50, accept=0.65, masses=False)
        assert not bool(found.divergent.any())
        return placed(found.z[1::2].view(-1, n, size))


class Identity(Columns):
    """The weights of one torch.nn.Linear as columns."""

    def __init__(self):
        self.names, self.fixed, self.order = ["weight"], {"weight": torch.zeros(1, 6)}, torch.arange(6)


def uniform(count, draws, seed):
    """Return the p-values of uniform ranks, of right replicates and of those with the bug."""
    cell = LinearReplicates(count, seed)
    rank = ranks(cell.draws(draws), cell.planted)
    return is_uniform(rank[:count]), is_uniform(rank[count:])


def test_a_few_replicates_are_calibrated_and_a_planted_bug_is_found():
    right, wrong = uniform(60, 50, 0)
    assert right > 0.01
    assert wrong < 1e-4


@pytest.mark.slow
def test_a_thousand_replicates_and_a_planted_bug():
    right, wrong = uniform(1000, 300, 3)
    assert right > 0.01
    assert wrong < 1e-12


class HybridReplicates:
    """Lennard-Jones, whose epsilon and sigma are drawn, with linear weights, on energies of 12 crystals."""

    def __init__(self, count, seed):
        self.data = cases.data(cases.frames(36)[::3])  # one atom in a cell
        descriptor = cases.small(K=1, L=0)
        self.part = DescriptorPotential(descriptor, Linear(descriptor.n_features, 1))
        self.pair = LennardJones(0.1, 2.3, cases.CUTOFF, trainable=True)
        field = ForceField(SumPotential([AtomicEnergies([0.0]), self.part, self.pair]), [14])
        table = {"*.epsilon": {"name": "literature"}, "*.sigma": {"name": "literature", "relative": 0.03}}
        table["*.weights"] = {"name": "normal", "scale": 0.05}
        self.likelihood = Likelihood(["energy"], noise={"energy": {"scale": 0.02, "width": 0.0}})
        lifted = Lifted(sites_of(field, table, {}), self.likelihood)
        self.density = Density(lifted)
        self.graph = self.data.train_set[list(range(12))].graph
        self.phi = self.part.regressor.phi(descriptor(self.graph), self.graph.species).detach()
        torch.manual_seed(seed)
        self.planted = torch.stack([self.flat(lifted.draw()[0]) for _ in range(count)]).detach()
        said = torch.func.vmap(self.energies)(self.planted)
        torch.testing.assert_close(said[0], self.whole(field, self.planted[0]))
        self.labels = (said + 0.02 * torch.randn(said.shape, dtype=torch.float64)).detach()

    def flat(self, values):
        """Return u of parameters by name, all of which are drawn unbounded."""
        return torch.cat([values[name].flatten() for name in self.density.sites])

    def whole(self, field, u):
        """Return the energies by the force field as it stands."""
        values = self.density.values(u)[0]
        return torch.func.functional_call(field, values, (self.graph,)).energy.detach()

    def energies(self, u):
        """Return the energy of each structure, eV/atom."""
        return self.said(self.density.values(u)[0])

    def said(self, values):
        """Return the energies, with features that are evaluated once."""
        pair = {n.removeprefix("potential.terms.2."): x for n, x in values.items() if ".terms.2." in n}
        theta = values["potential.terms.1.regressor.weights"][0]
        bias = self.phi.new_zeros(self.phi.shape[1] - len(theta))
        linear = self.phi @ torch.cat([theta, bias])
        return linear + torch.func.functional_call(self.pair, pair, (self.graph,))

    def draws(self, count, warmup=50):
        """Return draws (n, R, D) of u."""
        n, size = self.planted.shape
        ones = torch.ones(12).double()

        def one(u, labels):
            def term(values, noise):
                error = Residual(self.said(values) - labels, ones)
                return self.likelihood.of_rows("energy", error, torch.zeros(12).long(), noise)

            return self.density(u, term)

        def curvature(u):
            labels = self.energies(u).detach()
            return torch.func.hessian(lambda v: -one(v, labels))(u)

        values, vectors = torch.linalg.eigh(torch.func.vmap(curvature)(self.planted).detach())
        root = vectors * values.clamp_min(1e-3).rsqrt().unsqueeze(1)

        def placed(z):
            return self.planted + torch.einsum("rij,...rj->...ri", root, z)

        def log_density(z):
            return torch.func.vmap(one)(placed(z.view(n, size)), self.labels).sum()

        start = torch.zeros(n * size, dtype=torch.float64)  # at the truth: a draw given the labels
        found = chain(log_density, start, count, warmup, depth=3, masses=False)
        return placed(found.z.view(-1, n, size))


def covered(cell, draws):
    """Return the part of replicates whose planted values lie in the 90 % intervals, by parameter.

    Between the k-th smallest and the k-th largest of n independent draws there is `1 - 2 k / (n + 1)` of a posterior.
    """
    n = len(draws)
    level = (0.05 * (n + 1) - 1.0) / (n - 1)
    low, high = draws.quantile(level, 0), draws.quantile(1.0 - level, 0)
    return ((low <= cell.planted) & (cell.planted <= high)).double().mean(0)


def test_the_hybrid_covers_what_was_planted_in_a_few_sets():
    found = covered(cell := HybridReplicates(40, 0), cell.draws(20, 15))
    band = stats.binom.ppf([0.001, 0.999], 40 * found.numel(), 0.9) / (40 * found.numel())
    assert band[0] <= float(found.mean()) <= band[1]


@pytest.mark.slow
def test_the_hybrid_covers_what_was_planted():
    """90 % intervals over 1000 sets, within the 99 % band of a perfect model, for epsilon, sigma and every weight."""
    found = covered(cell := HybridReplicates(1000, 1), cell.draws(199))
    band = stats.binom.ppf([0.005, 0.995], 1000, 0.9) / 1000
    assert np.all((band[0] <= found.numpy()) & (found.numpy() <= band[1])), found
