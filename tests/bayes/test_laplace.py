"""The closed form against Bayesian linear regression by normal equations, and the dense process."""

import pytest
import torch

from mdzoo.bayes import infer
from mdzoo.fit.design import design, linear_part
from mdzoo.potentials import ForceField
from tests.fit.cases import data, linear

NOISE = {"energy": 0.02, "forces": 0.05}


def fitted() -> tuple[ForceField, object]:
    """A linear model with any weights, and its data."""
    torch.manual_seed(0)
    model, module = linear(), data()
    linear_part(model).regressor.weights.data.normal_(std=1e-3)
    return model, module


def test_the_covariance_is_that_of_bayesian_regression():
    """`S = (sum A^T A / s^2 + prior)^-1` of all labels, with the ridge that the evidence chose (dense twin)."""
    model, module = fitted()
    sure = infer(model, module, {"name": "laplace", "noise": NOISE, "calibration": "none"})
    graph = module.train_set[list(range(9))].graph
    counts = torch.bincount(graph.batch).double()
    rows = design(model, graph)
    a = torch.cat([rows.energy / counts[:, None] / NOISE["energy"], rows.forces.flatten(0, 1) / NOISE["forces"]])
    root = sure.potential.terms[2].root
    found = root @ root.T
    noise = float(sure.potential.terms[2].noise) / NOISE["energy"]  # the common factor that the evidence learns
    length = a.square().sum(0).sqrt()
    rest = torch.linalg.inv(found * length * length[:, None]) - (a / length).T @ (a / length) / noise**2
    torch.testing.assert_close(rest, rest[0, 0] * torch.eye(len(rest)).double(), rtol=0.0, atol=1e-7)
    phi = linear_part(model).features(graph)
    expected = ((phi @ found) * phi).sum(1).sqrt()
    torch.testing.assert_close(sure.potential.uncertainty(graph).parameter, expected, rtol=1e-8, atol=1e-12)


def test_it_keeps_the_fit_and_grades_the_training_set_at_one():
    model, module = fitted()
    sure = infer(model, module, {"name": "laplace", "members": 4000, "calibration": "none"})
    graph = module.train_set[list(range(9))].graph
    torch.testing.assert_close(sure(graph).forces, model.eval()(graph).forces)
    said = sure.potential.uncertainty(graph)
    assert float(said.grade.max()) == pytest.approx(1.0)
    torch.testing.assert_close(sure.potential.members(graph).std(0), said.parameter, rtol=0.05, atol=0.0)
    assert float(said.noise[0]) > 0.0


def test_names_of_methods_and_keys():
    with pytest.raises(ValueError, match=r"`bayes` must be one of .*, got 'laplas'; did you mean laplace\?"):
        infer(*fitted(), {"name": "laplas"})
    with pytest.raises(
        ValueError, match=r"`bayes.member` must be one of \['members', .*, got member; did you mean memb"
    ):
        infer(*fitted(), {"name": "laplace", "member": 3})
