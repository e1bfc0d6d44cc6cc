"""Members fitted apart are fits to the data they were given."""

import numpy as np
import pytest
import torch

from mdzoo.bayes import infer
from mdzoo.bayes.ensemble import refit
from mdzoo.bayes.left_out import LeftOut
from mdzoo.fit.solve import solve
from tests.bayes.test_left_out import FOLDS
from tests.fit.cases import data, linear, network


def test_a_member_is_a_fit_to_its_blocks():
    """The dense twin: the rows of a fold that was drawn twice stand there twice."""
    left = LeftOut(linear(), data().train_set, FOLDS)
    found = refit(left, {0: 2, 1: 0, 2: 1})
    chosen = [0, 1, 2, 0, 1, 2, 6, 7, 8]
    rows = torch.cat([left.weights[t] * left.kept[i].rows[t] for i in chosen for t in ("energy", "forces")])
    lengths = rows[:, :-1].square().sum(0).sqrt()
    post = solve(rows[:, :-1], rows[:, -1], None, left.ridge**0.5 * lengths)
    torch.testing.assert_close(found * lengths, post.mean * lengths, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("kind", "count"), [("bootstrap", 4), ("subsets", 3)])
def test_linear_members_share_features(kind, count):
    settings = {"name": "ensemble", "kind": kind, "members": 4, "folds": 3, "calibration": "none"}
    sure = infer(linear(), data(), settings)
    graph = data().train_set[[1, 2]].graph
    assert sure.potential.members(graph).shape[0] == count
    assert (sure.potential.uncertainty(graph).parameter > 0.0).all()
    assert np.isfinite(sure(graph).forces.numpy()).all()


def test_bad_input():
    with pytest.raises(ValueError, match=r"`kind` must be one of \['seeds', 'bootstrap', 'subsets'\], got 'both'"):
        infer(linear(), data(), {"name": "ensemble", "kind": "both"})
    with pytest.raises(ValueError, match=r"`kind` must be bootstrap or subsets for what is linear .*, got seeds; set"):
        infer(linear(), data(), {"name": "ensemble"})
    with pytest.raises(ValueError, match=r"`kind` must be seeds for a network, got bootstrap; set bayes.kind"):
        infer(network(), data(), {"name": "ensemble", "kind": "bootstrap"})
    with pytest.raises(ValueError, match=r"`fit` must be given for an ensemble of seeds, .* got none; say mdzoo train"):
        infer(network(), data(), {"name": "ensemble"})
    with pytest.raises(ValueError, match=r"`members` must be 2 or more, got 1; 8 give a spread to go by"):
        infer(linear(), data(), {"name": "ensemble", "members": 1})
