"""mdzoo: a zoo of interatomic potentials, E = E_empirical + E_ML, each a torch module."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mdzoo.potentials import ForceField

__version__ = "0.1.0"
__all__ = ["__version__", "cache_directory", "find_model", "list_models", "load"]


def folder(name: str) -> Path:
    """Return the folder `name` that ships with mdzoo: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside, beside = package / name, package.parent / name
    return inside if inside.is_dir() else beside


def cache_directory() -> Path:
    """Return the folder of what is made once and kept: `$MDZOO_CACHE_DIR`, else `mdzoo` in the user's cache folder."""
    if os.environ.get("MDZOO_CACHE_DIR"):
        return Path(os.environ["MDZOO_CACHE_DIR"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mdzoo"


def list_models() -> list[str]:
    """Return the names of the models that ship with mdzoo."""
    return sorted(path.parent.name for path in folder("checkpoints").glob("*/model.safetensors"))


def find_model(name_or_path: str | Path, file: str = "model.safetensors") -> Path:
    """Return the `file` of a shipped model or of a run directory, or the file itself.

    Arguments:
        name_or_path: the name of a shipped model, a run directory, or a file.
        file: `model.safetensors`, or `model.pt`, the exported file.
    """
    path = Path(name_or_path).expanduser()
    for candidate in (path, path / file, folder("checkpoints") / str(name_or_path) / file):
        if candidate.is_file() and candidate.suffix == Path(file).suffix:
            return candidate
    raise FileNotFoundError(
        f"`model` must be a directory that holds {file}, such a file, or one of {list_models()}, got "
        f"{str(name_or_path)!r}; make one with `mdzoo train`, or see `mdzoo list`"
    )


def load(name_or_path: str | Path) -> "ForceField":
    """Return a trained model: the name of a shipped one, a run directory, or a `.safetensors` file.

    Example:
        >>> mdzoo.load("silicon-zbl-so3-linear").atomic_numbers  # doctest: +SKIP
        [14]
    """
    from mdzoo.potentials import checkpoint

    return checkpoint.load(find_model(name_or_path))
