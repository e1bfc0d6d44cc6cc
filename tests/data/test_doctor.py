"""What the doctor finds: faults put into EMT's labels, and those that the cards of the real data tell of."""

import functools
import io

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from rich.console import Console

from mdzoo.data import DataModule, doctor
from mdzoo.data.doctor import examine
from mdzoo.data.environment import environment
from mdzoo.data.statistics import robust_z
from mdzoo.data.strain_response import strain_response
from mdzoo.units import GPA

PARTS = {"xx": (0, 0), "yy": (1, 1), "zz": (2, 2), "yz": (1, 2), "xz": (0, 2), "xy": (0, 1)}


@functools.cache
def copper(rattle):
    """Return copper strained along each component, with EMT's labels."""
    frames = []
    for i, j in PARTS.values():
        for amount in np.arange(-0.05, 0.051, 0.01):
            atoms = bulk("Cu", cubic=True, a=3.62)
            deformation = np.eye(3)
            deformation[i, j] += amount
            atoms.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
            atoms.rattle(rattle, seed=len(frames))
            atoms.calc = EMT()
            atoms.get_stress()
            frames.append(atoms)
    return frames


def strained(change=lambda stress: stress, rattle=0.0):
    """Return strained copper; `change` spoils the stress (3, 3)."""
    frames = []
    for original in copper(rattle):
        atoms = original.copy()
        results = {"energy": original.get_potential_energy(), "forces": original.get_forces()}
        results["stress"] = change(original.get_stress(voigt=False))
        atoms.calc = SinglePointCalculator(atoms, **results)
        atoms.info["group"] = "Elastic"
        frames.append(atoms)
    return frames


def module(train, **options):
    return DataModule(train, cache=False, free_energy=False, **options)


def report_of(train, **options):
    data = module(train, **options)
    data.setup()
    return examine(data)


def words(report):
    return " ".join(f"{finding.topic}: {finding.text} {finding.remedy}" for finding in report.warnings)


@pytest.mark.parametrize("rattle", [0.0, 0.01])
def test_right_labels_are_called_right(rattle):
    report = report_of(strained(rattle=rattle))
    assert report.warnings == []
    response = report.responses["Elastic"]
    assert [c.name for c in response.components] == list(PARTS)
    for c in response.components:
        assert abs(c.offset) < 0.1
        assert c.scatter < 0.1 * c.size
    assert abs(response.pressure) < 0.1
    assert response.slope == pytest.approx(1.0, abs=0.01)


def test_a_constant_pressure_is_found_with_its_size():
    report = report_of(strained(lambda stress: stress + 2.0 / GPA * np.eye(3)))
    assert report.responses["Elastic"].pressure == pytest.approx(-2.0, abs=0.1)
    assert "constant pressure of -1.9" in words(report)
    assert "data.stress_mask=normal" in words(report)


def test_a_wrong_shear_is_found_and_the_mask_is_written():
    def flip(stress):
        return stress * (2.0 * np.eye(3) - 1.0)

    report = report_of(strained(flip))
    assert "stress labels contradict the energies: yz wrong by" in words(report)
    assert "data.stress_mask=[{components: shear, groups: [Elastic]}]" in words(report)
    masked = report_of(strained(flip), stress_mask=[{"components": "shear", "groups": ["Elastic"]}])
    assert "contradict" not in words(masked)


@pytest.mark.parametrize(
    ("factor", "name"), [(-1.0, "the opposite sign"), (GPA, "GPa"), (10.0 * GPA, "kbar"), (-10.0 * GPA, "-kbar")]
)
def test_units_and_signs_are_recognised(factor, name):
    report = report_of(strained(lambda stress: factor * stress))
    assert f"the labels look like {name}, make them eV/Angstrom^3" in words(report)


def test_structures_that_no_strain_relates_cannot_be_checked():
    report = report_of([bulk_with_labels(seed) for seed in range(3)])
    assert report.responses == {}
    assert any("cannot be checked" in finding.text for finding in report.findings)
    assert strain_response([], []).components == []


def bulk_with_labels(seed, **results):
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=seed)
    forces = np.random.default_rng(seed).normal(size=(4, 3))
    values = {"energy": -4.0 + 0.01 * (seed % 7), "forces": forces - forces.mean(0), "stress": np.zeros(6)}
    atoms.calc = SinglePointCalculator(atoms, **(values | results))
    return atoms


def test_outliers_close_pairs_net_forces_and_zero_forces():
    frames = [bulk_with_labels(seed) for seed in range(30)]
    frames[7] = bulk_with_labels(7, energy=40.0)
    frames[9] = bulk_with_labels(9, forces=np.full((4, 3), 0.5))
    frames[11].positions[1] = frames[11].positions[0] + [0.0, 0.0, 0.9]
    found = words(report_of(frames))
    assert "structure 7 (all): energy 1" in found
    assert "net force 0.866 eV/Angstrom per atom" in found
    assert "structure 11 (all): Cu-Cu, 0.34 of the covalent radii; closest 0.90 Angstrom" in found
    flat = [bulk_with_labels(seed, forces=np.zeros((4, 3))) for seed in range(3)]
    assert "all forces are zero" in words(report_of(flat))


def test_energies_only_and_molecules_pass_through():
    frames = [Atoms("H2", [[0, 0, 0], [0, 0, 0.74 + 0.01 * k]], info={"energy": -6.0}) for k in range(3)]
    report = report_of(frames, forces_key=None)
    (row,) = report.ranges
    assert np.isnan(row.force)
    assert np.isnan(row.volume[0])
    assert row.closest == pytest.approx(0.74)
    assert any("3 without forces, 3 without stress" in finding.text for finding in report.findings)


def test_copies_between_training_and_test_are_reported():
    train = [bulk_with_labels(seed) for seed in range(4)]
    assert "1 of 2 test structures have a copy" in words(report_of(train, test=[train[2], bulk_with_labels(9)]))


def test_robust_z_by_hand():
    z = robust_z(np.array([1.0, 2.0, 3.0, 4.0, 100.0, np.nan]))
    np.testing.assert_allclose(z[:5], np.array([-2, -1, 0, 1, 97]) / 1.4826)
    assert np.isnan(z[5])
    assert robust_z(np.ones(3)).tolist() == [0.0, 0.0, 0.0]


def test_the_doctor_prints_a_table_findings_and_the_environment(tmp_path):
    ase.io.write(tmp_path / "a.extxyz", strained(lambda stress: stress + 2.0 / GPA * np.eye(3))[:30])
    text = io.StringIO()
    report = doctor(module(tmp_path / "a.extxyz"), Console(file=text, width=200))
    for word in ("Elastic", "eV/atom", "!!", "ok", "constant pressure", "torch", "devices cpu"):
        assert word in text.getvalue()
    assert report.ranges[0].structures == 30


def test_environment_names_versions_and_devices():
    found = environment()
    assert found["torch"][0].isdigit()
    assert found["devices"].startswith("cpu")


def real(data_root, element):
    return report_of(data_root / "zuo2020" / f"{element}_train.extxyz")


def test_nickel_has_a_constant_pressure(data_root):
    report = real(data_root, "Ni")
    assert report.responses["Elastic"].pressure == pytest.approx(-2.96, abs=0.1)
    assert "constant pressure of -2.9" in words(report)
    assert "contradict" not in words(report)


def test_lithium_has_a_wrong_shear(data_root):
    report = real(data_root, "Li")
    assert "contradict the energies: yz" in words(report)
    assert "components: shear, groups: [Elastic]" in words(report)
    assert "constant pressure" not in words(report)


@pytest.mark.parametrize("element", ["Mo", "Si"])
def test_molybdenum_and_silicon_are_clean(data_root, element):
    report = real(data_root, element)
    assert report.warnings == []
    assert "Elastic" in report.responses
