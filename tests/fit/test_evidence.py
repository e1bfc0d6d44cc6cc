"""Noise and prior by evidence: scikit-learn's estimators, dense Gaussians, finite differences, what must not happen."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from mdzoo.fit.evidence import LEAST, Block, evidence, learn_noise
from mdzoo.fit.relevance import relevant
from mdzoo.fit.solve import solve
from mdzoo.fit.spectrum import best_evidence, posterior, spectrum

NOISE = (0.05, 0.4)


def problem(n: int = 8, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two kinds of rows, each with its noise: 40 and 200 of them."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(240, n, generator=generator, dtype=torch.float64) * torch.logspace(-1, 1, n)
    theta = torch.randn(n, generator=generator, dtype=torch.float64) / torch.logspace(-1, 1, n)
    noise = torch.cat([torch.full((40,), NOISE[0]), torch.full((200,), NOISE[1])])
    return rows, rows @ theta + noise * torch.randn(240, generator=generator, dtype=torch.float64)


def blocks(rows: torch.Tensor, targets: torch.Tensor, structures: int | None = None) -> list[Block]:
    every = torch.cat([rows, targets.unsqueeze(1)], 1)
    return [Block(every[:40], 40, structures or 40), Block(every[40:], len(every) - 40, structures or len(every) - 40)]


def lengths(data: list[Block]) -> torch.Tensor:
    """Return the length of each column."""
    return torch.cat([block.root[:, :-1] for block in data]).square().sum(0).sqrt()


def test_evidence_is_the_density_of_the_targets():
    rows, targets = problem()
    shape = torch.linspace(0.5, 2.0, 8, dtype=torch.float64)
    found = evidence(blocks(rows, targets), torch.tensor(NOISE, dtype=torch.float64), 3.0, shape)
    noise = torch.cat([torch.full((40,), NOISE[0]), torch.full((200,), NOISE[1])]).double()
    dense = rows @ torch.diag(1.0 / (3.0 * shape.square())) @ rows.T + torch.diag(noise.square())
    assert found.value == pytest.approx(multivariate_normal(None, dense.numpy()).logpdf(targets.numpy()), rel=1e-10)
    expected = solve(rows, targets, noise, 3.0**0.5 * shape)
    torch.testing.assert_close(found.posterior.mean, expected.mean)
    assert found.value == pytest.approx(expected.evidence, rel=1e-10)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("powers", [None, [1.0, 0.3]])
def test_its_slopes_are_finite_differences(powers, full):
    data = blocks(*problem())
    shape = torch.randn(8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 3.0 * torch.eye(8)
    shape = shape.double() if full else shape.diagonal().double()

    def value(log_noise: list[float], log_strength: float):
        noise = torch.tensor(log_noise, dtype=torch.float64).exp()
        return evidence(data, noise, float(np.exp(log_strength)), shape, powers)

    found, h = value([-2.0, -1.5], 0.7), 1e-4
    expected = [(value([-2.0 + h, -1.5], 0.7).value - value([-2.0 - h, -1.5], 0.7).value) / (2.0 * h)]
    expected += [(value([-2.0, -1.5 + h], 0.7).value - value([-2.0, -1.5 - h], 0.7).value) / (2.0 * h)]
    np.testing.assert_allclose(found.by_noise.numpy(), expected, rtol=1e-6)
    strength = (value([-2.0, -1.5], 0.7 + h).value - value([-2.0, -1.5], 0.7 - h).value) / (2.0 * h)
    assert found.by_strength == pytest.approx(strength, rel=1e-6)


def test_noise_is_found_where_errors_are_independent():
    rows, targets = problem(seed=3)
    data = blocks(rows, targets)
    np.testing.assert_allclose(learn_noise(data, lengths(data)).numpy(), NOISE, rtol=0.25)


def test_misfit_that_is_alike_within_a_structure_does_not_drown_the_energies():
    """40 energies that the model can describe, 4000 forces in 40 structures that it cannot, by 1: alike in each.

    As independent rows the forces take all parameters, and the noise of the energies runs up to their whole spread.
    """
    generator = torch.Generator().manual_seed(5)
    energies = torch.randn(40, 8, generator=generator, dtype=torch.float64)
    forces = torch.randn(40, 8, generator=generator, dtype=torch.float64).repeat_interleave(100, 0)
    forces = forces + 0.1 * torch.randn(4000, 8, generator=generator, dtype=torch.float64)
    theta = torch.randn(8, generator=generator, dtype=torch.float64)
    misfit = torch.randn(40, generator=generator, dtype=torch.float64).repeat_interleave(100)
    targets = torch.cat([energies @ theta, forces @ theta + misfit])
    data = blocks(torch.cat([energies, forces]), targets, 40)

    def energy_error(noise: torch.Tensor) -> float:
        weighted = torch.cat([block.root / s for block, s in zip(data, noise, strict=True)])
        mean = solve(weighted[:, :-1], weighted[:, -1]).mean
        return float((energies @ mean - targets[:40]).square().mean().sqrt())

    free, guarded = (learn_noise(data, lengths(data), guarded) for guarded in (False, True))
    assert energy_error(guarded) < 0.2 * energy_error(free)


def test_exact_labels_do_not_run_away():
    rows, _ = problem()
    data = blocks(rows, rows.sum(1))
    noise = learn_noise(data, lengths(data))
    spread = torch.tensor([block.spread() for block in data])
    assert (noise >= 0.999 * LEAST * spread).all()
    assert torch.isfinite(noise).all()


def test_labels_without_spread_are_refused():
    rows, targets = problem()
    targets[:40] = 0.0
    with pytest.raises(ValueError, match=r"`noise` must be given where all labels of a target or group lie on the ba"):
        learn_noise(blocks(rows, targets), torch.ones(8, dtype=torch.float64))


# scikit-learn 1.9.1, BayesianRidge and ARDRegression of `columns` with hyperpriors 0 and tol 1e-14: coef_ and alpha_
RIDGE = [5.246090267932088, -0.23373363753309573, -2.802320947062486, 0.09547820387404611]
RIDGE += [0.11634399683059005, 1.6820016250611924, 0.20867487655042055, 0.12637740367946426]
RELEVANT = [5.2195303850640205, 0.0, -2.8002855442672128, 0.0, 0.0, 1.6767028091331158, 0.0, 0.0]
ALPHA = (43.723392831610724, 46.03956301160413)


def columns() -> tuple[torch.Tensor, torch.Tensor]:
    """Columns of unit norm, half of which the targets do not depend on, without randomness that versions change."""
    x = torch.arange(1, 61, dtype=torch.float64)
    rows = torch.stack([torch.sin(x * k * 0.7 + 0.3 * k * k) for k in range(1, 9)], 1)
    targets = rows[:, 0] - 0.5 * rows[:, 2] + 0.3 * rows[:, 5] + 0.2 * torch.cos(x * x * 0.37)
    return rows / torch.linalg.vector_norm(rows, dim=0), targets


def bayesian_ridge():
    rows, targets = columns()
    spec = spectrum(torch.cat([rows, targets.unsqueeze(1)], 1), len(rows))
    return posterior(spec, best_evidence(spec))


def relevance():
    rows, targets = columns()
    return relevant(torch.cat([rows, targets.unsqueeze(1)], 1), len(rows), 1e-13, 10_000)


def test_ridge_is_that_of_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is in the extra `oracles`")
    rows, targets = columns()
    expected = linear_model.Ridge(alpha=0.3, fit_intercept=False, solver="svd").fit(rows.numpy(), targets.numpy())
    unit = torch.ones(8, dtype=torch.float64)
    np.testing.assert_allclose(solve(rows, targets, prior=0.3**0.5 * unit).mean.numpy(), expected.coef_, rtol=1e-8)
    np.testing.assert_allclose(
        posterior(spectrum(torch.cat([rows, targets.unsqueeze(1)], 1), 60), 0.3).mean.numpy(), expected.coef_, rtol=1e-8
    )


@pytest.mark.parametrize(
    ("make", "mean", "alpha"), [(bayesian_ridge, RIDGE, ALPHA[0]), (relevance, RELEVANT, ALPHA[1])]
)
def test_stored_numbers_of_scikit_learn(make, mean, alpha):
    found = make()
    np.testing.assert_allclose(found.mean.numpy(), mean, rtol=1e-8, atol=1e-12)
    assert found.noise**-2 == pytest.approx(alpha, rel=1e-8)


def test_bayesian_ridge_and_relevance_are_those_of_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is in the extra `oracles`")
    rows, targets = (x.numpy() for x in columns())
    flat = {"alpha_1": 0.0, "alpha_2": 0.0, "lambda_1": 0.0, "lambda_2": 0.0, "fit_intercept": False, "tol": 1e-14}
    ridge = linear_model.BayesianRidge(**flat, max_iter=10_000, compute_score=True).fit(rows, targets)
    found = bayesian_ridge()
    np.testing.assert_allclose(found.mean.numpy(), ridge.coef_, rtol=1e-8)
    assert found.noise**-2 == pytest.approx(ridge.alpha_, rel=1e-8)
    np.testing.assert_allclose(found.prior.square().numpy(), ridge.lambda_, rtol=1e-8)
    np.testing.assert_allclose((found.root @ found.root.T).numpy(), ridge.sigma_, rtol=1e-7, atol=1e-12)
    ard = linear_model.ARDRegression(**flat, max_iter=100_000, threshold_lambda=1e6).fit(rows, targets)
    found = relevance()
    np.testing.assert_allclose(found.mean.numpy(), ard.coef_, rtol=1e-8, atol=1e-12)
    assert found.noise**-2 == pytest.approx(ard.alpha_, rel=1e-8)
    kept = torch.isfinite(found.prior)
    np.testing.assert_allclose(found.prior[kept].square().numpy(), ard.lambda_[kept.numpy()], rtol=1e-7)
