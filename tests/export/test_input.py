"""The input of LAMMPS beside an exported model runs as it is, in either units, and on from where it ended."""

import shutil

import numpy as np
import pytest
from ase.data import chemical_symbols

from mdzoo.cli import main
from mdzoo.data import graph_from_atoms
from mdzoo.evaluate.benchmark import crystal, supercell
from mdzoo.export import native
from mdzoo.potentials import ForceField, build, checkpoint
from tests.export.models import hybrid
from tests.reference.engine import lammps_instance

KCAL = 23.060549  # in an eV: LAMMPS's own constant of units real


def run(folder, monkeypatch, *words):
    """The engine at the end of a run in a folder, with settings by name."""
    monkeypatch.chdir(folder)
    engine = lammps_instance()
    for word in words:
        engine.command(f"variable {word[0]} index {word[1]}")
    engine.file(str(folder / "in.lammps"))
    return engine


def energy_of(model: ForceField) -> float:
    atoms = supercell(crystal(model.atomic_numbers[0]), 64, 0.0)
    return float(model(graph_from_atoms(atoms, model.atomic_numbers, model.cutoff)).energy)


def test_native_files_run_at_once_and_go_on(tmp_path, monkeypatch):
    table = {"name": "Tersoff"}
    model = ForceField(build(table), [14]).eval()
    checkpoint.save(tmp_path / "model.safetensors", model, table)
    words = [f"model={tmp_path / 'model.safetensors'}", "format=lammps_native", f"run_dir={tmp_path / 'out'}"]
    assert main(["export", *words]) == 0
    engine = run(tmp_path / "out", monkeypatch, ("steps", 0))
    assert engine.get_thermo("pe") == pytest.approx(energy_of(model), rel=1e-9)
    engine.close()
    engine = run(tmp_path / "out", monkeypatch, ("steps", 20))
    ended = np.array([engine.get_thermo(name) for name in ("step", "pe", "temp", "vol")])
    engine.close()
    assert (tmp_path / "out" / "trajectory.lammpstrj").exists()
    engine = run(tmp_path / "out", monkeypatch, ("steps", 0), ("restart", "end.restart"))
    again = np.array([engine.get_thermo(name) for name in ("step", "pe", "temp", "vol")])
    engine.close()
    np.testing.assert_allclose(again, ended, rtol=1e-12)
    assert ended[0] == 20


@pytest.mark.parametrize(("units", "factor", "fs"), [("metal", 1.0, 1e-3), ("real", KCAL, 1.0)])
def test_the_plugin_runs_in_either_units(exported, plugin, tmp_path, monkeypatch, units, factor, fs):
    shutil.copy(exported, tmp_path / "model.pt")
    pair = native.pair_lines("torchscript", [14])
    native.write_input(tmp_path, pair, [14], supercell(crystal(14), 64, 0.0), real=True)
    assert "-var units real" in (tmp_path / "in.lammps").read_text()
    engine = lammps_instance()
    engine.command(f"plugin load {plugin}")  # for the process
    engine.close()
    engine = run(tmp_path, monkeypatch, ("steps", 0), ("units", units))
    assert engine.get_thermo("pe") == pytest.approx(factor * energy_of(hybrid()), rel=1e-7)
    assert engine.get_thermo("dt") == pytest.approx(fs)
    engine.close()


def test_without_a_crystal_the_structure_is_left_to_the_user(tmp_path):
    path = native.write_input(tmp_path, native.pair_lines("yace", [8, 1]), [8, 1], None)
    assert f"pair_coeff * * model.yace {chemical_symbols[8]} H" in path.read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["in.lammps"]
    assert native.pair_lines("mtp", [14]) == []
