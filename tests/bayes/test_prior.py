"""Priors by name: what is matched, how it is distributed, and what is refused."""

import math

import pytest
import torch

pytest.importorskip("pyro", reason="the extra `bayes`")

from mdzoo.bayes.lift import Density, Lifted
from mdzoo.bayes.likelihood import Likelihood
from mdzoo.bayes.prior import sites_of, units_of
from mdzoo.fit.prior import roughness
from mdzoo.potentials import AtomicEnergies, ForceField, LennardJones, SumPotential
from tests.fit import cases

WEIGHTS = "potential.terms.2.regressor.weights"
EPSILON, SIGMA = "potential.terms.1.epsilon.raw", "potential.terms.1.sigma.raw"


def sites(table, force_field=None, units=None):
    return sites_of(force_field or cases.linear(trainable=True), table, units or {})


def test_patterns_name_what_trains_and_the_last_one_decides():
    found = sites(
        {"*": {"name": "normal"}, "*.regressor.*": {"name": "normal", "scale": 3.0}, "*.sigma": {"name": "fixed"}}
    )
    assert set(found) == {EPSILON, WEIGHTS, "potential.terms.2.regressor.bias"}
    assert found[WEIGHTS].prior.scale == 3.0
    assert found[EPSILON].prior.scale == 1.0


def test_a_parameter_that_does_not_exist_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match=r"got '\*\.epsilom'; did you mean one of \[.*epsilon"):
        sites({"*.epsilom": {"name": "normal"}})
    with pytest.raises(ValueError, match="which do not; set `trainable`"):
        sites({"*.epsilon": {"name": "normal"}}, cases.linear())
    with pytest.raises(ValueError, match="must name a parameter that trains"):
        sites({"*": {"name": "fixed"}})


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"name": "horsehoe"}, "did you mean .'horseshoe'"),
        ({"name": "normal", "scal": 1.0}, "did you mean .'scale'"),
        ({"name": "normal", "scale": 0.0}, "must be positive and finite"),
        ({"name": "smoothness"}, "must not be smoothness for .*epsilon"),
        ({"name": "literature", "centre": -1.0}, "must lie between its bounds"),
    ],
)
def test_wrong_priors_are_refused(table, words):
    with pytest.raises(ValueError, match=words):
        sites({"*.epsilon": table})


def test_literature_is_for_empirical_parameters():
    with pytest.raises(ValueError, match="must not be literature for .*weights"):
        sites({"*.weights": {"name": "literature"}})


@pytest.mark.parametrize("bounds", [None, [0.02, 0.3], "real"])
def test_literature_has_the_stated_deviation_and_stays_within_bounds(bounds):
    """Against draws: mean and deviation of the value itself, to first order in `relative`."""
    lj = LennardJones(0.1, 2.3, 4.0, trainable=["epsilon"], bounds=None if bounds is None else {"epsilon": bounds})
    field = ForceField(SumPotential([AtomicEnergies([0.0]), lj]), [14])
    site = sites({"*.epsilon": {"name": "literature", "relative": 0.05}}, field)[EPSILON]
    mean, deviation = site.prior.moments(EPSILON, site.start)
    generator = torch.Generator().manual_seed(0)
    drawn = []
    for _ in range(4000):
        raw = mean + deviation * torch.randn(1, generator=generator, dtype=mean.dtype)
        drawn.append(torch.func.functional_call(lj.epsilon, {"raw": raw}, ()).flatten()[0])
    x = torch.stack(drawn)
    assert float(x.mean()) == pytest.approx(0.1, rel=0.01)
    assert float(x.std()) == pytest.approx(0.005, rel=0.05)
    if isinstance(bounds, list):
        assert bool(((x > bounds[0]) & (x < bounds[1])).all())


def test_a_literature_value_other_than_that_of_the_potential():
    site = sites({"*.epsilon": {"name": "literature", "centre": 0.2, "relative": 0.1}})[EPSILON]
    mean, deviation = site.prior.moments(EPSILON, site.start)
    assert mean.exp().tolist() == pytest.approx([0.2])
    assert deviation.tolist() == [0.1]


def test_smoothness_narrows_with_the_label():
    field = cases.linear()
    found = sites({"*.weights": {"name": "smoothness", "power": 3.0}}, field)[WEIGHTS]
    labels = field.potential.terms[2].descriptor.labels()
    assert found.unit[0].tolist() == pytest.approx([(1.0 + roughness(label)) ** -3.0 for label in labels])


def test_units_are_those_of_features_and_inputs():
    field, data = cases.linear(), cases.data()
    units = units_of(field, data.train_set)[WEIGHTS]
    features = [field.potential.terms[2].descriptor_features(b.graph) for b in data.train_set]
    assert units[0].tolist() == pytest.approx((1.0 / torch.cat(features).std(0, unbiased=False)).tolist())
    network = units_of(cases.network())
    assert network["potential.terms.2.regressor.networks.0.last.weight"].unique().tolist() == pytest.approx([6**-0.5])


@pytest.mark.parametrize("kind", ["hierarchical", "horseshoe", "ard", "normal"])
def test_a_prior_draws_and_starts_where_the_model_is(kind):
    field = cases.network()
    density = Density(Lifted(sites({"*.networks.*": {"name": kind}}, field), Likelihood(["energy"])))
    values, _ = density.values(density.start())
    for name, value in values.items():
        torch.testing.assert_close(value, dict(field.named_parameters())[name].detach())
    assert bool(torch.isfinite(density(density.start())))


def test_ard_is_a_student_t():
    """`a ~ Gamma(nu/2, nu/2)`, `theta ~ N(0, 1/a)`: the quartiles of Student's t of 2 degrees of freedom, 0.8165."""
    torch.manual_seed(0)
    field = torch.nn.Linear(20000, 1)
    lifted = Lifted(sites({"weight": {"name": "ard"}}, field), Likelihood(["energy"]))
    theta = lifted.draw()[0]["weight"].flatten()
    assert float(theta.abs().median()) == pytest.approx(0.8165, rel=0.03)


def test_horseshoe_is_peaked_and_bounded_by_its_slab():
    torch.manual_seed(0)
    field = torch.nn.Linear(20000, 1).double()
    lifted = Lifted(sites({"weight": {"name": "horseshoe", "slab": 2.0}}, field), Likelihood(["energy"]))
    theta = torch.stack([lifted.draw()[0]["weight"].flatten() for _ in range(20)])
    assert float(theta.abs().median()) < 0.3
    assert float(theta.abs().max()) < 2.0 * 7.0  # seven deviations of the slab


def test_hierarchical_learns_its_scale():
    table = {"weight": {"name": "hierarchical", "scale": 0.5, "width": 1e-3}}
    torch.manual_seed(0)
    lifted = Lifted(sites(table, torch.nn.Linear(20000, 1)), Likelihood(["energy"]))
    assert float(lifted.draw()[0]["weight"].std()) == pytest.approx(0.5, rel=0.02)
    assert math.isfinite(float(Density(lifted)(Density(lifted).start()).detach()))
