"""The solver and the factors against numpy.linalg.lstsq, explicit refits and the textbook formulas."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from mdzoo.fit.factors import Factors, TriangularFactor, triangle
from mdzoo.fit.select import choices, decompose, held_out
from mdzoo.fit.solve import of_root, solve
from mdzoo.fit.spectrum import GRID, best_evidence, evidence, evidence_slope, posterior, spectrum


@pytest.fixture
def problem():
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(300, 12, generator=generator, dtype=torch.float64) * torch.logspace(-3, 3, 12)
    theta = torch.randn(12, generator=generator, dtype=torch.float64) / torch.logspace(-3, 3, 12)
    noise = 0.1 * torch.randn(300, generator=generator, dtype=torch.float64)
    return rows, rows @ theta + noise


def test_solve_is_numpy_lstsq(problem):
    rows, targets = problem
    expected = np.linalg.lstsq(rows.numpy(), targets.numpy(), rcond=None)[0]
    np.testing.assert_allclose(solve(rows, targets).mean.numpy(), expected, rtol=1e-10)


def ridge_root(rows: torch.Tensor, ridge: float) -> torch.Tensor:
    """The prior root of a ridge, in units of the noise."""
    return ridge**0.5 * rows.square().sum(0).sqrt()


def test_ridge_is_lstsq_on_the_stacked_system(problem):
    rows, targets = problem
    found = solve(rows, targets, prior=ridge_root(rows, 1e-2))
    scale = rows.square().sum(0).sqrt()
    stacked = torch.cat([rows, 0.1 * torch.diag(scale)])
    padded = torch.cat([targets, torch.zeros(12, dtype=torch.float64)])
    expected = np.linalg.lstsq(stacked.numpy(), padded.numpy(), rcond=None)[0]
    np.testing.assert_allclose(found.mean.numpy(), expected, rtol=1e-10)
    precision = (stacked.T @ stacked) / found.noise**2
    torch.testing.assert_close(found.root @ found.root.T, torch.linalg.inv(precision), rtol=1e-8, atol=0.0)
    hat = rows @ torch.linalg.solve(stacked.T @ stacked, rows.T)
    assert found.effective == pytest.approx(float(torch.trace(hat)), rel=1e-9)


def test_the_two_solvers_of_a_ridge_agree(problem):
    rows, targets = problem
    spec = spectrum(torch.cat([rows, targets.unsqueeze(1)], 1), 300)
    for ridge in (1e-8, 1e-3, 1.0):
        one, other = solve(rows, targets, prior=ridge_root(rows, ridge)), posterior(spec, ridge)
        for a, b in zip(one, other, strict=True):
            if isinstance(a, float):
                assert a == pytest.approx(b, rel=1e-9)
        torch.testing.assert_close(one.mean, other.mean, rtol=1e-9, atol=0.0)
        torch.testing.assert_close(one.prior, other.prior, rtol=1e-9, atol=0.0)
        covariance = other.root @ other.root.T
        torch.testing.assert_close(one.root @ one.root.T, covariance, rtol=1e-8, atol=1e-12 * float(covariance.max()))


@pytest.mark.parametrize("full", [False, True])
def test_known_noise_and_any_prior_give_the_gaussian_of_the_textbook(problem, full):
    """`N(0, A (L^T L)^-1 A^T + diag(sigma^2))` of scipy, and the posterior by dense inverses."""
    rows, targets = problem
    noise = torch.linspace(0.05, 0.3, 300, dtype=torch.float64)
    size = rows.square().mean(0).sqrt()
    prior = (
        torch.randn(15, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) * size if full else size
    )
    found = solve(rows, targets, noise, prior)
    root = prior if full else torch.diag(prior)
    precision = rows.T @ (rows / noise.square().unsqueeze(1)) + root.T @ root
    covariance = torch.linalg.inv(precision)
    torch.testing.assert_close(found.root @ found.root.T, covariance, rtol=1e-7, atol=1e-12 * float(covariance.max()))
    expected = covariance @ rows.T @ (targets / noise.square())
    torch.testing.assert_close(found.mean, expected, rtol=1e-8, atol=0.0)
    dense = rows @ torch.linalg.inv(root.T @ root) @ rows.T + torch.diag(noise.square())
    assert found.evidence == pytest.approx(multivariate_normal(None, dense.numpy()).logpdf(targets.numpy()), rel=1e-8)
    effective = torch.trace(covariance @ (precision - root.T @ root))
    assert found.effective == pytest.approx(float(effective), rel=1e-8)


def test_few_rows_and_a_prior_are_sound(problem):
    rows, targets = problem[0][:7], problem[1][:7]
    prior = rows.square().sum(0).sqrt()
    found = solve(rows, targets, 0.1, prior)
    dense = rows @ torch.diag(prior**-2) @ rows.T + 0.01 * torch.eye(7, dtype=torch.float64)
    expected = torch.diag(prior**-2) @ rows.T @ torch.linalg.solve(dense, targets)
    torch.testing.assert_close(found.mean, expected, rtol=1e-9, atol=1e-14)
    assert found.evidence == pytest.approx(multivariate_normal(None, dense.numpy()).logpdf(targets.numpy()), rel=1e-9)
    assert 0.0 < found.effective < 7.0


def test_fewer_rows_than_parameters_and_empty_columns_give_the_smallest_solution(problem):
    rows, targets = problem[0][:7].clone(), problem[1][:7]
    rows[:, 3] = 0.0
    scale = rows.square().sum(0).sqrt().clamp_min(1e-300)
    scale[3] = 1.0
    expected = np.linalg.lstsq((rows / scale).numpy(), targets.numpy(), rcond=None)[0] / scale.numpy()
    for found in (solve(rows, targets), posterior(spectrum(torch.cat([rows, targets.unsqueeze(1)], 1), 7), 0.0)):
        np.testing.assert_allclose(found.mean.numpy(), expected, rtol=1e-8, atol=1e-12)
        assert abs(found.mean[3]) < 1e-14
        assert found.effective == pytest.approx(7.0, rel=1e-9)
        assert torch.isfinite(found.root).all()


def test_collinear_columns_share_their_weight(problem):
    rows, targets = problem
    twice = torch.cat([rows, rows[:, :1]], 1)
    one, other = solve(rows, targets), solve(twice, targets)
    torch.testing.assert_close(other.mean[[0, 12]], one.mean[:1].expand(2) / 2.0, rtol=1e-8, atol=0.0)
    assert other.noise == pytest.approx(one.noise, rel=1e-9)


def test_streaming_is_one_block(problem):
    rows = torch.cat([problem[0], problem[1].unsqueeze(1)], 1)
    factor = TriangularFactor(13)
    for piece in rows.split(17):
        factor.add(piece)
    root = factor.root()
    assert root.shape == (13, 13)
    assert factor.count == 300
    torch.testing.assert_close(root.T @ root, rows.T @ rows, rtol=1e-11, atol=1e-9)
    streamed = posterior(spectrum(root, 300), 0.0)
    expected = np.linalg.lstsq(problem[0].numpy(), problem[1].numpy(), rcond=None)[0]
    np.testing.assert_allclose(streamed.mean.numpy(), expected, rtol=1e-10)
    assert streamed.noise == pytest.approx(solve(*problem).noise, rel=1e-9)


def test_any_mixture_of_triangles_and_rows_has_one_triangle(problem):
    rows = torch.cat([problem[0], problem[1].unsqueeze(1)], 1)
    whole = torch.linalg.qr(rows[:100], mode="r")[1]
    pieces = {"rows": [rows[:200], rows[200:]], "a triangle first": [whole, rows[100:]]}
    pieces["a triangle last"] = [rows[100:], whole]
    pieces["triangles"] = [torch.linalg.qr(part, mode="r")[1] for part in rows.split(100)]
    pieces["few rows first"] = [rows[:5], whole[:13], rows[100:], rows[5:5]]
    for name, parts in pieces.items():
        before = [part.clone() for part in parts]
        found = triangle(parts, 13)
        every = torch.cat(parts)
        torch.testing.assert_close(found.T @ found, every.T @ every, rtol=1e-11, atol=1e-9, msg=name)
        assert not found.tril(-1).any()
        assert all(torch.equal(a, b) for a, b in zip(before, parts, strict=True)), "inputs stay as they are"


def test_an_ill_conditioned_problem_is_solved_where_normal_equations_fail():
    x = torch.linspace(0.0, 1.0, 200, dtype=torch.float64)
    rows = torch.stack([x**k for k in range(14)], 1)
    theta = torch.ones(14, dtype=torch.float64)
    factor = TriangularFactor(15)
    for piece in torch.cat([rows, (rows @ theta).unsqueeze(1)], 1).split(9):
        factor.add(piece)
    found = posterior(spectrum(factor.root(), 200), 0.0).mean
    normal = torch.linalg.solve(rows.T @ rows, rows.T @ (rows @ theta))
    assert float((found - theta).abs().max()) < 1e-4
    assert float((normal - theta).abs().max()) > 1e-2


def test_evidence_is_the_density_of_the_targets(problem):
    rows, targets = problem
    spec = spectrum(torch.cat([rows, targets.unsqueeze(1)], 1), 300)
    for ridge in (1e-6, 1e-3, 1e-1):
        found = posterior(spec, ridge)
        prior = np.diag(found.prior.numpy() ** -2)
        covariance = rows.numpy() @ prior @ rows.numpy().T + found.noise**2 * np.eye(300)
        expected = multivariate_normal(np.zeros(300), covariance).logpdf(targets.numpy())
        assert found.evidence == pytest.approx(expected, rel=1e-8)


def test_the_slope_of_the_evidence_is_its_finite_difference(problem):
    spec = spectrum(torch.cat([problem[0], problem[1].unsqueeze(1)], 1), 300)
    for log_ridge in (-12.0, -4.0, 0.0):
        near = torch.tensor([log_ridge - 1e-4, log_ridge + 1e-4], dtype=torch.float64).exp()
        difference = float(evidence(spec, near).diff()) / 2e-4
        assert float(evidence_slope(spec, near.mean(0, keepdim=True))[0]) == pytest.approx(difference, rel=1e-5)


def test_evidence_finds_the_prior_that_made_the_data():
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(4000, 200, generator=generator, dtype=torch.float64)
    theta = 0.05 * torch.randn(200, generator=generator, dtype=torch.float64)
    targets = rows @ theta + 0.5 * torch.randn(4000, generator=generator, dtype=torch.float64)
    spec = spectrum(torch.cat([rows, targets.unsqueeze(1)], 1), 4000)
    ridge = best_evidence(spec)
    assert ridge == pytest.approx(0.5**2 / 0.05**2 / 4000, rel=0.3)
    assert posterior(spec, ridge).noise == pytest.approx(0.5, rel=0.05)
    values = evidence(spec, torch.tensor([ridge / 1.2, ridge, ridge * 1.2], dtype=torch.float64))
    assert values[1] > values[0]
    assert values[1] > values[2]


def test_evidence_of_exact_data_does_not_run_away():
    rows = torch.randn(50, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    spec = spectrum(torch.cat([rows, rows.sum(1, keepdim=True)], 1), 50)
    ridge = best_evidence(spec)
    assert float(GRID[0]) <= ridge <= float(GRID[-1])
    torch.testing.assert_close(posterior(spec, ridge).mean, torch.ones(5, dtype=torch.float64))


def filled(problem, n_parts=5):
    rows = torch.cat([problem[0], problem[1].unsqueeze(1)], 1)
    factors = Factors(12, n_parts)
    for part in range(n_parts):
        factors.add(part, "forces", rows[part:240:n_parts])
        factors.add(part, "energy", rows[240 + part :: n_parts])
    return factors, rows


def test_weights_noise_and_left_out_parts_cost_no_second_pass(problem):
    factors, rows = filled(problem)
    weights = {"energy": 3.0, "forces": 0.5}
    keep = [i for i in range(300) if i % 5 != 2]
    factor = torch.where(torch.arange(300) < 240, 0.5, 3.0).to(torch.float64)
    explicit = (rows * factor.unsqueeze(1))[keep]
    found = posterior(decompose(factors, weights, None, 2), 1e-3)
    expected = posterior(spectrum(explicit, len(keep)), 1e-3)
    torch.testing.assert_close(found.mean, expected.mean, rtol=1e-9, atol=0.0)
    assert found.evidence == pytest.approx(expected.evidence, rel=1e-10)


def test_cross_validation_from_factors_is_explicit_refits(problem):
    factors, rows = filled(problem)
    weights = {"energy": 3.0, "forces": 0.5}
    squares = held_out(factors, factors, weights, range(5), None)
    factor = torch.where(torch.arange(300) < 240, 0.5, 3.0).to(torch.float64)
    for index in (0, 30, 60):
        total = {"energy": 0.0, "forces": 0.0}
        for part in range(5):
            keep = torch.arange(300) % 5 != part
            train = (rows * factor.unsqueeze(1))[keep]
            theta = posterior(spectrum(train, len(train)), float(GRID[index])).mean
            error = (rows[:, :-1] @ theta - rows[:, -1]).square()
            total["forces"] += float(error[:240][~keep[:240]].sum())
            total["energy"] += float(error[240:][~keep[240:]].sum())
        assert float(squares["forces"][index]) == pytest.approx(total["forces"] / 240, rel=1e-8)
        assert float(squares["energy"][index]) == pytest.approx(total["energy"] / 60, rel=1e-8)


def test_choices_come_best_first_and_cover_the_weights(problem):
    factors, _ = filled(problem)
    tried = choices(factors, factors, {"energy": [1.0, 10.0], "forces": 1.0}, range(5))
    assert len(tried) == 2 * len(GRID)
    assert [c.score for c in tried] == sorted(c.score for c in tried)
    assert tried[0].score == pytest.approx((tried[0].errors["energy"] * tried[0].errors["forces"]) ** 0.5, rel=1e-12)


def test_no_rows_and_bad_rows_are_refused():
    for decompose_or_solve in (spectrum, of_root):
        with pytest.raises(ValueError, match="`rows` must hold at least one label with a weight, got none"):
            decompose_or_solve(torch.zeros(0, 3, dtype=torch.float64), 0)
        with pytest.raises(ValueError, match="`rows` must be finite, got NaN or infinity"):
            decompose_or_solve(torch.full((2, 3), float("nan"), dtype=torch.float64), 2)


def test_waiting_rows_are_bounded():
    factors = Factors(20, 40)
    factors.most_waiting = 100
    rows = torch.randn(3000, 21, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for i, row in enumerate(rows.split(1)):
        factors.add(i % 40, "forces", row)
        assert sum(f.waiting for f in factors.table.values()) <= factors.most_waiting
    root = factors.stack({"forces": 1.0})
    torch.testing.assert_close(root.T @ root, rows.T @ rows)
