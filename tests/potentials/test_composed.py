"""Sums, descriptor potentials, ensembles, reference energies: what they add up to, and what they refuse."""

import pytest
import torch

from mdzoo.descriptors import SO3
from mdzoo.graph import within
from mdzoo.potentials import (
    ZBL,
    AtomicEnergies,
    DescriptorPotential,
    Ensemble,
    LennardJones,
    PairPotential,
    Potential,
    SumPotential,
)
from mdzoo.regressors import MLP, Linear, Regressor
from tests.structures import brute_force_graph, crystal, molecule
from tests.zoo import case

GRAPH = brute_force_graph(crystal(2), 4.3)


def linear(n_species: int = 2) -> DescriptorPotential:
    so3 = SO3(4, n_species, 2, 2)
    regressor = Linear(so3.n_features, n_species)
    with torch.no_grad():
        regressor.weights.normal_()
        regressor.bias.normal_()
    return DescriptorPotential(so3, regressor)


def test_terms_of_a_sum_add_each_within_its_own_cutoff():
    terms = [AtomicEnergies([1, 2]), ZBL([14, 42], 1, 2), LennardJones(1, 2, 3, n_species=2), linear()]
    expected = sum(term(within(GRAPH, term.cutoff)) for term in terms)
    total = SumPotential(terms)
    torch.testing.assert_close(total(GRAPH), expected)
    assert (total.cutoff, total.reach, total.smoothness) == (4.0, 1, 2)


@pytest.mark.parametrize(("reaches", "expected"), [([0, 1], 1), ([1, 2], 2), ([1, -1, 2], -1), ([0], 0)])
def test_reach_of_a_sum_is_the_largest_global_above_all(reaches, expected):
    assert SumPotential([Potential(1, reach, 3) for reach in reaches]).reach == expected


def test_a_sum_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"`terms` must hold at least one potential, got none; name an empirical"):
        SumPotential([])


@pytest.mark.parametrize("n_species", [1, 2])
def test_folded_weights_give_what_the_features_give(n_species):
    potential = linear(n_species)
    assert potential.folds
    graph = brute_force_graph(molecule(n_species), 4.3)
    features = potential.descriptor(graph)
    expected = potential.regressor(features, graph.species)
    torch.testing.assert_close(potential(graph), expected, rtol=1e-11, atol=1e-11)
    potential.folds = False
    torch.testing.assert_close(potential(graph), expected, rtol=1e-11, atol=1e-11)


def test_a_species_that_is_absent_does_not_matter():
    """Blocks of a large structure may hold no atom of a species."""
    graph = brute_force_graph(molecule(1), 4.3)
    for name in ("SumPotential", "SO3 bessel full 4, two species", "MLP, two species", "Ensemble"):
        energies = case(name).potential(within(graph, 4.0))
        assert torch.isfinite(energies).all()


def test_isolated_features_are_those_of_an_empty_neighbourhood():
    so3 = SO3(4, 2, 2, 2)
    assert not so3.isolated(GRAPH.vectors).any()
    assert so3.float().isolated(GRAPH.vectors.float()).dtype == torch.float32


def test_mean_of_an_ensemble_is_the_mean_of_its_members():
    it = case("Ensemble")
    members = it.potential.members(it.graph)
    assert members.shape == (2, it.graph.species.numel())
    torch.testing.assert_close(it.potential(it.graph), members.mean(0))
    for row, regressor in zip(members, it.potential.regressors, strict=True):
        alone = DescriptorPotential(it.potential.descriptor, regressor)
        torch.testing.assert_close(row, alone(it.graph), rtol=1e-11, atol=1e-11)


def test_reference_energies_are_a_lookup_and_stay_in_float64():
    energies = AtomicEnergies([-158.25, 3]).to(torch.float32)
    assert energies(GRAPH).tolist() == [-158.25, 3.0, -158.25, 3.0]
    assert energies.energies.dtype == torch.float64
    assert not energies.energies.requires_grad
    assert AtomicEnergies([1], trainable=True).energies.requires_grad


def test_reference_energies_must_be_finite():
    with pytest.raises(
        ValueError, match=r"`energies` must be finite \(eV\), got \[1.0, nan\]; give one number for each"
    ):
        AtomicEnergies([1.0, float("nan")])


def test_sizes_of_descriptor_and_regressor_must_fit():
    so3 = SO3(4, 1, 2, 2)
    with pytest.raises(ValueError, match=rf"`regressor` must take the {so3.n_features} features that `descriptor` SO3"):
        DescriptorPotential(so3, Linear(3, 1))
    with pytest.raises(ValueError, match=r"`regressor` must know the 1 species of `descriptor`, got n_species=2; give"):
        DescriptorPotential(so3, Linear(so3.n_features, 2))


@pytest.mark.parametrize("regressors", [[], [Linear(3, 1)], [MLP(15, 2)]])
def test_members_of_an_ensemble_must_fit(regressors):
    with pytest.raises(
        ValueError, match=r"`regressors` must be one or more that take the \d+ features and 1 species of"
    ):
        Ensemble(SO3(4, 1, 2, 2), regressors)


def test_bases_ask_for_what_is_missing():
    with pytest.raises(NotImplementedError):
        Potential(1, 1, 1)(GRAPH)
    with pytest.raises(NotImplementedError):
        PairPotential(1)(GRAPH)
    with pytest.raises(NotImplementedError):
        Regressor(1, 1)(torch.zeros(1, 1), torch.zeros(1, dtype=torch.int64))


def test_a_new_pair_potential_is_one_formula():
    class Morse(PairPotential):
        def pair_energy(self, r, species_i, species_j):
            return ((1.0 - torch.exp(-(r - 2.0))) ** 2 - 1.0) * (1.0 - r / self.cutoff) ** 3

    morse = Morse(4.0)
    r = torch.linalg.vector_norm(GRAPH.vectors, dim=1)
    expected = 0.5 * morse.pair_energy(r, r, r)[r < 4.0].sum()
    torch.testing.assert_close(morse(GRAPH).sum(), expected)
