"""SO3 against a dense twin: plain loops over atoms, neighbours and quantum numbers, in complex numbers.

Nothing is shared with the product: spherical harmonics and Bessel functions of scipy, Clebsch-Gordan coefficients of
sympy, neighbours by brute force over images. Features are matched by their labels.
"""

import itertools
import re
from collections import defaultdict
from functools import cache

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import sph_harm_y, spherical_jn, spherical_yn
from sympy.physics.wigner import clebsch_gordan

from mdzoo.basis.coupling import even_triples, real_coupling
from mdzoo.descriptors import SO3
from tests.structures import Structure, brute_force_edges, brute_force_graph, crystal, molecule

CUTOFF = 4.0


@cache
def zero(kind, order, k):
    """The k-th positive zero of a spherical Bessel function, found by walking along it."""
    grid = np.arange(0.05, 40.0, 0.05)
    signs = np.sign(kind(order, grid))
    starts = np.flatnonzero(signs[1:] != signs[:-1])
    return brentq(lambda z: kind(order, z), grid[starts[k - 1]], grid[starts[k - 1] + 1], xtol=1e-15)


def g(family, k, order, r):
    if family == "chebyshev":
        xi = 1.0 - 2.0 * (np.exp(-3.0 * (r / CUTOFF - 1.0)) - 1.0) / (np.exp(3.0) - 1.0)
        return np.cos((k - 1) * np.arccos(np.clip(xi, -1.0, 1.0)))
    kind = spherical_jn if family == "bessel" else spherical_yn
    z = zero(kind, order, k)
    return np.sqrt(2.0 / (CUTOFF**3 * kind(order + 1, z) ** 2)) * kind(order, z * r / CUTOFF)


def density(structure: Structure, atom, family, k_max, l_max, smoothness):
    """a[species.k, l, m] of one atom."""
    a = defaultdict(complex)
    for i, j, shift in brute_force_edges(structure, CUTOFF):
        if i != atom:
            continue
        x, y, z = structure.positions[j] + np.array(shift) @ structure.cell - structure.positions[i]
        r = np.sqrt(x * x + y * y + z * z)
        f = (1.0 - (r / CUTOFF) ** 2) ** (smoothness + 1)
        for k, order in itertools.product(range(1, k_max + 1), range(l_max + 1)):
            for m in range(-order, order + 1):
                harmonic = sph_harm_y(order, m, np.arccos(z / r), np.arctan2(y, x))
                a[f"{structure.species[j]}.{k}", order, m] += g(family, k, order, r) * f * harmonic
    return a


@cache
def cg(l1, m1, l2, m2, order, m):
    return float(clebsch_gordan(l1, l2, order, m1, m2, m))


def coupled(a, k1, l1, k2, l2, order, m):
    """sum C^{l1 l2 l}_{m1 m2 m} a_{k1 l1 m1} a_{k2 l2 m2}."""
    total = 0.0
    for m1, m2 in itertools.product(range(-l1, l1 + 1), range(-l2, l2 + 1)):
        if m1 + m2 == m:
            total += cg(l1, m1, l2, m2, order, m) * a[k1, l1, m1] * a[k2, l2, m2]
    return total


def feature(label, a, n_species):
    """The definition of the docstring, read off the label."""
    q = dict(re.findall(r"([kl]\d?'?)=([\d.]+)", label))
    q = {key: int(v) if key[0] == "l" else (v if n_species > 1 else f"0.{v}") for key, v in q.items()}
    total = 0.0
    for m in range(-q["l"], q["l"] + 1):
        if label[0] == "p":
            total += np.conj(a[q["k"], q["l"], m]) * a[q["k'"], q["l"], m]
        elif label[0] == "b":
            k1, k2 = q.get("k1", q.get("k'")), q.get("k2", q.get("k'"))
            total += np.conj(a[q["k"], q["l"], m]) * coupled(a, k1, q["l1"], k2, q["l2"], q["l"], m)
        else:
            left = coupled(a, q["k"], q["l1"], q["k"], q["l2"], q["l"], m)
            total += np.conj(left) * coupled(a, q["k'"], q["l3"], q["k'"], q["l4"], q["l"], m)
    return total


@pytest.mark.parametrize(
    ("build", "n_species", "family", "pairing", "body_order", "k", "l", "smoothness"),
    [
        (crystal, 1, "bessel", "slides", 4, 2, 3, 2),
        (crystal, 1, "bessel2", "slides", 4, 2, 2, 2),
        (crystal, 2, "chebyshev", "slides", 4, 2, 2, 1),
        (molecule, 2, "bessel", "full", 4, 1, 2, 3),
        (molecule, 1, "chebyshev", "full", 4, 3, 1, 2),
        (molecule, 1, "bessel", "slides", 5, 2, 2, 2),
    ],
)
def test_features_are_those_of_the_dense_twin(build, n_species, family, pairing, body_order, k, l, smoothness):  # noqa: E741
    structure = build(n_species)
    so3 = SO3(CUTOFF, n_species, k, l, body_order, family, pairing, smoothness)
    found = so3(brute_force_graph(structure, CUTOFF)).numpy()
    labels = so3.labels()
    assert len(labels) == len(set(labels)) == so3.n_features == found.shape[1]
    for atom in (0, 2):
        a = density(structure, atom, family, k, l, smoothness)
        expected = np.array([feature(label, a, n_species) for label in labels])
        scale = np.abs(expected).max()
        np.testing.assert_allclose(expected.imag, 0.0, atol=1e-12 * scale)
        np.testing.assert_allclose(found[atom], expected.real, rtol=0.0, atol=1e-10 * scale)


def test_sizes_by_body_order():
    so3 = SO3(CUTOFF, K=[3, 2, 1], L=[2, 1, 1], body_order=5)
    kinds = [label[0] for label in so3.labels()]
    assert [kinds.count(kind) for kind in "pbc"] == [6 * 3, 2 * 2 * 3, 3 + 1]
    whole = SO3(CUTOFF, K=3, L=2, body_order=5)
    graph = brute_force_graph(molecule(), CUTOFF)
    values = dict(zip(whole.labels(), whole(graph).T, strict=True))
    for label, value in zip(so3.labels(), so3(graph).T, strict=True):
        torch.testing.assert_close(value, values[label], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_bessel_functions_are_orthonormal_on_the_ball(order):
    for i, j in itertools.product((1, 2, 3), repeat=2):
        value, _ = quad(lambda r, i=i, j=j: r * r * g("bessel", i, order, r) * g("bessel", j, order, r), 0.0, CUTOFF)
        assert value == pytest.approx(float(i == j), abs=1e-10)


@pytest.mark.parametrize(("order", "l1", "l2"), even_triples(4))
def test_couplings_are_those_of_e3nn(order, l1, l2):
    """e3nn's Wigner 3j symbols of the real basis, normalised to 1, of either sign."""
    o3 = pytest.importorskip("e3nn.o3", reason="e3nn is not installed")
    expected = o3.wigner_3j(l1, l2, order, dtype=torch.float64).numpy()
    found = real_coupling(l1, l2, order) / np.sqrt(2 * order + 1)
    sign = np.sign(np.sum(found * expected))
    np.testing.assert_allclose(found, sign * expected, atol=1e-12)


def test_odd_coupling_is_refused():
    with pytest.raises(ValueError, match=r"`l1 \+ l2 \+ l` must be even, got 1 \+ 1 \+ 1; odd ones change sign"):
        real_coupling(1, 1, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pairing": "some"}, r"`pairing` must be one of \['slides', 'full'\], got 'some'; `slides` is the smaller"),
        ({"radial": "gauss"}, r"`radial` must be one of .*, got 'gauss'; see mdzoo.basis.radial"),
        ({"body_order": 6}, r"`body_order` must be 3, 4 or 5, got 6; 4 is the slides' bispectrum"),
        ({"K": [2, 2, 2]}, r"`K` must be one number or 2 .*, got \[2, 2, 2\]; give as many as body_order asks"),
        ({"K": 0}, r"`K` must be .* each at least 1, got 0"),
        ({"cutoff": 0}, r"`cutoff` must be positive \(Angstrom\), got 0; give the radius"),
        ({"n_species": 0}, r"`n_species` must be at least 1, got 0; give the number of elements"),
    ],
)
def test_bad_arguments_get_a_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        SO3(**arguments)
