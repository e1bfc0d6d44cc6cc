"""mdzoo: a zoo of interatomic potentials, E = E_empirical + E_ML, each a torch module."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mdzoo.potentials import ForceField

__version__ = "0.1.0"
__all__ = ["__version__", "find_model", "list_models", "load"]


def folder(name: str) -> Path:
    """Return the folder `name` that ships with mdzoo: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside, beside = package / name, package.parent / name
    return inside if inside.is_dir() else beside


def list_models() -> list[str]:
    """Return the names of the models that ship with mdzoo."""
    return sorted(path.parent.name for path in folder("checkpoints").glob("*/model.safetensors"))


def find_model(name_or_path: str | Path) -> Path:
    """Return the `.safetensors` file of a shipped model, of a run directory, or the file itself."""
    path = Path(name_or_path).expanduser()
    shipped = folder("checkpoints") / str(name_or_path)
    for candidate in (path, path / "model.safetensors", shipped / "model.safetensors"):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(
        f"`model` must be a run directory, a .safetensors file or one of {list_models()}, got {str(name_or_path)!r}; "
        "train one with `mdzoo train`, or see `mdzoo list`"
    )


def load(name_or_path: str | Path) -> "ForceField":
    """Return a trained model: the name of a shipped one, a run directory, or a `.safetensors` file.

    Example:
        >>> mdzoo.load("silicon-zbl-so3-linear").atomic_numbers  # doctest: +SKIP
        [14]
    """
    from mdzoo.potentials import checkpoint

    return checkpoint.load(find_model(name_or_path))
