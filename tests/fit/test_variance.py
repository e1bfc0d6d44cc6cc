"""Predictive variances against scikit-learn, the dense Gaussian process and double backward passes."""

import numpy as np
import pytest
import torch

from mdzoo.data import graph_from_atoms
from mdzoo.fit.solve import solve
from mdzoo.fit.variance import mapped_variance, uncertainty, variance
from mdzoo.graph import collate, within
from mdzoo.potentials import DescriptorPotential, ForceField
from mdzoo.regressors import DotProduct, Matern, SparseGP, SquaredExponential
from tests.fit.cases import CUTOFF, frames, small
from tests.reference.test_sparse_gp import NOISE, X, Y

# scikit-learn 1.9.1, as in tests/reference/test_sparse_gp.py: `.predict(T, return_std=True)[1] ** 2`
T = torch.tensor([[0.3, -0.2], [1.5, 0.4]]).double()
SKLEARN = [
    (SquaredExponential(2, 2.0, 0.7), [0.233170590402, 1.3553447663]),
    (Matern(2, 2.5, 0.5, 1.3), [0.0278709035607, 0.179598416764]),
    (Matern(2, 1.5, 0.5, 1.3), [0.0525835980467, 0.217444238222]),
    (DotProduct(2, 3, 0.7, normalise=False), [0.0723091574023, 9.30854651873]),
]


def posterior_of(gp, rows, targets):
    return solve(rows, targets, NOISE, gp.prior_root())


@pytest.mark.parametrize(("kernel", "expected"), SKLEARN)
def test_variances_of_values_are_those_of_scikit_learn(kernel, expected):
    gp, kinds = SparseGP(2, 1, 5, kernel, bias=False, jitter=1e-15), torch.zeros(5, dtype=torch.int64)
    gp.set_points(X)
    post = posterior_of(gp, gp.phi(X, kinds), Y)
    rows = gp.phi(T, kinds[:2])
    inverse = torch.linalg.inv(gp.prior_root())
    found = (rows @ post.root).square().sum(1) + kernel.diagonal(T) - (rows @ inverse).square().sum(1)
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-7)


def exact(kernel, n_species=1, jitter=1e-15):
    """A process whose inducing points are all atoms of three cells, with their energies as data."""
    numbers = (14, 6)[:n_species]
    train = collate([graph_from_atoms(a, numbers, CUTOFF) for a in frames(3, numbers=numbers)])
    descriptor = small(n_species, K=1)
    x, share = descriptor(train), torch.nn.functional.one_hot(train.batch).double().T
    counts = torch.bincount(train.species, minlength=n_species).tolist()
    gp = SparseGP(descriptor.n_features, n_species, counts, kernel, bias=False, jitter=jitter)
    gp.set_points(x[train.species.argsort(stable=True)])
    post = posterior_of(gp, share @ gp.phi(x, train.species), torch.tensor([0.1, -0.2, 0.3]).double())
    gp.set_theta(post.mean)
    return ForceField(DescriptorPotential(descriptor, gp), numbers).eval(), post, x, share, train.species


@pytest.mark.parametrize("n_species", [1, 2])
def test_energies_and_forces_have_the_variance_of_the_dense_process(n_species):
    """`k_** - k_* (K + s^2)^-1 k_*^T` of energies, and its derivatives by two copies of the edge vectors."""
    n = small(n_species, K=1).n_features
    kernel = DotProduct(n, 2, 0.5, variance=1.5)
    force_field, post, x, share, kinds = exact(kernel, n_species)
    graph = graph_from_atoms(frames(3, seed=1, numbers=(14, 6)[:n_species])[2], (14, 6)[:n_species], CUTOFF)
    moved = torch.zeros(2, *graph.positions.shape, dtype=torch.float64, requires_grad=True)

    def features(shift):
        vectors = graph.vectors + shift[graph.neighbors] - shift[graph.centers]
        return force_field.potential.descriptor(graph._replace(vectors=vectors))

    def covariance(one, other, s1, s2):
        return kernel(one, other) * (s1.unsqueeze(1) == s2)

    inner = torch.linalg.inv(share @ covariance(x, x, kinds, kinds) @ share.T + NOISE**2 * torch.eye(3).double())
    a, b = features(moved[0]), features(moved[1])
    to_a, to_b = (covariance(f, x, graph.species, kinds).sum(0) @ share.T for f in (a, b))
    whole = covariance(a, b, graph.species, graph.species).sum() - to_a @ inner @ to_b
    found = variance(force_field, post, graph)
    assert float(found.energy) == pytest.approx(float(whole.detach()), rel=1e-6)
    (first,) = torch.autograd.grad(whole, moved, create_graph=True)
    for atom in range(len(graph.species)):
        for axis in range(3):
            second = torch.autograd.grad(first[0, atom, axis], moved, retain_graph=True)[0][1, atom, axis]
            assert float(found.forces[atom, axis]) == pytest.approx(float(second), rel=1e-6, abs=1e-10)


def test_atoms_far_from_the_points_are_less_sure():
    n = small(K=1).n_features
    force_field, post, *_ = exact(SquaredExponential(n, lengths=1.0))
    near = collate([graph_from_atoms(a, (14,), CUTOFF) for a in frames(3)])
    squeezed = frames(3)[2]
    squeezed.set_cell(0.8 * squeezed.cell, scale_atoms=True)
    far = graph_from_atoms(squeezed, (14,), CUTOFF)
    known, unknown = (uncertainty(force_field, post, graph, 2.0) for graph in (near, far))
    assert float(known.grade.max()) < 1e-3 < 0.5 < float(unknown.grade.min())
    assert float(unknown.grade.max()) <= 1.0
    assert float(known.parameter.max()) < float(unknown.parameter.min())
    assert torch.allclose(known.noise, torch.full_like(known.noise, NOISE / 2.0))
    assert not known.model.any()


@pytest.mark.parametrize("normalise", [True, False])
def test_the_mapped_variance_of_zeta_one_is_that_of_the_sum(normalise):
    n = small(K=1).n_features
    force_field, post, *_ = exact(DotProduct(n, 1, 0.5, normalise, variance=2.0), jitter=1e-6)
    gp = force_field.potential.regressor
    graph = within(graph_from_atoms(frames(3, seed=1)[2], (14,), CUTOFF), CUTOFF)
    found = mapped_variance(gp, post)(force_field.potential.descriptor(graph), graph.species)
    expected = uncertainty(force_field, post, graph).parameter.square()
    torch.testing.assert_close(found.detach(), expected, rtol=1e-8, atol=1e-8 * float(expected.max()))


def test_what_cannot_be_mapped_is_refused_with_its_size():
    gp = SparseGP(1000, 1, 2, DotProduct(1000, 2), bias=False)
    gp.set_points(torch.rand(2, 1000).double())
    with pytest.raises(ValueError, match=r"`regressor` must have dot-product kernels of zeta 1 and no.*8.03e\+03 GB"):
        mapped_variance(gp, None)
