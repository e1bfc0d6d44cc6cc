"""Levenberg-Marquardt: its Jacobian against autograd, one step against the closed form, what it refuses."""

import pytest
import torch
from torch import nn

from mdzoo.fit import fit, solve
from mdzoo.fit.cached import KeptForceField
from mdzoo.fit.levenberg_marquardt import Problem, damped
from mdzoo.fit.loss import targets, total_loss
from mdzoo.fit.network_rows import network_rows, trained
from mdzoo.fit.settings import LevenbergMarquardtSettings, settings_from
from mdzoo.regressors import MLP, Linear
from tests.fit.cases import data, force_field, frames, network, small

CHOSEN = {"name": "levenberg_marquardt", "weights": {"energy": 2.0, "forces": 1.0}, "steps": 4}


def kept(model, numbers=(14,)):
    fast = KeptForceField(model.train())
    return fast, fast.keep(data(frames(6, numbers=numbers), atomic_numbers=list(numbers)).train_set)


def stirred(numbers=(14,), **options):
    torch.manual_seed(1)
    descriptor = small(len(numbers))
    model = force_field(MLP(descriptor.n_features, len(numbers), **options), descriptor, numbers)
    regressor = model.potential.terms[2].regressor
    regressor.scale.set(torch.rand(descriptor.n_features).double(), 0.5 + torch.rand(descriptor.n_features).double())
    with torch.no_grad():
        for parameter in regressor.parameters():
            parameter.normal_(0.0, 0.5)
    return model, regressor


@pytest.mark.parametrize(
    "options",
    [{"hidden": [4]}, {"hidden": [4, 4], "residual": True}, {"hidden": [3, 4, 4], "layer_norm": True, "shared": True}],
)
@pytest.mark.parametrize("numbers", [(14,), (14, 6)])
def test_the_rows_are_the_derivatives_by_autograd(numbers, options):
    model, regressor = stirred(numbers, **options)
    fast, part = kept(model, numbers)
    batch = part[[2]]
    rows = network_rows(regressor, batch.graph, batch.kept[0], virial=True)
    prediction = fast(batch)[0]
    parameters = [p for _, p in trained(regressor)]

    def jacobian(out):
        every = [torch.autograd.grad(o, parameters, retain_graph=True, allow_unused=True) for o in out.flatten()]
        zeros = [[torch.zeros_like(p) if g is None else g for g, p in zip(r, parameters, strict=True)] for r in every]
        return torch.stack([torch.cat([g.flatten() for g in row]) for row in zeros])

    torch.testing.assert_close(rows.energy, jacobian(prediction.energy), rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(rows.forces.flatten(0, 1), jacobian(prediction.forces), rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(rows.virial[0], jacobian(prediction.virial), rtol=1e-9, atol=1e-10)
    without = network_rows(regressor, batch.graph, batch.kept[0], virial=False)
    torch.testing.assert_close(without.forces, rows.forces)


def test_the_gradient_and_the_value_are_those_of_the_loss():
    model, regressor = stirred(hidden=[4])
    fast, part = kept(model)
    chosen = targets({"energy": 2.0, "forces": 1.0, "stress": 0.5})
    problem = Problem(fast, regressor, part, chosen, decay=0.03)
    batch = part[list(range(len(part)))]
    parameters = [p for _, p in trained(regressor)]
    loss = total_loss(chosen, fast(batch)[0], batch.graph, batch.labels) / len(part)
    loss = loss + 0.03 * sum(p.square().sum() for p in parameters)
    assert problem.value() == pytest.approx(float(loss.detach()), rel=1e-10)
    root = problem.linearised()
    gradient = -2.0 * root[:, :-1].T @ root[:, -1] / len(part)
    expected = torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)])
    torch.testing.assert_close(gradient, expected, rtol=1e-8, atol=1e-8)


def test_a_damped_step_is_the_ridge_of_the_closed_form():
    rows, targets_ = torch.randn(30, 5, dtype=torch.float64), torch.randn(30, dtype=torch.float64)
    root = torch.linalg.qr(torch.cat([rows, targets_.unsqueeze(1)], 1), mode="r")[1]
    lengths = rows.square().sum(0).sqrt()
    prior = 1e-3**0.5 * lengths
    torch.testing.assert_close(damped(root, 1e-3, lengths), solve(rows, targets_, 1.0, prior).mean)


def test_a_column_without_effect_stays():
    rows = torch.randn(9, 3, dtype=torch.float64) * torch.tensor([1.0, 0.0, 1.0])
    root = torch.cat([rows, torch.randn(9, 1, dtype=torch.float64)], 1)
    step = damped(root, 1e-6, rows.square().sum(0).sqrt())
    assert torch.isfinite(step).all()
    assert step[1] == 0.0


@pytest.mark.parametrize("numbers", [(14,), (14, 6)])
def test_a_linear_term_alone_is_at_its_optimum_after_one_step(numbers, tmp_path):
    module = data(frames(9, numbers=numbers), atomic_numbers=list(numbers))
    model = network(numbers)
    chosen = CHOSEN | {"freeze": ["*networks*"], "damping": 1e-13, "steps": 1, "decay": 1e-4}
    fit(model, module, tmp_path, chosen, progress=False)
    weights = model.potential.terms[2].regressor.linear.weights
    batch = module.train_set[list(range(9))]
    total = total_loss(targets(CHOSEN["weights"]), model.train()(batch.graph), batch.graph, batch.labels) / 9
    slope = torch.autograd.grad(total + 1e-4 * weights.square().sum(), weights)[0]
    assert float(weights.detach().norm()) > 0.1
    assert float(slope.norm()) < 1e-7 * float(weights.detach().norm())


def test_steps_lower_the_loss_and_the_best_on_validation_stays(tmp_path, caplog):
    model, module = network(), data(val_fraction=0.3)
    with caplog.at_level("INFO", "mdzoo"):
        result = fit(model, module, tmp_path, CHOSEN | {"steps": 12, "patience": 3}, progress=False)
    lines = [r.getMessage() for r in caplog.records if r.getMessage().startswith("step ")]
    losses = [float(line.split("loss ")[1].split(",")[0]) for line in lines]
    judged = [float(line.split("judged ")[1].split(",")[0]) for line in lines]
    assert losses == sorted(losses, reverse=True)
    assert len(losses) > 1
    assert result.metrics["val/loss"] == pytest.approx(min(judged), rel=1e-4)
    assert {"train/energy_mae", "val/force_rmse"} <= set(result.metrics)


def test_members_are_fitted_one_by_one_and_the_penalty_keeps_them_small(tmp_path):
    sizes = []
    for decay in (0.0, 10.0):
        torch.manual_seed(0)
        descriptor = small()
        model = force_field(MLP(descriptor.n_features, 1, hidden=[4], members=2), descriptor)
        fit(model, data(), tmp_path / str(decay), CHOSEN | {"decay": decay}, progress=False)
        sizes.append(
            float(nn.utils.parameters_to_vector(model.potential.terms[2].regressor.parameters()).detach().norm())
        )
        weights = model.potential.terms[2].regressor.networks[0].layers[0].affine.weight
        assert not torch.equal(weights[0], weights[1])
    assert sizes[1] < 0.5 * sizes[0]


def test_what_it_cannot_fit_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`regressor` must be an MLP that trains alone for .*, got Linear; choose fit"):
        fit(force_field(Linear(small().n_features, 1), small()), data(), tmp_path, CHOSEN, progress=False)
    with pytest.raises(ValueError, match="got an empirical term that trains beside it; choose fit=sgd"):
        fit(network(trainable=True), data(), tmp_path, CHOSEN, progress=False)
    with pytest.raises(ValueError, match=r"`regressor` must have 1 to 5 parameters that train for .*, got \d+; make"):
        fit(network(), data(), tmp_path, CHOSEN | {"max_parameters": 5}, progress=False)
    with pytest.raises(ValueError, match="`cache` must be true or disk for this model, got auto, which does not fit"):
        fit(network(), data(), tmp_path, CHOSEN | {"cache_bytes": 1.0}, progress=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"damping": 0.0}, "`damping` must be positive, got 0.0; 1 is a start"),
        ({"decay": -1.0}, "`decay` must be at least 0, got -1.0; 0 is no penalty"),
        ({"cache": False}, r"`cache` must be one of \[True, 'auto', 'disk'\], got False; choose one"),
    ],
)
def test_bad_settings_get_a_clear_error(options, message):
    with pytest.raises(ValueError, match=message):
        LevenbergMarquardtSettings(**options)
    assert settings_from(CHOSEN).steps == 4


def test_lbfgs_comes_lower_than_adam_in_half_the_passes_on_a_small_network(tmp_path):
    ends = []
    adam = {"name": "sgd", "lr": 1e-2, "epochs": 200, "warmup": 5, "ema": 0.0, "batch_size": 0}
    for choice in (adam, {"name": "lbfgs", "epochs": 5}):  # 5 x 20 passes
        torch.manual_seed(0)
        descriptor = small()
        model = force_field(MLP(descriptor.n_features, 1, hidden=[6], linear=False), descriptor)
        fit(model, data(), tmp_path / choice["name"], choice | {"weights": CHOSEN["weights"]}, progress=False)
        batch = data().train_set[list(range(9))]
        total = total_loss(targets(CHOSEN["weights"]), model.train()(batch.graph), batch.graph, batch.labels)
        ends.append(float(total.detach()))
    assert ends[1] < 0.8 * ends[0]
