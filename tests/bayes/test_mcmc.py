"""Hamiltonian Monte Carlo against closed forms; what stops it; which runs are marked as failed."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

pytest.importorskip("pyro", reason="the extra `bayes`")

from mdzoo.bayes.coordinates import Coordinates, best_scale, by_hessian, natural
from mdzoo.bayes.diagnostics import Draws, diagnose, plots
from mdzoo.bayes.lift import Density, GraphTerm, Lifted, Predictor
from mdzoo.bayes.likelihood import Likelihood
from mdzoo.bayes.mcmc import chain, nuts
from mdzoo.bayes.prior import sites_of
from mdzoo.bayes.sufficient import FactorTerm, streamed
from mdzoo.fit.solve import solve
from tests.bayes.linear_cell import WEIGHTS, Cell
from tests.fit import cases


@pytest.fixture(scope="module")
def cell():
    return Cell()


def test_factors_rows_and_predictions_give_one_density():
    """Up to a constant, at any parameters and noise; the graph's is tested by hand in test_lift.py."""
    cell = Cell(width=1.0)
    batch = cell.data.train_set[list(range(18))]
    graphs = GraphTerm(Predictor(cell.field.train()), cell.likelihood, [batch])
    torch.manual_seed(0)
    gaps = []
    for _ in range(3):
        u = cell.density.start() + 0.1 * torch.randn(cell.density.dimension, dtype=torch.float64)
        values, noise = cell.density.values(u)
        found = [float(term(values, noise).detach()) for term in (cell.factor_term, cell.row_term, graphs)]
        gaps.append([found[0] - found[2], found[1] - found[2]])
    assert np.abs(gaps).max() < 1e-8 * abs(found[2])


def test_a_step_costs_the_same_whatever_the_number_of_structures(cell):
    batches = [cell.data.train_set[[i]] for i in range(18)] * 3
    more = FactorTerm(streamed(cell.field, batches, cell.likelihood, False)[0], cell.columns, cell.likelihood)
    assert [b.rows for b in more.blocks] == [3 * b.rows for b in cell.factor_term.blocks]
    assert all(b.root.shape[0] <= b.root.shape[1] for b in more.blocks)


def test_coordinates_are_those_of_the_conjugate_posterior(cell):
    where = cell.coordinates()
    mean, covariance = cell.exact()
    parameters = cell.density.values(where.mean)[0]
    torch.testing.assert_close(cell.columns.theta(parameters), mean, rtol=1e-8, atol=1e-8)
    order = torch.cat([cell.columns.of(n) for n in cell.lifted.sites])
    torch.testing.assert_close(where.root @ where.root.T, covariance[order][:, order], rtol=1e-6, atol=1e-12)


def test_coordinates_follow_the_scales():
    """Weights move with log scales as their conjugate mean, and scales vary as the evidence on a grid says."""
    cell = Cell(width=1.0, table={"*.weights": {"name": "hierarchical", "scale": 0.3, "width": 1.0}})
    cell.likelihood.widths["energy"] = 0.0
    density = Density(cell.lifted, cell.factor_term)
    where = cell.coordinates(density)
    scales = [density.where("noise.forces").start, density.where(f"{WEIGHTS}.scale").start]
    rows, free = torch.cat([cell.rows[t][0] for t in ("energy", "forces")]), cell.columns.of(WEIGHTS)
    counts = torch.tensor([len(cell.rows[t][0]) for t in ("energy", "forces")])

    def at(log_s, log_tau):
        noise = torch.stack([torch.tensor(0.02).double(), log_s.exp()]).repeat_interleave(counts)
        width = log_tau.exp() * cell.lifted.sites[WEIGHTS].unit.flatten()
        post = solve(rows[:, free], rows[:, -1], noise, 1.0 / width)
        prior = stats.norm(math.log(0.1)).logpdf(log_s) + stats.norm(math.log(0.3)).logpdf(log_tau)
        return post.evidence + prior, post.mean

    best, h = where.mean[scales], 0.05
    steps = [torch.tensor(step).double() * h for step in ([1, 0], [0, 1], [1, 1], [1, -1])]
    up, down = ([at(*(best + sign * step)) for step in steps] for sign in (1.0, -1.0))
    second = [(float(a[0]) + float(b[0]) - 2.0 * float(at(*best)[0])) / h**2 for a, b in zip(up, down, strict=True)]
    cross = (second[2] - second[3]) / 4.0
    expected = torch.linalg.inv(-torch.tensor([[second[0], cross], [cross, second[1]]]).double())
    root = where.root[scales][:, scales]
    torch.testing.assert_close(root @ root.T, expected, rtol=0.02, atol=1e-6)
    moved = torch.stack([(a[1] - b[1]) / (2.0 * h) for a, b in zip(up[:2], down[:2], strict=True)], 1) @ root
    follow = where.root[density.where(WEIGHTS)][:, scales]
    torch.testing.assert_close(follow, moved, rtol=0.02, atol=0.01 * float(moved.abs().max()))


def compared(cell, draws, size):
    """Largest shift of a mean in Monte Carlo standard errors, and deviations over the exact, by columns and axes."""
    theta, (mean, covariance) = cell.theta(draws.parameters), cell.exact()
    values, vectors = torch.linalg.eigh(covariance)
    axes = torch.cat([torch.eye(len(mean)).double(), vectors], 1)
    deviation = torch.cat([covariance.diagonal().sqrt(), values.sqrt()])
    z = (theta - mean) @ axes / deviation
    return float(z.mean(0).abs().max()) * math.sqrt(size), z.std(0)


def test_nuts_is_the_closed_form(cell):
    """Mean within 4 Monte Carlo standard errors, deviations as far as 200 draws tell; the slow test tells 3 %."""
    draws = nuts(cell.density, cell.coordinates(), chains=2, draws=100, warmup=40, masses=False)
    assert not bool(draws.divergent.any())
    shift, ratio = compared(cell, draws, 200)
    assert shift < 4.0
    assert float((ratio - 1.0).abs().max()) < 0.25
    assert float(ratio.mean()) == pytest.approx(1.0, abs=0.04)


@pytest.mark.slow
def test_nuts_is_the_closed_form_within_three_percent(cell):
    draws = nuts(cell.density, cell.coordinates(), chains=4, draws=2000, warmup=100, depth=2, masses=False)
    found = diagnose(draws)
    assert found.failures == []
    shift, ratio = compared(cell, draws, min(found.bulk, 8000))
    assert shift < 4.0
    assert float((ratio - 1.0).abs().max()) < 0.03


@pytest.mark.slow
def test_learnt_scales_are_those_of_a_grid():
    """Noise of forces and width of the weights: moments by the evidence of `mdzoo.fit.solve` on a grid."""
    cell = Cell(width=1.0, table={"*.weights": {"name": "hierarchical", "scale": 0.3, "width": 1.0}})
    cell.likelihood.widths["energy"] = 0.0
    density = Density(cell.lifted, cell.factor_term)
    draws = nuts(density, cell.coordinates(density), chains=4, draws=100, warmup=60, masses=False)
    found = torch.stack([draws.others[n].log().flatten() for n in ("noise.forces", f"{WEIGHTS}.scale")], 1)
    steps = torch.linspace(-4.0, 4.0, 17, dtype=torch.float64)
    grid = torch.cartesian_prod(steps, steps) * found.std(0) + found.mean(0)
    rows = torch.cat([cell.rows[t][0] for t in ("energy", "forces")])
    free = cell.columns.of(WEIGHTS)
    rows = torch.cat([rows[:, free], rows[:, -1:]], 1)
    counts = torch.tensor([len(cell.rows[t][0]) for t in ("energy", "forces")])
    logs = []
    for log_s, log_tau in grid:
        noise = torch.stack([torch.tensor(0.02).double(), log_s.exp()]).repeat_interleave(counts)
        width = log_tau.exp() * cell.lifted.sites[WEIGHTS].unit.flatten()
        evidence = solve(rows[:, :-1], rows[:, -1], noise, 1.0 / width).evidence
        logs.append(evidence + stats.norm(math.log(0.1)).logpdf(log_s) + stats.norm(math.log(0.3)).logpdf(log_tau))
    weights = torch.tensor(logs, dtype=torch.float64).softmax(0).unsqueeze(1)
    mean = (weights * grid).sum(0)
    deviation = (weights * (grid - mean).square()).sum(0).sqrt()
    size = diagnose(draws).bulk
    assert float(((found.mean(0) - mean) / deviation).abs().max()) < 4.0 / math.sqrt(size)
    assert float((found.std(0) / deviation - 1.0).abs().max()) < 4.0 / math.sqrt(size)


def test_student_t_on_rows_ignores_what_is_far():
    """Ten forces that are wrong by 50 eV/Angstrom move the Gaussian fit; the best Student's t stays where it was."""
    errors = []
    for name, wrong in (("gaussian", 0.0), ("gaussian", 50.0), ("student_t", 0.0), ("student_t", 50.0)):
        cell = Cell(width=1.0, name=name)
        cell.rows["forces"][0][:10, -1] += wrong
        density = Density(cell.lifted, cell.row_term)
        theta = cell.columns.theta(density.values(by_hessian(density, cell.coordinates()).mean)[0])
        good = cell.rows["forces"][0][10:]
        errors.append(float((good[:, :-1] @ theta - good[:, -1]).square().mean().sqrt()))
    assert errors[1] > 1.5 * errors[0]
    assert errors[3] == pytest.approx(errors[2], rel=0.02)


def test_empirical_parameters_and_weights_together():
    """About the largest density of a nonlinear model, its Hessian in the whitened coordinates is one."""
    field, data = cases.linear(trainable=["epsilon"], K=1, L=0).train(), cases.data()
    likelihood = Likelihood(["energy", "forces"], noise={"energy": {"width": 0.0}, "forces": {"width": 0.0}})
    table = {"*.epsilon": {"name": "literature"}, "*.weights": {"name": "normal"}}
    lifted = Lifted(sites_of(field, table, {}), likelihood)
    density = Density(lifted, GraphTerm(Predictor(field), likelihood, [data.train_set[list(range(9))]]))
    where = by_hessian(density, natural(density))
    zero = torch.zeros(density.dimension).double()
    hessian = torch.autograd.functional.hessian(lambda z: -density(where.u(z)), zero)
    torch.testing.assert_close(hessian, torch.eye(len(zero)).double(), atol=1e-4, rtol=0.0)
    draws = chain(lambda z: density(where.u(z)), zero, 10, 5)
    assert not bool(draws.divergent.any())
    assert draws.stopped == ""


def test_nan_stops_and_keeps_what_is_good():
    calls = []

    def density(z):
        calls.append(1)
        return -0.5 * z.square().sum() * (math.nan if len(calls) > 400 else 1.0)

    found = chain(density, torch.zeros(2).double(), 1000, 20)
    assert 10 < len(found.z) < 1000
    assert bool(torch.isfinite(found.z).all())
    assert found.stopped == f"NaN at draw {len(found.z)} of 1000"
    with pytest.raises(ValueError, match="`start` must have a finite density"):
        chain(lambda z: z.sum() * math.nan, torch.zeros(2).double(), 10, 10)


def test_a_stopped_run_keeps_whole_chains_and_is_marked(cell, monkeypatch):
    calls = [0]
    plain = cell.factor_term.__class__.__call__

    def breaks(self, values, noise):
        calls[0] += 1
        return plain(self, values, noise) * (math.nan if calls[0] > 800 else 1.0)

    monkeypatch.setattr(cell.factor_term.__class__, "__call__", breaks)
    draws = nuts(cell.density, cell.coordinates(), chains=4, draws=40, warmup=30, masses=False)
    assert 1 <= len(draws.energy) < 4
    assert draws.energy.shape[1] == 40
    found = diagnose(draws)
    assert "NaN at draw" in found.failures[0]
    assert found.table()["failed"]


def made(x, energy=None, divergent=None):
    chains, length = x.shape[:2]
    energy = torch.randn(chains, length).double() if energy is None else energy
    divergent = torch.zeros(chains, length, dtype=torch.bool) if divergent is None else divergent
    return Draws({"x": x}, {}, energy, divergent, "")


def test_runs_that_fail_say_why():
    torch.manual_seed(0)
    good = torch.randn(4, 1000, 3).double()
    assert diagnose(made(good)).failures == []
    apart = good + torch.arange(4.0).view(4, 1, 1)
    assert any("did not mix" in f for f in diagnose(made(apart)).failures)
    slow = good.cumsum(1) / 30.0
    assert any("bulk effective" in f for f in diagnose(made(slow)).failures)
    heavy = torch.randn(4, 1000).double().cumsum(1)
    assert any("E-BFMI" in f for f in diagnose(made(good, energy=heavy)).failures)
    wild = torch.zeros(4, 1000, dtype=torch.bool)
    wild[2, 5] = True
    assert diagnose(made(good, divergent=wild)).failures == ["1 divergent draws"]
    assert any("fewer than 4" in f for f in diagnose(made(good[:2])).failures)
    stuck = torch.ones(4, 1000, 1).double()
    assert any("did not mix" in f for f in diagnose(made(stuck)).failures)


def test_plots_are_written(tmp_path):
    torch.manual_seed(0)
    files = plots(made(torch.randn(4, 50, 2).double()), tmp_path)
    assert [f.name for f in files] == ["trace.png", "ranks.png"]
    assert all(f.stat().st_size > 1000 for f in files)


def test_best_scale_is_the_largest():
    x = best_scale(10.0, 40.0, -1.0, 0.7)
    x0 = np.linspace(x - 1, x + 1, 20001)
    value = -10.0 * x0 - 20.0 * np.exp(-2 * x0) - (x0 + 1.0) ** 2 / (2 * 0.49)
    assert x == pytest.approx(x0[value.argmax()], abs=1e-3)
    assert best_scale(10.0, 40.0, -1.0, 0.0) == -1.0


def test_maps_follow_one_another():
    torch.manual_seed(0)
    a = Coordinates(torch.randn(3).double(), torch.rand(3).double())
    b = Coordinates(torch.randn(3).double(), torch.randn(3, 3).double())
    z = torch.randn(3).double()
    for first, second in ((a, b), (b, a), (a, a)):
        torch.testing.assert_close(first.then(second).u(z), first.u(second.u(z)))
    torch.testing.assert_close(b.many(z.expand(2, 3))[1], b.u(z))
