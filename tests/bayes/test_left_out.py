"""Fits without some structures, by factors, are the fits of what is left; what calibrates has not trained."""

import numpy as np
import pytest
import torch
from ase import Atoms

from mdzoo.bayes import infer
from mdzoo.bayes.last_layer import linear_view
from mdzoo.bayes.left_out import LeftOut
from mdzoo.bayes.pops import PopsLeftOut
from mdzoo.bayes.resampled import ResampledLeftOut
from mdzoo.fit.design import baseline, linear_part
from mdzoo.fit.rows import labelled_rows
from mdzoo.fit.solve import solve
from mdzoo.potentials.sure_force_field import SureForceField
from tests.bayes.linear_cell import closed
from tests.fit.cases import data, frames, linear, network

FOLDS = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])


def test_left_out_errors_are_those_of_fits_of_the_rest():
    """The dense twin: rows of what is left, solved by themselves; ridge and weights are those of all."""
    model, module = linear(), data()
    left = LeftOut(model, module.train_set, FOLDS)
    found = left.by_folds()["energy"]
    base = baseline(model)
    blocks = [labelled_rows(model, base, module.train_set[i], ["energy", "forces"]) for i in range(9)]
    inside = FOLDS == 1
    rows = torch.cat([left.weights[t] * blocks[i][t] for i in np.flatnonzero(~inside) for t in ("energy", "forces")])
    lengths = rows[:, :-1].square().sum(0).sqrt()
    post = solve(rows[:, :-1], rows[:, -1], None, left.ridge**0.5 * lengths)
    test = torch.cat([blocks[i]["energy"] for i in np.flatnonzero(inside)])
    mine = found.structure >= 3
    mine &= found.structure < 6
    np.testing.assert_allclose(found.error[mine], (test[:, -1] - test[:, :-1] @ post.mean).numpy(), rtol=1e-6)
    np.testing.assert_allclose(found.sigma[mine], (test[:, :-1] @ post.root).norm(dim=1).numpy(), rtol=1e-5)


@pytest.mark.parametrize("kind", [PopsLeftOut.of, lambda left: ResampledLeftOut.of(left, "subsets")])
def test_other_structures_are_judged_by_the_deviations_of_the_method(kind):
    """Not by those of the closed form's own posterior."""
    model, module = linear(), data()
    plain = LeftOut(model, module.train_set, FOLDS)
    left = kind(plain)
    found = left.of_others(model, module.train_set)["energy"]
    rows = torch.cat([k.rows["energy"] for k in left.kept])[:, :-1]
    np.testing.assert_allclose(found.sigma, (rows @ left.without(()).root).norm(dim=1).numpy(), rtol=1e-10)
    assert not np.allclose(found.sigma, plain.of_others(model, module.train_set)["energy"].sigma, rtol=0.01)


def test_forces_that_symmetry_fixes_are_left_out():
    left = LeftOut(linear(), data().train_set, FOLDS)
    known = left.by_folds()["forces"]
    assert len(known.error) == 3 * sum(len(a) for a in frames() if len(a) > 1), "one atom in a cell has no force"
    assert (known.atom > 0.0).all()


def test_groups_leave_each_other_out():
    left = LeftOut(linear(), data().train_set, FOLDS)
    assert set(left.by_groups(["one"])["energy"].structure.tolist()) == {1, 2, 4, 5, 7, 8}
    assert set(left.by_folds(["one"])["energy"].structure.tolist()) == {1, 2, 4, 5, 7, 8}


def test_a_last_layer_is_linear():
    """Its columns times its weights are the network, beside constants; set back, nothing has changed."""
    model, module = network(), data()
    view, graph = linear_view(model), module.train_set[[0, 1, 2]].graph
    part = linear_part(view)
    torch.testing.assert_close(part.features(graph) @ part.regressor.theta(), model.potential.terms[2](graph))
    part.regressor.set_theta(part.regressor.theta().clone())
    torch.testing.assert_close(view.eval()(graph).forces, model.eval()(graph).forces)


def test_validation_calibrates_and_must_not_have_trained():
    module = data(frames(24, 1), val=frames(12, 2))
    sure = infer(linear(), module, {"name": "laplace", "calibration": "validation", "folds": 3})
    known = vars(sure)["extra"]["calibration"]
    out = SureForceField(sure, known)(module.train_set[[1, 2]].graph)
    assert (out.energy_uncertainty > 0.0).all()
    assert (out.forces_uncertainty > 0.0).all()
    same = data(frames(24, 1), val=frames(24, 1))
    with pytest.raises(ValueError, match=r"`calibration` must be on structures that did not train, got 24 of 24"):
        infer(linear(), same, {"name": "laplace", "calibration": "validation", "folds": 3})
    with pytest.raises(ValueError, match=r"`calibration` must be cross_validation or none without validation data"):
        infer(linear(), data(), {"name": "laplace", "calibration": "validation", "folds": 3})


def test_calibration_judges_the_parameters_that_are_kept():
    """A model of another fit, wrong by 1 eV/atom, is calibrated on structures apart, and says so wide."""
    module = data(frames(24, 1), val=frames(24, 2))
    wrong = closed(module)
    linear_part(wrong).regressor.bias.data += 1.0
    settings = {"name": "laplace", "folds": 3}
    known = vars(infer(wrong, module, settings))["extra"]["calibration"]
    graph = module.val_set[list(range(24))].graph
    atoms = torch.bincount(graph.batch)
    said = SureForceField(infer(wrong, module, settings), known)(graph).energy_uncertainty / atoms
    errors = (torch.stack([module.val_set[i].labels.energy[0] for i in range(24)]) - wrong.eval()(graph).energy) / atoms
    assert float(said.mean()) * known["energy"]["quantile"][89] == pytest.approx(
        float(errors.abs().quantile(0.9)), 0.05
    )
    right = vars(infer(closed(module), module, settings))["extra"]["calibration"]
    assert max(right["energy"]["curve"]["y"]) < min(known["energy"]["curve"]["y"])
    with pytest.raises(ValueError, match=r"`calibration` must be none without validation .*, got cross_validation for"):
        infer(wrong, data(frames(24, 1)), settings)
    with pytest.raises(ValueError, match=r"`calibration` must be none without validation data, .* no closed form gave"):
        infer(network(), data(frames(24, 1)), settings)


def test_parameters_that_are_kept_move_as_the_closed_form():
    """Without a fold, kept parameters are those of the fit without it plus what they had beside the closed form."""
    left = LeftOut(linear(), data().train_set, FOLDS)
    before, theta = left.by_folds()["forces"], left.posterior.mean + 0.01
    left.about(theta)
    rows = torch.cat([left.kept[i].rows["forces"][:, :-1] for i in range(9) if len(left.kept[i].atoms) > 1])
    np.testing.assert_allclose(left.by_folds()["forces"].error, before.error - 0.01 * rows.sum(1).numpy(), atol=1e-10)
    assert left.gap(left.posterior.mean) == 0.0 < left.gap(theta)


def test_bad_input():
    with pytest.raises(ValueError, match=r"`folds` must give each of the 9 structures one of two folds or more, got"):
        LeftOut(linear(), data().train_set, np.zeros(9))
    with pytest.raises(ValueError, match=r"`memory` must hold the rows of 9 structures, got too little for more"):
        LeftOut(linear(), data().train_set, FOLDS, memory=10.0)
    with pytest.raises(ValueError, match=r"`calibration` must be one of \['cross_validation', .*, got 'test'; choose"):
        infer(linear(), data(), {"name": "laplace", "calibration": "test"})
    with pytest.raises(ValueError, match=r"`errors` must be 12 or more for a calibration, got 6; give more structures"):
        infer(closed(data(frames(3))), data(frames(3)), {"name": "laplace", "folds": 3})
    with pytest.raises(ValueError, match=r"`likelihood` must be one of .* for laplace, got student_t; choose"):
        infer(linear(), data(), {"name": "laplace"}, likelihood={"name": "student_t"})
    with pytest.raises(ValueError, match=r"`temperature` must be positive or held_out, got -1; 1 is plain Bayes"):
        infer(linear(), data(), {"name": "laplace", "temperature": -1})


def test_a_temperature_widens_the_posterior():
    settings = {"name": "laplace", "calibration": "none", "folds": 3}
    roots = [
        infer(linear(), data(), settings, likelihood=likelihood).potential.terms[2].root
        for likelihood in (None, {"name": "tempered", "temperature": 9.0})
    ]
    torch.testing.assert_close(roots[1], 3.0 * roots[0])
    held_out = infer(linear(), data(), {**settings, "temperature": "held_out"}).potential.terms[2].root
    assert float(held_out.norm()) > 0.0


def test_frames_are_told_apart():
    from mdzoo.bayes.apart import mark

    one, moved = Atoms("Si2", [[0, 0, 0], [1, 1, 1]]), Atoms("Si2", [[0, 0, 0], [1, 1, 1.001]])
    assert mark(one) == mark(one.copy()) != mark(moved)
