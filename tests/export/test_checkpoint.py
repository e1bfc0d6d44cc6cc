"""Model files: the same numbers come back, and nothing damaged, altered or unknown does."""

import json
import os
import resource
import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import mdzoo
from mdzoo.data import graph_from_atoms
from mdzoo.potentials import checkpoint
from tests.export.models import hybrid, silicon, table


@pytest.fixture
def saved(tmp_path):
    model = hybrid()
    return model, checkpoint.save(tmp_path / "model.safetensors", model, table(), {"seed": 3})


def rewrite(path, change):
    """Apply `change(metadata, tensors)` to a model file and write it back."""
    with safe_open(str(path), framework="pt") as file:
        metadata = dict(file.metadata())
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    change(metadata, tensors)
    save_file(tensors, str(path), metadata)


def test_the_same_bits_come_back(saved):
    model, path = saved
    loaded = checkpoint.load(path)
    graph = graph_from_atoms(silicon(), [14], model.cutoff)
    for one, other in zip(model(graph), loaded(graph), strict=True):
        assert torch.equal(one, other)
    assert not loaded.training
    assert loaded.table == table()
    assert loaded.extra == {"seed": 3}


def test_dtype_is_recorded_and_reference_energies_stay_float64(tmp_path):
    model = hybrid().to(torch.float32)
    loaded = checkpoint.load(checkpoint.save(tmp_path / "m.safetensors", model, table()))
    kinds = {name: tensor.dtype for name, tensor in loaded.state_dict().items()}
    assert loaded.dtype == "float32"
    assert kinds["potential.terms.0.energies"] == torch.float64
    assert kinds["potential.terms.1.strength"] == torch.float32


def test_metadata_say_what_it_is(saved):
    metadata, _ = checkpoint.read(saved[1])
    assert json.loads(metadata["atomic_numbers"]) == [14]
    assert metadata["version"] == mdzoo.__version__
    assert len(metadata["sha256"]) == 64


def test_every_kind_of_change_is_refused(saved):
    _, path = saved
    whole = path.read_bytes()

    def scale(metadata, tensors):
        tensors["potential.terms.1.strength"] *= 1 + 1e-15

    def swap(metadata, tensors):
        metadata["table"] = metadata["table"].replace("3.5", "3.6").replace("Linear", "Linear ")

    for change in (scale, swap):
        path.write_bytes(whole)
        rewrite(path, change)
        with pytest.raises(ValueError, match="must hold what was saved.*altered or damaged"):
            checkpoint.load(path)


def test_a_flipped_bit_is_refused(saved):
    _, path = saved
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="do not fit its checksum"):
        checkpoint.load(path)


@pytest.mark.parametrize("keep", [0, 5, 300, -1])
def test_a_truncated_file_is_refused(saved, keep):
    _, path = saved
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="must be a whole safetensors file.*truncated or damaged"):
        checkpoint.load(path)


def test_missing_and_foreign_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="`path` must be a model file, got .*not there"):
        checkpoint.load(tmp_path / "none.safetensors")
    save_file({"a": torch.zeros(1)}, str(tmp_path / "foreign.safetensors"))
    with pytest.raises(ValueError, match="must be an mdzoo model file of format 1"):
        checkpoint.load(tmp_path / "foreign.safetensors")


def test_names_in_a_file_are_never_imported(saved):
    """A table that names a function of another package, with a valid checksum, is an unknown member."""
    _, path = saved

    def point_outside(metadata, tensors):
        metadata["table"] = json.dumps({"name": "os.system", "command": "true", "_target_": "os.system"})
        metadata["sha256"] = checkpoint.digest(tensors, metadata)

    rewrite(path, point_outside)
    with pytest.raises(ValueError, match="`name` must be one of .*got 'os.system'"):
        checkpoint.load(path)


def test_a_table_of_another_model_is_refused_before_writing(tmp_path):
    wrong = table()
    wrong["terms"][0]["energies"] = [0.0, 1.0]
    with pytest.raises(ValueError, match="`table` must rebuild the model that is saved, got one that differs in"):
        checkpoint.save(tmp_path / "m.safetensors", hybrid(), wrong)
    assert list(tmp_path.iterdir()) == []


def test_what_json_cannot_hold_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`extra` must hold plain numbers"):
        checkpoint.save(tmp_path / "m.safetensors", hybrid(), table(), {"model": object()})


def test_a_failing_write_leaves_the_previous_file(saved, monkeypatch):
    model, path = saved
    before = path.read_bytes()

    def half(tensors, target, metadata):
        with open(target, "wb") as file:
            file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", half)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(path, model, table())
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


FULL_DISK = """
import resource, signal, sys
from mdzoo.potentials import checkpoint, registry
from tests.export.models import MEMBERS, hybrid, table
registry.MEMBERS.update(MEMBERS)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))
try:
    checkpoint.save(sys.argv[1], hybrid(), table())
except OSError as error:
    print("OSError:", error)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs a limit on file sizes (POSIX)")
def test_a_full_disk_leaves_the_previous_file(saved):
    """The kernel refuses to write beyond 600 bytes, as a full disk does."""
    _, path = saved
    before = path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        check=True,
    )
    assert "OSError:" in done.stdout
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]
