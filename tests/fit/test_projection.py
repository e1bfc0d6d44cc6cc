"""Variable projection against refits, and the prior of smooth features against its formula."""

import numpy as np
import pytest
import torch
from torch import nn

from mdzoo.descriptors import SO3
from mdzoo.fit import fit
from mdzoo.fit.design import linear_part
from mdzoo.fit.least_squares import LeastSquares
from mdzoo.fit.prior import roughness, stiffness_of
from mdzoo.fit.projection import Projection, optimise_empirical
from mdzoo.fit.select import decompose
from mdzoo.fit.spectrum import solutions
from mdzoo.potentials import DescriptorPotential
from mdzoo.regressors import Linear
from tests.fit.cases import Plain, Quadratic, data, force_field, linear, small

WEIGHTS = {"energy": 3.0, "forces": 0.7}
RIDGE = 1e-3


def solved(model, module) -> LeastSquares:
    least = LeastSquares(model, WEIGHTS, RIDGE)
    for i in range(len(module.train_set)):
        least.training_step(module.train_set[i], i)
    least.solve()
    return least


def refit(model, module, first: LeastSquares) -> float:
    """The loss and the ridge of `first`, minimised by new rows at the model's present empirical parameters."""
    least = solved(model, module)
    root = least.train_factors.stack(WEIGHTS)
    spectrum = decompose(least.train_factors, WEIGHTS, None, None)
    theta = solutions(spectrum, torch.tensor([RIDGE], dtype=torch.float64))[0]
    residual = root @ torch.cat([theta, theta.new_tensor([-1.0])])
    return float(residual.square().sum() + RIDGE * (spectrum.prior * theta).square().sum())


@pytest.mark.parametrize("kind", ["linear", "quadratic"])
def test_value_and_slope_are_those_of_refits(kind):
    module = data()
    if kind == "linear":
        model = force_field(Linear(3, 1), Plain(), trainable=True)
    else:
        model = force_field(Quadratic(small().n_features, 1), small(), trainable=True)
    least = solved(model, module)
    problem = Projection(least, module.loader(module.train_set))
    start = nn.utils.parameters_to_vector(problem.outer).detach().numpy().copy()
    value, slope = problem.value(start + 0.02)

    def at(eta: np.ndarray) -> float:
        nn.utils.vector_to_parameters(torch.as_tensor(eta), problem.outer)
        return refit(model, module, least)

    assert value == pytest.approx(at(start + 0.02), rel=1e-9)
    step = 1e-5
    expected = [(at(start + 0.02 + step * u) - at(start + 0.02 - step * u)) / (2 * step) for u in np.eye(len(start))]
    np.testing.assert_allclose(slope, expected, rtol=1e-5)


def test_optimised_empirical_parameters_lower_the_loss():
    module = data()
    model = force_field(Linear(3, 1), Plain(), trainable=True)
    least = solved(model, module)
    before = refit(model, module, least)
    found = optimise_empirical(least, module.loader(module.train_set), 60)
    assert found < 0.99 * before
    assert refit(model, module, least) == pytest.approx(found, rel=1e-7)
    problem = Projection(least, module.loader(module.train_set))
    now = nn.utils.parameters_to_vector(problem.outer).detach().numpy()
    assert np.abs(problem.value(now)[1]).max() < 1e-2 * found


def test_a_fit_with_empirical_parameters_outside(tmp_path):
    model = force_field(Linear(3, 1), Plain(), trainable=True)
    before = [p.detach().clone() for p in model.potential.terms[1].parameters()]
    chosen = {"name": "least_squares", "weights": WEIGHTS, "ridge": RIDGE, "optimise_empirical": True, "outer_steps": 2}
    fit(model, data(), tmp_path, chosen, progress=False)
    assert not any(torch.equal(p, b) for p, b in zip(model.potential.terms[1].parameters(), before, strict=True))
    with pytest.raises(ValueError, match="`optimise_empirical` must be false where no empirical parameter trains"):
        fit(force_field(Linear(3, 1), Plain()), data(), tmp_path / "none", chosen, progress=False)
    with pytest.raises(ValueError, match="`devices` must be 1 with optimise_empirical, got 2"):
        fit(model, data(), tmp_path / "two", chosen | {"devices": 2}, progress=False)


def test_roughness_counts_the_quantum_numbers():
    assert roughness("p[k=1,k'=1,l=0]") == 0.0
    assert roughness("b[k=1,k'=3,l=0,l1=1,l2=1]") == 4.0
    assert roughness("p[k=2.3,k'=1.1,l=4]") == 6.0


def test_stiffness_has_one_number_for_each_column():
    descriptor = SO3(cutoff=4.0, n_species=2, K=2, L=1, radial="chebyshev")
    part = DescriptorPotential(descriptor, Linear(descriptor.n_features, 2))
    found = stiffness_of(part, 2.0)
    expected = torch.tensor([(1.0 + roughness(label)) ** 2 for label in descriptor.labels()]).double()
    assert found.tolist() == [*expected.tolist(), *expected.tolist(), 1.0, 1.0]
    assert stiffness_of(part, 0.0) is None
    with pytest.raises(ValueError, match="`stiffness` must be 0 for Quadratic, got 1.0; only regressor=linear"):
        stiffness_of(DescriptorPotential(small(), Quadratic(small().n_features, 1)), 1.0)


def test_a_stiff_prior_keeps_rough_features_small(tmp_path):
    sizes = []
    for stiffness in (0.0, 4.0):
        model = linear(K=3, L=2)
        chosen = {"name": "least_squares", "weights": WEIGHTS, "ridge": 1e-3, "stiffness": stiffness}
        fit(model, data(), tmp_path / str(stiffness), chosen, progress=False)
        part = linear_part(model)
        rough = torch.tensor([roughness(label) > 2.0 for label in part.descriptor.labels()])
        sizes.append(float(part.regressor.weights.detach()[0, rough].abs().sum()))
    assert sizes[1] < 0.1 * sizes[0]
