"""Neighbour lists on disk: read again, never trusted blindly, never in the way."""

import logging
import os

import numpy as np
import pytest
from ase.build import bulk
from safetensors.numpy import load_file, save_file

import mdzoo
from mdzoo.data import cache
from mdzoo.data.cache import cached_edges, find_all, key_of, store, trim


def frames():
    found = [bulk("Si", cubic=True), bulk("Cu"), bulk("Si").repeat((2, 1, 1))]
    for k, atoms in enumerate(found):
        atoms.rattle(0.05, seed=k)
    return found


def cached(directory, cutoff=4.0, workers=1, structures=None):
    structures = structures or frames()
    return cached_edges(structures, cutoff, [f"s{k}" for k in range(len(structures))], directory, workers)


def same(one, two):
    return all(np.array_equal(a, b) for x, y in zip(one, two, strict=True) for a, b in zip(x, y, strict=True))


@pytest.fixture
def forbid(monkeypatch):
    def use():
        def fail(*args):
            raise AssertionError("edges were searched again")

        monkeypatch.setattr(cache, "find_edges", fail)

    return use


def test_a_second_run_reads_what_the_first_found(tmp_path, forbid):
    first = cached(tmp_path)
    forbid()
    assert same(cached(tmp_path), first)
    assert [p.suffix for p in tmp_path.iterdir()] == [".safetensors"]


def test_another_cutoff_or_structure_or_periodicity_is_another_file(tmp_path):
    keys = {key_of(frames(), 4.0), key_of(frames(), 4.5), key_of(frames()[:2], 4.0)}
    moved, opened, stretched = frames(), frames(), frames()
    moved[0].positions[0, 0] += 1e-9
    opened[0].pbc = [True, True, False]
    stretched[1].cell[0, 0] += 1e-9
    keys |= {key_of(case, 4.0) for case in (moved, opened, stretched)}
    assert len(keys) == 6


def test_threads_give_the_same_edges():
    names = ["a", "b", "c"]
    assert same(find_all(frames(), 5.0, 4, names), find_all(frames(), 5.0, 1, names))


@pytest.mark.parametrize("damage", ["short", "flipped", "empty", "foreign", "other key"])
def test_a_broken_file_is_built_again(tmp_path, damage, caplog):
    first = cached(tmp_path)
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    if damage == "short":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        data[-5] ^= 1
        path.write_bytes(data)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "foreign":
        save_file({"x": np.zeros(3)}, path)
    else:
        save_file(load_file(path), path, metadata={"key": "0" * 64})
    with caplog.at_level(logging.WARNING):
        assert same(cached(tmp_path), first)
    assert "are built again" in caplog.text
    caplog.clear()
    assert same(cached(tmp_path), first)
    assert caplog.text == ""


def test_a_full_disk_does_not_stop_the_run(tmp_path, monkeypatch, caplog):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.os, "replace", full)
    with caplog.at_level(logging.WARNING):
        assert len(cached(tmp_path)) == 3
    assert "not kept on disk" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_does_not_stop_the_run(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        assert len(cached(tmp_path / "file" / "cache")) == 3


def test_the_folder_keeps_to_its_limit(tmp_path):
    for k, name in enumerate(["old", "middle", "new"]):
        path = tmp_path / f"{name}.edges.safetensors"
        path.write_bytes(bytes(100))
        os.utime(path, (k, k))
    (tmp_path / "not ours").write_bytes(bytes(1000))
    trim(tmp_path, 250)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "middle.edges.safetensors",
        "new.edges.safetensors",
        "not ours",
    ]


def test_no_folder_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(cached(None)) == 3
    assert list(tmp_path.iterdir()) == []


def test_where_the_folder_is(monkeypatch, tmp_path):
    monkeypatch.setenv("MDZOO_CACHE_DIR", str(tmp_path))
    assert mdzoo.cache_directory() == tmp_path
    monkeypatch.delenv("MDZOO_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert str(mdzoo.cache_directory()) == "/x/mdzoo"


def test_structures_without_edges_survive_the_disk(tmp_path):
    lonely = [bulk("Cu"), bulk("Si", cubic=True), bulk("Cu")]
    first = cached(tmp_path, 2.4, structures=lonely)
    assert [len(e.neighbors) for e in first] == [0, 32, 0]
    assert same(cached(tmp_path, 2.4, structures=lonely), first)


def test_store_writes_beside_and_moves(tmp_path):
    path = tmp_path / "deep" / "a.edges.safetensors"
    store(path, "k", find_all(frames(), 3.0, 1, ["", "", ""]))
    assert [p.name for p in path.parent.iterdir()] == ["a.edges.safetensors"]
