"""SOAP of QUIP against quippy, and against numbers that quippy gave where it is not installed."""

import numpy as np
import pytest
import torch
from ase import Atoms

from mdzoo.data.graphs import graph_from_atoms
from mdzoo.descriptors import SoapQuip
from tests.reference.test_acsf import quartz

BASES = ["EQUISPACED_GAUSS", "POLY", "GTO"]
SIZES = {"cutoff": 4.0, "n_max": 3, "l_max": 2, "atom_sigma": 0.5}


def features(atoms: Atoms, numbers: list[int], **options) -> np.ndarray:
    soap = SoapQuip(len(numbers), **options)
    return soap(graph_from_atoms(atoms, numbers, soap.cutoff)).numpy()


def text(numbers: list[int], **options) -> str:
    listed = "{" + " ".join(map(str, numbers)) + "}"
    options = {"n_Z": len(numbers), "Z": listed, "n_species": len(numbers), "species_Z": listed, **options}
    short = {True: "T", False: "F"}
    return "soap " + " ".join(f"{k}={short.get(v, v) if isinstance(v, bool) else v}" for k, v in options.items())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"central_weight": 0.3, "cutoff_transition_width": 1.0},
        {"central_reference_all_species": True, "covariance_sigma0": 0.1},
        {"normalise": False},
    ],
)
@pytest.mark.parametrize("radial_basis", BASES)
def test_features_and_kernels_are_those_of_quippy(radial_basis, options):
    """Features to 1e-9 and therefore kernels; the issue asks for normalised kernels to 1e-6."""
    reason = "quippy is not installed (extra `oracles`)"
    descriptors = pytest.importorskip("quippy.descriptors", reason=reason, exc_type=ImportError)
    numbers, options = [1, 8, 14], {**SIZES, "radial_basis": radial_basis, **options}
    theirs = np.asarray(descriptors.Descriptor(text(numbers, **options)).calc(quartz())["data"])
    ours = features(quartz(), numbers, **options)
    np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=1e-9 * np.abs(theirs).max())
    np.testing.assert_allclose(ours @ ours.T, theirs @ theirs.T, rtol=0.0, atol=1e-9 * np.abs(theirs @ theirs.T).max())


def test_one_species_and_the_default_size_are_those_of_quippy():
    reason = "quippy is not installed (extra `oracles`)"
    descriptors = pytest.importorskip("quippy.descriptors", reason=reason, exc_type=ImportError)
    silicon = quartz()
    silicon.numbers[:] = 14
    settings = text([14], cutoff=5.0, n_max=8, l_max=6, atom_sigma=0.5)
    theirs = np.asarray(descriptors.Descriptor(settings).calc(silicon)["data"])
    np.testing.assert_allclose(features(silicon, [14]), theirs, rtol=0.0, atol=1e-9)


# quippy 0.10.3: Descriptor(text([1, 8], cutoff=4.0, n_max=2, l_max=1, atom_sigma=0.5, covariance_sigma0=0.1,
# radial_basis=...)).calc(hydrogen_peroxide())["data"][0]
QUIPPY = {
    "EQUISPACED_GAUSS": """
    0.02305859793994 2.893472216291e-18 6.497318498127e-05 9.222964003391e-13 9.153884328973e-08
    1.469913284961e-07 0.2122587896334 1.050825217147e-19 0.0004229138860795 2.368463441016e-14
    0.9769413104379 2.571102591581e-21 1.959523609235e-06 2.368463441016e-14 3.904242297233e-09
    5.338298872063e-09 1.275464246804e-05 8.195408449984e-16 8.326032625985e-11 1.306146240177e-10 0.1
    """,
    "POLY": """
    0.06788643172847 0.04609201504562 0.01373435033126 -0.02559594156835 0.001389323125541 0.007125299260839
    -0.03110091559278 0.01407408859585 -0.004449214214696 -0.006544693988472 0.007124155196273
    0.03993011431333 0.3536148152078 -0.005574050338736 0.05058719437554 0.002592029565177 -0.1145527836704
    -0.02236485862663 0.9209751812747 0.006263279106394 0.1
    """,
    "GTO": """
    0.0491457242043 0.026881895871 0.03113958494321 -0.009698199201642 0.009865291092309 0.006713941347975
    0.1739136658548 0.005808775060495 0.07791943452235 0.01135194190437 0.3077171377648 0.02255308706639
    -0.249336233625 -0.0008584839494684 -0.1117113956198 -0.001677713428168 -0.623904858251
    -0.004713772463374 0.6324920265682 0.0004926077474681 0.1
    """,
}


def hydrogen_peroxide() -> Atoms:
    positions = [[0.0, 0.7, -0.1], [0.0, -0.7, -0.1], [0.8, 0.9, 0.4], [-0.8, -0.9, 0.4]]
    return Atoms("OOHH", positions, cell=[12.0, 12.0, 12.0], pbc=True)


@pytest.mark.parametrize("radial_basis", BASES)
def test_features_are_the_numbers_that_quippy_gave(radial_basis):
    theirs = np.array(QUIPPY[radial_basis].split(), dtype=float)
    sizes = {"cutoff": 4.0, "n_max": 2, "l_max": 1, "atom_sigma": 0.5, "covariance_sigma0": 0.1}
    ours = features(hydrogen_peroxide(), [1, 8], **sizes, radial_basis=radial_basis)[0]
    np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=1e-9)


def test_folded_weights_give_the_same_energy():
    for normalise in (True, False):
        soap = SoapQuip(2, **SIZES, covariance_sigma0=0.2, normalise=normalise)
        density = soap.density(graph_from_atoms(hydrogen_peroxide(), [1, 8], soap.cutoff))
        theta = torch.randn(soap.n_features, dtype=torch.float64)
        torch.testing.assert_close(soap.contract_with(density, theta), soap.contract(density) @ theta)


@pytest.mark.parametrize("normalise", [True, False])
def test_explicit_slopes_are_those_of_backward_passes(normalise):
    soap = SoapQuip(2, **SIZES, covariance_sigma0=0.2, normalise=normalise)
    graph = graph_from_atoms(hydrogen_peroxide(), [1, 8], soap.cutoff)
    vectors = graph.vectors.requires_grad_()
    features = soap(graph)
    found, slopes = soap.slopes(graph)
    torch.testing.assert_close(found, features.detach())
    table = slopes.reshape(len(vectors), 3, -1)  # every atom has three neighbours
    for k in range(soap.n_features):
        (slope,) = torch.autograd.grad(features[:, k].sum(), vectors, retain_graph=True)
        torch.testing.assert_close(table[:, :, k], slope, rtol=0.0, atol=1e-11 * float(slopes.abs().max()))


def test_an_atom_with_nothing_around_it_is_finite():
    soap = SoapQuip(2, **SIZES, central_weight=0.0)
    nothing = torch.zeros(1, soap.n_channels, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(soap.contract(nothing).sum(), nothing)
    assert torch.isfinite(slope).all()
    assert (soap.isolated(nothing) == 0.0).all()
    assert len(soap.labels()) == len(set(soap.labels())) == soap.n_features


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"radial_basis": "gto"},
            r"`radial_basis` must be one of \['EQUISPACED_GAUSS', .*, got 'gto'; these are QUIP's",
        ),
        ({"cutoff_transition_width": 6.0}, r"`cutoff_transition_width` must be in \(0, 5.0\], got 6.0; it ends at the"),
        ({"atom_sigma": -1.0}, r"`sigma` must be above 0.0, got -1.0"),
        ({"cutoff": 0.0}, r"`cutoff` must be positive \(Angstrom\), got 0.0; give the radius"),
    ],
)
def test_bad_arguments_get_a_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        SoapQuip(**arguments)
