"""EDIP against LAMMPS's pair styles edip/multi, which computes the formulas, and edip, which interpolates in tables."""

import pytest
import torch

from mdzoo.data.parameter_files.edip import read_edip
from mdzoo.potentials import EDIP, ForceField
from tests.reference.many_body import check_against_lammps, potential_file, primitive_diamond, strained
from tests.structures import brute_force_graph, crystal, molecule, slab


def test_cohesive_energy_of_silicon():
    """-4.650 eV per atom at 5.430 Angstrom (Justo et al., table III)."""
    potential = EDIP()
    energy = potential(brute_force_graph(primitive_diamond(5.430), potential.cutoff))[0]
    assert float(energy.detach()) == pytest.approx(-4.650, abs=1e-3)


@pytest.mark.parametrize(("style", "tolerance"), [("edip/multi", 1e-9), ("edip", 1e-5)])
@pytest.mark.parametrize("build", [crystal, molecule, slab])
def test_silicon_is_that_of_lammps(build, style, tolerance):
    commands = [f"pair_style {style}", f"pair_coeff * * {potential_file('Si.edip')} Si"]
    check_against_lammps(ForceField(EDIP(), [14]), build(1), commands, tolerance)


def test_two_elements_are_read_as_lammps_does(rng):
    path = potential_file("SiC.edip")
    force_field = ForceField(EDIP(**read_edip(path, ["Si", "C"]), n_species=2), [14, 6])
    for lattice in (4.36, 4.6):
        commands = ["pair_style edip/multi", f"pair_coeff * * {path} Si C"]
        check_against_lammps(force_field, strained(rng, 2, lattice), commands)


def test_bonds_stay_within_the_cutoff_while_their_range_trains():
    potential = EDIP(trainable=["a"])
    assert potential.cutoff == pytest.approx(1.1 * 3.121382)
    with torch.no_grad():
        potential.a.raw.add_(0.5)
    r = torch.tensor([[potential.cutoff * (1 - 1e-9)], [potential.cutoff * 1.01]], dtype=torch.float64)
    assert not potential.bond_energy(r, 0.0 * r, r.long()[:0]).detach().any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"c": 4.0}, r"`c` must be below `a`, got \[4.0\] and \[3.121.*\]; exchange them"),
        ({"mu": [1.0]}, r"`mu` must be one number or a table 1 x 1 x 1, got shape \[1\]"),
        ({"A": -1.0}, r"`A` must be finite and positive, got \[-1.0\]"),
    ],
)
def test_bad_arguments_get_a_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        EDIP(**arguments)
