"""The density of parameters and noise, against one that is written by hand."""

import math

import pytest
import torch

pytest.importorskip("pyro", reason="the extra `bayes`")

from scipy import stats

from mdzoo.bayes.lift import Density, GraphTerm, Lifted, Predictor
from mdzoo.bayes.likelihood import Likelihood, powers_of
from mdzoo.bayes.prior import sites_of
from mdzoo.fit.cached import KeptForceField
from tests.fit import cases

TARGETS = ["energy", "forces", "stress"]
EPSILON = "potential.terms.1.epsilon.raw"
WEIGHTS = "potential.terms.2.regressor.weights"


def lifted(force_field, likelihood, table=None):
    return Lifted(sites_of(force_field, table or {"*": {"name": "normal", "scale": 2.0}}, {}), likelihood)


def batch_of(count=6):
    data = cases.data()
    return data.train_set[list(range(count))]


def by_hand(force_field, batch, scales, student=None, powers=None):
    """Log density of the labels with numpy and scipy, structure by structure."""
    said = type(force_field(batch.graph))(*[x.detach() for x in force_field(batch.graph)])
    total = 0.0
    for s in range(batch.graph.cell.shape[0]):
        mine = (batch.graph.batch == s).nonzero().flatten()
        n, volume = len(mine), float(torch.linalg.det(batch.graph.cell[s]).abs())
        errors = {
            "energy": ((said.energy[s] - batch.labels.energy[s]) / n).detach().numpy().reshape(-1),
            "forces": (said.forces[mine] - batch.labels.forces[mine]).detach().numpy().reshape(-1),
            "stress": ((said.virial[s] + volume * batch.labels.stress[s]) / n).detach().numpy().reshape(-1),
        }
        group = int(batch.labels.group[s])
        for target, error in errors.items():
            scale = float(scales[target][group if len(scales[target]) > 1 else 0])
            law = stats.norm(scale=scale) if student is None else stats.t(student, scale=scale)
            total += (powers or {}).get(target, 1.0) * law.logpdf(error).sum()
    return float(total)


@pytest.mark.parametrize("make", [cases.linear, cases.network])
@pytest.mark.parametrize("groups", [[], ["four", "one", "two"]])
@pytest.mark.parametrize(("name", "freedom"), [("gaussian", 4.0), ("student_t", 4.0), ("student_t", None)])
def test_the_density_is_that_of_a_hand(make, groups, name, freedom):
    torch.manual_seed(1)
    field, batch = make(trainable=True).train(), batch_of()
    likelihood = Likelihood(TARGETS, groups, name, freedom, powers={"forces": 0.3})
    model = lifted(field, likelihood)
    density = Density(model, GraphTerm(Predictor(field), likelihood, [batch]))
    u = density.start() + 0.01 * torch.randn(density.dimension, dtype=torch.float64)
    values, noise = density.values(u)
    expected = sum(stats.norm(scale=2.0).logpdf(v.numpy()).sum() for v in values.values())
    for target in TARGETS:  # log s is normal, and u is log s
        centre = math.log(likelihood.scales[target])
        expected += stats.norm(centre, 2.0).logpdf(noise[target].log().numpy()).sum()
    student = None if name == "gaussian" else 4.0
    if freedom is None:
        student = float(noise["freedom"])
        expected += stats.gamma(2.0, scale=10.0).logpdf(student) + math.log(student)
    before = {n: p.detach().clone() for n, p in field.named_parameters()}
    found = float(density(u).detach())
    with torch.no_grad():
        for n, value in values.items():
            field.get_parameter(n).copy_(value)
    expected += by_hand(field, batch, noise, student, {"forces": 0.3})
    assert found == pytest.approx(expected, rel=1e-10)
    assert all(not torch.equal(before[n], field.get_parameter(n)) for n in values)  # the density had left them alone


def test_the_gradient_is_that_of_finite_differences():
    field, batch = cases.network(trainable=True).train(), batch_of()
    likelihood = Likelihood(TARGETS)
    density = Density(lifted(field, likelihood), GraphTerm(Predictor(field), likelihood, [batch]))
    u = density.start().requires_grad_()
    slope = torch.autograd.grad(density(u), u)[0]
    direction = torch.randn(density.dimension, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    h = 1e-5
    with torch.no_grad():
        numeric = (density(u + h * direction) - density(u - h * direction)) / (2 * h)
    assert float(slope @ direction) == pytest.approx(float(numeric.detach()), rel=1e-6)


def test_one_draw_serves_all_atoms_and_forces():
    """The forces of a draw are the slopes of its energies."""
    field, batch = cases.network().train(), batch_of(3)
    likelihood = Likelihood(["energy"])
    density = Density(lifted(field, likelihood, {"*.networks.*": {"name": "normal"}}))
    torch.manual_seed(0)
    values, _ = density.lifted.draw()
    said = Predictor(field).at(values, batch)
    g, step = batch.graph, 1e-5
    offsets = g.vectors - (g.positions[g.neighbors] - g.positions[g.centers])

    def energy(shift):
        moved = g.positions.clone()
        moved[2, 1] += shift
        graph = g._replace(positions=moved, vectors=moved[g.neighbors] - moved[g.centers] + offsets)
        return float(Predictor(field).at(values, batch._replace(graph=graph)).energy.sum().detach())

    numeric = -(energy(step) - energy(-step)) / (2 * step)
    assert float(said.forces[2, 1].detach()) == pytest.approx(numeric, rel=1e-6)


def test_what_is_kept_of_a_descriptor_gives_the_same_density():
    field, data = cases.network(trainable=True).train(), cases.data()
    likelihood = Likelihood(TARGETS)
    model, kept = lifted(field, likelihood), KeptForceField(field)
    kept_batch = kept.keep(data.train_set)[list(range(9))]
    slow = Density(model, GraphTerm(Predictor(field), likelihood, [data.train_set[list(range(9))]]))
    fast = Density(model, GraphTerm(Predictor(field, kept), likelihood, [kept_batch]))
    u = slow.start() + 0.01
    assert float(fast(u).detach()) == pytest.approx(float(slow(u).detach()), rel=1e-12)


def test_a_fraction_stands_for_the_whole():
    field, batch = cases.network().train(), batch_of()
    likelihood = Likelihood(["energy"])
    model, predictor = lifted(field, likelihood), Predictor(field)
    prior, u = Density(model), Density(model).start()
    whole, part = (GraphTerm(predictor, likelihood, [batch], f) for f in (1.0, 0.25))
    gain = [float((prior(u, term) - prior(u)).detach()) for term in (whole, part)]
    assert gain[1] == pytest.approx(4.0 * gain[0])


def test_likelihoods_that_are_refused():
    with pytest.raises(ValueError, match="did you mean .'forces'"):
        Likelihood(["force"])
    with pytest.raises(ValueError, match="did you mean .'student_t'"):
        Likelihood(["energy"], name="student")
    with pytest.raises(ValueError, match="`temperature` must be 1 for gaussian"):
        Likelihood(["energy"], temperature=2.0)
    with pytest.raises(ValueError, match="`freedom` must be positive"):
        Likelihood(["energy"], name="student_t", freedom=0.0)


def test_tempered_divides_the_log_likelihood():
    field, batch = cases.network().train(), batch_of()
    plain, warm = Likelihood(TARGETS), Likelihood(TARGETS, name="tempered", temperature=3.0)
    noise = plain.initial(torch.zeros((), dtype=torch.float64))
    scales = {name.removeprefix("noise."): value for name, value in noise.items()}
    said = field(batch.graph)
    found = [float(one.of_prediction(said, batch, scales).detach()) for one in (plain, warm)]
    assert found[1] == pytest.approx(found[0] / 3.0)


def test_powers_lie_between_one_for_each_structure_and_all():
    assert powers_of({"energy": 9, "forces": 900}, {"energy": 9, "forces": 9}) == {"energy": 1.0, "forces": 0.1}
