"""SparseGP against the exact Gaussian process written densely, scikit-learn's, and the subset of regressors."""

import numpy as np
import pytest
import torch

from mdzoo.fit.design import design
from mdzoo.fit.inducing import select_inducing
from mdzoo.fit.least_squares import LeastSquares
from mdzoo.fit.solve import solve
from mdzoo.graph import Graph, within
from mdzoo.potentials import DescriptorPotential, ForceField, Potential
from mdzoo.regressors import DotProduct, Matern, Product, SparseGP, SquaredExponential, Sum
from tests.fit.cases import CUTOFF, data, frames, small

NOISE = 0.02


def model(kernel, n_inducing, numbers=(14,), **options) -> ForceField:
    descriptor = small(len(numbers))
    regressor = SparseGP(descriptor.n_features, len(numbers), n_inducing, kernel, bias=False, **options)
    return ForceField(DescriptorPotential(descriptor, regressor), numbers)


def fitted(found: ForceField, module, weights) -> LeastSquares:
    select_inducing(found, module.train_set)
    least = LeastSquares(found, weights, NOISE**2)
    for i in range(len(module.train_set)):
        least.training_step(module.train_set[i], i)
    least.solve()
    return least


def atoms_of(found: ForceField, graph: Graph) -> tuple[torch.Tensor, torch.Tensor]:
    """Scaled features of all atoms, and which structure each is in as a matrix (S, N) of 1 / n."""
    part = found.potential
    features = part.descriptor(within(graph, CUTOFF)) / part.regressor.deviation
    share = torch.nn.functional.one_hot(graph.batch).double()
    return features, (share / share.sum(0)).T


def kernels(n: int) -> dict:
    return {
        "dot": DotProduct(n, zeta=2, sigma0=0.3, variance=2.0),
        "squared exponential": SquaredExponential(n, lengths=[3.0 + i for i in range(n)], ard=True),
        "matern": Matern(n, nu=1.5, lengths=4.0),
        "sum of products": Sum([Product([DotProduct(n), Matern(n, lengths=5.0)]), SquaredExponential(n, lengths=2.0)]),
    }


@pytest.mark.parametrize("name", ["dot", "squared exponential", "matern", "sum of products"])
def test_with_all_atoms_inducing_it_is_the_exact_gaussian_process(name):
    """Energies as data: mean energies and forces to 1e-8 of the dense formula `k_* (K + s^2)^-1 y`."""
    train, test = data(frames(6)), data(frames(4, seed=1))
    n_atoms = sum(len(a) for a in train.train_set.frames)
    found = model(kernels(small().n_features)[name], 1, scaled=True, jitter=1e-15)
    everything = train.train_set[list(range(6))]
    features = small()(within(everything.graph, CUTOFF))
    regressor = model(kernels(small().n_features)[name], n_atoms, jitter=1e-15).potential.regressor
    regressor.set_deviation(features)
    regressor.set_points(features)
    found.potential.regressor = regressor
    fitted(found, train, {"energy": 1.0})
    kernel, graph = regressor.kernels[0], test.train_set[list(range(4))].graph
    x, share = atoms_of(found, everything.graph)
    y = everything.labels.energy / share.ne(0).sum(1)
    dual = torch.linalg.solve(share @ kernel(x, x) @ share.T + NOISE**2 * torch.eye(6).double(), y)

    class Dense(Potential):
        def forward(self, graph):
            features = found.potential.descriptor(within(graph, CUTOFF)) / regressor.deviation
            return kernel(features, x) @ share.T @ dual

    expected, out = ForceField(Dense(CUTOFF, 1, 2), [14]).eval()(graph), found.eval()(graph)
    for one, other in ((out.energy, expected.energy), (out.forces, expected.forces), (out.virial, expected.virial)):
        assert float((one - other).abs().max()) < 1e-8 * max(1.0, float(other.abs().max()))


@pytest.mark.parametrize("name", ["squared exponential", "matern", "dot"])
def test_energies_and_evidence_are_those_of_scikit_learn(name):
    """Cells of one atom, so that a label is a value of the process itself."""
    reason = "scikit-learn is not installed (extra `oracles`)"
    gaussian = pytest.importorskip("sklearn.gaussian_process", reason=reason)
    theirs = gaussian.kernels
    n = small().n_features
    own, other = {
        "squared exponential": (SquaredExponential(n, 2.0, 1.5), 2.0 * theirs.RBF(1.5)),
        "matern": (Matern(n, 2.5, 0.5, 2.0), 0.5 * theirs.Matern(2.0, nu=2.5)),
        "dot": (DotProduct(n, 3, 0.7, False), theirs.DotProduct(0.7) ** 3),
    }[name]
    ones = [a for a in frames(30) if len(a) == 1]
    train, test = data(ones[:7]), data(ones[7:])
    found = model(own, 7, jitter=1e-15)
    least = fitted(found, train, {"energy": 1.0})
    features = [atoms_of(found, part.train_set[list(range(k))].graph)[0] for part, k in ((train, 7), (test, 3))]
    y = train.train_set[list(range(7))].labels.energy
    process = gaussian.GaussianProcessRegressor(other, alpha=NOISE**2, optimizer=None).fit(features[0], y)
    energy = found.eval()(test.train_set[[0, 1, 2]].graph).energy
    np.testing.assert_allclose(energy, process.predict(features[1]), rtol=1e-8, atol=1e-8)
    found_noise, m = least.posterior.noise, 7  # the evidence profiles the noise: rescale to the given one
    residual = m * found_noise**2
    evidence = least.posterior.evidence + 0.5 * m * (1.0 + np.log(2.0 * np.pi * found_noise**2))
    evidence -= 0.5 * residual / NOISE**2 + 0.5 * m * np.log(2.0 * np.pi * NOISE**2)
    assert evidence == pytest.approx(process.log_marginal_likelihood_value_, rel=1e-7)


# scikit-learn 1.9.1: GaussianProcessRegressor(kernel, alpha=4e-4, optimizer=None).fit(X, Y), then .predict(T) and
# .log_marginal_likelihood_value_, with the kernels 2.0 * RBF(0.7), 0.5 * Matern(1.3, nu=2.5), 0.5 * Matern(1.3, nu=1.5)
# and DotProduct(0.7) ** 3
X = torch.linspace(-1, 1, 5).double().unsqueeze(1) ** torch.arange(1, 3)
Y = torch.tensor([0.1, -0.2, 0.3, 0.0, 0.5]).double()
T = torch.tensor([[0.3, -0.2], [1.5, 0.4]]).double()
SKLEARN = [
    (SquaredExponential(2, 2.0, 0.7), [0.38850955309, 0.115901089264], -5.63356695969),
    (Matern(2, 2.5, 0.5, 1.3), [0.377555899507, 0.207528311921], -5.0884921779),
    (Matern(2, 1.5, 0.5, 1.3), [0.28670548587, 0.24351582634], -3.40882278683),
    (DotProduct(2, 3, 0.7, normalise=False), [0.352369379633, -1.60263584087], -6.21494283676),
]


@pytest.mark.parametrize(("kernel", "mean", "evidence"), SKLEARN)
def test_the_regressor_gives_the_numbers_of_scikit_learn(kernel, mean, evidence):
    gp, one = SparseGP(2, 1, 5, kernel, bias=False, jitter=1e-15), torch.zeros(5, dtype=torch.int64)
    gp.set_points(X)
    found = solve(gp.phi(X, one), Y, NOISE, gp.prior_root())
    gp.set_theta(found.mean)
    np.testing.assert_allclose(gp(T, one[:2]).detach(), mean, rtol=1e-8)
    assert found.evidence == pytest.approx(evidence, rel=1e-8)


@pytest.mark.parametrize("selection", ["cur", "farthest", "kmeans", "leverage", "energy_uniform"])
def test_energies_forces_and_stresses_are_the_subset_of_regressors(selection):
    """Two species, fewer points than atoms: the normal equations of the rows serve where the problem is small."""
    module = data(frames(9, numbers=(14, 6)), atomic_numbers=[14, 6])
    found = model(
        [DotProduct(len(small(2).labels()), sigma0=1.0), SquaredExponential(len(small(2).labels()), lengths=6.0)],
        [3, 2],
        (14, 6),
        selection=selection,
        scaled=True,
    )
    weights = {"energy": 3.0, "forces": 0.7, "stress": 0.2}
    least = fitted(found, module, weights)
    batch = module.train_set[list(range(9))]
    rows, n = design(found, batch.graph), torch.bincount(batch.graph.batch).double().view(-1, 1)
    volume = torch.linalg.det(batch.graph.cell).abs().view(-1, 1)
    phi = [3.0 * rows.energy / n, 0.7 * rows.forces.flatten(0, 1), 0.2 * (rows.virial / n.unsqueeze(1)).flatten(0, 1)]
    y = [3.0 * batch.labels.energy / n.squeeze(1), 0.7 * batch.labels.forces.flatten()]
    y.append((-0.2 * volume * batch.labels.stress.flatten(1) / n).flatten())
    phi, y = torch.cat(phi), torch.cat(y)
    prior = found.potential.regressor.covariance().detach()
    expected = torch.linalg.solve(phi.T @ phi + NOISE**2 * prior, phi.T @ y)
    torch.testing.assert_close(phi @ least.posterior.mean, phi @ expected, rtol=0.0, atol=1e-8)


def test_the_points_are_atoms_of_the_training_set_and_all_different():
    module = data(frames(9))
    features = atoms_of(model(None, 1), module.train_set[list(range(9))].graph)[0]
    for selection in ("cur", "farthest", "kmeans", "leverage", "energy_uniform"):
        found = model(None, 8, selection=selection)
        select_inducing(found, module.train_set)
        points = found.potential.regressor.points
        assert torch.cdist(points, features).min(1).values.max() < 1e-12
        assert len(torch.unique(points, dim=0)) == 8
        before = points.clone()
        select_inducing(found, data(frames(9, seed=5)).train_set)
        assert torch.equal(found.potential.regressor.points, before), "a model that has points keeps them"


def test_farthest_points_are_those_of_a_plain_loop():
    from mdzoo.fit.inducing import METHODS

    x = torch.randn(40, 3, dtype=torch.float64)
    chosen = METHODS["farthest"](x, x[:, 0], 12, torch.Generator()).tolist()
    for k in range(1, 12):
        nearest = torch.cdist(x, x[chosen[:k]]).min(1).values
        assert chosen[k] == int(nearest.argmax())


def test_energy_uniform_takes_an_atom_of_every_bin():
    from mdzoo.fit.inducing import METHODS

    energies = torch.cat([torch.zeros(90), torch.linspace(0.01, 1.0, 10)]).double()
    chosen = METHODS["energy_uniform"](energies.unsqueeze(1), energies, 10, torch.Generator().manual_seed(0))
    assert int((energies[chosen] > 0.0).sum()) == 10 - int((energies[chosen] == 0.0).sum())
    assert int((energies[chosen] == 0.0).sum()) <= 2


def test_hard_cases_get_a_sound_answer():
    """One structure, points that are almost the same, features that say nothing: finite weights, small residuals."""
    one = data([frames(3)[2]])
    for kernel in (SquaredExponential(small().n_features, lengths=1e3), DotProduct(small().n_features, zeta=1)):
        found = model(kernel, 4)
        least = fitted(found, one, {"energy": 1.0, "forces": 1.0})
        assert torch.isfinite(least.posterior.mean).all()
        assert torch.isfinite(found.eval()(one.train_set[0].graph).forces).all()


def test_what_it_cannot_do_is_refused():
    n = small().n_features
    huge = model(None, 2).potential.regressor
    huge.set_points(torch.full((2, n), 1e308, dtype=torch.float64))
    with pytest.raises(
        ValueError, match=r"`n_inducing` must be at most the number of different neighbourhoods of species"
    ):
        select_inducing(model(None, 100), data(frames(3)).train_set)
    with pytest.raises(
        ValueError, match=r"`force_field` must have inducing points before its fit, got a SparseGP with"
    ):
        LeastSquares(model(None, 3), {"energy": 1.0})
    with pytest.raises(ValueError, match=r"`kernel` must be positive definite on the inducing points, got one that is"):
        huge.covariance()
    with pytest.raises(ValueError, match=r"`points` must have the shape \[3, .*\], got \[2, "):
        model(None, 3).potential.regressor.set_points(torch.zeros(2, n))
    with pytest.raises(ValueError, match=r"`points` must be finite, got NaN or infinity; run mdzoo doctor"):
        model(None, 3).potential.regressor.set_points(torch.full((3, n), float("nan")))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_inducing": [2]}, r"`n_inducing` must be one number from 1 up, or 2 \(one for each species\), got \[2\]"),
        ({"n_inducing": 0}, r"`n_inducing` must be one number from 1 up"),
        ({"selection": "random"}, r"`selection` must be one of \['cur', .*, got 'random'; GAP takes cur for SOAP"),
        ({"jitter": 0.0}, r"`jitter` must be above 0 and below 1, got 0.0; 1e-10 keeps most digits"),
        ({"kernel": [DotProduct(3)]}, r"`kernel` must be one, or 2 \(one for each species\), got 1; give as many"),
    ],
)
def test_bad_arguments_get_a_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        SparseGP(3, 2, **arguments)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DotProduct(3, zeta=0.5), r"`zeta` must be an integer from 1 up, got 0.5; GAP takes 4, FLARE 2"),
        (lambda: DotProduct(3, sigma0=-1.0), r"`sigma0` must not be negative, got -1.0; 0 for a descriptor that never"),
        (lambda: Matern(3, nu=0.5), r"`nu` must be one of \(1.5, 2.5\), got 0.5; forces need slopes of the kernel"),
        (lambda: SquaredExponential(3, lengths=[1.0, 2.0, 3.0]), r"`lengths` must be one number, or 3 with ard=true"),
        (lambda: SquaredExponential(3, variance=0.0), r"`variance` must be positive and finite, got \[0.0\]; 1.0 is a"),
        (lambda: SquaredExponential(3, lengths=-1.0), r"`lengths` must be positive and finite, got \[-1.0\]"),
        (lambda: Sum([]), r"`kernels` must hold at least one kernel, got none; name DotProduct or another"),
    ],
)
def test_bad_kernels_get_a_clear_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()
