"""The exported file: the same numbers as the model, everywhere, and nothing else."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

import mdzoo
from mdzoo.data import graph_from_atoms
from mdzoo.export import contract as contracts
from mdzoo.export.contract import INPUTS, inputs_of
from mdzoo.export.torchscript import cast, export, load, silent
from mdzoo.graph import collate
from tests.export.models import hybrid, silicon, structures, water


def arguments(graph):
    return [inputs_of(graph)[name] for name in INPUTS]


def graphs(cutoff, skin=0.0):
    return [graph_from_atoms(atoms, [14], cutoff + skin) for atoms in structures()]


def compare(found, expected, tolerance):
    for name, one, other in zip(expected._fields, found, expected, strict=True):
        scale = max(1.0, float(other.abs().max()))
        torch.testing.assert_close(one, other, rtol=0, atol=tolerance * scale, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("skin", [0.0, 1.0])
def test_exported_equals_eager(exported, skin):
    model, module = hybrid(), load(exported)
    for graph in graphs(model.cutoff, skin):
        compare(module(*arguments(graph)), model(graph), 1e-12)


def test_a_batch_equals_its_structures(exported):
    module, parts = load(exported), graphs(4.5)
    whole = module(*arguments(collate(parts)))
    single = [module(*arguments(graph)) for graph in parts]
    torch.testing.assert_close(whole.energy, torch.cat([out.energy for out in single]), rtol=1e-14, atol=0)
    torch.testing.assert_close(whole.forces, torch.cat([out.forces for out in single]), rtol=0, atol=1e-12)
    torch.testing.assert_close(whole.virial, torch.cat([out.virial for out in single]), rtol=0, atol=1e-11)


def test_blocks_of_atoms_change_nothing(exported, tmp_path):
    path = export(hybrid(block_edges=50), tmp_path / "blocks.pt", references=[silicon()])
    graph = graph_from_atoms(silicon(2), [14], 4.5)
    compare(load(path)(*arguments(graph)), load(exported)(*arguments(graph)), 1e-12)


def test_float32_agrees_to_single_precision(exported32):
    """2^-24 = 6e-8 for each of some thousand terms of the order of 1 eV: 1e-5 is a wide berth."""
    model, module = hybrid(), load(exported32)
    graph = graph_from_atoms(silicon(), [14], model.cutoff)
    found, expected = module(*arguments(graph)), model(graph)
    assert found.energy.dtype == torch.float64
    assert found.forces.dtype == torch.float32
    torch.testing.assert_close(found.energies, expected.energies, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.forces.double(), expected.forces, rtol=0, atol=1e-5)


def test_reference_energies_stay_float64_and_the_model_is_left_as_it_is(exported32):
    kinds = {name: tensor.dtype for name, tensor in load(exported32).named_parameters()}
    assert kinds["force_field.potential.terms.0.energies"] == torch.float64
    assert kinds["force_field.potential.terms.1.strength"] == torch.float32
    model = hybrid().train()
    cast(model, "float32")
    assert model.dtype == "float64"
    assert model.training
    assert all(p.requires_grad for n, p in model.named_parameters() if "terms.0" not in n)


def test_no_path_of_this_machine_is_in_the_file(exported):
    with zipfile.ZipFile(exported) as archive:
        for name in archive.namelist():
            assert not name.endswith(".debug_pkl")
            assert str(Path(mdzoo.__file__).parent).encode() not in archive.read(name)


def test_attributes_and_contract(exported):
    module, contract = load(exported), contracts.read(exported)
    assert (module.atomic_numbers, module.cutoff, module.reach, module.dtype) == ([14], 4.5, 1, "float64")
    for key in ("atomic_numbers", "cutoff", "reach", "dtype"):
        assert contract[key] == getattr(module, key)
    assert contract["units"]["energy"] == "eV"
    assert contract["config"] == {"descriptor": "Shells"}
    assert contract["unreferenced_elements"] == []
    assert len(contract["references"]) == 3
    assert set(contract["tolerances"]["float64"]) == {"cpu", "cuda"}
    assert set(contract["references"][0]["outputs"]) >= {"energy", "energies", "forces", "virial"}


def test_gradients_are_switched_on_inside_and_left_outside_as_they_were(exported):
    module, graph = load(exported), graphs(4.5)[0]
    with torch.no_grad():
        out = module(*arguments(graph))
        assert not torch.is_grad_enabled()
    assert not out.energies.requires_grad
    assert torch.equal(out.forces, module(*arguments(graph)).forces)
    assert torch.is_grad_enabled()


ALONE = """
import sys
sys.modules["mdzoo"] = None  # so that an import fails even where mdzoo is installed
import json, torch
extra = {"mdzoo.json": ""}
model = torch.jit.load(sys.argv[1], _extra_files=extra)
for reference in json.loads(extra["mdzoo.json"])["references"]:
    given, whole = reference["inputs"], ("species", "batch", "ids", "centers", "neighbors")
    kind = {"pbc": torch.bool, **dict.fromkeys(whole, torch.int64)}
    out = model(*[torch.tensor(value, dtype=kind.get(name, torch.float64)) for name, value in given.items()])
    print(float((out.forces - torch.tensor(reference["outputs"]["forces"])).abs().max()), model.atomic_numbers)
"""


def test_a_process_without_mdzoo_runs_it(exported, tmp_path):
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE, str(exported)], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        deviation, table = line.split(" ", 1)
        assert float(deviation) < 1e-6  # the script compares with default float32 tensors
        assert table == "[14]"


def altered(path, tmp_path, tensor, factor):
    """Change one number of one tensor by a factor and save with the old contract, as a careless tool would."""
    extra = {contracts.NAME: ""}
    with silent():
        module = torch.jit.load(str(path), _extra_files=extra)
        with torch.no_grad():
            module.state_dict()[tensor].view(-1)[0] *= factor
        module.save(str(tmp_path / "altered.pt"), _extra_files=extra)
    return tmp_path / "altered.pt"


@pytest.mark.parametrize("which", ["exported", "exported32"])
@pytest.mark.parametrize("tensor", ["terms.0.energies", "terms.1.strength", "terms.2.regressor.weights"])
def test_a_change_of_one_weight_by_a_thousandth_fails(which, tensor, request, tmp_path):
    """The checksum refuses it, and so do the reference structures alone."""
    path = altered(request.getfixturevalue(which), tmp_path, f"force_field.potential.{tensor}", 1.001)
    with pytest.raises(ValueError, match="do not fit its checksum"):
        load(path)
    with pytest.raises(ValueError, match="must give its own reference .* got a deviation of"):
        contracts.self_test(load(path, check=False), contracts.read(path))


def test_references_of_another_model_fail(exported, tmp_path):
    contract = contracts.read(exported)
    contract["references"][1]["outputs"]["forces"][0][2] += 1e-9
    with pytest.raises(ValueError, match="its own reference forces"):
        contracts.self_test(load(exported), contract)
    contract["references"][1]["outputs"]["forces"][0][2] = float("nan")
    with pytest.raises(ValueError, match="got a deviation of nan"):
        contracts.self_test(load(exported), contract)


def test_an_altered_contract_is_refused(exported, tmp_path):
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(exported) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, content.replace(b'"cutoff": 4.5', b'"cutoff": 4.6') if "extra/" in name else content)
    with pytest.raises(ValueError, match="do not fit its checksum"):
        load(path)


def test_a_flipped_bit_is_refused(exported, tmp_path):
    path, content = tmp_path / "model.pt", exported.read_bytes()
    with zipfile.ZipFile(exported) as archive:
        infos = [info for info in archive.infolist() if "/data/" in info.filename or "/code/" in info.filename]
    for info in sorted(infos, key=lambda info: info.compress_size)[-6:]:
        flipped = bytearray(content)
        name, more = (
            int.from_bytes(content[info.header_offset + k : info.header_offset + k + 2], "little") for k in (26, 28)
        )
        flipped[info.header_offset + 30 + name + more + info.compress_size // 2] ^= 1
        path.write_bytes(flipped)
        with pytest.raises(ValueError, match="do not fit its checksum"):
            load(path)


@pytest.mark.parametrize("keep", [0, 100, -10])
def test_a_truncated_file_is_refused(exported, tmp_path, keep):
    path = tmp_path / "model.pt"
    path.write_bytes(exported.read_bytes()[:keep])
    with pytest.raises(ValueError, match="must be a whole exported model"):
        load(path)


def test_missing_foreign_and_later_files_are_named(exported, tmp_path):
    with pytest.raises(FileNotFoundError, match="`path` must be an exported model"):
        load(tmp_path / "none.pt")
    with zipfile.ZipFile(tmp_path / "foreign.pt", "w") as archive:
        archive.writestr("foreign/data.pkl", b"")
    with pytest.raises(ValueError, match="with its mdzoo.json"):
        load(tmp_path / "foreign.pt")
    with zipfile.ZipFile(tmp_path / "later.pt", "w") as archive:
        archive.writestr("later/extra/mdzoo.json", json.dumps({"format": 99, "mdzoo": "9.0"}))
    with pytest.raises(ValueError, match="contract of format 1, got 99 .mdzoo 9.0"):
        load(tmp_path / "later.pt")


def test_bad_arguments_are_named(tmp_path):
    with pytest.raises(ValueError, match="`dtype` must be one of .*got 'float16'"):
        export(hybrid(), tmp_path / "m.pt", references=[silicon()], dtype="float16")
    with pytest.raises(ValueError, match="`references` must hold at least one structure"):
        export(hybrid(), tmp_path / "m.pt", references=[])
    with pytest.raises(ValueError, match="got H .Z=1."):
        export(hybrid(), tmp_path / "m.pt", references=[water()])
    broken = hybrid()
    with torch.no_grad():
        broken.potential.terms[1].strength.fill_(float("nan"))
    with pytest.raises(ValueError, match="`references` must have finite energies and forces"):
        export(broken, tmp_path / "m.pt", references=[silicon()])
    with pytest.raises(ValueError, match="`config` must hold plain numbers"):
        export(hybrid(), tmp_path / "m.pt", references=[silicon()], config={"a": object()})
    assert list(tmp_path.iterdir()) == []


def test_elements_without_reference_are_listed(tmp_path):
    path = export(hybrid((1, 8, 14)), tmp_path / "m.pt", references=[water()])
    assert contracts.read(path)["unreferenced_elements"] == [14]


def test_a_full_disk_leaves_the_previous_file(exported, tmp_path, monkeypatch):
    path = tmp_path / "model.pt"
    shutil.copy(exported, path)

    def full(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        export(hybrid(), path, references=[silicon()])
    assert path.read_bytes() == exported.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]
