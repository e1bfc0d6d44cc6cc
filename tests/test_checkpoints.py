"""The models that ship: their files, their card, and their errors, computed again."""

import json

import pytest

import mdzoo
from mdzoo.cli import main
from mdzoo.export import torchscript

NAMES = mdzoo.list_models()
NAME = "silicon-zbl-so3-linear"
FILES = {"model.safetensors", "model.pt", "config.yaml", "metrics.json", "parity.png", "README.md"}
absent = pytest.mark.skipif(not NAMES, reason=f"checkpoints/ holds no model; scripts/make_checkpoint.py makes {NAME}")


@absent
@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_whole(name):
    folder = mdzoo.find_model(name).parent
    assert not FILES - {path.name for path in folder.iterdir()}
    assert name in (folder / "README.md").read_text()
    assert "/" not in "".join(line for line in (folder / "config.yaml").read_text().splitlines() if "train:" in line)


@absent
@pytest.mark.parametrize("name", NAMES)
def test_weights_and_exported_file_are_the_same_model(name):
    """Loading the exported file runs its own reference structures; its weights are those of the other file."""
    force_field, module = mdzoo.load(name), torchscript.load(mdzoo.find_model(name, "model.pt"))
    exported = dict(module.named_parameters())
    for key, value in force_field.named_parameters():
        assert exported[f"force_field.{key}"].equal(value.to(exported[f"force_field.{key}"].dtype)), key


@absent
@pytest.mark.parametrize("name", NAMES)
def test_evaluate_reproduces_the_shipped_errors(name, tmp_path):
    assert main(["evaluate", f"model={name}", f"run_dir={tmp_path}"]) == 0
    shipped = json.loads((mdzoo.find_model(name).parent / "metrics.json").read_text())
    again = json.loads((tmp_path / "metrics.json").read_text())
    assert again["data"] == shipped["data"], "the same structures and labels"
    for section in ("train", "test"):
        for key, value in shipped[section].items():
            if isinstance(value, float):  # a sum of thousands of terms, in another order on another machine
                assert again[section][key] == pytest.approx(value, rel=1e-6), (section, key)


@absent
def test_the_demo_model_is_listed_and_reaches_its_figures(capsys):
    assert NAME in NAMES
    test = json.loads((mdzoo.find_model(NAME).parent / "metrics.json").read_text())["test"]
    assert test["energy_mae"] <= 5e-3
    assert test["force_mae"] <= 0.08
    assert main(["list"]) == 0
    assert NAME in capsys.readouterr().out


def test_a_name_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(FileNotFoundError, match="`model` must be a directory that holds model.safetensors"):
        mdzoo.load("silicon-nothing")
