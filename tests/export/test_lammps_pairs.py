"""Pair potentials: written for LAMMPS, run there, and read back; what it has no formula for becomes a table."""

import numpy as np
import pytest
import torch

from mdzoo.data.parameter_files import with_file
from mdzoo.export.native.lammps import INPUT, write_lammps
from mdzoo.potentials import ForceField, build
from tests.reference.engine import ask_lammps
from tests.structures import Structure, brute_force_graph

SYMMETRIC = [[1.0, 1.2], [1.2, 0.9]]
TERMS = {
    "lj/cut": {"name": "LennardJones", "epsilon": 0.1, "sigma": [[2.3, 2.2], [2.2, 2.1]], "truncation": "plain"},
    "lj/cut shifted": {"name": "LennardJones", "epsilon": 0.1, "sigma": 2.2, "truncation": "shifted"},
    "lj/smooth/linear": {"name": "LennardJones", "epsilon": 0.2, "sigma": 2.2, "truncation": "force_shifted"},
    "lj96/cut": {"name": "LennardJones", "epsilon": 0.1, "sigma": 2.2, "truncation": "plain", "n": 9},
    "mie/cut": {"name": "Mie", "epsilon": 0.1, "sigma": 2.2, "n": 11, "m": 5, "truncation": "plain"},
    "buck": {"name": "Buckingham", "A": 900.0, "rho": [[0.3, 0.31], [0.31, 0.32]], "C": 3.0, "truncation": "shifted"},
    "born": {
        "name": "BornMayerHuggins",
        "A": 0.5,
        "rho": 0.3,
        "sigma": 2.0,
        "C": 1.0,
        "D": -2.0,
        "truncation": "plain",
    },
    "morse": {"name": "Morse", "D": SYMMETRIC, "alpha": 1.3, "r0": 2.4, "truncation": "plain"},
    "yukawa": {"name": "Yukawa", "A": SYMMETRIC, "kappa": 0.7, "truncation": "plain"},
}


def box(rng) -> Structure:
    """Eight atoms of two elements in a skewed cell."""
    grid = np.stack(np.meshgrid(*[np.arange(2)] * 3), -1).reshape(-1, 3)
    cell = np.array([[5.2, 0.0, 0.3], [0.4, 5.0, 0.0], [0.0, -0.3, 5.4]])
    return Structure([0, 1, 1, 0] * 2, grid @ cell / 2.0 + rng.uniform(0.0, 0.3, (8, 3)), cell, (True,) * 3)


def check(force_field, structure, folder, tolerance, charges=None, lacking=0.0):
    text = (folder / INPUT).read_text().splitlines()
    commands = [line for line in text if not line.startswith("set ")]  # there are no atoms yet
    expected = ask_lammps(structure, commands, 2, charges)
    found = force_field.eval()(brute_force_graph(structure, force_field.cutoff))
    assert float(found.energy.detach()) - lacking == pytest.approx(expected.energy, rel=tolerance)
    largest = np.abs(expected.forces).max()
    np.testing.assert_allclose(found.forces.detach().numpy(), expected.forces, rtol=0.0, atol=tolerance * largest)
    largest = np.abs(expected.virial).max()
    np.testing.assert_allclose(found.virial[0].detach().numpy(), expected.virial, rtol=0.0, atol=tolerance * largest)


@pytest.mark.parametrize("style", TERMS)
def test_a_pair_style_of_lammps(rng, tmp_path, monkeypatch, style):
    monkeypatch.chdir(tmp_path)
    term = {**TERMS[style], "cutoff": 5.0, "n_species": 2}
    model = ForceField(build(term), [14, 32])
    write_lammps(tmp_path, model)
    assert f"pair_style {style.split()[0]} " in (tmp_path / INPUT).read_text()
    check(model, box(rng), tmp_path, 1e-10)
    again = build(with_file({"name": term["name"], "n_species": 2, "file": str(tmp_path / INPUT)}, [14, 32]))
    graph = brute_force_graph(box(rng), 5.0)
    torch.testing.assert_close(again(graph), model.potential(graph), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "term",
    [
        {"name": "Morse", "D": 0.5, "alpha": 1.3, "r0": 2.4, "truncation": "switched", "cutoff": 5.0},
        {"name": "Yukawa", "A": 3.0, "kappa": SYMMETRIC, "truncation": "force_shifted", "cutoff": 5.0},
    ],
)
def test_what_lammps_has_no_formula_for_becomes_a_table(rng, tmp_path, monkeypatch, term):
    monkeypatch.chdir(tmp_path)
    model = ForceField(build({**term, "n_species": 2}), [14, 32])
    write_lammps(tmp_path, model)
    assert "pair_style table spline" in (tmp_path / INPUT).read_text()
    check(model, box(rng), tmp_path, 1e-7)


def test_a_sum_with_charges_and_nuclei(rng, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    terms = [
        {"name": "ZBL", "atomic_numbers": [31, 7], "inner": 1.5, "outer": 2.5},
        {"name": "CoulombDSF", "cutoff": 5.0, "charges": [1.2, -1.2], "n_species": 2},
        {**TERMS["buck"], "cutoff": 5.0, "n_species": 2},
        {**TERMS["morse"], "cutoff": 4.5, "n_species": 2},
    ]
    model = ForceField(build({"name": "SumPotential", "terms": terms}), [31, 7])
    write_lammps(tmp_path, model)
    text = (tmp_path / INPUT).read_text()
    charges = {
        int(line.split()[2]): float(line.split()[4]) for line in text.splitlines() if line.startswith("set type")
    }
    structure = box(rng)
    # LAMMPS's coul/dsf takes a polynomial for erfc, good to 1e-7
    check(model, structure, tmp_path, 1e-6, [charges[s + 1] for s in structure.species])
    table = with_file({"name": "CoulombDSF", "file": str(tmp_path / INPUT)}, [31, 7])
    assert table["constants"] == "lammps_metal"
    assert table["charges"] == pytest.approx([1.2, -1.2], rel=1e-6)
    assert with_file({"name": "ZBL", "file": str(tmp_path / INPUT)}, [31, 7])["outer"] == 2.5


@pytest.mark.parametrize(
    ("name", "kspace", "tolerance"),
    [("CoulombEwald", "ewald 1e-08", 5e-6), ("CoulombPME", "pppm 1e-06", 5e-5), ("CoulombWolf", None, 1e-7)],
)
def test_charges_over_all_images_and_wolfs_beside_pairs(rng, tmp_path, monkeypatch, name, kspace, tolerance):
    """LAMMPS's coul/long takes a polynomial for erfc, worth up to 5e-6, and its mesh less care than ours."""
    monkeypatch.chdir(tmp_path)
    more = {} if kspace is None else {"accuracy": float(kspace.split()[1])}
    coulomb = {"name": name, "cutoff": 5.0, "charges": [1.2, -1.2], "n_species": 2, **more}
    terms = [coulomb, {**TERMS["buck"], "cutoff": 5.0, "n_species": 2}]
    model = ForceField(build({"name": "SumPotential", "terms": terms}), [31, 7]).eval()
    write_lammps(tmp_path, model)
    text = (tmp_path / INPUT).read_text()
    lacking = sum(float(word.strip(",")) for word in text.split("(eV): Ga ")[-1].split()[::2][:2]) if not kspace else 0
    structure = box(rng)
    charges = [[1.2, -1.2][s] for s in structure.species]
    if kspace is not None:
        assert f"kspace_style {kspace}\n" in text
        assert "pair_modify pair coul/long table 0\n" in text
        table = with_file({"name": name, "file": str(tmp_path / INPUT)}, [31, 7])
        assert [table["cutoff"], table["constants"]] == [5.0, "lammps_metal"]
        assert table["charges"] == pytest.approx([1.2, -1.2], rel=1e-6)
    check(model, structure, tmp_path, tolerance, charges, 4 * lacking)


def test_a_trained_zbl_becomes_a_table(rng, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = ForceField(build({"name": "ZBL", "atomic_numbers": [14, 32], "inner": 3, "outer": 4}), [14, 32])
    with torch.no_grad():
        model.potential.a0.raw.add_(0.05)
    write_lammps(tmp_path, model)
    check(model, box(rng), tmp_path, 1e-7)


MIXED = """
units metal
pair_style lj/cut 6.0
pair_coeff 1 1 0.1 2.0
pair_coeff 2* 2* 0.4 3.0
pair_modify mix arithmetic shift yes
"""


def test_pairs_that_are_not_given_are_mixed(tmp_path):
    (tmp_path / "in").write_text(MIXED)
    table = with_file({"name": "LennardJones", "file": str(tmp_path / "in")}, [14, 32])
    assert table["truncation"] == "shifted"
    lj = build({**table, "n_species": 2})
    assert lj.epsilon().tolist() == pytest.approx([0.1, 0.2, 0.2, 0.4])
    assert lj.sigma().tolist() == pytest.approx([2.0, 2.5, 2.5, 3.0])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("Morse", MIXED, r"`file` must hold pair_style morse, got lj/cut 6.0 in .*; choose another potential or file"),
        (
            "LennardJones",
            MIXED.replace("metal", "real"),
            r"`file` must be in units metal .*, got real in .*; conv",
        ),
        ("LennardJones", MIXED.replace("cut 6.0", "cut"), r"`pair_style lj/cut` must have cutoff, got \[\] in .*; add"),
        (
            "LennardJones",
            MIXED.replace("0.1 2.0", "0.1"),
            r"`pair_coeff` of lj/cut must have epsilon sigma, got \[0.1\]",
        ),
        (
            "LennardJones",
            MIXED.replace("2* 2*", "1 2"),
            r"`file` must hold pair_coeff for every pair of 2 .*\[\(2, 2\)",
        ),
        (
            "LennardJones",
            MIXED.replace("0.1 2.0", "0.1 2.0 5.0"),
            r"`pair_coeff` of lj/cut must leave the cutoff 6.0 to pair_style, got .*; one cutoff holds for all pairs",
        ),
        (
            "Buckingham",
            "pair_style buck 5.0\npair_coeff 1 1 1 1 1\npair_coeff 2 2 1 1 1",
            r"`file` must hold pair_coeff for every pair of 2 types, got none for \[\(1, 2\)\] of buck in .*; there",
        ),
    ],
)
def test_bad_coefficients_get_a_clear_error(tmp_path, name, text, message):
    (tmp_path / "in").write_text(text)
    with pytest.raises(ValueError, match=message):
        with_file({"name": name, "file": str(tmp_path / "in")}, [14, 32])


def test_charges_of_the_data_are_refused(tmp_path):
    for name in ("CoulombWolf", "CoulombEwald"):
        with pytest.raises(ValueError, match=r"`charges` must belong to the species and stay as they are, got those"):
            write_lammps(tmp_path, ForceField(build({"name": name, "neutral": True, "charges": [0.1]}), [14]))
    with pytest.raises(ValueError, match=r"`charges` must belong to the species and stay as they are, got those"):
        write_lammps(tmp_path, ForceField(build({"name": "CoulombCut"}), [14]))


def test_dispersion_stands_beside_a_pair_style(rng, tmp_path, monkeypatch):
    """`empirical=[zbl,d3]`; LAMMPS's D3 has constants of its own, worth 1e-6."""
    monkeypatch.chdir(tmp_path)
    zbl = {"name": "ZBL", "atomic_numbers": [14, 32], "inner": 2.0, "outer": 3.0}
    d3 = {"name": "D3", "atomic_numbers": [14, 32], "truncation": "plain", "cutoff": 9.0, "cn_cutoff": 6.0}
    model = ForceField(build({"name": "SumPotential", "terms": [zbl, d3]}), [14, 32])
    write_lammps(tmp_path, model)
    check(model, box(rng), tmp_path, 3e-6)


def test_a_dispersion_that_lammps_does_not_know_is_refused(tmp_path):
    for options in ({"functional": "scan", "truncation": "plain"}, {"functional": "pbe"}):
        model = ForceField(build({"name": "D3", "atomic_numbers": [14], **options}), [14])
        with pytest.raises(
            ValueError, match=r"`d3` must have the parameters of one of \['bp', .*; LAMMPS has no others"
        ):
            write_lammps(tmp_path, model)
