"""POPS against popsregression, and the same box by numbers that version 0.4.0 gave."""

import numpy as np
import pytest
import torch

from mdzoo.bayes import infer
from mdzoo.bayes.pops import corrections, of_fit
from mdzoo.fit.solve import of_root
from tests.bayes.test_laplace import fitted

RNG = np.random.default_rng(4)
X = RNG.normal(size=(40, 5)) * [1.0, 2.0, 0.5, 1.0, 3.0]
Y = np.sin(X[:, 0]) + 0.3 * X[:, 1] ** 2 - X[:, 4]
WIDTHS = [0.1350261, 0.79540542, 0.94856824, 1.2100598, 3.1220637]


def ours(x, y, ridge, **options):
    """The box by a fit with the given ridge (of plain columns) and unit noise."""
    rows = torch.from_numpy(np.concatenate([x, y[:, None]], 1))
    post = of_root(rows, len(y), 1.0, torch.full((x.shape[1],), float(ridge) ** 0.5, dtype=torch.float64))
    return post, of_fit(rows, post, **options)


def test_the_box_is_that_of_popsregression():
    pops = pytest.importorskip("popsregression", reason="pip install popsregression")
    for options, keys in (
        ({}, {}),
        ({"percentile": 0.0, "clip": 5.0}, {"leverage_percentile": 0.0, "percentile_clipping": 5.0}),
    ):
        reference = pops.POPSRegression(**keys).fit(X, Y)
        post, found = ours(X, Y, reference.lambda_ / reference.alpha_, **options)
        np.testing.assert_allclose(post.mean.numpy(), reference.coef_, rtol=1e-10)
        dtheta, leverage = corrections(torch.from_numpy(X), torch.from_numpy(Y - X @ reference.coef_), post.root)
        np.testing.assert_allclose(dtheta.numpy(), reference._pointwise_correction, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(leverage.numpy(), reference._leverage_scores, rtol=1e-10)
        sign = np.sign((found.axes.numpy() * reference._hypercube_support).sum(0))
        np.testing.assert_allclose(found.axes.numpy() * sign, reference._hypercube_support, atol=1e-10)
        ends = np.sort(np.stack([found.low.numpy() * sign, found.high.numpy() * sign]), 0)
        np.testing.assert_allclose(ends, np.stack(reference._hypercube_bounds), rtol=1e-10, atol=1e-10)


def test_the_box_is_that_of_stored_numbers():
    """Bounds by popsregression 0.4.0 with lambda / alpha = 0.01, whatever the sign of an axis."""
    _, found = ours(X, Y, 0.01)
    widths = (found.high - found.low).numpy()
    np.testing.assert_allclose(widths, WIDTHS, rtol=1e-6)


def test_an_envelope_bounds_all_draws_and_is_reached():
    _, found = ours(X, Y, 0.01)
    phi = torch.from_numpy(X[:7])
    low, high = found.envelope(phi)
    draws = found.draws(2000, torch.Generator().manual_seed(0)) @ phi.T
    assert (draws >= low).all()
    assert (draws <= high).all()
    corners = torch.cartesian_prod(*torch.stack([found.low, found.high], 1)) @ found.axes.T @ phi.T
    torch.testing.assert_close(corners.amin(0), low)
    torch.testing.assert_close(corners.amax(0), high)
    moment = draws.square().mean(0).sqrt()
    torch.testing.assert_close((phi @ found.root()).square().sum(1).sqrt(), moment, rtol=0.05, atol=0.0)


def test_pointwise_parameters_fit_their_label():
    post, _ = ours(X, Y, 0.01)
    error = torch.from_numpy(Y) - torch.from_numpy(X) @ post.mean
    dtheta, _ = corrections(torch.from_numpy(X), error, post.root)
    torch.testing.assert_close((dtheta * torch.from_numpy(X)).sum(1), error)


def test_a_model_holds_its_box():
    model, module = fitted()
    sure = infer(model, module, {"name": "pops", "members": 8, "calibration": "none", "folds": 2})
    plain = infer(model, module, {"name": "laplace", "members": 8, "calibration": "none", "folds": 2})
    graph = module.train_set[[0, 1]].graph
    assert (sure.potential.uncertainty(graph).parameter > plain.potential.uncertainty(graph).parameter).all()
    assert sure.potential.members(graph).shape[0] == 8


def test_percentiles_are_checked():
    with pytest.raises(ValueError, match=r"`leverage_percentile` must be within \[0, 100\), got 100; 50 is usual"):
        infer(*fitted(), {"name": "pops", "leverage_percentile": 100})
    with pytest.raises(ValueError, match=r"`percentile_clipping` must be within \[0, 50\), got 50; 0 cuts nothing"):
        infer(*fitted(), {"name": "pops", "percentile_clipping": 50})
