"""Variational inference against closed forms; the one Lightning module; guides that collapse."""

import pytest
import torch

pytest.importorskip("pyro", reason="the extra `bayes`")

from mdzoo.bayes.coordinates import Coordinates
from mdzoo.bayes.elbo import Variational, judge, maximise
from mdzoo.bayes.guides import GUIDES, guide_of
from mdzoo.bayes.infer import Problem
from mdzoo.bayes.lift import Density, Lifted, Predictor
from mdzoo.bayes.likelihood import Likelihood
from mdzoo.bayes.prior import sites_of
from mdzoo.bayes.svi import Svi
from mdzoo.fit.callbacks import read_checkpoint
from mdzoo.fit.loss import RESIDUALS
from tests.bayes.linear_cell import Cell
from tests.fit import cases
from tests.fit.test_resume import Killed, killed_at

LAST = "svi/checkpoints/last.ckpt"


class Normal:
    """A density that is a normal of known precision, in place of a model."""

    def __init__(self, precision):
        self.precision = precision
        self.dimension = len(precision)
        self.lifted = None

    def __call__(self, u):
        return -0.5 * u @ self.precision @ u


def plain(dimension):
    return Coordinates(torch.zeros(dimension).double(), torch.ones(dimension).double())


@pytest.mark.parametrize("name", sorted(GUIDES))
def test_a_guide_knows_its_density(name):
    """`E_q[p / q]` over a region of q's draws is the integral of p: a wide normal p gives one."""
    torch.manual_seed(0)
    guide = guide_of(name, 2, 1.3, 2)
    for parameter in guide.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    with torch.no_grad():
        z, log_q = guide(20000)
    p = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
    assert float((p - log_q).exp().mean()) == pytest.approx(1.0, abs=0.04)


PRECISION = torch.tensor([[2.0, 0.9, 0.0], [0.9, 1.0, 0.3], [0.0, 0.3, 0.5]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "steps", "lr", "draws", "tolerance"), [("full", 200, 0.05, 4, 0.03), ("flow", 300, 0.01, 8, 0.15)]
)
def test_guides_find_a_correlated_normal(name, steps, lr, draws, tolerance):
    """The flow's gradient keeps its noise."""
    torch.manual_seed(0)
    guide = guide_of(name, 3, 0.5, 3)
    maximise(Normal(PRECISION), plain(3), guide, steps, lr, draws)
    with torch.no_grad():
        z = guide(20000)[0]
    covariance = torch.linalg.inv(PRECISION)
    assert float((z.std(0) / covariance.diagonal().sqrt() - 1.0).abs().max()) < tolerance
    assert float(z.mean(0).abs().max()) < 0.2


def test_mean_field_is_too_narrow_as_it_must_be():
    """Its variance of an entry is one over the precision's diagonal, here 0.5 where the truth is 0.99."""
    guide = guide_of("mean_field", 3, 0.5)
    maximise(Normal(PRECISION), plain(3), guide, 200, 0.05, 4)
    found = guide.log_scale.detach().exp()
    torch.testing.assert_close(found, PRECISION.diagonal().rsqrt(), rtol=0.03, atol=0.0)
    true = torch.linalg.inv(PRECISION).diagonal().sqrt()
    assert float((found / true)[0]) < 0.75


def test_the_full_guide_is_the_closed_form_of_the_linear_cell():
    cell = Cell()
    where = cell.coordinates()
    off = where._replace(mean=where.mean + 0.5 * where.root.sum(1))  # so that there is something to find
    guide = guide_of("full", cell.density.dimension, 0.5)
    maximise(cell.density, off, guide, 200, 0.05, 4)
    mean, covariance = cell.exact()
    with torch.no_grad():
        u = off.many(guide(4000)[0])
    theta = torch.stack([cell.columns.theta(cell.density.values(row)[0]) for row in u[:300]])
    deviation = covariance.diagonal().sqrt()
    assert float(((theta.mean(0) - mean) / deviation).abs().max()) < 4.0 / 300**0.5
    root = off.root @ guide.root().detach()
    order = torch.cat([cell.columns.of(n) for n in cell.lifted.sites])
    ratio = (root @ root.T).diagonal().sqrt() / deviation[order]
    assert float((ratio - 1.0).abs().max()) < 0.03
    report = judge(cell.density, off, guide)
    assert report.failures == []
    assert report.width == pytest.approx(1.0, abs=0.3)


def test_a_collapsed_guide_is_reported():
    cell = Cell()
    where = cell.coordinates()
    narrow = guide_of("full", cell.density.dimension, 1e-3)
    assert "far below what the labels allow" in judge(cell.density, where, narrow).failures[0]
    wide = guide_of("full", cell.density.dimension, 10.0)
    assert "far wider" in judge(cell.density, where, wide).failures[0]
    nothing = Density(cell.lifted)
    deviation = torch.cat([(s.prior.scale * s.unit).flatten() for s in cell.lifted.sites.values()])
    prior = Coordinates(torch.zeros_like(deviation), deviation)
    assert "onto the prior" in judge(nothing, prior, guide_of("full", len(deviation), 1.0)).failures[0]


def variational(field, data, scale=1e-9):
    likelihood = Likelihood(["energy", "forces"])
    density = Density(Lifted(sites_of(field, {"*.networks.*": {"name": "normal"}}, {}), likelihood))
    where = Coordinates(density.start(), torch.ones(density.dimension).double())
    guide = guide_of("mean_field", density.dimension, scale)
    return density, likelihood, Variational(density, where, guide, Predictor(field), len(data.train_set))


def test_the_objective_is_the_bound():
    """At a guide that is a point, labels count as the likelihood says, structure by structure, and the prior once."""
    data, field = cases.data(), cases.network().train()
    density, likelihood, module = variational(field, data)
    batch = data.train_set[list(range(9))]
    said = module.predict(batch)[0]
    parts = module.objective({t: RESIDUALS[t](said, batch.graph, batch.labels) for t in likelihood.targets}, batch)
    values, noise = density.values(density.start())
    expected = likelihood.of_prediction(field(batch.graph), batch, noise)
    assert float(-parts["energy"].detach() - parts["forces"].detach()) == pytest.approx(
        float(expected.detach()), rel=1e-5
    )
    with torch.no_grad():
        divergence = module.guide(1)[1].mean() - density(density.start())
    assert float(parts["prior"].detach()) == pytest.approx(float(divergence), rel=0.2)


def test_one_draw_for_each_structure():
    data, field = cases.data(), cases.network().train()
    _, _, module = variational(field, data, 0.5)
    one = data.train_set[[2, 2, 2]]
    torch.manual_seed(0)
    said = module.predict(one)[0]
    assert said.energy.unique().numel() == 3
    n = len(data.train_set[[2]].graph.species)
    total = said.forces.view(3, n, 3).sum(1)  # of one draw each: no net force
    torch.testing.assert_close(total, torch.zeros_like(total), atol=1e-10, rtol=0.0)


def problem(run_dir, count=9):
    table = {"*.last.*": {"name": "normal", "scale": 0.1}}
    return Problem(cases.network(), cases.data(cases.frames(count)), table, None, run_dir, None, 0)


def test_minibatches_go_through_the_one_module_and_are_resumed(tmp_path, monkeypatch):
    """A run that is killed in its second epoch ends, once it is started again, in the bits of one that was not."""
    options = {"members": 4, "guide": "mean_field", "batch_size": 4, "epochs": 3}
    whole = Svi(**options)(problem(tmp_path / "whole"))
    log = (tmp_path / "whole" / "svi" / "log" / "metrics.csv").read_text()
    assert "train/loss" in log
    assert "train/force_mae" in log
    assert vars(whole)["extra"]["inference"]["method"] == "svi"
    graph = cases.data().train_set[2].graph
    assert whole.potential.members(graph).shape[0] == 4
    with monkeypatch.context() as patch:
        killed_at(4, patch)
        with pytest.raises(Killed):
            Svi(**options)(problem(tmp_path / "broken"))
    again = Svi(**options)(problem(tmp_path / "broken"))
    assert torch.equal(again.potential.members(graph), whole.potential.members(graph))
    one, other = (read_checkpoint(tmp_path / run / LAST) for run in ("whole", "broken"))
    assert one["global_step"] == other["global_step"] == 9
    for name, value in one["state_dict"].items():
        assert torch.equal(other["state_dict"][name], value), name


def test_what_svi_refuses(tmp_path):
    with pytest.raises(ValueError, match="did you mean .'mean_field'"):
        Svi(guide="mean_feild")
    with pytest.raises(ValueError, match="`lr` must be positive"):
        Svi(lr=0.0)
    with pytest.raises(ValueError, match="`freedom` must be given for svi"):
        Svi()(problem(None)._replace(likelihood={"name": "student_t", "freedom": None}))
    with pytest.raises(ValueError, match="`guide` must be low_rank or mean_field above 3000"):
        guide_of("full", 4000, 1.0)
    with pytest.raises(ValueError, match="`rank` must be from 1 to 2"):
        guide_of("low_rank", 2, 1.0, 3)
