"""The SO(3) power spectrum against LAMMPS (`pair_style mliap model linear ... descriptor so3 ...`)."""

import numpy as np
import pytest
import torch
from scipy.special import roots_legendre, spherical_in

from mdzoo.basis.smeared_radial import mliap_functions, normalised_overlap, polynomials
from mdzoo.descriptors import MliapSO3
from mdzoo.potentials import DescriptorPotential
from mdzoo.regressors import Linear
from mdzoo.testing.compare import force_field
from tests.reference.engine import Answer, ask_lammps
from tests.structures import Structure, brute_force_graph

SIZES = {"cutoff": 4.2, "n_max": 3, "l_max": 3, "alpha": 1.4}
WEIGHTS = [1, 3, -2]  # LAMMPS cuts them to integers


def random_cell(n_species: int, n: int = 10) -> Structure:
    """Atoms near the points of a lattice, which LAMMPS sees with all their images."""
    rng, lengths = np.random.default_rng(n_species), np.array([6.0, 6.5, 7.0])
    corners = np.array([[i, j, k] for i in range(3) for j in range(3) for k in range(3)])[rng.permutation(27)[:n]]
    positions = (corners + 0.5 + 0.25 * (rng.random((n, 3)) - 0.5)) / 3.0 * lengths
    return Structure([i % n_species for i in range(n)], positions, np.diag(lengths), (True,) * 3)


def theirs(structure: Structure, theta: np.ndarray, folder, sizes: dict) -> Answer:
    """LAMMPS with the coefficients theta, (n_species, F), and no constant."""
    n_species, n_features = theta.shape
    names = ["Si", "Mo", "Cu"][:n_species]
    rows = [f"{n_species} {n_features + 1}", *[f"{x!r}" for row in theta.tolist() for x in (0.0, *row)]]
    (folder / "model").write_text("\n".join(rows) + "\n")
    words = {
        "nelems": n_species,
        "elems": " ".join(names),
        "radelems": " ".join(["0.5"] * n_species),
        "welems": " ".join(str(w) for w in WEIGHTS[:n_species]),
        "rcutfac": sizes["cutoff"],
        "nmax": sizes["n_max"],
        "lmax": sizes["l_max"],
        "alpha": sizes["alpha"],
    }
    (folder / "descriptor").write_text("".join(f"{key} {value}\n" for key, value in words.items()))
    style = f"pair_style mliap model linear {folder / 'model'} descriptor so3 {folder / 'descriptor'}"
    return ask_lammps(structure, [style, f"pair_coeff * * {' '.join(names)}"], n_species)


def descriptor(n_species: int, sizes: dict) -> MliapSO3:
    return MliapSO3(n_species, **sizes, species_weights=WEIGHTS[:n_species])


@pytest.mark.parametrize(
    ("n_species", "sizes"),
    [
        (1, SIZES),
        (3, SIZES),
        (2, {**SIZES, "n_max": 4, "l_max": 1}),
        (1, {**SIZES, "cutoff": 3.5, "n_max": 1, "l_max": 4, "alpha": 0.6}),
        (1, {**SIZES, "n_max": 2, "l_max": 1, "alpha": 3.0}),
    ],
)
def test_energy_forces_and_virial_are_those_of_lammps(n_species, sizes, tmp_path):
    """Random weights of each feature's own size. LAMMPS's own rounding limits this: see the docstring of the class."""
    ours = descriptor(n_species, sizes)
    structure = random_cell(n_species)
    graph = brute_force_graph(structure, ours.cutoff)
    size = ours(graph).square().mean(0).sqrt().numpy()
    theta = np.random.default_rng(0).standard_normal((n_species, ours.n_features)) / size
    linear = Linear(ours.n_features, n_species)
    with torch.no_grad():
        linear.weights.copy_(torch.tensor(theta).view_as(linear.weights))
        linear.bias.zero_()
    prediction = force_field(DescriptorPotential(ours, linear))(graph)
    answer = theirs(structure, theta, tmp_path, sizes)
    for mine, other in (
        (prediction.energy.item(), answer.energy),
        (prediction.forces.detach().numpy(), answer.forces),
        (prediction.virial[0].detach().numpy(), answer.virial),
    ):
        np.testing.assert_allclose(mine, other, rtol=0.0, atol=1e-8 * np.abs(other).max())


def test_explicit_slopes_are_those_of_backward_passes():
    ours = descriptor(2, SIZES)
    graph = brute_force_graph(Structure([0, 1, 1, 0], np.eye(4, 3) * 1.5, np.eye(3), (False,) * 3), ours.cutoff)
    vectors = graph.vectors.requires_grad_()
    features = ours(graph)
    found, slopes = ours.slopes(graph)
    torch.testing.assert_close(found, features.detach())
    table = slopes.reshape(len(vectors), 3, -1)  # every atom has three neighbours
    for k in range(ours.n_features):
        (slope,) = torch.autograd.grad(features[:, k].sum(), vectors, retain_graph=True)
        torch.testing.assert_close(table[:, :, k], slope, rtol=0.0, atol=1e-11 * float(slopes.abs().max()))


def test_each_feature_is_that_of_lammps(tmp_path):
    sizes = {**SIZES, "n_max": 2, "l_max": 2}
    ours = descriptor(2, sizes)
    structure = random_cell(2, 5)
    total = ours(brute_force_graph(structure, ours.cutoff)).sum(0).numpy()
    found = [theirs(structure, np.stack([row, row]), tmp_path, sizes).energy for row in np.eye(ours.n_features)]
    np.testing.assert_allclose(total, found, rtol=1e-10)
    assert ours.labels()[3:6] == [f"p[n=2,n'=1,l={order}]" for order in range(3)]


def basis(cutoff: float, n_max: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Nodes, weights with s^2, the normalised `(cutoff - s)^(k + 2)` and the g_n."""
    nodes, weights = roots_legendre(60)
    s = 0.5 * cutoff * (nodes + 1.0)
    k = np.arange(1, n_max + 1)[:, None]
    phi = (cutoff - s) ** (k + 2) / np.sqrt(2.0 * cutoff ** (2 * k + 7) / ((2 * k + 5) * (2 * k + 6) * (2 * k + 7)))
    return s, 0.5 * cutoff * weights * s**2, phi, polynomials(cutoff, n_max, s, normalised_overlap(cutoff, n_max))


@pytest.mark.parametrize("n_max", [2, 4, 8])
def test_radial_functions_are_those_of_the_inverse_root_also_where_lammps_loses_them(n_max):
    """Orthonormal, and their overlap with the powers is S^(1/2): symmetric, positive, S when squared."""
    _, w, phi, g = basis(4.2, n_max)
    np.testing.assert_allclose(g * w @ g.T, np.eye(n_max), atol=1e-11)
    root = g * w @ phi.T
    np.testing.assert_allclose(root, root.T, atol=1e-11)
    np.testing.assert_allclose(root @ root, phi * w @ phi.T, atol=1e-11)
    assert np.linalg.eigvalsh(root).min() > 0.0


def test_coefficients_are_the_integrals_that_define_them():
    """LAMMPS's sum over 60 nodes differs from the integral by less than 1e-7 of it."""
    alpha = 1.2
    s, w, _, g = basis(4.0, 3)
    r = np.array([0.3, 1.7, 3.8])
    found = mliap_functions(4.0, 3, 2, alpha)(r)
    for i, order in ((0, 0), (1, 2), (2, 1)):
        body = np.exp(-alpha * (s**2 + r[i] ** 2)) * spherical_in(order, 2.0 * alpha * r[i] * s)
        expected = 4.0 * np.pi * (g * body) @ w
        np.testing.assert_allclose(found[i, order], expected, rtol=0.0, atol=1e-7 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_max": 0}, r"`n_max` must be above 0, got 0; alpha is that of"),
        ({"l_max": -1}, r"`l_max` must be above -1, got -1; alpha is that of"),
        ({"alpha": 0.0}, r"`alpha` must be above 0.0, got 0.0; alpha is that of"),
        ({"species_weights": [1, 2]}, r"`species_weights` must hold 1 numbers, got \[1, 2\]; one for each species"),
    ],
)
def test_bad_arguments_get_a_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        MliapSO3(**arguments)
