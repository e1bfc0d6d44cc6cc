"""Members trained in one pass are those trained apart, wherever lies what a fixed descriptor says."""

import copy

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from torch import nn

from mdzoo.descriptors import DeepMD
from mdzoo.fit import fit
from mdzoo.fit.cached import KeptForceField, check_disk, kept_sets
from mdzoo.fit.lightning import mean
from mdzoo.fit.settings import SgdSettings, settings_from
from mdzoo.potentials import DescriptorPotential
from mdzoo.regressors import MLP
from tests.fit.cases import data, force_field, frames, small
from tests.fit.test_sgd import compare

CHOSEN = {
    "name": "sgd",
    "weights": {"energy": 2.0, "forces": 1.0},
    "epochs": 3,
    "warmup": 2,
    "batch_size": 4,
    "lr": 2e-3,
}


def committee(numbers=(14,), members: int = 3, trainable=False):
    torch.manual_seed(0)
    descriptor = small(len(numbers))
    regressor = MLP(descriptor.n_features, len(numbers), hidden=[6, 6], residual=True, members=members)
    return force_field(regressor, descriptor, numbers, trainable)


def alone(model, member: int):
    one = copy.deepcopy(model)
    one.potential.terms[2].regressor = model.potential.terms[2].regressor.member(member)
    return one


@pytest.mark.parametrize(("optimizer", "clip"), [("adam", 0.0), ("adamw", 0.05)])
@pytest.mark.parametrize("numbers", [(14,), (14, 6)])
def test_members_trained_in_one_pass_are_those_trained_apart(numbers, optimizer, clip, tmp_path):
    chosen = CHOSEN | {"optimizer": optimizer, "clip": clip, "weight_decay": 0.01}
    together = committee(numbers)
    apart = [alone(together, m) for m in range(3)]
    module = data(frames(9, numbers=numbers), atomic_numbers=list(numbers))
    before = copy.deepcopy(together.state_dict())
    fit(together, module, tmp_path / "together", chosen, progress=False)
    assert not torch.equal(before["potential.terms.2.regressor.networks.0.last.weight"], last(together).last.weight)
    for member, model in enumerate(apart):
        fit(model, module, tmp_path / str(member), chosen, progress=False)
        mine = together.potential.terms[2].regressor.member(member).state_dict()
        for name, value in model.potential.terms[2].regressor.state_dict().items():
            torch.testing.assert_close(mine[name], value, rtol=1e-9, atol=1e-11)


def last(model) -> nn.Module:
    return model.potential.terms[2].regressor.networks[0]


@pytest.mark.parametrize("numbers", [(14,), (14, 6)])
def test_each_member_predicts_as_the_force_field_that_it_is_alone(numbers):
    model = committee(numbers).train()
    dataset = data(frames(3, numbers=numbers), atomic_numbers=list(numbers)).train_set
    fast = KeptForceField(model)
    for member, found in enumerate(fast(fast.keep(dataset)[[0, 2]])):
        one = alone(model, member)
        fresh = KeptForceField(one)
        compare(fresh(fresh.keep(dataset)[[0, 2]])[0], one(dataset[[0, 2]].graph), one)
        torch.testing.assert_close(found.forces, one(dataset[[0, 2]].graph).forces, rtol=1e-10, atol=1e-11)
        torch.testing.assert_close(found.energy, one(dataset[[0, 2]].graph).energy, rtol=1e-11, atol=1e-11)


def test_the_potential_is_the_mean_of_its_members_and_their_spread_its_uncertainty():
    model, graph = committee(), data().train_set[[0, 1, 2]].graph
    part = model.potential.terms[2]
    members = part.members(graph)
    torch.testing.assert_close(part(graph), members.mean(0), rtol=1e-12, atol=1e-12)
    for member, row in enumerate(members):
        one = DescriptorPotential(part.descriptor, part.regressor.member(member))
        torch.testing.assert_close(row, one(graph), rtol=1e-12, atol=1e-12)
    said = model.potential.uncertainty(graph)
    torch.testing.assert_close(said.parameter, members.std(0))
    assert not said.noise.any()
    assert not said.grade.any()


def test_one_member_has_no_spread():
    model, graph = committee(members=1), data().train_set[[0]].graph
    with pytest.raises(
        ValueError, match=r"`terms` must hold one that knows its uncertainty, got none; run mdzoo infer"
    ):
        model.potential.uncertainty(graph)


@pytest.mark.parametrize("cache", ["disk", False])
def test_where_it_is_kept_changes_no_number(cache, tmp_path):
    ends = []
    for where in (True, cache):
        model = committee()
        fit(model, data(val_fraction=0.2), tmp_path / str(where), CHOSEN | {"cache": where}, progress=False)
        ends.append(model.state_dict())
    assert not (tmp_path / "disk" / "kept").exists(), "what lay on the disk is gone after the fit"
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], rtol=1e-9, atol=1e-12)


def test_a_disk_without_room_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"`cache` must not be disk for 1000000000000.0 GB, got .* GB free"):
        check_disk(tmp_path, 1e21)


def test_members_need_a_descriptor_that_does_not_train_and_no_term_that_does(tmp_path):
    part = DeepMD(cutoff=4, rcut_smth=1, sel=20, neuron=[2, 3], axis_neuron=2)
    model = force_field(MLP(part.n_features, 1, hidden=[4], members=2), part)
    with pytest.raises(ValueError, match="`members` must be 1 for this model, got 2; members share one descriptor"):
        kept_sets(model, [data().train_set], "auto", 1e9, tmp_path)
    with pytest.raises(ValueError, match="`members` must be 1 beside empirical terms that train, got 3; freeze"):
        kept_sets(committee(trainable=True), [data().train_set], "auto", 1e9, tmp_path)


def test_last_layer_features_times_the_last_layer_are_the_energies():
    for numbers in ((14,), (14, 6)):
        model = committee(numbers)
        part = model.potential.terms[2]
        with torch.no_grad():
            part.regressor.linear.weights.normal_()
        graph = data(frames(4, numbers=numbers), atomic_numbers=list(numbers)).train_set[[0, 1, 2, 3]].graph
        features = part.features(graph)
        torch.testing.assert_close(features @ part.regressor.theta(), part(graph), rtol=1e-12, atol=1e-12)
        slope = torch.autograd.grad(part(graph).sum(), last(model).last.weight)[0]
        width = slope.numel() // 3
        block = features[:, : 3 * (width + 1)].view(-1, 3, width + 1)[:, :, :width]
        torch.testing.assert_close(block.sum(0), slope[:, :, 0])


def test_settings_name_where_it_is_kept():
    assert settings_from({"name": "sgd", "cache": "disk"}) == SgdSettings(cache="disk")
    with pytest.raises(ValueError, match=r"`cache` must be one of \[True, False, 'auto', 'disk'\], got 'tape'"):
        SgdSettings(cache="tape")


def test_a_lone_atom_is_kept_and_fitted_like_any_structure(tmp_path):
    lone = Atoms("Si", cell=[20.0] * 3, pbc=True)
    lone.calc = SinglePointCalculator(lone, energy=-3.0, forces=np.zeros((1, 3)), stress=np.zeros(6))
    model = committee().train()
    dataset = data([*frames(3), lone]).train_set
    found = mean(KeptForceField(model)(KeptForceField(model).keep(dataset)[[3, 0]]))
    expected = model(dataset[[3, 0]].graph)
    torch.testing.assert_close(found.energy, expected.energy, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(found.forces, expected.forces, rtol=1e-10, atol=1e-11)
    for name in ("sgd", "levenberg_marquardt"):
        chosen = {"name": name, "weights": {"energy": 2.0, "forces": 1.0}}
        chosen |= {"epochs": 20, "lr": 1e-2} if name == "sgd" else {"steps": 4}
        result = fit(model, data([*frames(3), lone]), tmp_path / name, chosen, progress=False)
        assert result.metrics["train/energy_mae"] < 1.0
