"""SOAP against dscribe, and against numbers that dscribe gave where it is not installed."""

import numpy as np
import pytest
import torch
from ase import Atoms
from scipy.integrate import quad
from scipy.special import roots_legendre, spherical_in

from mdzoo.basis.radial_table import RadialTable
from mdzoo.basis.smeared_radial import gto_functions, polynomial_functions, polynomials
from mdzoo.data.graphs import graph_from_atoms
from mdzoo.descriptors import Soap
from mdzoo.graph import collate
from mdzoo.ops import padding
from tests.reference.test_acsf import quartz, water

NUMBERS = [1, 8, 14]
SMALL = {"r_cut": 4.0, "n_max": 3, "l_max": 2, "sigma": 0.5}
COMPRESSIONS = ["off", "crossover", "mu1nu1", "mu2"]


def features(atoms: Atoms, numbers: list[int], **options) -> np.ndarray:
    soap = Soap(len(numbers), **options)
    return soap(graph_from_atoms(atoms, numbers, soap.cutoff)).numpy()


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("rbf", ["gto", "polynomial"])
@pytest.mark.parametrize("atoms", [water(), quartz()], ids=["molecule", "crystal"])
def test_features_are_those_of_dscribe(atoms, rbf, compression):
    """With the weights of species, except where dscribe 2.1.2 gives them to other atoms (polynomial and mu2)."""
    reason = "dscribe is not installed (extra `oracles`)"
    descriptors = pytest.importorskip("dscribe.descriptors", reason=reason, exc_type=ImportError)
    weights = None if (rbf, compression) == ("polynomial", "mu2") else [0.5, 1.0, 2.0]
    mode = {"mode": compression, "species_weighting": weights and dict(zip(NUMBERS, weights, strict=True))}
    periodic = bool(atoms.pbc.any())
    theirs = descriptors.SOAP(**SMALL, rbf=rbf, species=NUMBERS, periodic=periodic, compression=mode).create(atoms)
    ours = features(atoms, NUMBERS, **SMALL, rbf=rbf, compression=compression, species_weights=weights, smoothness=-1)
    np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=1e-8 * np.abs(theirs).max())


def test_features_of_the_default_size_are_those_of_dscribe():
    reason = "dscribe is not installed (extra `oracles`)"
    descriptors = pytest.importorskip("dscribe.descriptors", reason=reason, exc_type=ImportError)
    theirs = descriptors.SOAP(r_cut=5.0, n_max=8, l_max=6, sigma=0.5, species=NUMBERS, periodic=True).create(quartz())
    np.testing.assert_allclose(
        features(quartz(), NUMBERS, smoothness=-1), theirs, rtol=0.0, atol=1e-8 * np.abs(theirs).max()
    )


# dscribe 2.1.2: SOAP(r_cut=4.0, n_max=2, l_max=1, sigma=0.5, species=[1, 8], rbf=...).create(water())[0]
DSCRIBE = {
    "gto": """
    0.1089080821504 0.8087412557237 6.005637100524 0.07943879723771 0.3277905847056 1.373713483292
    0.4774495377914 0.5843245611331 3.54549571633 4.339139667048 0.001345425043283 -0.007440139408464
    0.005205273171155 -0.02878492432252 2.093123454532 2.561660127738 3.135076717922 0.002347831120973
    -0.0129833995099 0.07179760985698
    """,
    "polynomial": """
    0.1765453481883 1.077763653215 6.579468131627 0.1299315605023 0.4530103050859 1.599122443688
    -0.07243518198491 0.9587099939415 -0.4421980366999 5.852676357931 -0.0142284936567 0.0002229873000212
    -0.05399852339816 0.0008462585870443 0.02971959127233 -0.3933512471132 5.206168624182 0.2092901188758
    -0.003279970435046 5.140331570629e-05
    """,
}


@pytest.mark.parametrize("rbf", sorted(DSCRIBE))
def test_features_are_the_numbers_that_dscribe_gave(rbf):
    theirs = np.array(DSCRIBE[rbf].split(), dtype=float)
    ours = features(water(), [1, 8], r_cut=4.0, n_max=2, l_max=1, sigma=0.5, rbf=rbf, smoothness=-1)[0]
    np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=1e-8 * np.abs(theirs).max())


@pytest.mark.parametrize("n_max", [3, 8, 14])
def test_polynomials_are_orthonormal_where_float64_would_lose_them(n_max):
    nodes, weights = roots_legendre(60)
    r = 2.5 * (nodes + 1.0)
    g = polynomials(5.0, n_max, r)
    np.testing.assert_allclose((g * 2.5 * weights * r**2) @ g.T, np.eye(n_max), atol=1e-12)


def test_closed_form_of_the_orbitals_is_the_projection_of_a_gaussian():
    sigma, order, at = 0.5, 2, 1.7
    a, alpha = 0.5 / sigma**2, np.log(1e3)  # the only orbital falls to 1e-3 at 1 Angstrom
    norm = quad(lambda r: r ** (2 * order + 2) * np.exp(-2 * alpha * r * r), 0.0, 20.0)[0] ** -0.5

    def integrand(r):
        bessel = spherical_in(order, 2 * a * r * at)
        return norm * r**order * np.exp(-alpha * r * r - a * (r * r + at * at)) * bessel * r * r

    found = gto_functions(4.0, 1, order, sigma)(np.array([at]))[0, order, 0]
    assert found == pytest.approx(4.0 * np.pi * quad(integrand, 0.0, 15.0)[0], rel=1e-9)


@pytest.mark.parametrize("make", [gto_functions, polynomial_functions])
def test_the_table_holds_the_functions(make):
    function = make(5.0, 6, 4, 0.3)
    r = np.linspace(0.0, 6.0, 301)
    table = RadialTable(function, 6.0)
    found = table(torch.as_tensor(r), torch.ones(301, dtype=torch.float64)).permute(2, 0, 1).numpy()
    np.testing.assert_allclose(found, function(r), rtol=0.0, atol=1e-9 * np.abs(function(r)).max())


def test_the_table_is_the_same_without_history_and_under_a_transform():
    table = RadialTable(gto_functions(5.0, 3, 2, 0.5), 6.0)
    r, one = torch.linspace(0.0, 6.0, 5001, dtype=torch.float64), torch.ones(5001, dtype=torch.float64)
    with torch.no_grad():
        alone, (mapped,) = table(r, one), torch.func.vmap(table)(r[None], one[None])
    torch.testing.assert_close(alone, table(r, one), rtol=1e-13, atol=1e-15)
    torch.testing.assert_close(mapped, alone, rtol=1e-13, atol=1e-15)


def test_a_rough_function_is_refused():
    with pytest.raises(ValueError, match="`function` must be smooth, got no end of its series at degree 512"):
        RadialTable(lambda r: np.abs(r - 1.0)[:, None, None], 2.0)


def test_no_neighbours_beyond_the_basis_gives_the_same_as_the_jump():
    """The taper acts between r_cut and the cutoff alone."""
    for smoothness in (0, 1, 3):
        near = features(water(), [1, 8], **SMALL, smoothness=smoothness)
        np.testing.assert_allclose(near, features(water(), [1, 8], **SMALL, smoothness=-1), rtol=1e-12)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("rbf", ["gto", "polynomial"])
def test_explicit_slopes_are_those_of_backward_passes(rbf, compression):
    """In a batch with an atom alone between the others, and one behind them."""
    soap = Soap(2, **SMALL, rbf=rbf, compression=compression, species_weights=[1, 2])
    lone = Atoms("H", [[0.0, 0.0, 0.0]])
    graph = collate([graph_from_atoms(a, [1, 8], soap.cutoff) for a in (water(), lone, water(), lone)])
    vectors = graph.vectors.requires_grad_()
    features = soap(graph)
    found, slopes = soap.slopes(graph)
    torch.testing.assert_close(found, features.detach(), rtol=1e-12, atol=1e-12)
    layout = padding(graph.centers)
    table = slopes.reshape(layout.n * layout.width, 3, -1)
    for k in range(soap.n_features):
        (slope,) = torch.autograd.grad(features[:, k].sum(), vectors, retain_graph=True)
        torch.testing.assert_close(table[layout.slots, :, k], slope, rtol=0.0, atol=1e-11 * float(slopes.abs().max()))
    empty = torch.ones(layout.n * layout.width, dtype=torch.bool).index_fill(0, layout.slots, False)
    assert (table[empty] == 0.0).all()


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_labels_are_in_the_order_of_the_features(compression):
    soap = Soap(2, **SMALL, compression=compression)
    assert len(set(soap.labels())) == len(soap.labels()) == soap.n_features == soap.isolated(torch.ones(1)).shape[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rbf": "bessel"}, r"`rbf` must be one of \['gto', 'polynomial'\], got 'bessel'; these are dscribe's"),
        ({"compression": "mu3"}, r"`compression` must be one of .*, got 'mu3'; `off` keeps all"),
        ({"r_cut": 0.9}, r"`r_cut` must be above 1 Angstrom for gto, got 0.9; its orbitals start there"),
        ({"n_max": 0}, r"`n_max` must be above 0, got 0; r_cut and sigma are lengths"),
        ({"sigma": 0.0}, r"`sigma` must be above 0.0, got 0.0; r_cut and sigma are lengths"),
        ({"cutoff": 5.0}, r"`width` must be in \(0, 5.0\], got 0.0; give it, or a cutoff beyond r_cut"),
        ({"species_weights": [1, 2]}, r"`species_weights` must hold 1 numbers, got \[1, 2\]; one for each species"),
    ],
)
def test_bad_arguments_get_a_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        Soap(**arguments)
