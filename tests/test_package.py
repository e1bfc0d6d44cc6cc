"""The wheel: it holds configs, models and data, and works where there is no checkout."""

import os
import subprocess
import sys
import zipfile

import pytest

import mdzoo

pytest.importorskip("hatchling", reason="the wheel is built with hatchling, of the dev extra")
ROOT = mdzoo.folder("conf").parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="no checkout to build from")
def test_the_wheel_holds_configs_models_and_data(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("conf", "checkpoints", "mdzoo/data/datasets"):
        inside = folder if folder.startswith("mdzoo") else f"mdzoo/{folder}"
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert f"{inside}/{path.relative_to(ROOT / folder)}" in names
    assert "mdzoo/conf/train.yaml" in names
    assert not [name for name in names if name.startswith(("tests/", "scripts/"))]


@pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="no checkout to build from")
def test_the_installed_wheel_works_from_another_folder(wheel, tmp_path):
    target, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": str(target)}
    code = (
        "import mdzoo, sys; print(mdzoo.__file__, mdzoo.folder('conf')); from mdzoo.cli import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", code, "list"]
    out = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[0] == f"{target}/mdzoo/__init__.py {target}/mdzoo/conf"
    assert "lennard_jones" in out
    assert all(name in out for name in mdzoo.list_models())
