"""The sampler as a method: what it leaves, how a failed run is marked, and what is refused."""

import json
import logging

import pytest
import torch

pytest.importorskip("pyro", reason="the extra `bayes`")

from mdzoo.bayes import infer
from mdzoo.bayes.infer import Problem
from mdzoo.bayes.nuts import Nuts
from mdzoo.bayes.pose import Labels, default_prior, likelihood_of, posed
from mdzoo.potentials import ForceField, build, checkpoint
from tests.fit import cases


def problem(field=None, prior=None, likelihood=None, count=9):
    return Problem(field or cases.linear(), cases.data(cases.frames(count)), prior, likelihood, None, None, 0)


def test_a_short_run_is_marked_in_its_file(tmp_path, caplog):
    from mdzoo.potentials.assemble import assemble

    descriptor = {"name": "SO3", "cutoff": cases.CUTOFF, "K": 1, "L": 0, "body_order": 3, "radial": "chebyshev"}
    table = assemble(None, descriptor, {"name": "Linear"}, [14], [-3.0])
    field = ForceField(build(table), [14])
    vars(field)["table"] = table
    sure = infer(
        field, cases.data(), {"name": "nuts", "draws": 10, "warmup": 10, "chains": 2, "members": 5}, run_dir=tmp_path
    )
    assert sure.potential.members(cases.data().train_set[0].graph).shape[0] == 5
    marks = vars(sure)["extra"]["inference"]
    assert marks["failed"]
    assert any("fewer than 4" in failure for failure in marks["failures"])
    assert json.loads((tmp_path / "diagnostics.json").read_text())["failed"]
    assert {"draws.safetensors", "trace.png", "ranks.png"} <= {file.name for file in tmp_path.iterdir()}
    path = checkpoint.save(tmp_path / "model.safetensors", sure, vars(sure)["table"], vars(sure)["extra"])
    with caplog.at_level(logging.WARNING):
        checkpoint.load(path)
    assert "FAILED their diagnostics" in caplog.text


def test_powers_count_structures():
    found = likelihood_of(problem(), Labels())
    assert found.powers["energy"] == 1.0
    assert found.powers["forces"] == pytest.approx((9 / (3 * 21)) ** 0.5)
    assert likelihood_of(problem(), Labels(powers="independent")).powers["forces"] == 1.0
    assert likelihood_of(problem(), Labels(powers={"forces": 0.2})).powers["forces"] == 0.2
    assert (
        likelihood_of(problem(likelihood={"name": "tempered", "temperature": 4.0}), Labels()).powers["energy"] == 0.25
    )


def test_too_few_data_are_refused():
    with pytest.raises(ValueError, match="`data` must hold 5 structures or more with labels of energy"):
        likelihood_of(problem(count=4), Labels())
    known = {"energy": {"scale": 0.1, "width": 0.0}, "forces": {"scale": 0.1, "width": 0.0}}
    assert likelihood_of(problem(count=4), Labels(noise=known)).widths["energy"] == 0.0
    with pytest.raises(ValueError, match="`powers` must be structures, independent or numbers"):
        likelihood_of(problem(), Labels(powers="many"))
    with pytest.raises(ValueError, match="`accept` must be between 0 and 1"):
        Nuts(accept=1.0)
    with pytest.raises(ValueError, match="`members` must be positive"):
        Nuts(members=1)


def test_the_default_prior_knows_empirical_parameters():
    table = default_prior(cases.linear(trainable=["epsilon"]))
    assert table == {"*": {"name": "hierarchical"}, "potential.terms.1.epsilon": {"name": "literature"}}


def test_joint_posteriors_start_from_whitened_weights():
    known = {"energy": {"scale": 0.1, "width": 0.0}, "forces": {"scale": 0.1, "width": 0.0}}
    found = posed(problem(cases.linear(trainable=["epsilon"], K=1, L=0)), Labels(noise=known))
    assert found.whitened
    z = torch.zeros(found.density.dimension, dtype=torch.float64, requires_grad=True)
    slope = torch.autograd.grad(found.density(found.coordinates.u(z)), z)[0]
    assert float(slope.abs().max()) < 0.01
