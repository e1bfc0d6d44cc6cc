"""UF3 against B-splines of SciPy in plain loops, and against LAMMPS's `pair_style uf3` on the file that is written."""

import itertools
import re

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline

from mdzoo.descriptors import UF3
from mdzoo.descriptors.slopes import backward
from mdzoo.export.native.lammps import INPUT, write_lammps
from mdzoo.potentials import DescriptorPotential, ForceField
from mdzoo.regressors import Linear
from tests.reference.engine import Answer, ask_lammps
from tests.reference.many_body import strained
from tests.structures import Structure, brute_force_graph, crystal, molecule

SIZES = {"cutoff": 5.0, "resolution": 8, "triplet_cutoff": 4.0, "triplet_resolution": [4, 6]}


def splines(r_min: float, end: float, n: int) -> list[BSpline]:
    """The B-splines whose last knot is at most `end`, on even knots, their first cubics carried on below r_min."""
    knots = r_min + (end - r_min) / n * np.arange(-3, n + 4)
    return [BSpline(knots, np.eye(n + 3)[k], 3) for k in range(n)]


def value(spline: BSpline, end: float, r: float) -> float:
    return float(spline(r)) if r < end else 0.0


def by_loops(descriptor: UF3, structure: Structure, label: str, r_min: float) -> float:
    """A feature of atom 0 of a molecule."""
    x, kinds = structure.positions, structure.species
    q = {key: int(number) for key, number in re.findall(r"([\w']+)=(\d+)", label)}
    r = np.linalg.norm(x - x[0], axis=1)
    others = range(1, len(x))
    if label.startswith("2b"):
        spline = splines(r_min, 5.0, 8)[q["k"]]
        return sum(value(spline, 5.0, r[j]) for j in others if kinds[j] == q["s"])
    near, far = splines(r_min, 4.0, 4), splines(r_min, 8.0, 6)[q["n"]]
    legs, total = [(q["s"], q["l"]), (q["s'"], q["m"])], 0.0
    for j, k in itertools.combinations(others, 2):
        for one, other in set(itertools.permutations(legs)):
            if (kinds[j], kinds[k]) == (one[0], other[0]):
                product = value(near[one[1]], 4.0, r[j]) * value(near[other[1]], 4.0, r[k])
                total += product * value(far, 8.0, np.linalg.norm(x[j] - x[k]))
    return total


@pytest.mark.parametrize("r_min", [0.5, 2.3])
def test_features_are_sums_of_products_of_splines(r_min):
    descriptor, structure = UF3(n_species=2, r_min=r_min, **SIZES), molecule(2)
    found = descriptor(brute_force_graph(structure, 5.0))[0].tolist()
    for label, number in zip(descriptor.labels(), found, strict=True):
        assert number == pytest.approx(by_loops(descriptor, structure, label, r_min), rel=1e-10, abs=1e-13), label


def test_only_what_no_triangle_meets_is_left_out(rng):
    part = UF3(r_min=1.0, cutoff=4.0, triplet_resolution=[6, 12]).triplets
    legs = rng.uniform(0.5, 4.0, (2, 200_000))
    third = rng.uniform(np.abs(legs[0] - legs[1]), legs.sum(0))
    met = [(rows(torch.as_tensor(r)) != 0.0).numpy() for rows, r in ((part.near, legs[0]), (part.near, legs[1]))]
    both = np.einsum("ta,tb,tn->abn", *(m.astype(np.float32) for m in met), part.far(torch.as_tensor(third)) != 0.0)
    known = {(a, b, n) for a, b, n in itertools.chain(part.triples, ((b, a, n) for a, b, n in part.triples))}
    found = {tuple(row) for row in np.argwhere(both > 0.0).tolist()}
    assert found <= known
    assert len(known - found) <= 5, "those that only triangles of 2e-5 of all meet"
    assert len(part.triples) < 12 * 21


@pytest.mark.parametrize("n_species", [1, 2])
def test_slopes_are_those_of_backward_passes(n_species):
    descriptor = UF3(n_species=n_species, r_min=2.2, **SIZES)
    graph = brute_force_graph(crystal(n_species), 5.0)
    (features, table), (same, found) = backward(descriptor, graph), descriptor.slopes(graph)
    torch.testing.assert_close(same, features, rtol=1e-13, atol=0.0)
    torch.testing.assert_close(found, table, rtol=0.0, atol=1e-13 * float(table.abs().max()))


def model(n_species: int, r_min: float) -> ForceField:
    """Weights by a formula, so that numbers of LAMMPS can be kept."""
    descriptor = UF3(n_species=n_species, r_min=r_min, **SIZES)
    regressor = Linear(descriptor.n_features, n_species)
    with torch.no_grad():
        regressor.weights.copy_(torch.arange(regressor.weights.numel()).cos().view_as(regressor.weights))
        regressor.bias.copy_(torch.arange(1.0, n_species + 1.0))
    return ForceField(DescriptorPotential(descriptor, regressor), [14, 8][:n_species]).eval()


def check(found, expected: Answer, constant: float):
    """1e-10 of the largest: LAMMPS sums powers of r."""
    assert float(found.energy.detach()) - constant == pytest.approx(expected.energy, rel=1e-10)
    for mine, theirs in ((found.forces, expected.forces), (found.virial[0], expected.virial)):
        np.testing.assert_allclose(mine.detach().numpy(), theirs, rtol=0.0, atol=1e-10 * np.abs(theirs).max())


@pytest.mark.parametrize(("n_species", "r_min"), [(1, 0.0), (1, 2.3), (2, 0.0), (2, 2.3)])
def test_lammps_runs_what_is_written(rng, tmp_path, monkeypatch, n_species, r_min):
    monkeypatch.chdir(tmp_path)
    force_field, structure = model(n_species, r_min), strained(rng, n_species, 4.8)
    write_lammps(tmp_path, force_field)
    expected = ask_lammps(structure, [f"include {tmp_path / INPUT}"], n_species)
    check(force_field(brute_force_graph(structure, 5.0)), expected, sum(s + 1.0 for s in structure.species))


def test_neighbours_at_the_cutoff_are_no_trouble_in_lammps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    places = 4.0 * np.array(list(itertools.product(range(2), repeat=3)), float)
    structure = Structure([0] * 9, np.concatenate([places, [[2.1, 1.9, 1.7]]]), 8.0 * np.eye(3), (True,) * 3)
    force_field = model(1, 1.0)
    write_lammps(tmp_path, force_field)
    expected = ask_lammps(structure, [f"include {tmp_path / INPUT}"], 1)
    check(force_field(brute_force_graph(structure, 5.0)), expected, 9.0)


KEPT = {  # by LAMMPS of 22 July 2025, update 4, of the structure `crystal`: energy, force on atom 0, xy of the virial
    1: (7.653472692752499, [-0.50679246693486, 1.062412560155364, 2.988011900780532], -5.901126493737021),
    2: (25.621492695776485, [2.7338846922394113, -0.6175468603458021, 0.1812254778953021], 0.4607945410698456),
}


@pytest.mark.parametrize("n_species", KEPT)
def test_numbers_that_lammps_gave(n_species):
    energy, force, xy = KEPT[n_species]
    structure = crystal(n_species)
    found = model(n_species, 1.0)(brute_force_graph(structure, 5.0))
    assert float(found.energy) - sum(s + 1.0 for s in structure.species) == pytest.approx(energy, rel=1e-10)
    assert found.forces[0].tolist() == pytest.approx(force, rel=1e-9, abs=1e-9)
    assert float(found.virial[0, 0, 1]) == pytest.approx(xy, rel=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"triplet_cutoff": 6.0},
            r"`triplet_cutoff` must be within \(0, cutoff=5.5\] \(Angstrom\), got 6.0; the first",
        ),
        ({"r_min": 4.0}, r"`r_min` must be within \[0, triplet_cutoff=4.0\) \(Angstrom\), got 4.0; take somewhat less"),
        ({"resolution": 0}, r"`resolution` and the two numbers of `triplet_resolution` must be at least 1, got 0 and"),
        ({"triplet_resolution": [6]}, r"`resolution` and the two numbers .* got 16 and \[6\]; 16 and \[6, 12\] are"),
    ],
)
def test_bad_arguments_get_a_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        UF3(**arguments)
