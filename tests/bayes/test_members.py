"""Members made of draws are the models with these parameters, evaluated one by one."""

import copy

import pytest
import torch

from mdzoo.bayes import with_members
from mdzoo.potentials import checkpoint
from mdzoo.regressors import MLP, Linear, Polynomial, SparseGP
from tests.fit.cases import CUTOFF, data, force_field, small

N = small().n_features
GRAPH = data().train_set[[0, 1, 2]].graph
LINEAR = "potential.terms.2.regressor.weights"
PAIR = "potential.terms.1.epsilon.raw"


def model(regressor=None, trainable=False):
    torch.manual_seed(1)
    return force_field(regressor or Linear(N, 1), small(), trainable=trainable)


def table_of(regressor: dict) -> dict:
    descriptor = {
        "name": "SO3",
        "cutoff": CUTOFF,
        "n_species": 1,
        "K": 2,
        "L": 1,
        "body_order": 4,
        "radial": "chebyshev",
    }
    pair = {"name": "LennardJones", "epsilon": 0.1, "sigma": 2.3, "cutoff": CUTOFF, "n_species": 1, "trainable": True}
    learnt = {"name": "DescriptorPotential", "descriptor": descriptor, "regressor": {"n_features": N, **regressor}}
    return {"name": "SumPotential", "terms": [{"name": "AtomicEnergies", "energies": [-3.0]}, pair, learnt]}


def draws_of(force_field, names, count=4):
    torch.manual_seed(2)
    parameters = dict(force_field.named_parameters())
    return {name: parameters[name].detach() + 0.1 * torch.randn(count, *parameters[name].shape) for name in names}


def one_by_one(force_field, draws):
    out = []
    for m in range(len(next(iter(draws.values())))):
        one = copy.deepcopy(force_field)
        with torch.no_grad():
            for name, values in draws.items():
                one.get_parameter(name).copy_(values[m])
        out.append(one.potential(GRAPH))
    return torch.stack(out).detach()


CASES = {
    "linear": (Linear(N, 1), {"name": "Linear", "n_species": 1}, [LINEAR, "potential.terms.2.regressor.bias"]),
    "linear and a pair": (Linear(N, 1), {"name": "Linear", "n_species": 1}, [LINEAR, PAIR]),
    "polynomial": (Polynomial(N, 1, 2), {"name": "Polynomial", "n_species": 1, "degree": 2}, [LINEAR]),
    "process": (
        SparseGP(N, 1, 3),
        {"name": "SparseGP", "n_species": 1, "n_inducing": 3},
        ["potential.terms.2.regressor.alpha"],
    ),
    "last layer": (
        MLP(N, 1, [3]),
        {"name": "MLP", "n_species": 1, "hidden": [3]},
        ["potential.terms.2.regressor.networks.0.last.weight", "potential.terms.2.regressor.linear.weights"],
    ),
    "network": (
        MLP(N, 1, [3]),
        {"name": "MLP", "n_species": 1, "hidden": [3]},
        [f"potential.terms.2.regressor.networks.0.{n}" for n in ("layers.0.affine.weight", "last.bias")],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_members_are_the_models_of_the_draws(case, tmp_path):
    regressor, table, names = CASES[case]
    if case == "process":
        regressor.set_points(torch.randn(3, N, dtype=torch.float64))
    start = model(copy.deepcopy(regressor), trainable=True)
    vars(start)["table"] = table_of(table)
    before, draws = copy.deepcopy(start.state_dict()), draws_of(start, names)
    sure = with_members(start, draws)
    expected = one_by_one(start, draws)
    torch.testing.assert_close(sure.potential.members(GRAPH), expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(sure.potential(GRAPH), expected.mean(0), rtol=1e-9, atol=1e-9)
    said = sure.potential.uncertainty(GRAPH)
    torch.testing.assert_close(said.parameter, expected.std(0), rtol=1e-7, atol=1e-9)
    assert all(torch.equal(before[name], value) for name, value in start.state_dict().items()), "left as it was"
    checkpoint.save(tmp_path / "model.safetensors", sure, vars(sure)["table"])
    back = checkpoint.load(tmp_path / "model.safetensors")
    assert torch.equal(back.potential.members(GRAPH), sure.potential.members(GRAPH))


def test_draws_must_be_of_parameters():
    start = model()
    good = draws_of(start, [LINEAR])
    with pytest.raises(ValueError, match=r"`draws` must be of parameters .*'weight'; did you mean potential.terms.2"):
        with_members(start, {"weight": good[LINEAR]})
    with pytest.raises(ValueError, match=r"`draws` of .* must have the shape \(M, \*\[1, \d+\]\), got \[4, \d+\]; put"):
        with_members(start, {LINEAR: good[LINEAR][:, 0]})
    with pytest.raises(ValueError, match=r"`draws` of .* must be finite, got NaN or infinity; leave these draws out"):
        with_members(start, {LINEAR: good[LINEAR] * torch.nan})
    with pytest.raises(ValueError, match=r"`draws` must hold the same number, 2 or more, .*, got \[1\]; draw more"):
        with_members(start, {LINEAR: good[LINEAR][:1]})
    two = model(MLP(N, 1, [3], members=2))
    with pytest.raises(ValueError, match=r"`draws` must be of a network of one member, got one of 2; infer from one"):
        with_members(two, draws_of(two, ["potential.terms.2.regressor.networks.0.last.bias"]))
