"""Properties of crystals that are known in closed form: fcc with springs between nearest neighbours, and others."""

import importlib.util
import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from mdzoo.evaluate.properties import KINDS, draw, measure, properties_table, reference_values
from mdzoo.evaluate.properties.bulk import birch_murnaghan, named_constants
from mdzoo.evaluate.properties.calculator import relax
from mdzoo.evaluate.properties.defects import along, cut
from mdzoo.potentials import ForceField, LennardJones, Morse, StillingerWeber
from mdzoo.units import GPA

D, ALPHA, R0 = 0.4, 1.6, 2.5  # eV, 1/Angstrom, Angstrom: a well around the nearest neighbours alone
A = np.sqrt(2.0) * R0
SPRING = 2.0 * D * ALPHA**2  # eV/Angstrom^2
JOULE = 16.02176634


@pytest.fixture(scope="module")
def found():
    model = ForceField(Morse(D, ALPHA, R0, 3.2, "plain"), [28])
    kinds = [kind for kind in KINDS if kind != "phonons" or importlib.util.find_spec("phonopy")]
    return measure(model, bulk("Ni", a=3.45, cubic=True), kinds)


def test_lattice_and_energy_of_twelve_bonds(found):
    assert found["a"] == pytest.approx(A, rel=1e-7)
    assert found["energy"] == pytest.approx(-6.0 * D, rel=1e-10)
    assert found["atom_volume"] == pytest.approx(A**3 / 4.0, rel=1e-6)


def test_elastic_constants_of_central_springs(found):
    """C11 = 2 k / a, C12 = C44 = k / a (Born and Huang, 1954), and no difference for ions at rest by symmetry."""
    expected = {"C11": 2.0 * SPRING / A * GPA, "C12": SPRING / A * GPA, "C44": SPRING / A * GPA}
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-4), name
        assert found[f"{name}_clamped"] == pytest.approx(value, rel=1e-4), name


def test_bulk_modulus_and_its_derivative(found):
    """B = 4 k / (3 a); B' = 1 + alpha r0, from E = 6 phi(r) with a third derivative of -3 alpha times the second."""
    assert found["B"] == pytest.approx(4.0 * SPRING / (3.0 * A) * GPA, rel=2e-3)
    assert found["B'"] == pytest.approx(1.0 + ALPHA * R0, rel=2e-2)


def test_a_vacancy_costs_half_of_its_twelve_bonds(found):
    assert found["vacancy"] == pytest.approx(6.0 * D, rel=1e-6)


@pytest.mark.parametrize(
    ("face", "cost"), [("100", 4.0 / A**2), ("110", 6.0 / (np.sqrt(2.0) * A**2)), ("111", 2.0 * np.sqrt(3.0) / A**2)]
)
def test_surfaces_cost_half_of_the_bonds_they_cut(found, face, cost):
    for name in (f"surface_{face}", f"surface_{face}_unrelaxed"):
        assert found[name] == pytest.approx(cost * D * JOULE, rel=1e-4)


def test_phonons_of_nearest_neighbour_springs(found):
    """At X: m w^2 = 8 k along, 4 k across (Ashcroft and Mermin, 1976, chapter 22)."""
    pytest.importorskip("phonopy", reason="phonopy is not installed (pip install mdzoo[phonons])")
    thz = np.sqrt(SPRING / 58.6934 * 1.602176634e-19 * 1e20 / 1.66053906660e-27) / (2.0 * np.pi) / 1e12
    at = int(np.argmin(np.abs(np.array(found["distance"]) - found["corners"][found["labels"].index("X")])))
    np.testing.assert_allclose(sorted(found["path"][at]), thz * np.sqrt([4.0, 4.0, 8.0]), rtol=1e-3)
    assert found["gamma_max"] == pytest.approx(0.0, abs=1e-2)


def test_stillinger_weber_has_the_published_elasticity_of_silicon():
    """C11 151.4, C12 76.4, C44 56.4 GPa (Cowley, DOI 10.1103/PhysRevLett.60.2379), -2 epsilon at 5.431 Angstrom.

    C44 with clamped ions is the second difference of the energy of LAMMPS's `sw` by shears of 0.001. An ideal vacancy
    loses four bonds of epsilon and wins back half of them; nothing around it is strained.
    """
    found = measure(ForceField(StillingerWeber(), [14]), bulk("Si", cubic=True), ["lattice", "elastic", "vacancy"])
    assert found["a"] == pytest.approx(5.431, abs=1e-4)
    assert found["energy"] == pytest.approx(-2.0 * 2.1683, rel=1e-9)
    for name, value in (("C11", 151.4), ("C12", 76.4), ("C44", 56.4)):
        assert found[name] == pytest.approx(value, abs=0.06), name
    assert found["C44_clamped"] == pytest.approx(109.7565, rel=1e-5)
    assert found["vacancy"] == pytest.approx(2.0 * 2.1683, rel=1e-6)


def test_lennard_jones_is_the_fcc_of_the_lattice_sums():
    """E = -8.610 epsilon at 1.0902 sigma between neighbours (Kittel, chapter 3), as far as the cutoff lets the tail."""
    found = measure(ForceField(LennardJones(1.0, 1.0, 6.0, "shifted"), [18]), bulk("Ar", a=1.55), ["lattice"])
    assert found["a"] == pytest.approx(1.0902, abs=2e-3)
    assert found["energy"] == pytest.approx(-8.610, abs=0.15)


def test_faces_have_the_smallest_cells_and_two_like_sides():
    silicon = bulk("Si", cubic=True)
    for miller, area in (((1, 0, 0), 1.0), ((1, 1, 0), np.sqrt(2.0)), ((1, 1, 1), np.sqrt(3.0))):  # of a^2
        slab = cut(silicon, miller, 12.0, 10.0)
        normal = np.cross(slab.cell[0], slab.cell[1])
        assert np.linalg.norm(normal) == pytest.approx(area * silicon.cell[0, 0] ** 2, rel=1e-6)
        heights = slab.positions @ normal / np.linalg.norm(normal)
        assert np.ptp(heights) > 9.0
        assert slab.cell.volume / np.linalg.norm(normal) - np.ptp(heights) > 10.0 - 1e-9
    assert np.linalg.det(along(silicon, (2, 1, 1))) == pytest.approx(1.0)


def test_birch_murnaghan_gives_back_its_own_parameters():
    v0, b0, slope = 20.0, 0.6, 4.7
    volume = np.linspace(18.0, 22.0, 9)
    x = (v0 / volume) ** (2.0 / 3.0)
    energy = -5.0 + 9.0 * v0 * b0 / 16.0 * ((x - 1.0) ** 3 * slope + (x - 1.0) ** 2 * (6.0 - 4.0 * x))
    assert birch_murnaghan(volume, energy) == pytest.approx((b0, slope), rel=1e-6)


def test_a_crystal_that_is_not_cubic_has_all_constants():
    matrix = np.diag([100.0, 120.0, 90.0, 30.0, 40.0, 50.0]) + 1e-6
    assert set(named_constants(matrix, "_x")) == {f"C{i}{i}_x" for i in range(1, 7)}
    assert len(named_constants(matrix + 5.0)) == 21
    assert set(named_constants(np.diag([100.0] * 3 + [30.0] * 3))) == {"C11", "C12", "C44"}


def test_table_and_picture_show_numbers_beside_references(found, tmp_path):
    reference = reference_values("zuo2020", "Ni")
    table = properties_table(found, reference, "Morse")
    assert table.row_count == sum(isinstance(value, float) for value in found.values())
    path = draw(found, reference, tmp_path / "properties.png", "Morse")
    assert path.stat().st_size > 10000
    json.dumps(found)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda m: measure(m, bulk("Ni"), ["bandgap"]),
            r"`properties` must be all or some of .*, got \['bandgap'\]; name",
        ),
        (
            lambda m: measure(m, Atoms("Ni")),
            r"`structure` must be periodic in all directions, got pbc=.*; give a crystal",
        ),
        (
            lambda m: reference_values("zuo2020", "Cu"),
            r"`reference` must be one of .*, got zuo2020 for Cu; give values",
        ),
        (lambda m: along(bulk("Ni"), (2, 0, 0)), r"`surfaces` must be whole numbers without a common divisor, got"),
    ],
)
def test_bad_arguments_get_a_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call(ForceField(Morse(D, ALPHA, R0, 3.2), [28]))


def test_what_does_not_relax_is_named():
    from mdzoo.evaluate.properties.calculator import ForceFieldCalculator

    atoms = bulk("Ni", a=3.3, cubic=True)
    atoms.rattle(0.1, seed=0)
    atoms.calc = ForceFieldCalculator(ForceField(Morse(D, ALPHA, R0, 3.2), [28]))
    with pytest.raises(ValueError, match=r"`structure` must relax to 1e-06 eV/Angstrom within 2 steps, got forces of"):
        relax(atoms, steps=2)


def test_every_kind_has_a_unit_and_a_name():
    assert list(KINDS) == ["lattice", "eos", "elastic", "vacancy", "surfaces", "phonons"]
