"""What is read, in which order, and what a broken file says."""

import gzip

import ase.db
import ase.io
import numpy as np
import pytest
from ase.build import bulk

from mdzoo.data import named_datasets, read, readers


def frames(n, start=0):
    found = []
    for k in range(start, start + n):
        atoms = bulk("Si", cubic=True)
        atoms.rattle(0.05, seed=k)
        atoms.info.update(energy=-40.0 - k, group="a" if k % 2 else "b")
        atoms.arrays["forces"] = np.full((8, 3), 0.1 * k)
        found.append(atoms)
    return found


def energies(found):
    return [atoms.get_potential_energy() for atoms in found]


@pytest.mark.parametrize("name", ["a.extxyz", "a.xyz", "a.extxyz.gz", "a.xyz.gz"])
def test_extended_xyz(tmp_path, name):
    ase.io.write(tmp_path / name, frames(3), format="extxyz")
    found = read(tmp_path / name)
    assert energies(found) == [-40.0, -41.0, -42.0]
    assert found[2].info["_source"] == f"{name}:2"


def test_some_frames_of_a_file(tmp_path):
    ase.io.write(tmp_path / "a.extxyz", frames(5))
    assert energies(read(f"{tmp_path}/a.extxyz@1:3")) == [-41.0, -42.0]


def test_folder_glob_and_list(tmp_path):
    ase.io.write(tmp_path / "a.extxyz", frames(1, 1))
    ase.io.write(tmp_path / "b.extxyz", frames(1, 2))
    (tmp_path / "README.md").write_text("a card")
    (tmp_path / ".hidden").write_text("")
    assert energies(read(tmp_path)) == [-41.0, -42.0]
    assert energies(read(str(tmp_path / "*.extxyz"))) == [-41.0, -42.0]
    assert energies(read([tmp_path / "b.extxyz", str(tmp_path / "a.extxyz")])) == [-42.0, -41.0]


def test_structures_are_taken_as_they_are():
    atoms = bulk("Si")
    assert read([atoms, atoms]) == [atoms, atoms]
    assert read(atoms) == [atoms]


def test_ase_database(tmp_path):
    with ase.db.connect(tmp_path / "a.db") as database:
        for k, atoms in enumerate(frames(2)):
            own = atoms.arrays.pop("forces")
            database.write(atoms, key_value_pairs={"dft_energy": -1.0 * k, "group": "x"}, data={"dft_forces": own})
    found = read(tmp_path / "a.db")
    assert [atoms.info["dft_energy"] for atoms in found] == [0.0, -1.0]
    assert found[1].arrays["dft_forces"].shape == (8, 3)
    assert found[0].info["group"] == "x"


def test_another_format_of_ase(tmp_path):
    ase.io.write(tmp_path / "POSCAR", bulk("Cu"), format="vasp")
    assert read(tmp_path / "POSCAR")[0].get_chemical_formula() == "Cu"


def test_named_data_set(tmp_path, monkeypatch):
    folder = tmp_path / "data" / "datasets" / "toy"
    folder.mkdir(parents=True)
    ase.io.write(folder / "train.extxyz", frames(2))
    ase.io.write(folder / "test.extxyz", frames(1, 5))
    monkeypatch.setattr(readers.resources, "files", lambda package: tmp_path)
    assert sorted(named_datasets()["toy"]) == ["test", "train"]
    assert energies(read("toy")) == [-40.0, -41.0]
    assert energies(read("toy", "test")) == [-45.0]
    with pytest.raises(FileNotFoundError, match="did you mean toy"):
        read("toys")


def test_a_path_that_does_not_exist_names_the_nearest(tmp_path):
    ase.io.write(tmp_path / "train.extxyz", frames(1))
    with pytest.raises(FileNotFoundError, match=r"`train` must be a file.*did you mean train.extxyz"):
        read(tmp_path / "trian.extxyz")


def test_an_empty_glob(tmp_path):
    with pytest.raises(FileNotFoundError, match="`test` must be a file, a folder, a glob"):
        read(str(tmp_path / "*.nothing"), "test")


@pytest.mark.parametrize("part", [0.5, 0.93, 0.999])
def test_truncated_file(tmp_path, part):
    path = tmp_path / "a.extxyz"
    ase.io.write(path, frames(3))
    text = path.read_text()
    path.write_text(text[: int(part * len(text))])
    with pytest.raises(ValueError, match=r"`path` must be a whole file.*a\.extxyz"):
        read(path)


def test_file_cut_in_the_middle_of_its_last_number(tmp_path):
    path = tmp_path / "a.extxyz"
    ase.io.write(path, frames(1))
    path.write_text(path.read_text().rstrip("\n")[:-2])
    with pytest.raises(ValueError, match="may be cut in the middle of a number"):
        read(path)


def test_truncated_gzip(tmp_path):
    path = tmp_path / "a.extxyz.gz"
    ase.io.write(path, frames(3))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="`path` must be a whole file"):
        read(path)


@pytest.mark.parametrize("text", ["2\ncomment\nSi 0 0 0\n", "1\n", "1\ncomment", "0\ncomment\n1\n", "x\n"])
def test_short_files_by_hand(tmp_path, text):
    (tmp_path / "a.xyz").write_text(text)
    with pytest.raises(ValueError, match="`path` must be a whole file"):
        read(tmp_path / "a.xyz")


def test_altered_gzip(tmp_path):
    path = tmp_path / "a.extxyz.gz"
    ase.io.write(path, frames(3))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(bytes(data))
    with pytest.raises(ValueError, match="`path` must be a whole file"):
        read(path)


def test_structures_behind_a_blank_line_are_not_lost(tmp_path):
    path = tmp_path / "a.extxyz"
    ase.io.write(path, frames(1))
    path.write_text(path.read_text() + "\n" + path.read_text())
    with pytest.raises(ValueError, match="structures follow a blank line"):
        read(path)


def test_blank_lines_at_the_end_are_harmless(tmp_path):
    path = tmp_path / "a.extxyz"
    ase.io.write(path, frames(2))
    path.write_text(path.read_text() + "\n\n")
    assert len(read(path)) == 2


def test_an_empty_file(tmp_path):
    (tmp_path / "a.extxyz").write_text("")
    with pytest.raises(ValueError, match="`path` must hold at least one structure|must be a whole file"):
        read(tmp_path / "a.extxyz")


def test_an_unknown_format(tmp_path):
    (tmp_path / "a.foo").write_text("nothing that ASE knows")
    with pytest.raises(ValueError, match="of a format that ASE reads"):
        read(tmp_path / "a.foo")


def test_real_files_plain_and_compressed(data_root):
    assert len(read(data_root / "zuo2020" / "Mo_test.extxyz")) == 23
    with gzip.open(data_root / "deepmd_water" / "data_0.extxyz.gz", "rt") as file:
        n = sum(line.startswith("Lattice") for line in file)
    assert len(read(data_root / "deepmd_water" / "data_0.extxyz.gz")) == n
