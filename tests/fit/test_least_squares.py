"""The closed form against numpy.linalg.lstsq on explicit rows, and against gradient descent on the same loss."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from mdzoo.fit import fit
from mdzoo.fit.design import linear_part
from mdzoo.fit.least_squares import LeastSquares, singles
from mdzoo.fit.loss import targets, total_loss
from mdzoo.fit.select import settings
from mdzoo.fit.settings import LeastSquaresSettings
from mdzoo.regressors import Linear
from tests.fit.cases import Plain, data, force_field, frames, linear, network

WEIGHTS = {"energy": 3.0, "forces": 0.7, "stress": 0.2}


def three() -> tuple:
    """A model of three features and a bias, so that everything is well determined."""
    return force_field(Linear(3, 1), Plain()), data()


def stream(module: LeastSquares, dataset) -> LeastSquares:
    for i in range(len(dataset)):
        module.training_step(dataset[i], i)
    return module


def gradient(model, dataset) -> list[torch.Tensor]:
    """The gradient of the loss at the model's parameters."""
    batch = dataset[list(range(len(dataset)))]
    model.train()
    loss = total_loss(targets(WEIGHTS), model(batch.graph), batch.graph, batch.labels)
    parameters = [p for p in linear_part(model).regressor.parameters() if p.requires_grad]
    return [loss.detach(), *torch.autograd.grad(loss, parameters)]


def explicit(model, dataset) -> tuple[np.ndarray, np.ndarray]:
    """All weighted rows and targets, one column by one column from the force field, for `numpy.linalg.lstsq`."""
    part = linear_part(model)
    batch = dataset[list(range(len(dataset)))]
    n = torch.bincount(batch.graph.batch).double()
    volume = torch.linalg.det(batch.graph.cell).abs().view(-1, 1, 1)

    def row(theta: torch.Tensor) -> torch.Tensor:
        part.regressor.set_theta(theta)
        out = model.eval()(batch.graph)
        energy = WEIGHTS["energy"] * out.energy / n
        stress = WEIGHTS["stress"] * (-out.virial / n.view(-1, 1, 1))
        return torch.cat([energy, WEIGHTS["forces"] * out.forces.flatten(), stress.flatten()])

    zero = row(torch.zeros(4, dtype=torch.float64))
    columns = [row(unit) - zero for unit in torch.eye(4, dtype=torch.float64)]
    labels = batch.labels
    energy = WEIGHTS["energy"] * labels.energy / n
    stress = WEIGHTS["stress"] * volume * labels.stress / n.view(-1, 1, 1)
    y = torch.cat([energy, WEIGHTS["forces"] * labels.forces.flatten(), stress.flatten()]) - zero
    return torch.stack(columns, 1).numpy(), y.numpy()


def test_closed_form_is_numpy_lstsq_on_explicit_rows():
    model, module = three()
    found = stream(LeastSquares(model, WEIGHTS, 0.0), module.train_set).solve()
    expected = np.linalg.lstsq(*explicit(model, module.train_set), rcond=None)[0]
    np.testing.assert_allclose(found.mean.numpy(), expected, rtol=1e-9)


def test_the_gradient_of_the_loss_vanishes_at_the_closed_form():
    model, module = three()
    before = gradient(model, module.train_set)
    stream(LeastSquares(model, WEIGHTS, 0.0), module.train_set).solve()
    after = gradient(model, module.train_set)
    assert after[0] < before[0]
    for one, other in zip(after[1:], before[1:], strict=True):
        assert float(one.abs().max()) < 1e-10 * float(other.abs().max())


def test_closed_form_and_gradient_descent_meet(tmp_path):
    model, module = three()
    expected = stream(LeastSquares(model, WEIGHTS, 0.0), module.train_set).solve().mean
    linear_part(model).regressor.set_theta(torch.zeros(4, dtype=torch.float64))
    settings = {"name": "sgd", "weights": WEIGHTS, "optimizer": "lbfgs", "lr": 1.0, "schedule": "constant", "clip": 0.0}
    settings |= {"ema": 0.0, "batch_size": 0, "epochs": 8}
    fit(model, module, tmp_path, settings, progress=False)
    regressor = linear_part(model).regressor
    found = torch.cat([regressor.weights.detach().flatten(), regressor.bias.detach()])
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


def test_training_by_the_trainer_is_streaming_by_hand(tmp_path):
    model, module = linear(), data(val_fraction=0.2)
    result = fit(model, module, tmp_path, {"name": "least_squares", "weights": WEIGHTS, "ridge": 1e-6}, progress=False)
    other = linear()
    hand = stream(LeastSquares(other, WEIGHTS, 1e-6), module.train_set)
    hand.solve()
    torch.testing.assert_close(result.posterior.mean, hand.posterior.mean, rtol=1e-8, atol=0.0)
    errors = torch.cat([(model(b.graph).forces - b.labels.forces).flatten() for b in map(module.val_set.one, range(2))])
    assert result.metrics["val/force_rmse"] == pytest.approx(float(errors.detach().square().mean().sqrt()), rel=1e-9)
    assert (tmp_path / "train.log").read_text().count("least squares:") == 1
    assert "train/force_rmse" in (tmp_path / "log" / "metrics.csv").read_text()


def test_structures_without_some_labels_train_with_what_they_have():
    model, module = three()
    batch = module.train_set[list(range(9))]
    for column in (batch.labels.energy[0:4], batch.labels.forces[5:7], batch.labels.stress[8, 0]):
        column.fill_(float("nan"))
    least = LeastSquares(model, WEIGHTS, 0.0)
    least.training_step(batch, 0)
    counts = [least.train_factors.count(target) for target in ("energy", "forces", "stress")]
    assert counts == [5, int((~batch.labels.forces.isnan()).sum()), 9 * 9 - 3]
    least.solve()
    model.train()
    loss = total_loss(targets(WEIGHTS), model(batch.graph), batch.graph, batch.labels)
    weights = linear_part(model).regressor.weights
    assert float(torch.autograd.grad(loss, weights)[0].abs().max()) < 1e-9


def test_weights_of_structures_count_as_in_the_loss():
    model, module = three()
    batch = module.train_set[list(range(9))]
    batch.labels.energy_weight.copy_(torch.linspace(0.0, 2.0, 9))
    batch.labels.force_weight.copy_(torch.linspace(3.0, 0.0, 9))
    least = LeastSquares(model, WEIGHTS, 0.0)
    least.training_step(batch, 0)
    least.solve()
    model.train()
    loss = total_loss(targets(WEIGHTS), model(batch.graph), batch.graph, batch.labels)
    weights = linear_part(model).regressor.weights
    assert float(torch.autograd.grad(loss, weights)[0].abs().max()) < 1e-9
    assert least.train_factors.count("energy") == 8


def test_singles_are_the_structures_of_a_batch():
    module = data(frames(5, numbers=(14, 6)), atomic_numbers=[14, 6])
    for i, single in enumerate(singles(module.train_set[[0, 1, 2, 3, 4]])):
        for part, expected in zip(single, module.train_set[i], strict=True):
            for one, other in zip(part, expected, strict=True):
                assert torch.equal(one, other)


@pytest.mark.parametrize("folds", [3, "group"])
def test_cross_validation_chooses_ridge_and_weights(tmp_path, folds):
    chosen = {"name": "least_squares", "weights": {"energy": [1.0, 10.0], "forces": 1.0}, "folds": folds}
    result = fit(linear(), data(), tmp_path, chosen, progress=False)
    assert result.metrics["held_out/force_rmse"] > result.metrics["train/force_rmse"]
    assert 0.0 < result.posterior.effective < len(result.posterior.mean)
    assert (tmp_path / "train.log").read_text().count("held out: ridge") == 5


def test_validation_chooses_the_ridge(tmp_path):
    chosen = {"name": "least_squares", "weights": {"energy": 1.0, "forces": 1.0}, "ridge": "validation"}
    result = fit(linear(), data(val_fraction=0.3), tmp_path, chosen, progress=False)
    assert result.metrics["val/force_rmse"] == pytest.approx(result.metrics["held_out/force_rmse"], rel=1e-9)


def test_evidence_chooses_the_ridge(tmp_path):
    chosen = {"name": "least_squares", "weights": {"energy": 1.0, "forces": 1.0}, "ridge": "evidence"}
    result = fit(linear(), data(), tmp_path, chosen, progress=False)
    assert np.isfinite(result.metrics["log_evidence"])
    assert 1e-16 < result.metrics["ridge"] < 1.0


@pytest.mark.parametrize("noise", ["target", "group"])
def test_noise_is_learnt(tmp_path, noise):
    """The weights are those of `learn_weights` on explicit factors, and the solution follows from them."""
    module = data(frames(18))
    chosen = {"name": "least_squares", "weights": {"energy": 1.0, "forces": 1.0}, "ridge": "evidence", "noise": noise}
    result = fit(linear(), module, tmp_path, chosen, progress=False)
    hand = LeastSquares(linear(), {"energy": 1.0, "forces": 1.0}, "evidence")
    hand.learn_noise(noise, module.groups)
    stream(hand, module.train_set).solve()
    torch.testing.assert_close(result.posterior.mean, hand.posterior.mean)
    assert hand.chosen["forces"] == 1.0
    assert hand.chosen["energy"] > 1.0, "energies of an atom are less noisy than forces here"
    keys = [(target, group) for target in ("energy", "forces") for group in range(3 if noise == "group" else 1)]
    assert list(hand.train_factors.emphasis) == keys
    log = (tmp_path / "train.log").read_text()
    assert log.count("  weight of ") == (6 if noise == "group" else 0)
    assert ("weight of energy in four: " in log) == (noise == "group")


def test_group_weights_are_factors_on_the_squared_error():
    """As FitSNAP gives them, `{group: {energy: 1000, force: 1}}`: as if the group's energies were there so often."""
    rows = {"one": {"energy": 9.0, "force": 0.25}}
    given = stream(LeastSquares(force_field(Linear(3, 1), Plain()), WEIGHTS, 0.0), data(group_weights=rows).train_set)
    plain = LeastSquares(force_field(Linear(3, 1), Plain()), WEIGHTS, 0.0)
    plain.learn_noise("group", ["one", "two", "four"])
    module = data()
    stream(plain, module.train_set)
    one = module.groups.index("one")
    plain.train_factors.emphasis = {("energy", one): 3.0, ("forces", one): 0.5}
    plain.noise = "given"
    torch.testing.assert_close(given.solve().mean, plain.solve().mean, rtol=1e-8, atol=0.0)


def test_few_structures_have_no_noise_of_their_own():
    module = data(frames(7))  # three of one atom, two of two, two of four
    hand = LeastSquares(linear(), {"energy": 1.0, "forces": 1.0}, "evidence")
    hand.learn_noise("group", module.groups)
    stream(hand, module.train_set).solve()
    assert set(hand.train_factors.emphasis.values()) == {1.0}


def test_relevance_leaves_parameters_out(tmp_path):
    chosen = {"name": "least_squares", "weights": {"energy": 1.0, "forces": 1.0}, "ridge": "evidence"}
    ridge = fit(linear(), data(), tmp_path / "ridge", chosen, progress=False)
    found = fit(linear(), data(), tmp_path / "relevance", chosen | {"prior": "relevance"}, progress=False)
    gone = torch.isinf(found.posterior.prior)
    assert 0 < int(gone.sum()) < len(gone)
    assert not found.posterior.mean[gone].any()
    assert found.posterior.evidence > ridge.posterior.evidence
    assert found.metrics["train/force_rmse"] < 1.2 * ridge.metrics["train/force_rmse"]


class Awkward(Plain):
    """Features of which one is constant, one is twice another, and one is zero."""

    def __init__(self, n_species: int = 1) -> None:
        super().__init__(n_species)
        self.n_features = 6

    def forward(self, graph):
        good = super().forward(graph)
        return torch.cat([good, torch.ones_like(good[:, :1]), 2.0 * good[:, :1], 0.0 * good[:, :1]], 1)

    def isolated(self, like):
        constant = torch.tensor([0.0, 0.0, 0.0, 1.0, 0.0, 0.0], dtype=like.dtype)
        return constant.expand(self.n_species, 6)


@pytest.mark.parametrize("ridge", ["evidence", "cross_validation", 0.0])
@pytest.mark.parametrize("case", ["awkward features", "two structures", "an element in one structure"])
def test_awkward_data_give_a_sound_answer_that_says_so(tmp_path, case, ridge):
    numbers = (14, 6) if case == "an element in one structure" else (14,)
    train = frames(9)
    if len(numbers) == 2:
        train[4].numbers[0] = 6
    train = train[:2] if case == "two structures" else train
    model = force_field(Linear(6, len(numbers)), Awkward(len(numbers)), numbers)
    chosen = {"name": "least_squares", "weights": {"energy": 1.0, "forces": 1.0}, "ridge": ridge, "folds": 2}
    result = fit(model, data(train, atomic_numbers=list(numbers)), tmp_path, chosen, progress=False)
    assert torch.isfinite(result.posterior.mean).all()
    assert torch.isfinite(result.posterior.root).all()
    assert result.metrics["train/energy_rmse"] < 0.5
    log = (tmp_path / "train.log").read_text()
    assert "directions are not determined (few rows, features that are constant or depend on one another): " in log
    assert ("the shortest solution is taken" in log) == (ridge == 0.0)


def test_every_combination_of_weights_is_a_setting():
    found = settings({"energy": [1, 2], "forces": 3, "stress": [0, 1]})
    assert found[0] == {"energy": 1.0, "forces": 3.0, "stress": 0.0}
    assert len(found) == 4


def test_what_the_closed_form_cannot_do_is_refused():
    with pytest.raises(ValueError, match=r"`force_field` must be float64 for least squares, got torch.float32; cast"):
        LeastSquares(linear().to(torch.float32), WEIGHTS)
    with pytest.raises(ValueError, match=r"`ridge` must be a number from 0 up or one of .*, got 'evidense'; choose"):
        LeastSquares(linear(), WEIGHTS, "evidense")
    with pytest.raises(ValueError, match=r"`ridge` must be a number from 0 up or one of .*, got -1.0; choose one"):
        LeastSquares(linear(), WEIGHTS, -1.0)
    with pytest.raises(ValueError, match=r"`parts` must name two folds or more for cross_validation, got fewer"):
        LeastSquares(linear(), WEIGHTS, "cross_validation")
    with pytest.raises(ValueError, match=r"`potential` must hold a DescriptorPotential whose regressor is linear"):
        LeastSquares(network(), WEIGHTS)
    lists = {"energy": [1.0, 2.0], "forces": 1.0}
    module = data()
    with pytest.raises(ValueError, match=r"`weights` must hold one number for each target where ridge=evidence, got"):
        stream(LeastSquares(linear(), lists, "evidence"), module.train_set).solve()
    with pytest.raises(ValueError, match=r"`weights` must hold one number for each target where ridge=1e-06, got"):
        stream(LeastSquares(linear(), lists, 1e-6), module.train_set).solve()
    with pytest.raises(ValueError, match=r"`ridge` must not be validation without data, got no validation set"):
        stream(LeastSquares(linear(), WEIGHTS, "validation"), module.train_set).solve()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"prior": "relevance"},
            r"`prior` must be ridge with ridge=cross_validation and stiffness=0.0, got relevance; t",
        ),
        ({"prior": "ard"}, r"`prior` must be one of \['ridge', 'relevance'\], got 'ard'; choose one"),
        ({"noise": "learnt"}, r"`noise` must be one of \['given', 'target', 'group'\], got 'learnt'; choose one"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        LeastSquaresSettings(**wrong)
    shape = torch.ones(19, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"`prior` must be ridge for a kernel and with a stiffness, got relevance; a"):
        LeastSquares(linear(), WEIGHTS, "evidence", None, shape, None, "relevance")


def test_an_isolated_atom_is_never_left_out(tmp_path):
    """Only it fixes the bias: without it a fold would be judged by a guess, 3 eV wrong."""
    alone = Atoms("Si")
    alone.calc = SinglePointCalculator(alone, energy=-1.0)
    settings = {"name": "least_squares", "ridge": "cross_validation", "folds": 3, "weights": {"energy": 1.0}}
    errors = []
    for train in (frames(), [*frames(), alone]):
        model = linear()
        found = fit(model, data(train), tmp_path / str(len(train)), settings, progress=False)
        errors.append(found.metrics["held_out/energy_rmse"])
    assert errors[1] < 2.0 * errors[0]
