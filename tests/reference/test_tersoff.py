"""Tersoff and TersoffMod against LAMMPS's pair styles, and against the numbers of the papers for diamond."""

import itertools

import numpy as np
import pytest
import torch

from mdzoo.data.parameter_files.tersoff import read_tersoff, read_tersoff_mod
from mdzoo.potentials import ForceField, Tersoff, TersoffMod
from tests.reference.many_body import check_against_lammps, potential_file, primitive_diamond, strained
from tests.structures import Structure, brute_force_graph, crystal, molecule, slab


@pytest.mark.parametrize(("kind", "lattice", "energy"), [(Tersoff, 5.431, -4.6304), (TersoffMod, 5.429, -4.6300)])
def test_cohesive_energy_of_silicon(kind, lattice, energy):
    """Tersoff (1988): -4.63 eV per atom at the lattice constant of silicon, 5.431 Angstrom; Kumagai et al.: -4.63 eV at
    5.429 Angstrom; the digits are those of LAMMPS of 22 July 2025.
    """
    potential = kind()
    found = potential(brute_force_graph(primitive_diamond(lattice), potential.cutoff))
    assert float(found[0].detach()) == pytest.approx(energy, abs=1e-4)


@pytest.mark.parametrize("build", [crystal, molecule, slab])
@pytest.mark.parametrize(("kind", "style"), [(Tersoff, "tersoff"), (TersoffMod, "tersoff/mod")])
def test_silicon_is_that_of_lammps(kind, style, build):
    path = potential_file(f"Si.{style.replace('/', '.')}")
    check_against_lammps(
        ForceField(kind(), [14]), build(1), [f"pair_style {style}", f"pair_coeff * * {path} Si"], tolerance=1e-11
    )


@pytest.mark.parametrize(
    ("name", "elements", "lattice", "tolerance"),
    [
        ("SiC.tersoff", ["Si", "C"], 4.36, 1e-9),
        ("SiC_1990.tersoff", ["C", "Si"], 4.36, 1e-9),
        ("SiC_Erhart-Albe.tersoff", ["Si", "C"], 4.36, 1e-9),
        ("GaN.tersoff", ["N", "Ga"], 4.5, 1e-9),
        ("BNC.tersoff", ["C", "B", "N"], 3.6, 1e-9),
        ("SiO.tersoff", ["Si", "O"], 4.4, 1e-9),
        ("SiC_1994.tersoff", ["Si", "C"], 4.36, 1e-5),  # the file has another D for Si C C than for C Si Si, by 6e-5
    ],
)
def test_files_of_several_elements_are_read_as_lammps_does(rng, name, elements, lattice, tolerance):
    path, n = potential_file(name), len(elements)
    force_field = ForceField(Tersoff(**read_tersoff(path, elements), n_species=n), list(range(1, n + 1)))
    commands = ["pair_style tersoff", f"pair_coeff * * {path} {' '.join(elements)}"]
    for _ in range(2):
        check_against_lammps(force_field, strained(rng, n, lattice), commands, tolerance)


def test_several_elements_of_tersoff_mod(rng, tmp_path):
    """No such file is public: the silicon file with changed numbers for a second element, read by both."""
    lines = []
    for kinds in itertools.product(["Si", "Ge"], repeat=3):
        change = 1.0 + 0.05 * kinds.count("Ge")
        same = [2.3890327, -0.365 * change, 1.0, 1.0 / change, 1.345797, 121.0, 3.0 - 0.1 * (kinds[0] != kinds[2]), 0.3]
        lines.append(" ".join([*kinds, "1.0", *map(repr, [*same, 3.23, 3281.5905, 0.938 * change])]))
        lines.append(f"   0.20173476 {730418.72 * change!r} 1000000.0 1.0 {26.0 * change!r}")
    path = tmp_path / "SiGe.tersoff.mod"
    path.write_text("\n".join(lines))
    force_field = ForceField(TersoffMod(**read_tersoff_mod(path, ["Ge", "Si"]), n_species=2), [32, 14])
    commands = ["pair_style tersoff/mod", f"pair_coeff * * {path} Ge Si"]
    check_against_lammps(force_field, strained(rng, 2, 5.3), commands)


def test_a_dimer_has_the_full_bond():
    """With one neighbour zeta is 0 and b is 1: E = f_C (A e^-lambda1 r - B e^-lambda2 r)."""
    dimer = Structure([0, 0], np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 2.2]]), np.zeros((3, 3)), (False,) * 3)
    energy = ForceField(Tersoff(), [14]).eval()(brute_force_graph(dimer, 3.2)).energy
    expected = 3264.7 * np.exp(-3.2394 * 2.2) - 95.373 * np.exp(-1.3258 * 2.2)
    assert float(energy) == pytest.approx(expected, rel=1e-13)


def test_bonds_stay_within_the_cutoff_while_their_range_trains():
    potential = Tersoff(trainable=["R"])
    assert potential.cutoff == pytest.approx(3.52)
    with torch.no_grad():
        potential.R.raw.add_(0.2)  # R beyond the cutoff
    r = torch.tensor([[potential.cutoff * (1 - 1e-12)], [potential.cutoff * 1.01]], dtype=torch.float64)
    assert float(potential.bond_energy(r, 0.0 * r, r.long()[:0]).detach().abs().max()) < 1e-15


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"m": 2}, r"`m` must be 1 or 3, got \[2.0\]; no other power is in use"),
        ({"n": 0.0}, r"`n` must be positive and finite, got \[0.0\]; leave out"),
        ({"A": [[1, 2], [3, 1]], "n_species": 2}, r"`A` must not change where the last two species change places"),
        ({"B": [1.0, 2.0], "n_species": 2}, r"`B` must be one number or a table 2 x 2, got shape \[2\]; give one"),
        ({"lambda3": -1.0}, r"`lambda3` must be finite and positive, got \[-1.0\]"),
    ],
)
def test_bad_arguments_get_a_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        Tersoff(**arguments)
