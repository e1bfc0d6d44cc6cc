"""Stochastic-gradient dynamics against closed forms; steps in cycles; what stops a chain."""

import math

import pytest
import torch

pytest.importorskip("pyro", reason="the extra `bayes`")

from mdzoo.bayes.infer import Problem
from mdzoo.bayes.sgmcmc import Sgmcmc, batches_of, langevin, step_at
from tests.bayes.linear_cell import Cell
from tests.fit import cases

PRECISION = torch.tensor([[2.0, 0.9], [0.9, 1.0]], dtype=torch.float64)


@pytest.mark.parametrize(("step", "friction", "tolerance"), [(0.2, None, 0.02), (0.002, 0.1, 0.03)])
def test_a_correlated_normal_is_sampled(step, friction, tolerance):
    """256 chains side by side; sgld without a bias of the step, sghmc with one of its order."""
    start = torch.zeros(256, 2, dtype=torch.float64)
    found = langevin(lambda z, k: -z @ PRECISION, start, 1500, step, friction, keep=25)
    z = found.z.flatten(0, 1)
    deviation = torch.linalg.inv(PRECISION).diagonal().sqrt()
    assert float((z.std(0) / deviation - 1.0).abs().max()) < tolerance
    assert float((z.mean(0) / deviation).abs().max()) < 4.0 / math.sqrt(256 * 10)


def test_sgld_is_the_closed_form_of_the_linear_cell():
    cell = Cell()
    where, mean, covariance = cell.coordinates(), *cell.exact()

    def slope(z, k):
        at = z.detach().requires_grad_()
        return torch.autograd.grad(cell.density(where.u(at)), at)[0]

    found = langevin(slope, torch.zeros(cell.density.dimension).double(), 1600, 0.5, burn=0.03, keep=2)
    u = where.many(found.z)
    theta = torch.stack([cell.columns.theta(cell.density.values(row)[0]) for row in u])
    z = (theta - mean) / covariance.diagonal().sqrt()
    size = len(z) * (1.0 - 0.25) / (1.0 + 0.25)  # the autocorrelation of two steps is (1 - 0.5)^2
    assert float(z.mean(0).abs().max()) * math.sqrt(size) < 4.0
    assert float(found.z.std(0).mean()) == pytest.approx(1.0, abs=0.03)


def test_noise_of_batches_widens_the_posterior():
    """Gradients with noise of variance V make the variance `1 + e V / 2 / (1 - e / 2)` instead of one."""
    generator = torch.Generator().manual_seed(1)

    def slope(z, k):
        return -z + 4.0 * torch.randn(z.shape, generator=generator, dtype=z.dtype)

    found = langevin(slope, torch.zeros(512, 1).double(), 1200, 0.1, keep=20)
    expected = 1.0 + 0.1 * 16.0 / (2.0 - 0.1)
    assert float(found.z.var()) == pytest.approx(expected, rel=0.05)


def test_cycles_keep_their_ends():
    steps = [step_at(k, 100, 4, 1.0) for k in range(100)]
    assert [s for s, done in steps if done == 0.0] == [1.0] * 4
    assert min(s for s, _ in steps) < 0.01
    found = langevin(lambda z, k: -z, torch.zeros(1).double(), 100, 0.1, cycles=4, burn=0.8, keep=1)
    assert len(found.z) == 4 * 5
    assert step_at(3, 100, 1, 0.2) == (0.2, 0.03)


def test_every_structure_comes_once_in_an_epoch():
    stream = batches_of(10, 5, 0)
    for _ in range(3):
        assert sorted(next(stream) + next(stream)) == list(range(10))


def test_nan_stops_a_chain_and_keeps_its_draws():
    found = langevin(
        lambda z, k: -z * (math.nan if k == 60 else 1.0), torch.zeros(2).double(), 100, 0.1, burn=0.2, keep=5
    )
    assert found.stopped == "NaN at step 60 of 100"
    assert len(found.z) == 8
    assert bool(found.z.isfinite().all())


def test_a_network_gets_members_and_a_mark(tmp_path):
    problem = Problem(cases.network(), cases.data(), {"*.last.*": {"name": "normal"}}, None, None, None, 0)
    sure = Sgmcmc(members=4, chains=2, steps=20, step=1e-7, keep=2, batch_size=4)(problem)
    assert sure.potential.members(cases.data().train_set[2].graph).shape[0] == 4
    marks = vars(sure)["extra"]["inference"]
    assert marks["failed"]
    assert not any("E-BFMI" in failure for failure in marks["failures"])


def test_what_sgmcmc_refuses():
    with pytest.raises(ValueError, match="`dynamics` must be sgld or sghmc"):
        Sgmcmc(dynamics="sgd")
    with pytest.raises(ValueError, match="`step` must be positive"):
        Sgmcmc(step=0.0)
