"""Linear, Quadratic, Polynomial, MLP and Scale: their formulas by hand, their beginnings, what they refuse."""

import itertools
import math

import pytest
import torch

from mdzoo.regressors import MLP, Linear, Polynomial, Quadratic, Scale

KINDS = torch.tensor([0, 1, 1, 0, 1])


@pytest.fixture
def features() -> torch.Tensor:
    return torch.randn(5, 7, dtype=torch.float64) * 3.0 + 1.0


def test_linear_is_its_formula_and_its_rows(features):
    linear = Linear(7, 2)
    theta = torch.randn(16, dtype=torch.float64)
    linear.set_theta(theta)
    expected = [features[i] @ linear.weights[k] + linear.bias[k] for i, k in enumerate(KINDS.tolist())]
    torch.testing.assert_close(linear(features, KINDS), torch.stack(expected))
    torch.testing.assert_close(linear.phi(features, KINDS) @ theta, torch.stack(expected))


def test_linear_without_bias_has_no_column_for_it(features):
    linear = Linear(7, 2, bias=False)
    assert linear.phi(features, KINDS).shape == (5, 14)
    linear.set_theta(torch.ones(14, dtype=torch.float64))
    assert not linear.bias.any()


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("options", [{}, {"residual": True}, {"residual": True, "layer_norm": True}])
@pytest.mark.parametrize("activation", ["silu", "tanh"])
def test_mlp_is_its_formula(features, activation, options, members):
    mlp = MLP(7, 2, hidden=[4, 3, 3], activation=activation, members=members, **options)
    mlp.scale.set(features.mean(0), features.std(0))
    with torch.no_grad():
        for parameter in mlp.parameters():
            parameter.normal_()
    f = {"silu": lambda z: z / (1.0 + torch.exp(-z)), "tanh": torch.tanh}[activation]

    def hidden(x, w, layer, m):
        z = x @ w[f"layers.{layer}.affine.weight"][m] + w[f"layers.{layer}.affine.bias"][m, 0]
        if "layer_norm" in options:
            z = (z - z.mean()) / (z.var(unbiased=False) + 1e-5).sqrt()
        return f(z) + (x if options and len(x) == len(z) else 0.0)

    for i, kind in enumerate(KINDS.tolist()):
        x = (features[i] - features.mean(0)) / features.std(0)
        w = dict(mlp.networks[kind].named_parameters())
        expected = 0.0
        for m in range(members):
            h = hidden(hidden(hidden(x, w, 0, m), w, 1, m), w, 2, m)
            expected += mlp.linear.weights[m, kind] @ x + mlp.linear.bias[m, kind] + h @ w["last.weight"][m, :, 0]
            expected += w["last.bias"][m, 0, 0]
        torch.testing.assert_close(mlp(features, KINDS)[i], expected / members)


def test_mlp_starts_near_zero_with_hidden_values_of_unit_size():
    mlp = MLP(300, 1, hidden=[200, 200])
    x = torch.randn(500, 300, dtype=torch.float64)
    energies = mlp(x, torch.zeros(500, dtype=torch.int64)).detach()
    assert 1e-4 < float(energies.std()) < 0.03
    first, second = mlp.networks[0].layers
    assert float(second.affine(first(x.unsqueeze(0))).detach().std()) == pytest.approx(1.0, abs=0.1)


def test_shared_network_is_one_and_the_linear_term_each_its_own(features):
    assert len(MLP(7, 2, shared=True).networks) == 1
    assert len(MLP(7, 2).networks) == 2
    mlp = MLP(7, 2, shared=True)
    torch.testing.assert_close(mlp(features, KINDS), mlp(features, 1 - KINDS))
    with torch.no_grad():
        mlp.linear.weights[:, 1] += 1.0
    changed = (mlp(features, KINDS) - mlp(features, 1 - KINDS)).detach()
    torch.testing.assert_close(changed, features.sum(1) * (2.0 * KINDS - 1.0))


def test_no_linear_term_means_that_it_stays_zero():
    mlp = MLP(7, 1, linear=False)
    assert not mlp.linear.weights.any()
    assert not mlp.linear.weights.requires_grad
    assert MLP(7, 1).linear.weights.requires_grad


def test_same_seed_same_network(features):
    def build():
        torch.manual_seed(3)
        return MLP(7, 2)(features, KINDS)

    assert torch.equal(build(), build())


@pytest.mark.parametrize("activation", ["silu", "tanh"])
def test_mlp_differentiates_twice(features, activation):
    mlp = MLP(7, 2, hidden=[4, 3], activation=activation)
    assert torch.autograd.gradgradcheck(lambda x: mlp(x, KINDS), features.requires_grad_())


def test_everything_is_float64_and_casts_together(features):
    mlp = MLP(7, 2)
    assert {t.dtype for t in mlp.state_dict().values()} == {torch.float64}
    assert mlp.float()(features.float(), KINDS).dtype == torch.float32
    assert {"scale.mean", "scale.std"} <= set(mlp.state_dict())


def test_scale_brings_features_to_zero_mean_and_unit_deviation(features):
    scale = Scale(7)
    assert torch.equal(scale(features), features)
    scale.set(features.mean(0), features.std(0))
    torch.testing.assert_close(scale(features).mean(0), torch.zeros(7).double())
    torch.testing.assert_close(scale(features).std(0), torch.ones(7).double())


def test_a_feature_that_does_not_vary_passes_without_its_mean(features):
    features[:, 2] = 1e6
    scale = Scale(7)
    scale.set(features.mean(0), features.std(0))
    assert not scale(features)[:, 2].any()
    assert torch.isfinite(scale(features + 1.0)).all()


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        (torch.zeros(3), torch.ones(2), r"`mean` and `std` must hold 2 numbers each, got \[3\] and \[2\]; take them"),
        (
            torch.zeros(2),
            torch.tensor([1.0, float("nan")]),
            r"`mean` and `std` must be finite and not negative, got NaN",
        ),
        (torch.zeros(2), torch.tensor([1.0, -1.0]), r"`mean` and `std` must be finite and not negative, got"),
    ],
)
def test_scale_refuses_what_is_no_scale(mean, std, message):
    with pytest.raises(ValueError, match=message):
        Scale(2).set(mean, std)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden": []}, r"`hidden` must hold one or more positive widths, got \[\]; try \[32, 32\]"),
        ({"hidden": [4, 0]}, r"`hidden` must hold one or more positive widths, got \[4, 0\]"),
        ({"activation": "relu"}, r"`activation` must be one of \['silu', 'tanh'\], got 'relu'; both are smooth"),
        ({"members": 0}, r"`members` must be at least 1, got 0; 8 give a spread"),
        ({"n_features": 0}, r"`n_features` must be at least 1, got 0; take it from the descriptor"),
        ({"n_species": 0}, r"`n_species` must be at least 1, got 0; give the number of elements"),
    ],
)
def test_bad_arguments_get_a_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        MLP(**{"n_features": 3, "n_species": 1, **arguments})


def test_quadratic_is_its_formula_and_its_rows_in_the_order_of_lammps(features):
    quadratic = Quadratic(7, 2)
    theta = torch.randn(2 * 35 + 2, dtype=torch.float64)
    quadratic.set_theta(theta)
    torch.testing.assert_close(quadratic.theta(), theta)
    expected = []
    for b, k in zip(features.tolist(), KINDS.tolist(), strict=True):
        w = theta[35 * k : 35 * (k + 1)].tolist()
        columns = [*b, *(b[i] * b[j] * (0.5 if i == j else 1.0) for i in range(7) for j in range(i, 7))]
        expected.append(sum(x * y for x, y in zip(w, columns, strict=True)) + float(theta[70 + k]))
    expected = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(quadratic(features, KINDS), expected)
    torch.testing.assert_close(quadratic.phi(features, KINDS) @ theta, expected)


def test_quadratic_without_bias_has_no_column_for_it(features):
    quadratic = Quadratic(7, 1, bias=False)
    assert quadratic.phi(features, 0 * KINDS).shape == (5, 35)
    quadratic.set_theta(torch.ones(35, dtype=torch.float64))
    assert not quadratic.bias.any()
    assert quadratic.theta().shape == (35,)


@pytest.mark.parametrize("degree", [2, 3, 4])
def test_polynomial_is_its_taylor_series_and_its_rows(features, degree):
    polynomial = Polynomial(7, 2, degree)
    width = math.comb(7 + degree, degree) - 1
    theta = torch.randn(2 * width + 2, dtype=torch.float64)
    polynomial.set_theta(theta)
    torch.testing.assert_close(polynomial.theta(), theta)
    tuples = [t for d in range(1, degree + 1) for t in itertools.combinations_with_replacement(range(7), d)]
    assert len(tuples) == width
    expected = []
    for b, k in zip(features.tolist(), KINDS.tolist(), strict=True):
        total = float(theta[2 * width + k])
        for w, t in zip(theta[width * k : width * (k + 1)].tolist(), tuples, strict=True):
            repeats = math.prod(math.factorial(t.count(f)) for f in set(t))
            total += w * math.prod(b[f] for f in t) / repeats
        expected.append(total)
    expected = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(polynomial(features, KINDS).detach(), expected)
    torch.testing.assert_close(polynomial.phi(features, KINDS) @ theta, expected)


def test_the_weights_of_a_polynomial_are_derivatives_at_zero():
    polynomial = Polynomial(2, 1, degree=3, bias=False)
    theta = torch.randn(9, dtype=torch.float64)
    polynomial.set_theta(theta)
    zero = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    slope = torch.autograd.grad(polynomial(zero[None], KINDS[:1]).sum(), zero, create_graph=True)[0]
    second = torch.stack([torch.autograd.grad(g, zero, create_graph=True)[0] for g in slope])
    third = torch.autograd.grad(second[0, 1], zero)[0]
    found = [*slope.tolist(), second[0, 0].item(), second[0, 1].item(), second[1, 1].item(), *third.tolist()]
    expected = [*theta[:5].tolist(), theta[6].item(), theta[7].item()]  # B_0 B_0 B_1 and B_0 B_1 B_1
    torch.testing.assert_close(torch.tensor(found), torch.tensor(expected))


def test_quadratic_is_the_polynomial_of_degree_two(features):
    theta = torch.randn(2 * 35 + 2, dtype=torch.float64)
    one, other = Quadratic(7, 2), Polynomial(7, 2, degree=2)
    one.set_theta(theta)
    other.set_theta(theta)
    assert torch.equal(one(features, KINDS), other(features, KINDS))
    assert list(one.state_dict()) == list(other.state_dict()) == ["weights", "bias"]


@pytest.mark.parametrize("make", [lambda: Linear(7, 1), lambda: Quadratic(7, 1), lambda: Polynomial(7, 1, 4)])
def test_slopes_of_columns_are_derivatives_of_phi(features, make):
    regressor = make()
    slopes = torch.randn(5, 2, 3, 7, dtype=torch.float64)
    found = regressor.column_slopes(features, slopes)
    for j, x in itertools.product(range(2), range(3)):
        expected = torch.func.jvp(regressor.columns, (features,), (slopes[:, j, x],))[1]
        torch.testing.assert_close(found[:, j, x], expected)


@pytest.mark.parametrize(
    ("degree", "message"),
    [
        (1, r"`degree` must be a whole number from 2 up, got 1; for degree 1 take Linear"),
        (2.5, r"`degree` must be a whole number from 2 up, got 2.5; for degree 1 take Linear"),
        (5, r"`degree` must leave at most 10000000 weights, got 96560645 for 100 features and degree 5; take fewer"),
    ],
)
def test_a_polynomial_refuses_what_is_no_degree(degree, message):
    with pytest.raises(ValueError, match=message):
        Polynomial(100, 1, degree)
