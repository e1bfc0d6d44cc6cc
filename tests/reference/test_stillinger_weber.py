"""StillingerWeber against LAMMPS's pair_style sw, and against what the paper and its formula say of diamond."""

import itertools
import math

import numpy as np
import pytest
import torch

from mdzoo.data.parameter_files.stillinger_weber import read_sw
from mdzoo.potentials import ForceField, StillingerWeber
from tests.reference.many_body import check_against_lammps, potential_file, primitive_diamond, strained
from tests.structures import brute_force_graph, crystal, molecule, slab


def test_diamond_is_bound_by_two_epsilon():
    """No angular energy, four bonds at the minimum of phi_2: -2 epsilon = -4.3366 eV at 5.431 Angstrom (the paper)."""
    potential = StillingerWeber()
    energy = float(potential(brute_force_graph(primitive_diamond(5.431), potential.cutoff))[0].detach())
    assert energy == pytest.approx(-2.0 * 2.1683, abs=1e-6)
    assert energy == pytest.approx(-4.336, abs=1e-3)


def test_a_plain_loop_gives_the_same():
    """phi_2 and phi_3 as printed, over pairs and triples of a molecule; epsilon 2, sigma 2, lambda 20."""
    where, epsilon, sigma, end = molecule(1).positions, 2.0, 2.0, 3.6
    total = 0.0
    for i, j in itertools.combinations(range(5), 2):
        r = np.linalg.norm(where[i] - where[j])
        if r < end:
            total += 7.0 * epsilon * (0.6 * (sigma / r) ** 4 - 1.0) * math.exp(sigma / (r - end))
    for i in range(5):
        for j, k in itertools.combinations([a for a in range(5) if a != i], 2):
            a, b = where[j] - where[i], where[k] - where[i]
            r, s = np.linalg.norm(a), np.linalg.norm(b)
            if r < end and s < end:
                decay = math.exp(1.2 * sigma / (r - end) + 1.2 * sigma / (s - end))
                total += 20.0 * epsilon * (a @ b / (r * s) + 1.0 / 3.0) ** 2 * decay
    potential = StillingerWeber(2, 2, A=7, B=0.6, lambda3=20)
    found = potential(brute_force_graph(molecule(1), potential.cutoff)).sum()
    assert float(found.detach()) == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("build", [crystal, molecule, slab])
def test_silicon_is_that_of_lammps(build):
    commands = ["pair_style sw", f"pair_coeff * * {potential_file('Si.sw')} Si"]
    check_against_lammps(ForceField(StillingerWeber(), [14]), build(1), commands)


@pytest.mark.parametrize(
    ("name", "elements", "lattice", "tolerance"),
    [
        ("GaN.sw", ["Ga", "N"], 4.5, 1e-9),
        ("CdTe.sw", ["Te", "Cd"], 6.3, 1e-9),
        ("CdTeZnSeHgS0.sw", ["S", "Cd", "Te"], 6.0, 1e-7),  # the file's lambda epsilon depend on the order of j and k
    ],
)
def test_files_of_several_elements_are_read_as_lammps_does(rng, name, elements, lattice, tolerance):
    path, n = potential_file(name), len(elements)
    force_field = ForceField(StillingerWeber(**read_sw(path, elements), n_species=n), list(range(1, n + 1)))
    commands = ["pair_style sw", f"pair_coeff * * {path} {' '.join(elements)}"]
    for _ in range(2):
        check_against_lammps(force_field, strained(rng, n, lattice), commands, tolerance)


def test_bonds_stay_within_the_cutoff_while_their_range_trains():
    potential = StillingerWeber(trainable=["sigma"])
    assert potential.cutoff == pytest.approx(1.1 * 1.8 * 2.0951)
    with torch.no_grad():
        potential.sigma.raw.add_(0.5)  # a sigma beyond the cutoff
    r = torch.tensor([[potential.cutoff * (1 - 1e-9)], [potential.cutoff * 1.01]], dtype=torch.float64)
    assert not potential.pair_energy(r, r.long()[:0]).detach().any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sigma": [[1, 2], [3, 1]], "n_species": 2}, r"`sigma` must not change where the last two .* give one value"),
        ({"lambda3": [1, 2]}, r"`lambda3` must be one number or a table 1 x 1 x 1, got shape \[2\]; give one value"),
        ({"epsilon": 0.0}, r"`epsilon` must be positive and finite, got \[0.0\]; leave out"),
        ({"a": -1.0}, r"`a` must be finite and positive, got \[-1.0\]; correct it"),
        ({"cutoff": 0}, r"`cutoff` must be positive \(Angstrom\), got 0; leave it out"),
        ({"trainable": ["lambda"]}, r"`trainable` must be .* got \['lambda'\]; name these"),
    ],
)
def test_bad_arguments_get_a_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        StillingerWeber(**arguments)
