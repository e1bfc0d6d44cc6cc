"""SO4 against LAMMPS (computes sna/atom and snad/atom) and against the sums over Wigner matrices that define it."""

import itertools
import re

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from sympy import Rational
from sympy.physics.wigner import clebsch_gordan

from mdzoo.basis.euler_transform import EulerTransform, change_of_basis
from mdzoo.basis.hypersphere import Harmonics, euler_rule, rotation_rule
from mdzoo.descriptors import SO4
from mdzoo.descriptors.slopes import star
from mdzoo.graph import edge_vectors, select_edges
from mdzoo.potentials import DescriptorPotential
from mdzoo.regressors import Linear, Quadratic
from tests.reference.engine import lammps_instance
from tests.structures import Structure, brute_force_edges, brute_force_graph, crystal, molecule

RADII, WEIGHTS = [0.5, 0.4, 0.45], [1.0, -0.7, 2.0]
CASES = [  # number of species, arguments of SO4, words of the compute
    (1, {"twojmax": 8}, ""),
    (1, {"twojmax": 7, "bzero": False}, "bzeroflag 0"),
    (2, {"twojmax": 4, "rmin0": 0.9, "bnorm": True}, "rmin0 0.9 bnormflag 1"),
    (2, {"twojmax": 5, "switch": False, "rfac0": 0.8}, "switchflag 0"),
    (3, {"twojmax": 4, "sinner": [2.0, 1.7, 1.8], "dinner": [0.3, 0.6, 0.5]}, "switchinnerflag 1 sinner 2.0 1.7 1.8 "
     "dinner 0.3 0.6 0.5"),
    (2, {"twojmax": 4, "chem": True}, "chem 2 0 1"),
    (2, {"twojmax": 4, "chem": True, "wselfall": True, "bnorm": True}, "chem 2 0 1 wselfallflag 1 bnormflag 1"),
    (3, {"twojmax": 2, "chem": True, "bzero": False}, "chem 3 0 1 2 bzeroflag 0"),
]  # fmt: skip


def random_cell(rng, n_species: int) -> Structure:
    lengths = np.array([6.0, 6.5, 7.0])
    return Structure([i % n_species for i in range(14)], rng.random((14, 3)) * lengths, np.diag(lengths), (True,) * 3)


def ask_compute(structure: Structure, n_species: int, words: str) -> np.ndarray:
    """The per-atom array of a compute, in the order of the atoms."""
    engine = lammps_instance()
    box = " ".join(f"0 {length!r}" for length in np.diag(structure.cell).tolist())
    setup = ["units metal", "atom_modify map array sort 0 0", f"region box block {box}", f"create_box {n_species} box"]
    engine.commands_list([*setup, "mass * 1.0", "pair_style zero 8.0", "pair_coeff * *"])
    n = len(structure.species)
    engine.create_atoms(n, range(1, n + 1), [s + 1 for s in structure.species], structure.positions.ravel().tolist())
    engine.commands_list([f"compute b all {words}", "run 0"])
    rows = np.empty_like(engine.numpy.extract_compute("b", 1, 2)[:n])
    rows[engine.numpy.extract_atom("id")[:n] - 1] = engine.numpy.extract_compute("b", 1, 2)[:n]
    engine.close()
    return rows


def both(rng, n_species, arguments, words, compute):
    structure = random_cell(rng, n_species)
    radii, weights = RADII[:n_species], WEIGHTS[:n_species]
    so4 = SO4(cutoff=4, n_species=n_species, radii=radii, weights=weights, **{"rfac0": 0.95, **arguments})
    numbers = [4.0, so4.rfac0, so4.twojmax, *radii, *weights]
    rows = ask_compute(structure, n_species, f"{compute} {' '.join(map(str, numbers))} {words}")
    return so4, brute_force_graph(structure, so4.cutoff), rows


@pytest.mark.parametrize(("n_species", "arguments", "words"), CASES)
def test_features_are_those_of_lammps(rng, n_species, arguments, words):
    so4, graph, expected = both(rng, n_species, arguments, words, "sna/atom")
    found = so4(graph).numpy()
    assert len(so4.labels()) == len(set(so4.labels())) == so4.n_features == found.shape[1]
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize(("n_species", "arguments", "words"), [CASES[0], CASES[3], CASES[5], CASES[6]])
def test_derivatives_are_those_of_lammps(rng, n_species, arguments, words):
    """`snad/atom` gives `-d/dr_i` of the sum of B over the atoms of each type, x, y, z outside of the features."""
    so4, graph, expected = both(rng, n_species, arguments, words, "snad/atom")
    positions = graph.positions.clone().requires_grad_()
    vectors = edge_vectors(positions, graph.cell, graph.batch, graph.centers, graph.neighbors, graph.shifts)
    features = so4(graph._replace(positions=positions, vectors=vectors))
    sums = torch.stack([features[graph.species == kind].sum(0) for kind in range(n_species)]).flatten()
    slopes = torch.autograd.grad(sums, positions, torch.eye(len(sums)).double(), is_grads_batched=True)[0]
    found = -slopes.view(n_species, so4.n_features, -1, 3).permute(2, 0, 3, 1).flatten(1).numpy()
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-10 * np.abs(expected).max())


def wigner(twoj: int, omega: float, axis: np.ndarray) -> np.ndarray:
    """The matrix of the rotation by omega about the axis in the representation of spin j, exp(-i omega n.J)."""
    m = np.arange(twoj, -twoj - 1, -2) / 2
    j = twoj / 2
    up = np.diag(np.sqrt(j * (j + 1) - m[1:] * (m[1:] + 1)), 1)
    jx, jy, jz = (up + up.T) / 2, (up - up.T) / 2j, np.diag(m)
    return expm(-1j * omega * (axis[0] * jx + axis[1] * jy + axis[2] * jz))


def coupling(j1: int, j2: int, j: int) -> np.ndarray:
    table = np.zeros((j1 + 1, j2 + 1, j + 1))
    for a, b, c in np.ndindex(table.shape):
        m1, m2, m = j1 - 2 * a, j2 - 2 * b, j - 2 * c
        if m1 + m2 == m:
            table[a, b, c] = float(clebsch_gordan(*(Rational(n, 2) for n in (j1, j2, j, m1, m2, m))))
    return table


def test_features_are_the_sums_that_define_them():
    """No LAMMPS: u^j from exponentials, half-integer Clebsch-Gordan coefficients of sympy, a sum over all m."""
    structure, cutoff = molecule(), 4.0
    so4 = SO4(cutoff, twojmax=3, bzero=False)
    found = so4(brute_force_graph(structure, cutoff))[2]
    u = [np.eye(twoj + 1, dtype=complex) for twoj in range(4)]
    for i, j, _ in brute_force_edges(structure, cutoff):
        if i == 2:
            d = structure.positions[j] - structure.positions[i]
            r = np.linalg.norm(d)
            for twoj in range(4):
                matrix = wigner(twoj, 2 * 0.99363 * np.pi * r / cutoff, d / r)
                u[twoj] += 0.5 * (np.cos(np.pi * r / cutoff) + 1.0) * matrix
    for label, value in zip(so4.labels(), found.tolist(), strict=True):
        j1, j2, j = map(int, re.findall(r"=(\d)", label))
        c = coupling(j1, j2, j)
        expected = np.einsum("ax,by,cz,abc,xyz->", u[j1], u[j2], u[j].conj(), c, c)
        assert abs(expected.imag) < 1e-10
        assert value == pytest.approx(expected.real, rel=1e-11)


@pytest.mark.parametrize("spin", [1, 3, 4, 6, 9, 12, 13])
def test_rules_average_every_monomial_as_the_integral_does(spin):
    """<c^a x^b y^d z^e> is `(a-1)!! (b-1)!! (d-1)!! (e-1)!! / (4 6 ... (2 spin + 2))` on the sphere, 0 for odd ones."""
    points, weights = rotation_rule(spin)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1.0, atol=1e-14)
    powers = np.stack([points**n for n in range(2 * spin + 1)])  # (exponent, Q, 4)
    odd = [float(np.prod(np.arange(n - 1, 0, -2, dtype=float))) if n % 2 == 0 else 0.0 for n in range(2 * spin + 1)]
    whole = float(np.prod(np.arange(4, 2 * spin + 3, 2, dtype=float)))
    exponents = [e for e in itertools.product(range(2 * spin + 1), repeat=3) if sum(e) <= 2 * spin]
    for a, b, d in exponents[:: 1 + len(exponents) // 400]:
        e = 2 * spin - a - b - d
        found = np.sum(weights * powers[a, :, 0] * powers[b, :, 1] * powers[d, :, 2] * powers[e, :, 3])
        assert found == pytest.approx(odd[a] * odd[b] * odd[d] * odd[e] / whole, abs=1e-14)


def test_rules_take_the_fewer_points():
    assert [len(rotation_rule(spin)[1]) for spin in (3, 4, 6, 9, 10, 12, 13)] == [24, 75, 144, 348, 726, 768, 1372]


@pytest.mark.parametrize("regressor", [Linear, Quadratic])
def test_first_order_has_the_energies_and_slopes_of_forward(regressor):
    """What a force field asks in eval mode: energies and slopes by the density without a graph of the contraction."""
    so4 = SO4(4.0, 2, twojmax=3, chem=True)
    potential = DescriptorPotential(so4, regressor(so4.n_features, 2))
    with torch.no_grad():
        potential.regressor.weights.normal_()
    graph = brute_force_graph(molecule(2), 4.0)
    found = []
    for method in (potential.forward, potential.first_order):
        vectors = graph.vectors.clone().requires_grad_()
        energies = method(graph._replace(vectors=vectors))
        found.append((energies.detach(), torch.autograd.grad(energies.sum(), vectors)[0]))
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize(
    ("n_species", "options"),
    [
        (1, {"twojmax": 5}),
        (1, {"twojmax": 0}),
        (1, {"twojmax": 9}),  # angle by angle
        (2, {"twojmax": 3, "radii": [1, 0.9], "rmin0": 0.8}),
        (2, {"twojmax": 2, "chem": True}),
        (2, {"twojmax": 3, "chem": True, "wselfall": True}),
    ],
)
def test_slopes_for_linear_fits_are_those_of_forward_mode(n_species, options):
    so4 = SO4(4.0, n_species, **options)
    graph = brute_force_graph(crystal(n_species), 4.0)
    density = so4.density(graph)
    expected = torch.func.vmap(torch.func.jacfwd(lambda a: so4.contract(a[None])[0]))(density).mT
    (block,) = so4.feature_slopes(density)
    found, n_sums = block.values, len(block.channels)
    torch.testing.assert_close(found, expected[:, :n_sums], rtol=0.0, atol=1e-12 * float(expected.abs().max()))
    some = select_edges(graph, torch.arange(3, 40))
    alone = star(some)
    jacobian = torch.func.jacfwd(lambda v: so4.density(alone._replace(vectors=v)))(alone.vectors)
    expected = jacobian.diagonal(dim1=0, dim2=2).permute(2, 1, 0)
    torch.testing.assert_close(so4.edge_slopes(some), expected, rtol=0.0, atol=1e-12 * float(expected.abs().max()))


@pytest.mark.parametrize(("spin", "degree"), [(6, 4), (9, 5)])
def test_sums_angle_by_angle_are_those_over_all_points(spin, degree):
    points, weights = euler_rule(spin)
    parts = Harmonics(degree).at(points).split([(low + 1) ** 2 for low in range(degree + 1)])
    change, transform, grid = change_of_basis(degree), EulerTransform(spin, degree), (-1, spin + 1, spin + 1, 3)
    a = torch.randn((degree + 1) ** 2, 3, dtype=torch.float64)
    expected = (parts[degree].T @ a).view(grid).permute(1, 2, 0, 3).reshape(spin + 1, -1)
    torch.testing.assert_close(transform.values(change[degree].T @ a), expected, rtol=0.0, atol=1e-11)
    values = torch.randn(len(points), 3, dtype=torch.float64)
    found = transform.project(values.view(grid).permute(1, 2, 0, 3).reshape(spin + 1, -1))
    for low in range(degree % 2, degree + 1, 2):
        expected = parts[low] @ (torch.as_tensor(weights).unsqueeze(1) * values)
        torch.testing.assert_close(change[low] @ found[transform.rows_of(low)], expected, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize(("twojmax", "count"), [(0, 1), (2, 5), (4, 14), (6, 30), (8, 55)])
def test_published_counts(twojmax, count):
    assert SO4(twojmax=twojmax).n_features == count
    assert SO4(twojmax=min(twojmax, 4), n_species=2, chem=True).n_features == 8 * min(count, 14)


@pytest.mark.parametrize("options", [{}, {"chem": True}, {"chem": True, "wselfall": True}])
def test_an_atom_alone_has_no_features_with_bzero(options):
    like = torch.zeros(1, dtype=torch.float64)
    alone = SO4(n_species=2, twojmax=3, **options).isolated(like)
    assert not alone.abs().gt(1e-12).any()
    every = SO4(n_species=2, twojmax=2, bzero=False, **options)
    for row, kind in itertools.product(every.isolated(like), ("2j=0", "2j=2")):
        own = [float(v) for v, label in zip(row, every.labels(), strict=True) if kind in label and abs(v) > 1e-12]
        assert own
        np.testing.assert_allclose(own, 1.0 if kind == "2j=0" else 3.0, rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"twojmax": -1}, r"`twojmax` must be at least 0, got -1; 8 is common"),
        ({"radii": 0}, r"`radii` must be positive, got \[0.0, 0.0\]; only their ratios count"),
        ({"radii": [1]}, r"`radii` must be one number or 2, one for each species, got \[1\]; fill it up"),
        ({"weights": [1, 2, 3]}, r"`weights` must be one number or 2, one for each species, got \[1, 2, 3\]"),
        ({"rmin0": 2.6, "radii": [1, 0.5]}, r"`rmin0` must be within \[0, 2.5\), the shortest cutoff, got 2.6"),
        ({"rfac0": 0}, r"`rfac0` must be positive, got 0.0; 0.99363 is common"),
        ({"sinner": 1.0}, r"`sinner` and `dinner` must stand together, got 1.0 and None; give both or neither"),
        ({"sinner": 1, "dinner": 0}, r"`dinner` must be positive, got \[0.0, 0.0\]; it is half the width"),
        ({"cutoff": 0}, r"`cutoff` must be positive \(Angstrom\), got 0"),
    ],
)
def test_bad_arguments_get_a_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        SO4(n_species=2, **arguments)
