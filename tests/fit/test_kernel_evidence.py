"""The evidence of kernels and its gradient: finite differences, the dense Gaussian, and what an optimisation does."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from mdzoo.fit import fit
from mdzoo.fit.inducing import select_inducing
from mdzoo.fit.kernel_evidence import KernelEvidence
from mdzoo.fit.least_squares import LeastSquares
from mdzoo.potentials import DescriptorPotential
from mdzoo.regressors import DotProduct, Linear, Matern, SparseGP, SquaredExponential, Sum
from tests.fit.cases import Plain, data, force_field, frames, linear, small

WEIGHTS = {"energy": 3.0, "forces": 0.7, "stress": 0.2}


def two_kernels():
    """A Linear term, a sum of kernels by elements with lengths of their own, and a kernel on another descriptor."""
    descriptor, n = small(2, K=1), small(2, K=1).n_features
    ard = SquaredExponential(n, 0.5, [2.0 + 0.2 * i for i in range(n)], ard=True)
    kernel = [Sum([ard, DotProduct(n, 2, 1.0, variance=0.3)]), Matern(n, 2.5, lengths=3.0)]
    model = force_field(SparseGP(n, 2, [4, 3], kernel, scaled=True), descriptor, (14, 6))
    plain = [Linear(3, 2), SparseGP(3, 2, 3, SquaredExponential(3, lengths=2.0), bias=False)]
    model.potential.terms.extend([DescriptorPotential(Plain(2), regressor) for regressor in plain])
    return model, data(frames(5, numbers=(14, 6)), atomic_numbers=[14, 6])


def test_the_slope_is_that_of_finite_differences():
    model, module = two_kernels()
    select_inducing(model, module.train_set)
    problem = KernelEvidence(model, module.loader(module.train_set), WEIGHTS)
    start = torch.nn.utils.parameters_to_vector(problem.parameters).numpy().copy()
    value, slope = problem.value(start)
    assert len(slope) == len(start) > 20
    rng, step = np.random.default_rng(0), 1e-4
    for direction in [*rng.normal(size=(2, len(start))), np.eye(len(start))[-1]]:
        high, low = (problem.value(start + sign * step * direction)[0] for sign in (1.0, -1.0))
        assert slope @ direction == pytest.approx((high - low) / (2.0 * step), rel=1e-5, abs=1e-5)


def test_the_evidence_is_that_of_the_dense_gaussian():
    """`N(0, s^2 (1 + Phi K^-1 Phi^T / lambda))` of scipy, with the rows of all labels."""
    n = small().n_features
    model = force_field(SparseGP(n, 1, 6, DotProduct(n, 2, 0.5), bias=False), small())
    module = data(frames(6))
    select_inducing(model, module.train_set)
    least = LeastSquares(model, WEIGHTS, "evidence")
    for i in range(6):
        least.training_step(module.train_set[i], i)
    post = least.solve()
    rows = least.train_factors.stack(WEIGHTS)  # an orthogonal image of the rows: the rest of the targets is noise
    gp = model.potential.terms[-1].regressor
    dense = torch.eye(len(rows)) + rows[:, :-1] @ torch.linalg.inv(gp.covariance()) @ rows[:, :-1].T / least.strength
    count = sum(least.train_factors.count(target) for target in WEIGHTS)
    inner = multivariate_normal(None, (post.noise**2 * dense).numpy()).logpdf(rows[:, -1].numpy())
    outer = -0.5 * (count - len(rows)) * np.log(2.0 * np.pi * post.noise**2)
    assert post.evidence == pytest.approx(inner + outer, rel=1e-9)


def test_a_fit_raises_the_evidence_and_keeps_what_it_found(tmp_path):
    n = small().n_features
    settings = {"name": "least_squares", "weights": WEIGHTS, "ridge": "evidence", "outer_steps": 1}
    found = []
    for optimise in (False, True):
        model = force_field(SparseGP(n, 1, 3, SquaredExponential(n, lengths=30.0), scaled=True), small())
        settings["optimise_kernel"] = optimise
        found.append(fit(model, data(frames(3)), tmp_path / str(optimise), settings, progress=False).metrics)
    assert found[1]["log_evidence"] > found[0]["log_evidence"] + 1e-3
    kernel = model.potential.terms[-1].regressor.kernels[0]
    assert abs(float(kernel.log_lengths.exp()) - 30.0) > 1e-3
    assert not kernel.log_lengths.requires_grad


def test_what_it_cannot_do_is_refused():
    with pytest.raises(ValueError, match=r"`optimise_kernel` must be false where there is no kernel, got true; choose"):
        KernelEvidence(linear(), [], WEIGHTS)
