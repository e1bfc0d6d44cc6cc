"""ZBL against LAMMPS's pair_style zbl, and against the limits that physics sets."""

import numpy as np
import pytest
import torch

from mdzoo.potentials import ZBL, ForceField
from tests.reference.engine import ask_lammps
from tests.structures import Structure, brute_force_graph, crystal, slab

ELEMENTS = [14, 42, 3]


def close_cluster(rng) -> Structure:
    """Ten atoms of three elements, 0.4 to 4 Angstrom apart."""
    positions = rng.uniform(0.0, 3.0, (10, 3))
    return Structure([i % 3 for i in range(10)], positions, np.zeros((3, 3)), (False,) * 3)


def box(rng) -> Structure:
    """A periodic box smaller than twice the cutoff."""
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3), -1).reshape(-1, 3)
    positions = grid * np.array([2.0, 2.1, 2.2]) + rng.uniform(0.0, 0.4, (27, 3))
    return Structure([i % 3 for i in range(27)], positions, np.diag([6.0, 6.3, 6.6]), (True,) * 3)


def skewed(_) -> Structure:
    return crystal(3)


def sheet(_) -> Structure:
    return slab(3)


@pytest.mark.parametrize("build", [close_cluster, box, skewed, sheet])
@pytest.mark.parametrize(("inner", "outer"), [(3.0, 4.0), (1.5, 2.9)])
def test_energies_forces_and_virial_are_those_of_lammps(rng, build, inner, outer):
    structure = build(rng)
    pairs = [f"pair_coeff {i + 1} {j + 1} {ELEMENTS[i]} {ELEMENTS[j]}" for i in range(3) for j in range(i, 3)]
    expected = ask_lammps(structure, [f"pair_style zbl {inner} {outer}", *pairs], 3)
    found = ForceField(ZBL(ELEMENTS, inner, outer), ELEMENTS).eval()(brute_force_graph(structure, outer))
    assert float(found.energy) == pytest.approx(expected.energy, rel=1e-12)
    largest = np.abs(expected.forces).max()
    np.testing.assert_allclose(found.forces.numpy(), expected.forces, rtol=0.0, atol=1e-12 * largest)
    largest = np.abs(expected.virial).max()
    np.testing.assert_allclose(found.virial[0].numpy(), expected.virial, rtol=0.0, atol=1e-11 * largest)


def test_bare_nuclei_repel_at_short_distance_whatever_the_fit_did_to_the_screening():
    zbl = ZBL([14], 1, 2, trainable=True)
    with torch.no_grad():
        zbl.c.raw.add_(torch.randn(4))
        zbl.d.raw.add_(0.1 * torch.randn(4))
    r, zero = torch.tensor([1e-7], dtype=torch.float64), torch.zeros(1, dtype=torch.int64)
    assert float((zbl.pair_energy(r, zero, zero) * r).detach()) == pytest.approx(14.399645 * 14 * 14, rel=1e-5)


def test_published_screening_function():
    """Universal screening at x = r / a = 1: the four terms with the digits of LAMMPS's pair_zbl_const.h, by hand."""
    zbl = ZBL([14], 7, 8)
    r, zero = torch.tensor([1.0], dtype=torch.float64), torch.zeros(1, dtype=torch.int64)
    a = 0.46850 / (2 * 14**0.23)
    x = 1.0 / a
    phi = 0.18175 * np.exp(-3.19980 * x) + 0.50986 * np.exp(-0.94229 * x)
    phi += 0.28022 * np.exp(-0.40290 * x) + 0.02817 * np.exp(-0.20162 * x)
    bare = float(zbl.pair_energy(r, zero, zero).detach())
    assert bare == pytest.approx(14.399645 * 196 * phi, abs=2e-3)  # the shift C by the tail at 8 Angstrom


def test_parameters_keep_their_sign_and_their_sum():
    zbl = ZBL([14, 42], trainable=["c", "a0"])
    assert [n for n, p in zbl.named_parameters() if p.requires_grad] == ["a0.raw", "c.raw"]
    assert float(zbl.c().detach().sum()) == pytest.approx(1.0, abs=1e-15)
    assert float(zbl.a0().detach()) == pytest.approx(0.46850, abs=1e-15)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"atomic_numbers": []}, r"`atomic_numbers` must be one or more positive numbers, got \[\]; give the element"),
        ({"atomic_numbers": [0]}, r"`atomic_numbers` must be .* got \[0.0\]"),
        ({"inner": 4, "outer": 4}, r"`inner` must be within \[0, outer=4.0\), got 4.0; switch below `outer`"),
        (
            {"trainable": ["q"]},
            r"`trainable` must be true, false or a list out of \['a0', 'p', 'c', 'd'\], got \['q'\]",
        ),
    ],
)
def test_bad_arguments_get_a_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        ZBL(**{"atomic_numbers": [14], **arguments})
