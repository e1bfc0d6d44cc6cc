"""The console command: what it teaches, what it refuses, what it leaves behind."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import ase.build
import pytest
import torch

import mdzoo
from mdzoo.cli import main
from mdzoo.cli.help import command_names
from mdzoo.data import graph_from_atoms
from tests import tiny_data

SMALL = [
    "descriptor.K=2",
    "descriptor.L=1",
    "descriptor.cutoff=4.5",
    "empirical.zbl.outer=2.0",
    "empirical.zbl.inner=1.0",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The directory of one finished run on the tiny data."""
    folder = tmp_path_factory.mktemp("train")
    words = [*tiny_data.write(folder), *SMALL, f"run_dir={folder}/run", "seed=3"]
    assert main(["train", *words]) == 0
    return folder / "run"


def refused(capsys, *words):
    """Run a command that must fail with one line and return the line."""
    assert main(list(words)) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize("words", [[], ["--help"], ["help"]])
def test_overview_names_every_command_with_an_example(capsys, words):
    assert main(words) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in command_names())
    assert "mdzoo train data=silicon empirical=zbl descriptor=so3 regressor=linear fit=least_squares" in text


@pytest.mark.parametrize("command", command_names())
def test_help_of_every_command_gives_examples_and_keys(capsys, command):
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"  mdzoo {command}" in text, "an example"
    assert "run_dir:" in text
    assert "seed: 0" in text


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == mdzoo.__version__


def test_a_misspelt_command_is_refused(capsys):
    assert main(["trian"]) == 2
    assert "did you mean train?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["descriptr=so3"], "descriptor"),
        (["descriptor=so33"], "so3"),
        (["empirical=[zbl,lenard_jones]"], "lennard_jones"),
        (["descriptor.cutof=4"], "descriptor.cutoff"),
        (["descriptor.k=4"], "descriptor.K"),
        (["+descriptor.k=4"], "descriptor.K"),
        (["data.tran=a.xyz"], "data.train"),
        (["zbl.iner=1"], "empirical.zbl.inner"),
        (["sed=1"], "seed"),
        (["run_dri=x"], "run_dir"),
    ],
)
def test_a_misspelt_key_is_refused_with_the_nearest_right_one(capsys, words, near):
    assert f"did you mean {near}?" in refused(capsys, "train", *words)


def test_a_word_without_equals_is_refused(capsys):
    assert "`seed` must be key=value" in refused(capsys, "train", "seed")


def test_what_must_be_given_is_named(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "`model` must be given" in refused(capsys, "evaluate")
    assert not list(tmp_path.iterdir()), "nothing is written before the config is whole"


def test_an_unknown_model_is_refused(capsys, tmp_path):
    line = refused(capsys, "evaluate", "model=nowhere", f"run_dir={tmp_path}")
    assert "`model` must be a directory that holds model.safetensors" in line


def test_a_descriptor_without_regressor_is_refused(capsys, tmp_path):
    words = [*tiny_data.write(tmp_path), "regressor=null", f"run_dir={tmp_path}/run"]
    assert "`regressor` must stand beside `descriptor`" in refused(capsys, "train", *words)


def test_a_missing_file_is_one_line_and_the_traceback_is_one_variable_away(capsys, tmp_path, monkeypatch):
    words = ["train", "data=extxyz", f"data.train={tmp_path}/none.extxyz", f"run_dir={tmp_path}/run"]
    assert "none.extxyz" in refused(capsys, *words)
    assert "stopped" in (tmp_path / "run" / "train.log").read_text()
    monkeypatch.setenv("MDZOO_TRACEBACK", "1")
    with pytest.raises(FileNotFoundError):
        main(words)


def test_train_leaves_a_whole_run_directory(trained):
    found = {path.name for path in trained.iterdir()}
    assert {"config.yaml", "model.safetensors", "model.pt", "metrics.json", "parity.png", "train.log"} <= found
    metrics = json.loads((trained / "metrics.json").read_text())
    assert set(metrics) >= {"train", "test", "seconds", "model", "data"}
    assert metrics["test"]["n_structures"] == 4
    assert set(metrics["test"]["groups"]) == {"calm", "wild"}
    assert metrics["model"]["name"] == "ZBL + SO3 + Linear"
    assert metrics["train"]["force_mae"] < 0.5, "it was fitted"
    assert set(metrics["seconds"]) == {"read", "fit", "evaluate"}


def test_the_config_of_a_run_is_resolved(trained):
    text = (trained / "config.yaml").read_text()
    assert "${" not in text
    assert "seed: 3" in text


def test_fine_tuning_takes_the_model_whole(trained, tmp_path, capsys):
    data = [*tiny_data.write(tmp_path), "fit=sgd", "fit.epochs=1", f"fit.start={trained}", "wandb=disabled"]
    frozen = "fit.freeze=[*regressor.bias]"
    assert main(["train", *data, frozen, f"run_dir={tmp_path}/run"]) == 0
    before, after = mdzoo.load(trained), mdzoo.load(tmp_path / "run")
    assert before.table == after.table
    moved = {name for name, value in after.state_dict().items() if not value.equal(before.state_dict()[name])}
    assert moved == {"potential.terms.2.regressor.weights"}
    assert "descriptor:" not in (tmp_path / "run" / "config.yaml").read_text()
    line = refused(capsys, "train", *data, "descriptor.K=3", f"run_dir={tmp_path}/other")
    assert "`descriptor` must be left to the model of `fit.start`" in line


def test_evaluate_reproduces_the_errors_of_the_run(trained, tmp_path):
    assert main(["evaluate", f"model={trained}", f"run_dir={tmp_path}", "seed=3"]) == 0
    again, first = (json.loads((path / "metrics.json").read_text()) for path in (tmp_path, trained))
    for section in ("train", "test"):
        for key in ("energy_mae", "force_rmse", "stress_mae"):
            assert again[section][key] == pytest.approx(first[section][key], rel=1e-9)


def test_evaluate_takes_other_data(trained, tmp_path):
    other = tiny_data.write(tmp_path)[1].partition("=")[2]
    assert main(["evaluate", f"model={trained}", f"data.test={other}", f"run_dir={tmp_path}/run"]) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["test"]["n_structures"] == 10
    assert "train" not in metrics


def test_export_writes_a_file_that_torch_alone_loads(trained, tmp_path):
    assert main(["export", f"model={trained}", f"run_dir={tmp_path}", "dtype=float32"]) == 0
    model = torch.jit.load(str(tmp_path / "model.pt"))
    assert model.atomic_numbers == [14]
    assert model.dtype == "float32"


def test_the_readme_runs_an_exported_model_without_mdzoo(trained):
    readme = (Path(__file__).resolve().parents[1] / "README.md").read_text()
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "torch.jit.load" in block]
    code = f"import sys; sys.modules['mdzoo'] = None\n{code}\nprint(out.energy.item(), out.forces.abs().max().item())"
    command = [sys.executable, "-W", "ignore", "-c", code]
    out = subprocess.run(command, cwd=trained, capture_output=True, text=True, check=True).stdout.split()
    force_field = mdzoo.load(trained)
    atoms = ase.build.bulk("Si", cubic=True)
    graph = graph_from_atoms(atoms, force_field.atomic_numbers, force_field.cutoff)
    assert float(out[0]) == pytest.approx(force_field(graph).energy.item(), abs=1e-9)
    assert float(out[1]) < 1e-9, "a crystal at rest"


def test_md_runs_from_the_run_directory(trained, tmp_path, capsys):
    words = [f"model={trained}", "steps=4", "interval=2", "temperature=10", "timestep=0.1", f"run_dir={tmp_path}"]
    assert main(["md", *words]) == 0
    assert "energy drift" in capsys.readouterr().out
    assert json.loads((tmp_path / "md.json").read_text())["atoms"] == 64
    assert {"md.csv", "md.log", "trajectory.extxyz", "config.yaml"} <= {path.name for path in tmp_path.iterdir()}


def test_benchmark_times_supercells(trained, tmp_path):
    words = [f"model={trained}", "sizes=[8]", "repeats=1", f"run_dir={tmp_path}"]
    assert main(["benchmark", *words]) == 0
    (row,) = json.loads((tmp_path / "benchmark.json").read_text())["rows"]
    assert row["n_atoms"] == 8
    assert row["forces"] > row["energies"] > 0.0


def test_report_compares_runs(trained, tmp_path, capsys):
    assert main(["report", f"runs=[{trained}]", f"run_dir={tmp_path}"]) == 0
    assert "test errors" in capsys.readouterr().out
    assert "`runs` must name run directories" in refused(
        capsys, "report", f"runs={tmp_path}/none", f"run_dir={tmp_path}"
    )


def test_list_shows_members_and_is_kept_on_request(tmp_path, capsys):
    assert main(["list", f"run_dir={tmp_path}"]) == 0
    shown, kept = capsys.readouterr().out, (tmp_path / "list.txt").read_text()
    for text in (shown, kept):
        assert "lennard_jones" in text
        assert "so3" in text


def test_doctor_names_versions_and_without_data_that_is_all(capsys):
    assert main(["doctor"]) == 0
    assert f"torch {torch.__version__.partition('+')[0]}" in " ".join(capsys.readouterr().out.split())


def test_doctor_examines_data_and_is_kept_on_request(tmp_path, capsys):
    assert main(["doctor", *tiny_data.write(tmp_path), f"run_dir={tmp_path}/run"]) == 0
    shown, kept = capsys.readouterr().out, (tmp_path / "run" / "doctor.txt").read_text()
    for text in (shown, kept):
        assert "copies, test: none" in text


def test_doctor_sees_stresses_that_the_config_masks(data_root, capsys):
    assert main(["doctor", "data=zuo2020", "data.element=Li", f"data.root={data_root}", "data.cache=false"]) == 0
    assert "stress labels contradict the energies" in " ".join(capsys.readouterr().out.split())


def test_it_runs_from_another_folder(tmp_path):
    here = Path(__file__).resolve().parents[1]
    environment = {**os.environ, "PYTHONPATH": str(here)}
    command = [sys.executable, "-m", "mdzoo.cli", "train", "--help"]
    out = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert "descriptor=" in out.stdout
    assert out.stderr == ""


def test_properties_stand_beside_their_references(trained, tmp_path, capsys):
    words = [f"model={trained}", "properties=[lattice]", "structure=null", "reference={a: 5.0}", f"run_dir={tmp_path}"]
    assert main(["evaluate", *words]) == 0
    found = json.loads((tmp_path / "properties.json").read_text())
    assert found["reference"] == {"a": 5.0}
    assert f"{found['found']['a']:.5g}" in capsys.readouterr().out
    assert (tmp_path / "properties.png").is_file()
    assert "`properties` must be all or some of" in refused(
        capsys, "evaluate", *words[:1], "properties=gap", *words[2:]
    )


@pytest.mark.slow
def test_a_gaussian_process_beside_a_linear_term_trains_and_runs_from_its_polynomial(tmp_path):
    """From the command line to the exported file, in which no inducing points are left."""
    from mdzoo.export import torchscript

    pairs = "{descriptor: {name: ACE, cutoff: 4.5, K: 3, L: 0, body_order: 2}, regressor: {name: Linear}}"
    words = [*tiny_data.write(tmp_path), *SMALL, "regressor=sparse_gp", "regressor.n_inducing=10"]
    words += [f"more={{pairs: {pairs}}}", "fit.folds=2", "fit.weights={energy: 10.0}", f"run_dir={tmp_path}/run"]
    assert main(["train", *words]) == 0
    model, exported = mdzoo.load(tmp_path / "run"), torchscript.load(tmp_path / "run" / "model.pt")
    names = [type(getattr(term, "regressor", term)).__name__ for term in model.potential.terms]
    assert names == ["AtomicEnergies", "ZBL", "SparseGP", "Linear"]
    assert "potential.terms.2.regressor.points" not in dict(exported.force_field.named_buffers())
    atoms = tiny_data.frames(1, 5)[0]
    graph = graph_from_atoms(atoms, [14], 4.5)
    for one, other in zip(exported(*graph[:-1])[:4], model(graph)[:4], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-8)


def test_a_run_that_is_inferred_knows_its_uncertainty(trained, tmp_path):
    assert main(["infer", f"model={trained}", "bayes=laplace", "bayes.members=3", f"run_dir={tmp_path}/sure"]) == 0
    sure, start = mdzoo.load(tmp_path / "sure"), mdzoo.load(trained)
    graph = graph_from_atoms(ase.build.bulk("Si", a=5.4), [14], start.cutoff)
    torch.testing.assert_close(sure(graph).forces, start(graph).forces)
    assert float(sure.potential.uncertainty(graph).parameter.min()) > 0.0
    assert sure.potential.members(graph).shape[0] == 3
    assert json.loads((tmp_path / "sure" / "metrics.json").read_text())["test"]["energy_rmse"] > 0.0


def test_a_fit_may_end_in_an_inference(tmp_path):
    words = [*tiny_data.write(tmp_path), *SMALL, f"run_dir={tmp_path}/run", "bayes=laplace"]
    assert main(["train", *words]) == 0
    assert mdzoo.load(tmp_path / "run").potential.is_uncertain


@pytest.mark.parametrize(("before", "after"), [(None, "1"), ("0", "0")])
def test_large_tensors_get_huge_pages_unless_declined(before, after):
    """How many of them the system can give depends on its state, so that faults are not counted here."""
    code = "import os; from mdzoo.cli import main; main(['--version']); print(os.environ['THP_MEM_ALLOC_ENABLE'])"
    environment = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}
    environment |= {} if before is None else {"THP_MEM_ALLOC_ENABLE": before}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert out.stdout.splitlines()[-1] == after
