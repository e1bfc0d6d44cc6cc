"""A fit gives projections the principal components of its training set, and keeps those of a model it goes on from."""

import torch

import mdzoo
from mdzoo.descriptors import Projection
from mdzoo.fit import fit
from mdzoo.potentials import ForceField, checkpoint
from mdzoo.potentials.assemble import assemble
from mdzoo.potentials.registry import build
from mdzoo.regressors import Linear
from tests.fit.cases import CUTOFF, data, force_field, frames, small

SETTINGS = {"name": "least_squares", "weights": {"energy": 10.0, "forces": 1.0}, "ridge": 1e-8}


def test_components_are_learnt_once_and_travel_with_the_model(tmp_path):
    descriptor = {"name": "Projection", "kind": "principal", "n_components": 6}
    descriptor["descriptor"] = {"name": "SO3", "cutoff": CUTOFF, "K": 2, "L": 1, "radial": "chebyshev"}
    table = assemble(None, descriptor, {"name": "Linear"}, [14], [-3.0])
    model = ForceField(build(table), [14])
    part = model.potential.terms[1].descriptor
    start = part.matrix.clone()
    fit(model, data(), tmp_path / "first", SETTINGS, progress=False)
    learnt = part.matrix.clone()
    assert not torch.allclose(start, learnt)
    checkpoint.save(tmp_path / "model.safetensors", model, table)
    again = mdzoo.load(tmp_path / "model.safetensors")
    torch.testing.assert_close(again.potential.terms[1].descriptor.matrix, learnt, rtol=0.0, atol=0.0)
    fit(again, data(), tmp_path / "second", SETTINGS, progress=False)
    torch.testing.assert_close(again.potential.terms[1].descriptor.matrix, learnt, rtol=0.0, atol=0.0)


def test_all_components_fit_as_well_as_all_features(tmp_path):
    """As many components as features are a change of basis: two of 18 depend on the others, and the fits agree."""
    whole = small()
    plain = force_field(Linear(whole.n_features, 1), whole)
    turned = force_field(Linear(whole.n_features, 1), Projection(small(), whole.n_features, "principal"))
    errors = [
        fit(model, data(frames(40)), tmp_path / name, {**SETTINGS, "ridge": 0.0}, progress=False).metrics[
            "train/force_rmse"
        ]
        for name, model in (("plain", plain), ("turned", turned))
    ]
    assert abs(errors[0] - errors[1]) < 1e-3 * errors[0]
