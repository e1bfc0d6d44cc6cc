"""ACE against explicit Clebsch-Gordan sums, and its counts against characters of SO(3) and against e3nn.

The twin uses plain loops, complex harmonics of scipy and Clebsch-Gordan coefficients of sympy. Of orders 1 to 3 each
feature is one sum. Of order 4 the basis of the couplings of one multiset of factors is a choice, so the sum of squares
of its features is compared with that of an orthonormal basis found by SVD from trees in another order.
"""

import itertools
import re
from collections import Counter, defaultdict

import numpy as np
import pytest
import torch

from mdzoo.basis.coupling import coupling
from mdzoo.basis.symmetric_coupling import symmetric_trees, tree_orders
from mdzoo.descriptors import ACE, SO3
from tests.reference.test_so3 import CUTOFF, cg, coupled, density
from tests.structures import brute_force_graph, crystal, molecule


def factors_of(label, n_species):
    """The factors (species.k, l) of a label."""
    found = re.findall(r"k\d=([\d.]+),l\d=(\d+)", label)
    return tuple((k if n_species > 1 else f"0.{k}", int(l)) for k, l in found)  # noqa: E741


def low_order(factors, a):
    """The feature of one, two or three factors."""
    (k1, l1), *rest = factors
    total = 0.0
    for m in range(-l1, l1 + 1):
        if not rest:
            total += a[k1, l1, m]
        elif len(rest) == 1:
            total += np.conj(a[k1, l1, m]) * a[rest[0][0], l1, m]
        else:
            (k2, l2), (k3, l3) = rest
            total += np.conj(a[k1, l1, m]) * coupled(a, k2, l2, k3, l3, l1, m)
    return total / np.sqrt(2 * l1 + 1)


def tree(l1, l2, l3, l4, order):
    """The tensor of (1 3)(2 4) coupled to `order` and then to zero, in complex harmonics."""
    out = np.zeros([2 * n + 1 for n in (l1, l2, l3, l4)])
    for m1, m2, m3 in itertools.product(*(range(-n, n + 1) for n in (l1, l2, l3))):
        m4, m = -m1 - m2 - m3, m1 + m3
        if abs(m4) <= l4 and abs(m) <= order:
            phase = (-1.0) ** (order - m) / np.sqrt(2 * order + 1)
            out[m1 + l1, m2 + l2, m3 + l3, m4 + l4] = (
                phase * cg(l1, m1, l3, m3, order, m) * cg(l2, m2, l4, m4, order, -m)
            )
    return out


def order_four(factors, a):
    """The number of independent invariants and the sum of their squares."""
    l1, l2, l3, l4 = (l for _, l in factors)  # noqa: E741
    orders = range(max(abs(l1 - l3), abs(l2 - l4)), min(l1 + l3, l2 + l4) + 1)
    same = [p for p in itertools.permutations(range(4)) if all(factors[i] == factors[p[i]] for i in range(4))]
    trees = [sum(np.transpose(tree(l1, l2, l3, l4, n), p) for p in same) / len(same) for n in orders]
    _, s, v = np.linalg.svd(np.array(trees).reshape(len(trees), -1), full_matrices=False)
    product = np.ones(1)
    for k, l in factors:  # noqa: E741
        product = np.multiply.outer(product, [a[k, l, m] for m in range(-l, l + 1)]).ravel()
    independent = v[s > 1e-8]
    return len(independent), np.sum(np.abs(independent @ product) ** 2)


@pytest.mark.parametrize(
    ("build", "n_species", "arguments"),
    [
        (crystal, 1, {"K": 2, "L": 2, "radial": "chebyshev"}),
        (molecule, 2, {"K": 1, "L": 2, "radial": "bessel"}),
        (molecule, 4, {"K": 1, "L": 1, "radial": "chebyshev"}),
        (crystal, 1, {"K": [3, 3, 2, 2], "L": [0, 3, 3, 3], "degree": [9, 9, 8, 7], "radial": "chebyshev"}),
    ],
)
def test_features_are_explicit_clebsch_gordan_sums(build, n_species, arguments):
    structure = build(n_species)
    ace = ACE(CUTOFF, n_species, body_order=5, **arguments)
    found = ace(brute_force_graph(structure, CUTOFF)).numpy()
    labels = ace.labels()
    assert len(labels) == len(set(labels)) == ace.n_features == found.shape[1]
    a = density(structure, 2, arguments["radial"], ace.k_max, ace.l_max, 2)
    groups = defaultdict(list)
    for label, value in zip(labels, found[2], strict=True):
        groups[factors_of(label, n_species)].append(value)
    assert {len(factors) for factors in groups} == {1, 2, 3, 4}
    for factors, values in groups.items():
        scale = np.prod([np.linalg.norm([a[k, l, m] for m in range(-l, l + 1)]) for k, l in factors])  # noqa: E741
        if len(factors) < 4:
            np.testing.assert_allclose(values, [low_order(factors, a)], rtol=0.0, atol=1e-10 * scale)
            continue
        count, squares = order_four(factors, a)
        assert len(values) == count
        np.testing.assert_allclose(np.sum(np.square(values)), squares, rtol=0.0, atol=1e-10 * scale**2)


def characters(factors):
    """The number of invariants of a multiset: the average over SO(3) of symmetric powers of characters, exact."""
    angles = 2.0 * np.pi * np.arange(128) / 128
    total = (1.0 - np.cos(angles)) / 128
    for (_, l), power in Counter(factors).items():  # noqa: E741
        traces = [sum(np.cos(m * t * angles) for m in range(-l, l + 1)) for t in range(1, power + 1)]
        symmetric = [np.ones_like(angles)]
        for n in range(1, power + 1):
            symmetric.append(sum(traces[i - 1] * symmetric[n - i] for i in range(1, n + 1)) / n)
        total = total * symmetric[power]
    return round(total.sum())


@pytest.mark.parametrize(("n_species", "k", "l"), [(1, 2, 3), (2, 2, 1), (4, 1, 2)])
def test_counts_are_those_of_characters(n_species, k, l):  # noqa: E741
    """Complete: all multisets with an even sum of l, and for each as many functions as the characters say."""
    items = list(itertools.product(range(n_species * k), range(l + 1)))
    ace = ACE(CUTOFF, n_species, k, l, 5)
    orders = Counter(len(factors_of(label, n_species)) for label in ace.labels())
    for order in (2, 3, 4):
        multisets = itertools.combinations_with_replacement(items, order)
        assert orders[order] == sum(characters(f) for f in multisets if sum(n for _, n in f) % 2 == 0)
    assert orders[1] == n_species * k


def test_counts_are_those_of_e3nn():
    """Two species with a scalar and a vector each; the counts of e3nn's reduced symmetric tensor products."""
    o3 = pytest.importorskip("e3nn.o3", reason="e3nn is not installed")
    orders = Counter(len(factors_of(label, 2)) for label in ACE(CUTOFF, 2, 1, 1, 5).labels())
    for order, formula in ((2, "ij=ji"), (3, "ijk=jik=ikj"), (4, "ijkl=jikl=ikjl=ijlk")):
        irreps_out = o3.ReducedTensorProducts(formula, i="2x0e+2x1o", filter_ir_out=["0e"]).irreps_out
        assert orders[order] == irreps_out.dim


@pytest.mark.parametrize(
    ("n_species", "arguments"),
    [
        (1, {"K": 2, "L": 3}),
        (2, {"K": 2, "L": 1}),
        (4, {"K": 1, "L": 1}),
        (1, {"K": 6, "L": 4, "degree": [9, 8, 7, 6]}),
    ],
)
def test_features_are_linearly_independent(n_species, arguments):
    """The features of random densities have full rank, by singular values of columns of unit norm."""
    ace = ACE(CUTOFF, n_species, body_order=5, **arguments)
    generator = torch.Generator().manual_seed(0)
    features = ace.contract(torch.randn(2 * ace.n_features, ace.n_channels, generator=generator, dtype=torch.float64))
    singular = torch.linalg.svdvals(features / features.norm(dim=0))
    assert singular[-1] > 1e-4 * singular[0]


def test_order_three_spans_the_full_bispectrum():
    """Nothing is missing and nothing is new: the same invariants, up to scale, as those of SO3."""
    ace, so3 = ACE(CUTOFF, 1, 2, 3, 4), SO3(CUTOFF, 1, 2, 3, 4, "chebyshev", "full")
    rows = torch.randn(20, ace.n_channels, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    ours, theirs = ace.contract(rows)[:, ace.k_max :], so3.contract(rows)
    assert ours.shape == theirs.shape
    overlap = ((ours / ours.norm(dim=0)).T @ (theirs / theirs.norm(dim=0))).abs()
    assert (overlap.max(1).values > 1.0 - 1e-12).all()
    assert len(overlap.argmax(1).unique()) == so3.n_features


@pytest.mark.parametrize(("n_species", "radial"), [(1, "chebyshev"), (2, "bessel")])
def test_folded_weights_give_the_features_times_the_weights(n_species, radial):
    ace = ACE(CUTOFF, n_species, [3, 2, 2, 1], [0, 3, 2, 2], 5, radial=radial)
    density_rows = ace.density(brute_force_graph(crystal(n_species), CUTOFF))
    theta = torch.randn(ace.n_features, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = ace.contract(density_rows) @ theta
    torch.testing.assert_close(ace.contract_with(density_rows, theta), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("arguments", [{"K": 2, "L": 2}, {"n_species": 2, "K": 3, "L": 3, "degree": [4, 5, 5, 4]}])
def test_slopes_are_the_derivatives_of_the_features(arguments):
    ace = ACE(CUTOFF, body_order=5, **arguments)
    rows = torch.randn(2, ace.n_channels, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    found = ace.parts[0].slopes(rows)
    expected = torch.stack([torch.func.jacrev(lambda a: ace.contract(a.unsqueeze(0))[0])(row) for row in rows])
    torch.testing.assert_close(found.transpose(1, 2), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("l1", "l2", "order"), [(1, 1, 1), (1, 2, 2), (2, 2, 3), (3, 2, 2), (2, 2, 4)])
def test_couplings_of_either_parity_are_those_of_e3nn(l1, l2, order):
    o3 = pytest.importorskip("e3nn.o3", reason="e3nn is not installed")
    expected = o3.wigner_3j(l1, l2, order, dtype=torch.float64).numpy()
    found = coupling(l1, l2, order) / np.sqrt(2 * order + 1)
    np.testing.assert_allclose(found, np.sign(np.sum(found * expected)) * expected, atol=1e-12)


@pytest.mark.parametrize(
    ("family", "options", "xi"),
    [
        ("chebyshev", {"stretch": 0.0}, lambda r: 2.0 * r / CUTOFF - 1.0),
        ("chebyshev_power", {"stretch": 2.0}, lambda r: 1.0 - 2.0 * (1.0 - r / CUTOFF) ** 2),
        ("agnesi", {"r0": 1.7}, lambda r: agnesi(r, 1.7)),
    ],
)
def test_radial_functions_are_chebyshev_polynomials_of_the_transform(family, options, xi):
    r = np.linspace(0.1, CUTOFF, 40)
    found = ACE(CUTOFF, K=4, radial=family, **options).radial(torch.tensor(r))[0].numpy()
    expected = np.cos(np.outer(np.arange(4), np.arccos(np.clip(xi(r), -1.0, 1.0)))) * (1.0 - (r / CUTOFF) ** 2) ** 3
    np.testing.assert_allclose(found, expected, atol=1e-12)


def agnesi(r, r0):
    """Runs from -1 at r = 0 to 1 at the cutoff."""
    y = lambda t: 1.0 / (1.0 + 10.0 / 13.0 * t**4 / (1.0 + t**2))  # noqa: E731
    return 1.0 - 2.0 * (y(r / r0) - y(CUTOFF / r0)) / (1.0 - y(CUTOFF / r0))


def test_agnesi_is_steepest_at_r0():
    r = np.linspace(0.5, 3.5, 3001)
    assert r[np.argmax(np.gradient(agnesi(r, 1.7), r))] == pytest.approx(1.7, abs=2e-3)


def test_equal_factors_leave_fewer_couplings():
    """Four equal factors of l = 2 have one invariant of order 4, (a . a)^2; four different ones have five."""
    assert tree_orders(2, 2, 2, 2) == [0, 1, 2, 3, 4]
    assert symmetric_trees((2, 2, 2, 2), (0, 1, 2, 3)).shape == (5, 5)
    rows = symmetric_trees((2, 2, 2, 2), (0, 0, 0, 0))
    np.testing.assert_allclose(rows @ rows.T, np.eye(1), atol=1e-14)
    np.testing.assert_allclose(rows[0, [1, 3]], 0.0, atol=1e-14)


def test_sizes_by_body_order_and_degree():
    orders = Counter(label[:2] for label in ACE(CUTOFF, 1, [5, 3, 2, 1], [0, 2, 1, 1], 5).labels())
    assert (orders["B1"], orders["B2"]) == (5, 3 * 6)
    bounded = ACE(CUTOFF, 1, 9, 9, 4, degree=[6, 5, 4], l_weight=1.5)
    for label in bounded.labels():
        degree = sum(float(k) - 1 + 1.5 * float(l) for k, l in re.findall(r"k\d=(\d+),l\d=(\d+)", label))  # noqa: E741
        assert degree <= {"B1": 6, "B2": 5, "B3": 4}[label[:2]]
    assert "B2[k1=1,l1=1,k2=3,l2=1]" in bounded.labels()
    assert bounded.l_max == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"body_order": 6}, r"`body_order` must be 2, 3, 4 or 5, got 6; 4 is a good start"),
        ({"K": [2, 2]}, r"`K` must be one number or 3 .*, got \[2, 2\]; give as many as body_order asks"),
        ({"K": 0}, r"`K` must be .* each at least 1, got 0"),
        ({"L": -1}, r"`L` must be .* each at least 0, got -1"),
        ({"degree": [4]}, r"`degree` must be one number or 3"),
        ({"l_weight": 0}, r"`l_weight` must be positive, got 0; 1 counts l like k"),
        ({"radial": "chebyshev_power", "stretch": 0.5}, r"`stretch` must be at least 1 for chebyshev_power, got 0.5"),
        ({"radial": "agnesi", "r0": 0}, r"`r0` must be positive \(Angstrom\), got 0; give the distance"),
        ({"radial": "gauss"}, r"`radial` must be one of .*, got 'gauss'"),
        ({"cutoff": 0}, r"`cutoff` must be positive \(Angstrom\), got 0"),
    ],
)
def test_bad_arguments_get_a_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        ACE(**arguments)
