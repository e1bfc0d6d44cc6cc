"""ACSF against dscribe, and against numbers that dscribe gave where it is not installed."""

import itertools

import numpy as np
import pytest
import torch
from ase import Atoms

from mdzoo.data.graphs import graph_from_atoms
from mdzoo.descriptors import ACSF, symmetry_slopes
from mdzoo.descriptors.slopes import backward
from mdzoo.graph import select_edges
from tests.structures import brute_force_graph, crystal, molecule

G2 = [[0.5, 0.0], [1.0, 2.0]]
G3 = [1.0, 2.5]
G4 = [[0.01, 1.0, 1.0], [0.01, 4.0, -1.0], [0.1, 2.5, -1.0]]
G5 = [[0.02, 1.0, -1.0], [0.3, 3.0, 1.0]]
FUNCTIONS = {"g2": G2, "g3": G3, "g4": G4, "g5": G5}


def water() -> Atoms:
    return Atoms("OHHO", [[0.0, 0.0, 0.1], [0.0, 0.8, 0.6], [0.1, -0.7, 0.65], [2.5, 0.3, -0.4]])


def quartz() -> Atoms:
    rng = np.random.default_rng(0)
    cell = np.array([[6.3, 0.2, -0.1], [0.9, 6.5, 0.3], [-0.4, 0.8, 6.1]])
    return Atoms("SiOSiOHHSiO", scaled_positions=rng.random((8, 3)), cell=cell, pbc=True)


@pytest.mark.parametrize("cutoff", [4.0, 7.0])
@pytest.mark.parametrize("atoms", [water(), quartz()], ids=["molecule", "crystal"])
def test_features_are_those_of_dscribe(atoms, cutoff):
    reason = "dscribe is not installed (extra `oracles`)"
    descriptors = pytest.importorskip("dscribe.descriptors", reason=reason, exc_type=ImportError)
    numbers = [1, 8, 14]
    params = {f"{key}_params": value for key, value in FUNCTIONS.items()}
    theirs = descriptors.ACSF(r_cut=cutoff, species=numbers, periodic=bool(atoms.pbc.any()), **params).create(atoms)
    ours = ACSF(cutoff, 3, **FUNCTIONS)(graph_from_atoms(atoms, numbers, cutoff)).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=1e-10 * np.abs(theirs).max())


# dscribe 2.1.2: ACSF(r_cut=4.0, g2_params=G2, g3_params=G3, g4_params=G4, g5_params=G5, species=[1, 8]).create(water())
DSCRIBE = {
    0: """
    1.750182203166 1.146814912828 0.5449132451172 1.060770926878 -1.162227354506 0.2845910378364
    0.01054923341055 0.206324736253 -0.2389050272186 0.2820183299829 0.3365221048736 0.2029490079244
    0.2600370375697 0.9898979827332 0.0335427520256 0.08749812314161 0.01424838909967 0.009500841066744
    0.4522422341067 0.01141359538981 0 0 0 0 0
    """,
    3: """
    0.4307773433387 0.009332346494013 0.238253619807 -0.4011175820544 0.3440952792491 0.2845910378364
    0.01054923341055 0.206324736253 -0.2389050272186 0.2820183299829 0.04959828204093 1.563914361158e-06
    1.605904309083e-05 0.005004840691307 0.0007334782046775 0.179176805738 1.242029542869e-07
    6.510940606346e-06 0.005232671377244 0.003120713443433 0 0 0 0 0
    """,
}


@pytest.mark.parametrize("atom", sorted(DSCRIBE))
def test_features_are_the_numbers_that_dscribe_gave(atom):
    theirs = np.array(DSCRIBE[atom].split(), dtype=float)
    ours = ACSF(4.0, 2, **FUNCTIONS)(graph_from_atoms(water(), [1, 8], 4.0))[atom].numpy()
    np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=1e-10)


def test_weighted_and_shifted_functions_are_their_sums():
    """Gastegger's weights, n2p2's R_s of angular functions and the tanh cutoff, by plain loops over pairs."""
    eta, zeta, sign, shift, weights = 0.2, 2.0, -1.0, 0.7, [1.0, 8.0]
    structure, cutoff = crystal(2), 4.0
    graph = brute_force_graph(structure, cutoff)
    row = [[eta, zeta, sign, shift]]
    acsf = ACSF(cutoff, 2, g1=False, g2=[[eta, shift]], g4=row, g5=row, weights=weights, cutoff_function="tanh")
    near = [
        (v.numpy(), weights[structure.species[j]])
        for i, j, v in zip(graph.centers, graph.neighbors, graph.vectors, strict=True)
        if i == 1
    ]
    f = lambda r: np.tanh(1.0 - r / cutoff) ** 3 if r < cutoff else 0.0  # noqa: E731
    gauss = lambda r: np.exp(-eta * (r - shift) ** 2)  # noqa: E731
    expected = np.zeros(3)
    for v, w in near:
        r = np.linalg.norm(v)
        expected[0] += w * gauss(r) * f(r)
    for (v1, w1), (v2, w2) in itertools.combinations(near, 2):
        r1, r2, r3 = np.linalg.norm(v1), np.linalg.norm(v2), np.linalg.norm(v1 - v2)
        angle = 2 ** (1 - zeta) * (1 + sign * v1 @ v2 / (r1 * r2)) ** zeta
        term = w1 * w2 * angle * gauss(r1) * gauss(r2) * f(r1) * f(r2)
        expected += [0.0, term * gauss(r3) * f(r3), term]
    np.testing.assert_allclose(acsf(graph)[1].numpy(), expected, rtol=1e-12)


FOLDED = {
    "one species": ACSF(4.0, 1, g3=G3, g4=[*G4, [0.3, 2.0, -0.5, 0.5]], g5=[*G5, [0.2, 1.0, 1.0, 0.4]]),
    "three species": ACSF(4.0, 3, g4=[[0.1, 2.0, 1.0]], g5=[[0.2, 1.0, -1.0], [0.1, 3.0, 1.0]]),
    "weighted": ACSF(4.0, 3, g4=[[0.1, 2.0, 1.0, 1.5]], weights=[14, 8, 3], cutoff_function="tanh"),
    "open": ACSF(4.0, 2, g4=[], g5=[[0.1, 2.0, 1.0]]),
    "radial": ACSF(4.0, 2, g4=[]),
}


@pytest.mark.parametrize("each", [False, True], ids=["one row of weights", "one for each atom"])
@pytest.mark.parametrize("name", list(FOLDED))
def test_folded_weights_and_slopes_are_those_of_a_backward_pass(name, each):
    acsf = FOLDED[name]
    graph = brute_force_graph(crystal(acsf.n_species), 4.0)
    vectors = graph.vectors.clone().requires_grad_()
    density = acsf.density(graph._replace(vectors=vectors))
    rows = len(density) if each else 1
    theta = torch.randn(rows, acsf.n_features, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = (acsf.contract(density) * theta).sum(1)
    acsf.angular.block_pairs = 100  # several blocks
    energies, slopes = acsf.fold(density.detach(), theta)
    torch.testing.assert_close(energies, expected.detach(), rtol=1e-12, atol=1e-12)
    found, here = (torch.autograd.grad(e.sum(), vectors, retain_graph=True)[0] for e in (density * slopes, expected))
    torch.testing.assert_close(found, here, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", list(FOLDED))
def test_slopes_are_those_of_backward_passes(name, monkeypatch):
    monkeypatch.setattr(symmetry_slopes, "NUMBERS", 1000)  # several blocks
    acsf = FOLDED[name]
    sparse = brute_force_graph(molecule(acsf.n_species), 4.0)
    sparse = select_edges(sparse, (sparse.centers % 4 != 1).nonzero().squeeze(-1)[1:])  # atom 0 has three, 1 none
    single = select_edges(sparse, (sparse.centers > 2).nonzero().squeeze(-1)[:1])
    for graph in (brute_force_graph(crystal(acsf.n_species), 4.0), sparse, single):
        (features, table), (same, found) = backward(acsf, graph), acsf.slopes(graph)
        torch.testing.assert_close(same, features, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(found, table, rtol=0.0, atol=1e-12 * float(table.abs().max()))


def test_labels_are_in_the_order_of_the_features():
    acsf = ACSF(4.0, 2, **FUNCTIONS)
    labels = acsf.labels()
    assert len(labels) == len(set(labels)) == acsf.n_features == acsf(brute_force_graph(molecule(2), 4.0)).shape[1]
    assert labels[0] == "G1[s=0]"
    assert labels[6] == "G2[eta=0.5,Rs=0.0,s=1]"
    assert labels[-1] == "G5[eta=0.3,zeta=3.0,lambda=1.0,Rs=0.0,s=1,s'=1]"


def test_neighbours_on_one_line_and_at_one_place_have_finite_slopes():
    graph = brute_force_graph(molecule(), 6.0)
    vectors = torch.tensor([[1.0, 0, 0], [2.0, 0, 0], [-1.5, 0, 0], [1.0, 0, 0]], dtype=torch.float64)
    star = graph._replace(centers=torch.zeros(4).long(), neighbors=torch.arange(1, 5), vectors=vectors.requires_grad_())
    (slope,) = torch.autograd.grad(ACSF(6.0, 1, **FUNCTIONS)(star).sum(), vectors)
    assert torch.isfinite(slope).all()
    none = star._replace(centers=graph.centers[:0], neighbors=graph.neighbors[:0], vectors=graph.vectors[:0])
    assert ACSF(6.0, 1)(none).shape == (0, ACSF(6.0, 1).n_features)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"g2": [[1.0]]}, r"`g2` must hold rows \(eta >= 0, R_s\), got \[1.0\]; give both numbers"),
        ({"g4": [[0.1, 0.5, 1]]}, r"`g4` must hold rows .*, got \[0.1, 0.5, 1\]; smaller zeta has no slope"),
        ({"g5": [[0.1, 1, 2]]}, r"`g5` must hold rows .*-1 <= lambda <= 1.*, got \[0.1, 1, 2\]"),
        ({"weights": [1, 2]}, r"`weights` must hold 1 numbers, got \[1, 2\]; give one for each species"),
        ({"cutoff_function": "hard"}, r"`cutoff_function` must be one of .*, got 'hard'; `cosine` is Behler's"),
        ({"g1": False, "g2": [], "g4": []}, r"`g1` to `g5` must hold at least one function, got none; set g1=true"),
    ],
)
def test_bad_arguments_get_a_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        ACSF(**arguments)
