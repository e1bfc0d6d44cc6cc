"""Descriptors made of descriptors: against their members, member by member."""

import numpy as np
import pytest
import torch

from mdzoo.descriptors import ACE, ACSF, MTP, SO3, SO4, Concatenate, Projection, Select
from mdzoo.fit.design import design
from mdzoo.fit.principal import covariance
from mdzoo.graph import within
from mdzoo.potentials import DescriptorPotential
from mdzoo.regressors import Linear
from mdzoo.testing.compare import cluster, compare
from tests.structures import brute_force_graph, crystal, molecule

CUTOFF = 4.0


def power(n_species=1, cutoff=CUTOFF):
    return SO3(cutoff, n_species, 2, 1, 3, "chebyshev")


def expansion(n_species=1, cutoff=3.0):
    return ACE(cutoff, n_species, 2, 1, 4)


def chemical(cutoff=3.5):
    """A descriptor whose density is not zero where there is no neighbour."""
    return SO4(cutoff, 2, twojmax=2, chem=True, wselfall=False)


def members(kind):
    return {
        "densities": [power(2), expansion(2), chemical()],
        "features": [power(2), ACSF(3.0, 2, g2=[[1.0, 0.0]], g3=[1.0])],
    }[kind]


@pytest.mark.parametrize("kind", ["densities", "features"])
def test_concatenate_is_its_members_within_their_cutoffs(kind):
    graph = brute_force_graph(molecule(2), CUTOFF)
    whole = Concatenate(members(kind))
    expected = torch.cat([every_atom(d, graph) for d in members(kind)], 1)
    torch.testing.assert_close(every_atom(whole, graph), expected, rtol=0.0, atol=1e-14)
    assert len(whole.labels()) == len(set(whole.labels())) == whole.n_features
    assert whole.cutoff == CUTOFF
    assert whole.has_density == (kind == "densities")


def every_atom(descriptor, graph):
    """The features of all atoms, those without neighbours too."""
    near = within(graph, descriptor.cutoff)
    found = descriptor(near)
    return torch.cat([found, descriptor.isolated(found)[graph.species[found.shape[0] :]]])


def test_atoms_beyond_the_shorter_cutoff_are_empty_there():
    """Three atoms in a row: the last one has neighbours within the longer cutoff alone."""
    places = torch.tensor([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [5.6, 0.0, 0.0]], dtype=torch.float64)
    graph = cluster(torch.tensor([0, 1, 1]), places, CUTOFF)
    whole = Concatenate(members("densities"))
    second, third = (d.isolated(places)[1] for d in members("densities")[1:])
    torch.testing.assert_close(whole(graph)[2, power(2).n_features :], torch.cat([second, third]))
    far = cluster(torch.tensor([0, 1]), places[1:], CUTOFF)
    torch.testing.assert_close(whole(far)[:, power(2).n_features :][1], torch.cat([second, third]))


def combinations():
    return {
        "concatenate": Concatenate(members("densities")),
        "select": Select(expansion(2, CUTOFF), ["B2*", "B3[k1=0.1,*"], ["*k2=1.2*"]),
        "projection": Projection(expansion(2, CUTOFF), 7),
        "of each other": Projection(Concatenate([Select(power(2), ["*l=1]"]), expansion(2)]), 9, seed=3),
    }


@pytest.mark.parametrize("name", list(combinations()))
def test_folded_weights_give_the_features_times_the_weights(name):
    descriptor = combinations()[name]
    density = descriptor.density(brute_force_graph(crystal(2), CUTOFF))
    theta = torch.randn(descriptor.n_features, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = descriptor.contract(density) @ theta
    torch.testing.assert_close(descriptor.contract_with(density, theta), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", list(combinations()))
def test_rows_of_linear_fits_are_those_of_backward_passes(name):
    descriptor = combinations()[name]
    graph = brute_force_graph(molecule(2), CUTOFF)
    found = design(DescriptorPotential(descriptor, Linear(descriptor.n_features, 2, bias=False)), graph)
    descriptor.has_density = False
    expected = design(DescriptorPotential(descriptor, Linear(descriptor.n_features, 2, bias=False)), graph)
    for name, ours, theirs in zip(found._fields, found, expected, strict=True):
        compare(name, ours, theirs, 1e-11)


@pytest.mark.parametrize("kinds", [1, 4])
def test_folded_weights_and_slopes_of_descriptors_that_know_them(kinds):
    inner = Select(Concatenate([SO4(CUTOFF, 2, twojmax=2), MTP(CUTOFF, 2, level=6)]), exclude=["SO41.*2j=2]"])
    descriptor = Projection(inner, 5)
    density = descriptor.density(brute_force_graph(crystal(2), CUTOFF)).requires_grad_()
    theta = torch.randn(kinds, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    expected = (descriptor.contract(density) * theta).sum(1)
    energies, slopes = descriptor.fold(density.detach(), theta)
    torch.testing.assert_close(energies, expected.detach(), rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(slopes, torch.autograd.grad(expected.sum(), density)[0], rtol=1e-11, atol=1e-11)


def test_select_keeps_what_matches_and_drops_what_is_excluded():
    inner = expansion()
    names = inner.labels()
    kept = Select(inner, ["B2*", "B3[k1=1,*"], ["*l1=1*"])
    expected = [name for name in names if (name[:2] == "B2" or name[:8] == "B3[k1=1,") and "l1=1" not in name]
    assert kept.labels() == expected
    graph = brute_force_graph(molecule(), 3.0)
    columns = [names.index(name) for name in expected]
    torch.testing.assert_close(kept(graph), inner(graph)[:, columns], rtol=0.0, atol=0.0)


def test_random_projection_keeps_scalar_products_in_the_mean():
    w = Projection(SO3(K=6, L=4, body_order=4, radial="chebyshev"), 400).matrix
    overlap = (w @ w.T).numpy()
    np.testing.assert_allclose(np.diag(overlap), 1.0, atol=6.0 * (2 / 400) ** 0.5)
    assert abs(overlap[~np.eye(len(overlap), dtype=bool)]).mean() < 2.0 / 400**0.5


class Frame:
    def __init__(self, graph):
        self.graph = graph


def test_principal_components_are_those_of_numpy():
    graphs = [brute_force_graph(build(2), CUTOFF) for build in (crystal, molecule)]
    projection = Projection(power(2), 3, "principal")
    projection.set_principal(covariance(projection, [Frame(graph) for graph in graphs]))
    features = torch.cat([power(2)(graph) for graph in graphs]).numpy()
    scaled = (features - features.mean(0)) / features.std(0)
    _, singular, axes = np.linalg.svd(scaled, full_matrices=False)
    found = np.concatenate([projection(graph).numpy() for graph in graphs])
    np.testing.assert_allclose(found.std(0), singular[:3] / len(features) ** 0.5, rtol=1e-8)
    overlap = projection.matrix.numpy() * features.std(0)[:, None]
    np.testing.assert_allclose(np.abs(axes[:3] @ overlap), np.eye(3), atol=1e-7)


def test_shared_species_channels_lose_nothing_when_there_are_as_many():
    """Power spectra of mixed channels are a rotation of those of the species: the same span."""
    graph = brute_force_graph(crystal(2), CUTOFF)
    mixed, own = (ACE(CUTOFF, 2, 2, 1, 3, species_channels=c) for c in (2, None))
    density = torch.randn(300, own.n_channels, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    species = density.view(300, 2, -1)
    rotated = torch.einsum("cs,nsx->ncx", mixed.channels.weights.detach(), species).flatten(1)
    torch.testing.assert_close(
        torch.einsum("cs,nsx->ncx", mixed.channels.weights, own.density(graph).view(4, 2, -1)).flatten(1),
        mixed.density(graph),
    )
    first, second = own.contract(density), mixed.contract(rotated)
    assert first.shape == second.shape
    assert torch.linalg.matrix_rank(torch.cat([first, second], 1)) == first.shape[1]


def test_species_channels_make_four_species_as_cheap_as_one():
    assert ACE(CUTOFF, 4, 2, 2, 5, species_channels=1).n_features == ACE(CUTOFF, 1, 2, 2, 5).n_features
    assert SO3(CUTOFF, 4, 2, 2, species_channels=1).n_features == SO3(CUTOFF, 1, 2, 2).n_features
    ace = ACE(CUTOFF, 4, 2, 2, 3, species_channels=2)
    graph = brute_force_graph(molecule(4), CUTOFF)
    slope = torch.autograd.grad(ace(graph).square().sum(), ace.channels.weights)[0]
    assert (slope != 0.0).all()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Concatenate([power()]), r"`descriptors` must be two or more .*, got \['SO3\(n_species=1\)'\]; give"),
        (lambda: Concatenate([power(), power(2)]), r"`descriptors` must be two or more of the same number of species"),
        (lambda: Select(power(), ["q*"]), r"`include` must match a label, got 'q\*'; the nearest labels are \["),
        (lambda: Select(power(), exclude=["z"]), r"`exclude` must match a label, got 'z'"),
        (lambda: Select(power(), exclude=["*"]), r"`include` must leave at least one feature, got \['\*'\] without"),
        (lambda: Projection(power(), 7), r"`n_components` must be 1 to 6, the number of features, got 7; give fewer"),
        (lambda: Projection(power(), 2, "some"), r"`kind` must be one of \['random', 'principal'\], got 'some'"),
        (lambda: Projection(power(), 2).set_matrix(torch.zeros(2, 2)), r"`matrix` must have the shape \[6, 2\], got"),
        (lambda: ACE(CUTOFF, 2, species_channels=3), r"`species_channels` must be 1 to 2, .*, got 3; null gives each"),
    ],
)
def test_bad_arguments_get_a_clear_error(build, message):
    with pytest.raises(ValueError, match=message):
        build()
