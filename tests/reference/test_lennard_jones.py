"""LennardJones against the lattice sums of fcc, what follows from them, and lj/cut of LAMMPS below the switch."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from mdzoo.potentials import ForceField, LennardJones
from tests.reference.engine import ask_lammps
from tests.structures import Structure, brute_force_graph

FCC = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]) / np.sqrt(2.0)  # nearest neighbours at 1


@pytest.fixture(scope="module")
def fcc():
    return brute_force_graph(Structure([0], np.zeros((1, 3)), FCC, (True,) * 3), 9.0)


def energy(sigma, graph):
    with torch.no_grad():
        return float(LennardJones(1.0, sigma, 9.0, onset=6.0)(graph))


def tail(power):
    """What the switch takes from sum r^-power over a continuum of density sqrt(2)."""

    def lost(r):
        t = np.clip((r - 6.0) / 3.0, 0.0, 1.0)
        return 4.0 * np.pi * np.sqrt(2.0) * r ** (2 - power) * t**3 * (10.0 - 15.0 * t + 6.0 * t * t)

    return quad(lost, 6.0, 9.0)[0] + quad(lost, 9.0, np.inf)[0]


def test_lattice_sums_of_fcc(fcc):
    """sum r^-6 = 14.45392, sum r^-12 = 12.13188 (Lennard-Jones and Ingham, 1925; Kittel, ch. 3: 14.454 and 12.132).

    Two values of sigma give two equations for them: E = 2 (A12 sigma^12 - A6 sigma^6).
    """
    sigmas = np.array([1.0, 0.8])
    left = 2.0 * np.stack([sigmas**12, -(sigmas**6)], 1)
    a12, a6 = np.linalg.solve(left, [energy(s, fcc) for s in sigmas])
    assert a12 + tail(12) == pytest.approx(12.13188, abs=1e-5)
    assert a6 + tail(6) == pytest.approx(14.45392, abs=2e-4)  # the sum beyond 6 Angstrom is taken as an integral


def test_cohesive_energy_of_fcc(fcc):
    """E = -A6^2 / (2 A12) = -8.610 epsilon where r = (2 A12 / A6)^(1/6) sigma = 1.0902 sigma (Kittel, ch. 3)."""
    assert energy(1.0 / 1.0902, fcc) - 2.0 * tail(6) / 1.0902**6 == pytest.approx(-8.610, abs=1e-3)


def test_below_the_switch_it_is_lj_cut_of_lammps(rng):
    grid = np.stack(np.meshgrid(*[np.arange(2)] * 3), -1).reshape(-1, 3)
    structure = Structure([0, 1] * 4, grid * 2.0 + rng.uniform(0.0, 0.5, (8, 3)), np.zeros((3, 3)), (False,) * 3)
    epsilon, sigma = [[0.1, 0.3], [0.3, 0.2]], [[2.0, 1.9], [1.9, 2.2]]
    pairs = [f"pair_coeff {i + 1} {j + 1} {epsilon[i][j]} {sigma[i][j]}" for i, j in ((0, 0), (0, 1), (1, 1))]
    expected = ask_lammps(structure, ["pair_style lj/cut 6.0", *pairs], 2)
    model = ForceField(LennardJones(epsilon, sigma, 8.0, onset=6.0, n_species=2), [18, 36]).eval()
    found = model(brute_force_graph(structure, 8.0))
    assert float(found.energy) == pytest.approx(expected.energy, rel=1e-12)
    largest = np.abs(expected.forces).max()
    np.testing.assert_allclose(found.forces.numpy(), expected.forces, rtol=0.0, atol=1e-12 * largest)


def test_well_and_zero_of_each_pair():
    lj = LennardJones([1.0, 4.0], [2.0, 3.0], 12.0, n_species=2)  # mixed: epsilon 2, sigma 2.5
    s_i, s_j = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    sigma, epsilon = torch.tensor([2.0, 2.5, 2.5, 3.0]).double(), torch.tensor([1.0, 2.0, 2.0, 4.0]).double()
    torch.testing.assert_close(lj.pair_energy(sigma, s_i, s_j), 0.0 * sigma, atol=1e-13, rtol=0.0)
    torch.testing.assert_close(lj.pair_energy(2 ** (1 / 6) * sigma, s_i, s_j), -epsilon, rtol=1e-13, atol=0.0)


def test_chosen_parameters_train_and_stay_positive():
    lj = LennardJones(1.0, 2.0, 5.0, trainable=["epsilon"])
    assert [n for n, p in lj.named_parameters() if p.requires_grad] == ["epsilon.raw"]
    assert not any(p.requires_grad for p in LennardJones(1.0, 2.0, 5.0).parameters())
    assert all(p.requires_grad for p in LennardJones(1.0, 2.0, 5.0, trainable=True).parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"onset": 5}, r"`onset` must be within \[0, cutoff=5.0\), got 5.0; begin the switch below the cutoff"),
        ({"epsilon": -1.0}, r"`epsilon` must be finite and positive, got \[-1.0, -1.0, -1.0\]; correct"),
        ({"sigma": [1.0, float("nan")]}, r"`sigma` must be positive and finite, got \[\[1.0, nan\]"),
        ({"sigma": [1.0, 2.0, 3.0]}, r"`sigma` must be one number, 2 numbers to mix or a symmetric 2 x 2 table, got"),
        ({"epsilon": [[1.0, 2.0], [3.0, 1.0]]}, r"`epsilon` must be .* got \[\[1.0, 2.0\], \[3.0, 1.0\]\]; give them"),
        ({"trainable": ["eps"]}, r"`trainable` must be .* \['epsilon', 'sigma'\], got \['eps'\]; name these"),
    ],
)
def test_bad_arguments_get_a_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        LennardJones(**{"epsilon": 1.0, "sigma": 2.0, "cutoff": 5.0, "n_species": 2, **arguments})
