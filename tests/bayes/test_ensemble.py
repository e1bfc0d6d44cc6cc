"""Members fitted apart are fits to the data they were given."""

import numpy as np
import pytest
import torch

from mdzoo.bayes import infer
from mdzoo.bayes.ensemble import on_scale_of
from mdzoo.bayes.left_out import LeftOut
from mdzoo.bayes.resampled import ResampledLeftOut
from mdzoo.bayes.resampled import counts as counts_of
from mdzoo.fit.solve import solve
from tests.bayes.test_left_out import FOLDS
from tests.fit.cases import CUTOFF, data, frames, linear, network


def test_a_member_is_a_fit_to_its_blocks():
    """The dense twin: the rows of a fold that was drawn twice stand there twice."""
    left = ResampledLeftOut.of(LeftOut(linear(), data().train_set, FOLDS), "subsets")
    every, chosen = range(9), [0, 1, 2, 0, 1, 2, 6, 7, 8]
    all_rows, rows = (
        torch.cat([left.weights[t] * left.kept[i].rows[t] for i in places for t in ("energy", "forces")])
        for places in (every, chosen)
    )
    lengths = all_rows[:, :-1].square().sum(0).sqrt()
    dense = solve(rows[:, :-1], rows[:, -1], None, left.ridge**0.5 * lengths).mean
    whole = left.without(())
    moved = left.moved(LeftOut.without(left, ()), (), [0, 1, 2], torch.tensor([[2, 0, 1]]))
    torch.testing.assert_close((whole.mean + moved[0]) * lengths, dense * lengths, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("kind", "count"), [("bootstrap", 4), ("subsets", 3)])
def test_linear_members_share_features(kind, count):
    settings = {"name": "ensemble", "kind": kind, "members": 4, "folds": 3, "calibration": "none"}
    sure = infer(linear(), data(), settings)
    graph = data().train_set[[1, 2]].graph
    assert sure.potential.members(graph).shape[0] == count
    assert (sure.potential.uncertainty(graph).parameter > 0.0).all()
    assert np.isfinite(sure(graph).forces.numpy()).all()


def test_networks_see_their_own_blocks(tmp_path, monkeypatch):
    """Without one block each: what a member's fit is given; members differ, and the validation set calibrates."""
    from mdzoo.bayes import ensemble
    from mdzoo.potentials import ForceField, build
    from mdzoo.potentials.assemble import assemble

    descriptor = {"name": "SO3", "cutoff": CUTOFF, "K": 1, "L": 0, "body_order": 3, "radial": "chebyshev"}
    table = assemble(None, descriptor, {"name": "MLP", "hidden": [2]}, [14], [-3.0])
    field, module, seen = ForceField(build(table), [14]), data(frames(12, 1), val=frames(24, 2)), []
    vars(field)["table"] = table

    def fit(one, given, *rest, **options):
        seen.append([round(float(e), 6) for e in given.train_set.energies])
        return real(one, given, *rest, **options)

    real = ensemble.fit
    monkeypatch.setattr(ensemble, "fit", fit)
    settings = {"name": "ensemble", "kind": "subsets", "folds": 3}
    chosen = {"name": "sgd", "epochs": 1, "batch_size": 4}
    sure = infer(field, module, settings, run_dir=tmp_path, fit=chosen)
    folds, energies = module.folds(3), np.array([round(float(e), 6) for e in module.train_set.energies])
    assert [sorted(s) for s in seen] == [sorted(energies[folds != f].tolist()) for f in sorted(set(folds.tolist()))]
    spread = sure.potential.members(module.val_set[1].graph).std(0)
    assert float(spread.detach().min()) > 0.0
    assert "forces" in vars(sure)["extra"]["calibration"]


def test_a_network_on_another_scale_is_the_same():
    field, graph = network().eval(), data().train_set[[1, 2]].graph
    net = field.potential.terms[2].regressor
    net.linear.weights.data.normal_(std=0.01)
    before = field(graph)
    net.rescale(net.scale.mean + torch.rand(net.n_features).double(), net.scale.std * 1.7)
    torch.testing.assert_close(field(graph).forces, before.forces)
    torch.testing.assert_close(field(graph).energies, before.energies)
    one = network(seed=1)
    on_scale_of(field, one)
    torch.testing.assert_close(one.potential.terms[2].regressor.scale.std, net.scale.std)
    one.potential.terms[2].descriptor.register_buffer("extra", torch.ones(1))
    field.potential.terms[2].descriptor.register_buffer("extra", torch.zeros(1))
    with pytest.raises(ValueError, match=r"`kind` must be seeds for a model whose .*extra.* follow from the data, got"):
        on_scale_of(field, one)


def test_a_bootstrap_counts_blocks_with_replacement():
    counts = counts_of("bootstrap", 500, 6, 0)
    assert counts.shape == (500, 6)
    assert set(counts.sum(1).tolist()) == {6}
    assert float(counts.double().var(0).mean()) == pytest.approx(5.0 / 6.0, rel=0.1)  # multinomial


def test_bad_input():
    with pytest.raises(ValueError, match=r"`kind` must be one of \['seeds', 'bootstrap', 'subsets'\], got 'both'"):
        infer(linear(), data(), {"name": "ensemble", "kind": "both"})
    with pytest.raises(ValueError, match=r"`kind` must be bootstrap or subsets for what is linear .*, got seeds; set"):
        infer(linear(), data(), {"name": "ensemble"})
    with pytest.raises(
        ValueError, match=r"`fit` must be given for an ensemble of networks, .* got none; say mdzoo train"
    ):
        infer(network(), data(), {"name": "ensemble"})
    with pytest.raises(ValueError, match=r"`members` must be 2 or more, got 1; 8 give a spread to go by"):
        infer(linear(), data(), {"name": "ensemble", "members": 1})
