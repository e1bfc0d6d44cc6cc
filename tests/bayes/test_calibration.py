"""Numbers of calibration against integrals and simulated models; curves and quantiles by what they promise."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm, spearmanr

from mdzoo.bayes.calibration import (
    LEVELS,
    Predicted,
    coverage,
    crps,
    detection,
    ence,
    miscalibration_area,
    nll,
    numbers,
    perfect,
    spearman,
    summary,
)
from mdzoo.bayes.left_out import Residuals
from mdzoo.bayes.recalibration import applied, curve, found, isotonic, quantiles, through
from mdzoo.potentials.sure_force_field import Curve

RNG = np.random.default_rng(0)
SIGMA = RNG.uniform(0.5, 3.0, 4000)
GOOD = Predicted(SIGMA * RNG.normal(size=4000), SIGMA)


def test_crps_is_the_integral_of_the_squared_difference():
    error, sigma = 0.7, 1.3

    def square(x):
        return (norm.cdf(x, scale=sigma) - (x >= error)) ** 2

    expected = quad(square, -30, error)[0] + quad(square, error, 30)[0]
    assert crps(Predicted(np.array([error]), np.array([sigma]))) == pytest.approx(expected, abs=1e-8)


def test_crps_by_quantiles_is_that_of_the_distribution():
    half = norm.ppf(0.5 + 0.5 * LEVELS)
    assert crps(GOOD._replace(quantile=half)) == pytest.approx(crps(GOOD), rel=0.01)


def test_nll_and_ranks_against_scipy():
    assert nll(GOOD) == pytest.approx(-norm.logpdf(GOOD.error, scale=SIGMA).mean())
    assert spearman(GOOD) == pytest.approx(spearmanr(np.abs(GOOD.error), SIGMA)[0])
    wrong = RNG.uniform(size=4000) < 0.2
    pairs = SIGMA[wrong][:, None] - SIGMA[~wrong]
    assert detection(SIGMA, wrong) == pytest.approx((pairs > 0).mean() + 0.5 * (pairs == 0).mean())
    assert spearman(Predicted(GOOD.error, np.ones(4000))) == 0.0


def test_a_perfect_model_is_within_its_band_and_a_scale_of_ten_percent_is_not():
    band, found = perfect(GOOD, 100, 1), numbers(GOOD)
    assert all(band[key][0] <= found[key] <= band[key][1] for key in band)
    bug = Predicted(GOOD.error, 1.1 * SIGMA)
    outside = {key for key, (low, high) in perfect(bug, 100, 1).items() if not low <= numbers(bug)[key] <= high}
    assert {"coverage_90", "miscalibration_area", "ence"} <= outside


def test_areas_of_known_coverage():
    wide = Predicted(np.zeros(10) + 1e-9, np.ones(10))
    assert miscalibration_area(wide) == pytest.approx(0.5, abs=0.01)
    assert ence(Predicted(np.full(20, 2.0), np.ones(20))) == pytest.approx(1.0)
    np.testing.assert_allclose(coverage(GOOD, [0.9]), 0.9, atol=0.02)


def test_parts_are_judged_by_themselves():
    names = np.where(SIGMA > 2.0, "wide", "narrow")
    found = summary(GOOD, {"groups": names}, draws=5)
    apart = Predicted(GOOD.error[SIGMA > 2.0], SIGMA[SIGMA > 2.0])
    assert found["groups"]["wide"] == numbers(apart)
    assert len(found["curve"]) == 99


def test_what_cannot_be_judged():
    with pytest.raises(ValueError, match=r"`error` and `sigma` must hold the same number, 2 or more, got 1 and 1"):
        numbers(Predicted(np.ones(1), np.ones(1)))
    with pytest.raises(ValueError, match=r"`sigma` must be positive and finite, as errors, got others; check"):
        numbers(Predicted(np.ones(3), np.array([1.0, 0.0, 1.0])))


def test_isotonic_regression_is_the_best_ascending_fit():
    values, weights = RNG.normal(size=7), RNG.uniform(0.5, 2.0, 7)
    found = isotonic(np.exp(values), weights)
    best = min_of_partitions(np.exp(values), weights)
    assert (np.diff(found) >= 0.0).all()
    assert (weights * (found - np.exp(values)) ** 2).sum() == pytest.approx(best)


def min_of_partitions(values, weights):
    """The least weighted square over all ways to cut into blocks of ascending means (brute force)."""
    best, n = np.inf, len(values)
    for cuts in range(2 ** (n - 1)):
        edges = [0, *[k + 1 for k in range(n - 1) if cuts >> k & 1], n]
        means = [np.average(values[a:b], weights=weights[a:b]) for a, b in zip(edges, edges[1:], strict=False)]
        if (np.diff(means) >= 0.0).all():
            fitted = np.repeat(means, np.diff(edges))
            best = min(best, (weights * (fitted - values) ** 2).sum())
    return best


def test_a_curve_finds_the_scale_and_its_torch_twin_agrees():
    sigma = RNG.lognormal(size=20000)
    error = 3.0 * sigma**0.5 * RNG.normal(size=20000)
    knots = curve(sigma, error, 20, flat=False)
    inner = sigma[(sigma > 0.2) & (sigma < 5.0)]
    np.testing.assert_allclose(through(knots, inner), 3.0 * inner**0.5, rtol=0.15)
    at = np.array([1e-6, 0.01, 0.3, 2.0, 50.0, 1e4])
    np.testing.assert_allclose(Curve(**knots)(torch.from_numpy(at)).numpy(), through(knots, at), rtol=1e-12)
    assert through(knots, at)[-1] / through(knots, at)[-2] == pytest.approx(1e4 / 50.0)
    assert through({**knots, "flat": True}, at)[0] == pytest.approx(np.exp(knots["y"][0]))


def test_conformal_quantiles_cover_what_they_promise():
    """`P(|e| <= q_p s) >= p` for one more error of the same kind, whatever its distribution (over many draws)."""
    hits = np.zeros(99)
    for _ in range(2000):
        scores = RNG.standard_t(2, size=40).__abs__()
        hits += scores[-1] <= quantiles(scores[:-1])
    possible = np.ceil(40 * LEVELS) <= 39
    assert (hits[possible] / 2000 >= LEVELS[possible] - 0.03).all()
    assert (hits[possible] / 2000 <= LEVELS[possible] + 1 / 40 + 0.03).all()


def test_each_group_is_covered_by_itself_and_a_new_one_as_all():
    """One deviation for all, errors of two groups three times apart: 90 % of new errors of each are within."""
    groups = np.array(["calm", "wild", "new"])

    def drawn(count):
        place = RNG.integers(0, 2, count)
        error = np.where(place == 0, 1.0, 3.0) * RNG.standard_t(5, size=count)
        one = RNG.uniform(0.9, 1.1, count)
        return Residuals(error, one, place, one, one, one)

    known = found(drawn(20000), None, groups, "forces")
    fresh = drawn(20000)
    for place, name in ((0, "calm"), (1, "wild")):
        mine = Residuals(*[column[fresh.structure == place] for column in fresh])
        assert float(coverage(applied(known, mine, groups), [0.9])[0]) == pytest.approx(0.9, abs=0.015), name
        assert abs(float(coverage(applied(known, mine), [0.9])[0]) - 0.9) > 0.04, "without its factor"
    new = fresh._replace(structure=np.full(20000, 2))
    np.testing.assert_array_equal(applied(known, new, groups).sigma, applied(known, new).sigma)
    few = found(drawn(150), None, groups, "forces")
    assert few["groups"] == {}


def test_what_is_new_is_wider():
    """Where deviations of components say nothing, that of the structure's energy finds which are five times wrong."""
    groups = np.array(["old"])

    def drawn(count, new):
        one, place = np.ones(count), np.zeros(count, dtype=int)
        whole = (3.0 if new else 1.0) * RNG.uniform(0.9, 1.1, count)
        sigma = RNG.uniform(0.9, 1.1, count)
        return Residuals((5.0 if new else 1.0) * RNG.normal(size=count), sigma, place, one, one, whole)

    known = found(drawn(20000, False), drawn(4000, True), groups, "forces")
    for new in (False, True):
        said = applied(known, drawn(20000, new))
        assert float(coverage(said, [0.9])[0]) == pytest.approx(0.9, abs=0.02)
    ends = through(known["novelty"], np.array([1e-9, 1e9]))
    np.testing.assert_allclose(ends, np.exp([known["novelty"]["y"][0], known["novelty"]["y"][-1]]))


@pytest.mark.parametrize("helps", [True, False])
def test_novelty_counts_where_it_tells_of_errors_at_hand(helps):
    """The structure's deviation tells of its errors at hand, or of those far away alone and misleads near ones."""
    structure = np.repeat(np.arange(64), 200)
    whole = np.where(RNG.uniform(size=64) < 0.5, 1.0, 3.0)[structure]
    one = np.ones(len(whole))
    size = np.where(whole > 2.0, 4.0, 1.0) if helps else one
    near = Residuals(size * RNG.normal(size=len(one)), RNG.uniform(0.9, 1.1, len(one)), structure, one, one, whole)
    far = near._replace(error=8.0 * RNG.normal(size=len(one)), whole=3.0 * one)
    known = found(near, far, np.array(["all"] * 64), "forces")
    assert ("novelty" in known) == helps


def test_intervals_of_energies_hold_at_each_deviation():
    """Half of the energies have errors of heavy tails: 90 % of either half is within, where a mean square says more."""
    sigma = np.concatenate([RNG.uniform(0.9, 1.0, 3000), RNG.uniform(2.0, 2.2, 3000)])
    error = np.concatenate([RNG.normal(size=3000), 2.0 * RNG.standard_t(2, size=3000)])
    zero = np.zeros(6000)
    known = found(Residuals(error, sigma, zero.astype(int), zero, zero, zero), None, np.array(["all"]), "energy")
    said = applied(known, Residuals(error, sigma, zero, zero, zero, zero))
    for part in (slice(0, 3000), slice(3000, None)):
        half = Predicted(said.error[part], said.sigma[part], said.quantile)
        assert float(coverage(half, [0.9])[0]) == pytest.approx(0.9, abs=0.02)


def test_a_curve_needs_errors():
    with pytest.raises(ValueError, match=r"`errors` must be 40 or more for a calibration, got 5; give more structures"):
        curve(np.ones(5), np.ones(5), 20, False)
