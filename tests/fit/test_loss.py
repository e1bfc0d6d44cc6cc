"""The loss against its formula, on numbers written by hand."""

import pytest
import torch

from mdzoo.data.labels import Batch
from mdzoo.fit.loss import Target, targets, total_loss
from tests.fit.cases import data, linear


@pytest.fixture
def batch() -> Batch:
    return data().train_set[[0, 1, 2]]


def by_formula(prediction, batch, w_e, w_f, w_s):
    """The sum over structures of the loss, by plain loops."""
    total, labels = 0.0, batch.labels
    for s in range(3):
        mine = (batch.graph.batch == s).nonzero().squeeze(-1)
        n, volume = len(mine), abs(float(torch.linalg.det(batch.graph.cell[s])))
        total += labels.energy_weight[s] * (w_e / n) ** 2 * (prediction.energy[s] - labels.energy[s]) ** 2
        for i in mine:
            total += labels.force_weight[s] * w_f**2 * (prediction.forces[i] - labels.forces[i]).square().nansum()
        stress = -prediction.virial[s] / volume
        difference = volume * (stress - labels.stress[s])
        total += labels.stress_weight[s] * (w_s / n) ** 2 * difference.square().nansum()
    return total


def test_loss_is_the_formula(batch):
    labels = batch.labels._replace(
        energy_weight=torch.tensor([1.0, 2.0, 3.0]).double(),
        force_weight=torch.tensor([0.5, 0.0, 1.0]).double(),
        stress_weight=torch.tensor([1.0, 4.0, 0.25]).double(),
    )
    batch = Batch(batch.graph, labels)
    prediction = linear().eval()(batch.graph)
    chosen = targets({"energy": 3.0, "forces": 0.7, "stress": 0.2})
    found = total_loss(chosen, prediction, batch.graph, batch.labels)
    torch.testing.assert_close(found, by_formula(prediction, batch, 3.0, 0.7, 0.2), rtol=1e-12, atol=0.0)


def test_absent_labels_drop_out(batch):
    labels = batch.labels
    labels.energy[1] = float("nan")
    labels.forces[0, 1] = float("nan")
    labels.stress[2, 0, 1] = float("nan")
    model = linear()
    prediction = model(batch.graph)
    total = total_loss(targets({"energy": 1.0, "forces": 1.0, "stress": 1.0}), prediction, batch.graph, labels)
    labels.energy[1] = prediction.energy[1].detach()
    torch.testing.assert_close(total, by_formula(prediction, batch, 1.0, 1.0, 1.0), rtol=1e-12, atol=0.0)
    total.backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(g).all() for g in gradients)


def test_a_prediction_that_is_nan_is_seen(batch):
    prediction = linear().eval()(batch.graph)
    broken = prediction._replace(energy=torch.full_like(prediction.energy, float("nan")))
    assert total_loss(targets({"energy": 1.0}), broken, batch.graph, batch.labels).isnan()


def test_huber_is_the_square_inside_and_linear_outside(batch):
    prediction = linear().eval()(batch.graph)
    target = Target("forces", 1.0, 0.05)
    residual = target.residual(prediction, batch.graph, batch.labels)
    sizes = residual.error.abs()
    assert (sizes < 0.05).any()
    assert (sizes > 0.05).any()
    expected = torch.nn.functional.huber_loss(sizes, torch.zeros_like(sizes), reduction="sum", delta=0.05) * 2.0
    torch.testing.assert_close(target.loss(residual), expected, rtol=1e-12, atol=0.0)


def test_bad_targets_are_refused():
    with pytest.raises(
        ValueError, match=r"`name` must be one of \['charges', 'energy', 'forces', 'stress'\], got force; a"
    ):
        targets({"force": 1.0})
    with pytest.raises(ValueError, match=r"`weight` must be finite and not negative, got -1.0 for energy; 0 switches"):
        targets({"energy": -1.0})
    with pytest.raises(ValueError, match=r"`huber` must be finite and not negative, got -1.0 for energy"):
        targets({"energy": 1.0}, {"energy": -1.0})
    with pytest.raises(ValueError, match=r"`weights` must have one that is positive, got \{'energy': 0.0\}; nothing"):
        targets({"energy": 0.0})


def test_charges_are_compared_where_the_data_have_them(batch):
    n = batch.graph.species.numel()
    charges = torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    charges[batch.graph.batch == 1] = 0.0
    graph = batch.graph._replace(charges=charges)
    prediction = linear().eval()(graph)._replace(charges=charges + 0.1)
    found = total_loss(targets({"charges": 2.0}), prediction, graph, batch.labels)
    assert float(found) == pytest.approx(4.0 * 0.01 * int((graph.batch != 1).sum()))
