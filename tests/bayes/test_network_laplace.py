"""Curvatures against dense sums of rows; Laplace and the rigidity of the last layer against Bayesian regression."""

import math

import pytest
import torch

from mdzoo.bayes import infer
from mdzoo.bayes.curvature import Block, Curvature
from mdzoo.bayes.last_layer import linear_view
from mdzoo.bayes.network_laplace import gauss_newton, kept_network, rows_of
from mdzoo.fit.design import design, linear_part
from mdzoo.fit.network_rows import trained
from mdzoo.fit.solve import solve
from mdzoo.potentials.base import total
from mdzoo.potentials.sure_force_field import of_model
from tests.fit.cases import data, frames, linear, network

TARGETS = ["energy", "forces"]


def dense(field, module):
    """The Gauss-Newton matrix as a sum over all rows at once (dense twin)."""
    fast, net = kept_network(field)
    blocks = [rows_of(fast, net, module.train_set[[i]], TARGETS) for i in range(len(module.train_set))]
    out = 0.0
    for target in TARGETS:
        rows = torch.cat([b[target] for b in blocks])
        power = (sum(len(b[target]) > 0 for b in blocks) / len(rows)) ** 0.5
        out = out + power * rows[:, :-1].T @ rows[:, :-1] / rows[:, -1].square().mean()
    return out


def test_curvatures_are_the_dense_matrix_its_diagonal_and_its_blocks():
    field, module = network(), data()
    h = dense(field, module)
    fast, net = kept_network(field)
    found = {s: gauss_newton(fast, net, module.train_set, s, TARGETS) for s in ("full", "diagonal", "kronecker")}
    whole = found["full"].blocks()[0].covariance(1.0)
    torch.testing.assert_close(torch.linalg.inv(whole), h + torch.eye(len(h)).double(), rtol=1e-6, atol=1e-6)
    first = 0
    for k, (name, tensor) in enumerate(trained(net)):
        own = h[first : first + tensor.numel(), first : first + tensor.numel()]
        diagonal, kronecker = (found[s].blocks()[k] for s in ("diagonal", "kronecker"))
        torch.testing.assert_close(diagonal.values.flatten(), own.diagonal(), rtol=1e-9, atol=1e-9)
        assert float(kronecker.values.sum()) == pytest.approx(float(own.trace())), name
        if tensor.shape[1] == 1:
            inverse = torch.linalg.inv(own + torch.eye(len(own)).double())
            torch.testing.assert_close(kronecker.covariance(1.0), inverse, rtol=1e-6, atol=1e-9)
        first += tensor.numel()


def test_kronecker_factors_are_exact_where_inputs_and_slopes_are_independent():
    torch.manual_seed(0)
    x, g = torch.randn(5, 3).double(), torch.randn(4, 2).double()
    rows = torch.einsum("ia,jb->ijab", x, g).reshape(20, 6)
    found = Curvature("kronecker", [torch.zeros(1, 3, 2)])
    found.add(rows)
    expected = torch.linalg.inv(rows.T @ rows + 0.1 * torch.eye(6).double())
    torch.testing.assert_close(found.blocks()[0].covariance(0.1), expected)
    z = torch.eye(6).double().view(6, 3, 2)
    draws = found.blocks()[0].moved(z, 0.1).flatten(1)
    torch.testing.assert_close(draws.T @ draws, expected)


def test_the_last_layer_alone_is_bayesian_regression():
    field, module = network(), data()
    for name, parameter in field.named_parameters():
        parameter.requires_grad_(".last." in name)
    fast, net = kept_network(field)
    blocks = [rows_of(fast, net, module.train_set[[i]], ["energy"])["energy"] for i in range(9)]
    rows = torch.cat(blocks)
    noise = float(rows[:, -1].square().mean().sqrt())
    post = solve(rows[:, :-1], rows[:, -1], noise, torch.full((rows.shape[1] - 1,), 2.0))
    block = gauss_newton(fast, net, module.train_set, "full", ["energy"]).blocks()[0]
    torch.testing.assert_close(block.covariance(4.0), post.root @ post.root.T, rtol=1e-8, atol=1e-10)


def test_the_prior_has_the_largest_evidence():
    """MacKay's fixed point against a scan of `(log delta - log(lambda + delta)) / 2 - delta theta^2 / 2`."""
    torch.manual_seed(1)
    values, theta = torch.rand(4, 5).double() * 100.0, 0.3 * torch.randn(4, 5).double()
    block = Block(torch.eye(4).double(), torch.eye(5).double(), values, theta)

    def evidence(log_delta):
        delta = math.exp(log_delta)
        return float((log_delta - (values + delta).log() - delta * theta.square()).sum()) / 2.0

    best = math.log(block.best_prior())
    assert evidence(best) >= max(evidence(best + step) for step in (-0.5, -0.05, 0.05, 0.5))


@pytest.mark.parametrize("structure", ["kronecker", "diagonal"])
def test_members_stand_about_the_fit_and_are_calibrated(structure):
    field, module = network().eval(), data(frames(12, 1), val=frames(24, 2))
    sure = infer(field, module, {"name": "network_laplace", "structure": structure, "members": 6, "prior": 1e6})
    graph = module.val_set[[1, 2]].graph
    torch.testing.assert_close(sure(graph).energy, field(graph).energy, rtol=0.0, atol=2e-3)
    assert sure.potential.members(graph).shape[0] == 6
    said = of_model(sure, "members")(graph)
    assert (said.forces_uncertainty > 0.0).any()
    assert set(vars(sure)["extra"]["calibration"]) == {"energy", "forces", "local"}


def test_rigidity_is_bayesian_regression_on_the_last_layer():
    """LLPR (alpha one) against the posterior of the last layer's features, noise one and prior c, to 1e-8."""
    for field in (network(), linear()):
        module = data()
        sure = infer(field, module, {"name": "llpr", "calibration": "none", "regulariser": 1e-3})
        view, graph = linear_view(field), module.train_set[list(range(9))].graph
        f = design(view, graph).energy / torch.bincount(graph.batch).double().unsqueeze(1)
        c = (1e-3 * f.square().sum() / f.shape[1]).sqrt()
        post = solve(f, torch.zeros(9), 1.0, c.expand(f.shape[1]))
        phi = linear_part(view).features(graph)
        expected = (phi @ post.root).norm(dim=1)
        torch.testing.assert_close(sure.potential.uncertainty(graph).parameter, expected, rtol=1e-8, atol=1e-10)


def test_rigidity_is_scaled_to_the_errors_of_validation():
    field, module = network(), data(frames(12, 1), val=frames(24, 2))
    plain = infer(field, module, {"name": "llpr", "calibration": "none"})
    scaled = infer(field, module, {"name": "llpr", "calibration": "validation"})
    graph = module.val_set[list(range(24))].graph
    n = torch.bincount(graph.batch)
    labels = torch.stack([module.val_set[i].labels.energy[0] for i in range(24)])
    error = (labels - field.eval()(graph).energy) / n
    plain_total, scaled_total = (total(f.potential.deviations(graph), graph) for f in (plain, scaled))
    alpha = (error / (plain_total / n)).square().mean().sqrt()
    ratio = scaled_total / plain_total
    torch.testing.assert_close(ratio, alpha.expand_as(ratio), rtol=1e-6, atol=0.0)


def test_bad_input():
    with pytest.raises(ValueError, match=r"`structure` must be one of \['kronecker', .*\], got 'block'; kronecker is"):
        infer(network(), data(), {"name": "network_laplace", "structure": "block"})
    with pytest.raises(ValueError, match=r"`members` must be even, 2 or more, got 3; they are drawn in pairs"):
        infer(network(), data(), {"name": "network_laplace", "members": 3})
    with pytest.raises(ValueError, match=r"`prior` must be positive and finite, got -1; 1 is a start"):
        infer(network(), data(), {"name": "network_laplace", "prior": -1})
    with pytest.raises(ValueError, match=r"`calibration` must be validation or none, got 'folds'; choose one"):
        infer(network(), data(), {"name": "network_laplace", "calibration": "folds"})
    with pytest.raises(ValueError, match=r"`force_field` must hold a network of one member, got Linear of 1; laplace"):
        infer(linear(), data(), {"name": "network_laplace"})
    with pytest.raises(ValueError, match=r"`regulariser` must be positive and finite, got 0; 1e-8 is a start"):
        infer(network(), data(), {"name": "llpr", "regulariser": 0})
