"""Each folder answers one question, and imports run one way (design of the package): read off the source with `ast`."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "mdzoo"
FILES = sorted(PACKAGE.rglob("*.py"))

BASE = {"graph", "ops", "units"}
LEFT = BASE | {"basis", "descriptors", "regressors", "potentials"}
SEES = {  # which rooms a room may import, besides itself
    "mdzoo": {"potentials"},
    "graph": set(),
    "ops": set(),
    "units": set(),
    "basis": BASE,
    "descriptors": BASE | {"basis"},
    "regressors": BASE | {"basis"},
    "potentials": LEFT,
    "data": {"graph", "units"},
    "fit": LEFT | {"data"},
    "bayes": LEFT | {"data", "fit"},
    "active": LEFT | {"data", "fit", "bayes"},
    "evaluate": LEFT | {"data"},
    "export": LEFT | {"data"},
    "testing": LEFT,
    "cli": LEFT | {"data", "fit", "bayes", "active", "evaluate", "export", "testing"},
}
HOMES = {  # in which rooms a third party may be imported
    "pyro": {"bayes"},
    "lightning": {"fit", "data"},
    "pytorch_lightning": {"fit", "data"},
    "ase": {"data", "active", "evaluate", "export"},
    "hydra": {"cli"},
    "optuna": {"cli"},
    "submitit": {"cli"},
    "vesin": {"data", "export"},
    "metatensor": {"export"},
    "metatomic": {"export"},
    "openmm": {"data", "export"},
    "matplotlib": {"evaluate"},
    "phonopy": {"evaluate"},
    "wandb": {"fit"},
    "torch_scatter": {"ops"},
}
SCRIPTED = BASE | {"basis", "descriptors", "regressors", "potentials"}


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return "mdzoo" if first == "__init__.py" else first.removesuffix(".py")


def imports(path: Path) -> list[str]:
    """Every module that a file names in an import, also inside functions; `from mdzoo import x` counts as mdzoo.x."""
    out = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            out += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the whole name"
            out += [f"mdzoo.{a.name}" for a in node.names] if node.module == "mdzoo" else [node.module]
    return out


def rooms_seen(path: Path) -> set[str]:
    names = [name.split(".") for name in imports(path)]
    return {parts[1] for parts in names if parts[0] == "mdzoo" and len(parts) > 1} & set(SEES)


each_file = pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))


@each_file
def test_imports_run_one_way(path):
    room = room_of(path)
    assert room in SEES, f"a new room: say in tests/test_rooms.py what {room} may import"
    wrong = rooms_seen(path) - SEES[room] - {room}
    assert not wrong, f"{room} may see {sorted(SEES[room])}, imports {sorted(wrong)}"


@each_file
def test_third_parties_stay_in_their_rooms(path):
    tops = {name.split(".")[0] for name in imports(path)} & set(HOMES)
    wrong = {name for name in tops if room_of(path) not in HOMES[name]}
    assert not wrong, f"{sorted(wrong)} belong to {[sorted(HOMES[name]) for name in sorted(wrong)]}"


@each_file
def test_nothing_of_the_package_imports_tests_or_scripts(path):
    assert not {name.split(".")[0] for name in imports(path)} & {"tests", "scripts"}


@each_file
def test_no_room_is_called_utils(path):
    parts = set(path.relative_to(PACKAGE).with_suffix("").parts)
    assert not parts & {"utils", "util", "helpers", "helper", "common", "misc", "tools"}


@each_file
def test_files_stay_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


@each_file
def test_model_files_can_be_scripted(path):
    """`from __future__ import annotations` with a class-level annotation breaks scripting."""
    if room_of(path) in SCRIPTED:
        assert "__future__" not in imports(path)


@each_file
def test_scripting_has_one_home(path):
    """torch.jit.script is deprecated: its uses stay where they can be exchanged together."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    uses = [n for n in nodes if isinstance(n, ast.Attribute) and ast.unparse(n) in ("torch.jit.script", "jit.script")]
    assert not uses or path.relative_to(PACKAGE).as_posix() in ("export/torchscript.py", "testing/files.py")


def test_the_rule_would_notice(tmp_path):
    file = tmp_path / "file.py"
    file.write_text(
        "def f():\n    from mdzoo import data\n    import mdzoo.fit.loss\n    from mdzoo.graph import Graph\n"
    )
    assert rooms_seen(file) == {"data", "fit", "graph"}
