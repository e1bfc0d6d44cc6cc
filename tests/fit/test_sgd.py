"""Gradient descent: what is kept equals the force field, frozen parts stay, averages are averages, errors are clear."""

import pytest
import torch
from torch import nn

from mdzoo.fit import fit
from mdzoo.fit.cached import KeptForceField, kept_sets
from mdzoo.fit.callbacks import AtomicCheckpoints, WeightAverage, averaged, read_checkpoint
from mdzoo.fit.optimizers import cosine, optimizer_and_schedule
from mdzoo.fit.settings import SgdSettings, settings_from
from mdzoo.fit.start import features_of, freeze, scale_features, start_from
from mdzoo.graph import collate
from mdzoo.regressors import MLP, Linear
from tests.fit.cases import Plain, data, force_field, frames, linear, network

FAST = {"name": "sgd", "weights": {"energy": 1.0, "forces": 1.0}, "epochs": 2, "warmup": 2, "batch_size": 4}


def parameters(model) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


@pytest.mark.parametrize("trainable", [False, True])
@pytest.mark.parametrize("numbers", [(14,), (14, 6)])
def test_what_is_kept_predicts_as_the_force_field(numbers, trainable):
    model = network(numbers, trainable).train()
    dataset = data(frames(3, numbers=numbers), atomic_numbers=list(numbers)).train_set
    fast = KeptForceField(model)
    batch = fast.keep(dataset)[[0, 2, 1]]
    compare(fast(batch)[0], model(collate([dataset[i].graph for i in (0, 2, 1)])), model)


def test_what_is_kept_of_a_descriptor_without_density_predicts_as_the_force_field():
    model = force_field(MLP(3, 1, hidden=[4]), Plain()).train()
    dataset = data().train_set
    fast = KeptForceField(model)
    compare(fast(fast.keep(dataset)[[0, 1]])[0], model(dataset[[0, 1]].graph), model)


def test_what_is_kept_sees_only_edges_within_the_cutoff_of_the_descriptor():
    from mdzoo.descriptors import SO3
    from mdzoo.potentials import DescriptorPotential, ForceField, SumPotential
    from tests.fit.cases import PairLennardJones

    short = SO3(cutoff=3.0, K=2, L=1, radial="chebyshev")
    terms = [PairLennardJones(0.1, 2.3, 4.0), DescriptorPotential(short, MLP(short.n_features, 1, hidden=[4]))]
    model = ForceField(SumPotential(terms), [14]).train()
    dataset = data().train_set
    fast = KeptForceField(model)
    compare(fast(fast.keep(dataset)[[0, 1, 2]])[0], model(dataset[[0, 1, 2]].graph), model)


def compare(found, expected, model) -> None:
    for name in ("energy", "energies", "forces", "virial"):
        one, other = getattr(found, name), getattr(expected, name)
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-11)
    trained = [p for p in model.parameters() if p.requires_grad]
    gradients = []
    for out in (found, expected):
        loss = out.energy.square().sum() + out.forces.square().sum() + out.virial.square().sum()
        gradients.append(torch.autograd.grad(loss, trained))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_keeping_changes_no_number_of_a_fit(tmp_path):
    ends = []
    for cache in (True, False):
        model = network()
        fit(model, data(val_fraction=0.2), tmp_path / str(cache), FAST | {"cache": cache}, progress=False)
        ends.append(parameters(model))
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], rtol=1e-8, atol=1e-10)


def test_size_of_what_is_kept_is_known_before(caplog, tmp_path):
    model, dataset = network(), data().train_set
    fast = KeptForceField(model)
    kept = [fast.keep(dataset).find(i) for i in range(len(dataset))]
    held = sum(k.features[: k.slopes.shape[0]].numel() + k.slopes.numel() for k in kept) * 8
    assert fast.bytes(dataset) == held
    with caplog.at_level("INFO", "mdzoo"):
        assert kept_sets(model, [dataset], "auto", held - 1, tmp_path) is None
    assert "kept nowhere" in caplog.text
    assert len(kept_sets(model, [dataset], "auto", held, tmp_path)) == 2
    assert len(kept_sets(model, [dataset], True, 0, tmp_path)) == 2
    assert kept_sets(model, [dataset], False, 1e9, tmp_path) is None


def test_what_cannot_be_kept_is_refused(tmp_path):
    descriptor = Plain()
    descriptor.width = nn.Parameter(torch.ones((), dtype=torch.float64))
    model = force_field(Linear(3, 1), descriptor)
    assert kept_sets(model, [data().train_set], "auto", 1e9, tmp_path) is None
    with pytest.raises(ValueError, match="`cache` must be false or auto for this model, got true; only one descriptor"):
        kept_sets(model, [data().train_set], True, 1e9, tmp_path)


def test_empirical_parameters_train_jointly(tmp_path):
    model = network(trainable=True)
    before = parameters(model)
    result = fit(model, data(val_fraction=0.2), tmp_path, FAST, progress=False)
    moved = {name for name, value in parameters(model).items() if not torch.equal(value, before[name])}
    assert {name for name in before if "terms.1" in name} <= moved
    assert any("networks" in name for name in moved)
    assert {"val/energy_mae", "val/force_rmse", "train/force_mae"} <= set(result.metrics)
    assert result.checkpoint == tmp_path / "checkpoints" / "best.ckpt"


def test_the_model_that_is_returned_is_the_best(tmp_path):
    model, module = network(), data(val_fraction=0.3)
    result = fit(model, module, tmp_path, FAST | {"epochs": 4, "lr": 0.3, "warmup": 0, "clip": 0.0}, progress=False)
    kept = averaged(read_checkpoint(result.checkpoint))
    for name, value in model.state_dict().items():
        assert torch.equal(value, kept[name])
    lines = (tmp_path / "log" / "metrics.csv").read_text().splitlines()
    column = lines[0].split(",").index("val/force_mae")
    seen = [float(line.split(",")[column]) for line in lines[1:] if line.split(",")[column]]
    assert len(seen) == 4
    batch = module.val_set[list(range(len(module.val_set)))]
    error = (model(batch.graph).forces - batch.labels.forces).abs().mean()
    assert min(abs(float(error.detach()) - value) for value in seen) < 1e-5  # the log is float32


def test_frozen_parts_stay_and_wrong_patterns_name_the_nearest(tmp_path):
    model = network(trainable=True)
    before = parameters(model)
    fit(model, data(), tmp_path, FAST | {"freeze": ["potential.terms.1.*", "*networks.0.layers.0.*"]}, progress=False)
    stayed = {name for name, value in parameters(model).items() if torch.equal(value, before[name])}
    asked = {name for name in before if "terms.1." in name or "networks.0.layers.0." in name}
    assert stayed - asked == {"potential.terms.0.energies", "potential.terms.2.regressor.linear.bias"}
    assert asked <= stayed
    with pytest.raises(ValueError, match=r"`freeze` must match a parameter, got 'potential.*network.*'; .*networks"):
        freeze(model, ["potential.terms.2.regressor.network.*"])
    with pytest.raises(ValueError, match="`force_field` must have a parameter that trains, got none; check `freeze`"):
        fit(model, data(), tmp_path / "none", FAST | {"freeze": ["*"]}, progress=False)


def test_fine_tuning_starts_from_a_run_or_a_checkpoint(tmp_path):
    first = network()
    fit(first, data(), tmp_path / "first", FAST, progress=False)
    for path in (tmp_path / "first", tmp_path / "first" / "checkpoints" / "best.ckpt"):
        second = network(seed=5)
        start_from(second, path)
        for name, value in first.state_dict().items():
            assert torch.equal(second.state_dict()[name], value)
    with pytest.raises(ValueError, match=r"`start` must hold the parameters of this model, got .*, which differs in"):
        start_from(linear(), tmp_path / "first")
    with pytest.raises(FileNotFoundError, match=r"`start` must be a run directory, a checkpoint or a model, got"):
        start_from(second, tmp_path / "none")


def test_fine_tuning_from_a_run_begins_with_its_errors(tmp_path):
    first, module = network(), data()
    fit(first, module, tmp_path / "first", FAST, progress=False)
    second = network(seed=5)
    again = FAST | {"epochs": 1, "lr": 1e-12, "lr_min": 0.0, "start": str(tmp_path / "first")}
    fit(second, module, tmp_path / "second", again, progress=False)
    graph = module.train_set[[0, 1]].graph
    torch.testing.assert_close(second(graph).energy, first(graph).energy, rtol=1e-8, atol=1e-8)


def test_features_get_zero_mean_and_unit_deviation():
    model, dataset = network((14, 6)), data(frames(6, numbers=(14, 6)), atomic_numbers=[14, 6]).train_set
    scale_features(model, dataset)
    part = model.potential.terms[2]
    like = next(part.regressor.parameters())
    features = torch.cat([part.regressor.scale(features_of(part, dataset[i].graph, like)) for i in range(6)])
    torch.testing.assert_close(features.mean(0), torch.zeros_like(features[0]), rtol=0.0, atol=1e-9)
    spread = features.std(0, correction=0)
    torch.testing.assert_close(spread, torch.ones_like(spread), rtol=1e-6, atol=0.0)


def test_average_is_the_formula():
    module = nn.Module()
    module.force_field = nn.Linear(2, 1)
    average = WeightAverage(0.9)

    class Trainer:
        global_step = 0

    average.on_train_start(Trainer, module)
    expected = module.force_field.weight.detach().clone()
    for step in range(1, 200):
        with torch.no_grad():
            module.force_field.weight.add_(0.1 * step)
        Trainer.global_step = step
        average.on_train_batch_end(Trainer, module)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * module.force_field.weight.detach()
    torch.testing.assert_close(average.average["force_field.weight"], expected)
    weight = module.force_field.weight.detach().clone()
    average.on_validation_start(Trainer, module)
    torch.testing.assert_close(module.force_field.weight.detach(), expected)
    average.on_exception(Trainer, module, KeyboardInterrupt())
    assert torch.equal(module.force_field.weight, weight)


def test_schedules():
    assert [cosine(s, 4, 10, 0.0) for s in (0, 3)] == [0.2, 0.8]
    assert cosine(4, 4, 10, 0.1) == 1.0
    assert cosine(7, 4, 10, 0.1) == pytest.approx(0.55)
    assert cosine(20, 4, 10, 0.1) == pytest.approx(0.1)
    for name, kind in (("cosine", "LambdaLR"), ("plateau", "ReduceLROnPlateau"), ("constant", "LambdaLR")):
        chosen = SgdSettings(schedule=name, warmup=0)
        found = optimizer_and_schedule(nn.Linear(1, 1), chosen, 10, "val/loss", float)["lr_scheduler"]
        assert type(found["scheduler"]).__name__ == kind
    found = optimizer_and_schedule(nn.Linear(1, 1), SgdSettings(optimizer="adamw"), 9, "", float)
    assert isinstance(found["optimizer"], torch.optim.AdamW)


def test_plateau_and_early_stopping_run(tmp_path):
    chosen = FAST | {"schedule": "plateau", "plateau": 0, "patience": 2, "epochs": 40, "lr": 1e-12, "ema": 0.0}
    fit(network(), data(val_fraction=0.2), tmp_path, chosen, progress=False)
    assert len((tmp_path / "log" / "metrics.csv").read_text().splitlines()) < 30


def test_unlucky_training_stops_with_advice(tmp_path):
    with pytest.raises(ValueError, match=r"`loss` must stay finite, got (nan|inf).*; lower `lr`"):
        fit(network(), data(), tmp_path, FAST | {"lr": 1e200, "clip": 0.0, "warmup": 0, "epochs": 3}, progress=False)


def test_settings_refuse_what_they_do_not_know():
    with pytest.raises(
        ValueError, match=r"`epoch` must be a setting of fit=sgd .*, got epoch; did you mean \['epochs'"
    ):
        settings_from({"name": "sgd", "epoch": 1})
    with pytest.raises(
        ValueError, match=r"`name` must be one of \['least_squares', 'sgd', .*\], got 'adam'; choose one"
    ):
        settings_from({"name": "adam"})
    with pytest.raises(ValueError, match=r"`schedule` must be one of .*, got 'cos'; choose one"):
        SgdSettings(schedule="cos")
    with pytest.raises(ValueError, match=r"`optimizer` must be adam or adamw with clip=10.0 and schedule=cosine"):
        SgdSettings(optimizer="lbfgs")
    with pytest.raises(ValueError, match=r"`ema` must be from 0 up and below 1, got 1.0; 0.99 averages"):
        SgdSettings(ema=1.0)
    with pytest.raises(ValueError, match=r"`lr` must be positive, got 0.0; 1e-3 is a start"):
        SgdSettings(lr=0.0)


def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path, monkeypatch):
    keeper, path = AtomicCheckpoints(), tmp_path / "last.ckpt"
    keeper.save_checkpoint({"state_dict": {"force_field.x": torch.ones(3)}}, path)

    def full(checkpoint, file):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        keeper.save_checkpoint({"state_dict": {}}, path)
    assert torch.equal(averaged(keeper.load_checkpoint(path))["x"], torch.ones(3))
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_truncated_checkpoint_is_refused(tmp_path):
    path = tmp_path / "last.ckpt"
    torch.save({"a": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"`path` must be a whole checkpoint, got .*last.ckpt .*start from"):
        read_checkpoint(path)


def test_the_cosine_comes_down_by_the_end_of_the_allowed_time():
    assert cosine(50, 10, 1000, 0.0, spent=1.0) == 0.0
    assert cosine(505, 10, 1000, 0.0, spent=0.1) == cosine(505, 10, 1000, 0.0) == pytest.approx(0.5)


def test_a_run_ended_by_the_clock_has_come_down(tmp_path):
    settings = {"name": "sgd", "epochs": 100000, "minutes": 0.02, "warmup": 0, "lr": 1e-3, "lr_min": 1e-9}
    fit(network(), data(), tmp_path, settings, progress=False)
    checkpoint = read_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    assert checkpoint["lr_schedulers"][0]["_last_lr"][0] < 1e-4
