"""Model files: weights, the table that rebuilds the model, and a checksum over both.

A model file is a safetensors file, which holds numbers and text and can run nothing. Its metadata is text:

    format          of this layout, "1"
    version         of mdzoo that wrote it
    table           JSON, what `registry.build` rebuilds (names of mdzoo's own classes; import paths mean nothing here)
    atomic_numbers  JSON, the element table
    dtype           of the model, "float64" or "float32"
    extra           JSON, whatever the writer adds (configuration, content hash of the data, ...)
    sha256          of all tensors and all of the above
"""

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

import mdzoo
from mdzoo.potentials.force_field import ForceField
from mdzoo.potentials.registry import build

log = logging.getLogger(__name__)
FORMAT = "1"


def save(path: str | Path, force_field: ForceField, table: dict, extra: Mapping[str, Any] | None = None) -> Path:
    """Write a model file; a failure on the way (a full disk) leaves the previous file as it was.

    Args:
        path: the file, usually `model.safetensors`.
        force_field: the model.
        table: names and arguments that rebuild its potential, see `registry.build`.
        extra: more to keep with it, anything that JSON can hold.

    Returns:
        The path.

    Raises:
        ValueError: if `table` does not rebuild a model with these parameters, or is no JSON.
        OSError: if the file cannot be written.
    """
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in force_field.state_dict().items()}
    check_table(table, tensors)
    metadata = {
        "format": FORMAT,
        "version": mdzoo.__version__,
        "table": as_json("table", table),
        "atomic_numbers": json.dumps(force_field.atomic_numbers),
        "dtype": force_field.dtype,
        "extra": as_json("extra", dict(extra or {})),
    }
    metadata["sha256"] = digest(tensors, metadata)
    write_atomically(Path(path), lambda temporary: save_file(tensors, temporary, metadata))
    return Path(path)


def load(path: str | Path) -> ForceField:
    """Read a model file and return the model in `eval` mode, with its `.table` and `.extra`.

    Args:
        path: the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is truncated, altered, of another kind or of a later format.
    """
    metadata, tensors = read(path)
    table = json.loads(metadata["table"])
    force_field = ForceField(build(table), json.loads(metadata["atomic_numbers"]))
    force_field.to(getattr(torch, metadata["dtype"]))
    force_field.load_state_dict(tensors)
    vars(force_field).update(table=table, extra=json.loads(metadata["extra"]))
    warn_of_inference(path, force_field.extra)
    return force_field.eval()


def warn_of_inference(path: str | Path, kept: Any) -> None:
    """Say where draws of the parameters failed their diagnostics: `inference` in what is kept beside a model."""
    marks = kept.get("inference") if isinstance(kept, Mapping) else None
    if isinstance(marks, Mapping) and marks.get("failed"):
        log.warning(
            "%s holds draws by %s that FAILED their diagnostics (%s): do not trust its uncertainties",
            path,
            marks.get("method"),
            "; ".join(map(str, marks.get("failures", []))),
        )


def read(path: str | Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Return the metadata and the tensors of a model file, verified; nothing is built."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"`path` must be a model file, got {str(path)!r}, which is not there; check the path")
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except SafetensorError as error:
        raise ValueError(
            f"`path` must be a whole safetensors file, got {str(path)!r} ({error}); it is truncated or damaged: "
            "take another copy of it"
        ) from error
    check_format(path, metadata)
    if digest(tensors, metadata) != metadata["sha256"]:
        raise ValueError(
            f"`path` must hold what was saved, got {str(path)!r}, whose contents do not fit its checksum; it was "
            "altered or damaged: take another copy of it"
        )
    return metadata, tensors


def check_format(path: str | Path, metadata: Mapping[str, str]) -> None:
    """Refuse files of other kinds and of later formats."""
    if metadata.get("format") != FORMAT or "sha256" not in metadata:
        raise ValueError(
            f"`path` must be an mdzoo model file of format {FORMAT}, got {str(path)!r} with format "
            f"{metadata.get('format')} (mdzoo {metadata.get('version')}, here {mdzoo.__version__}); update mdzoo, or "
            "save the model again"
        )


def check_table(table: dict, tensors: Mapping[str, Tensor]) -> None:
    """Refuse a table that would not rebuild these tensors: better now than when the model is needed."""
    rebuilt = {f"potential.{name}": tensor.shape for name, tensor in build(table).state_dict().items()}
    wrong = sorted(
        name
        for name in rebuilt.keys() | tensors.keys()
        if name not in tensors or rebuilt.get(name) != tensors[name].shape
    )
    if wrong:
        raise ValueError(
            f"`table` must rebuild the model that is saved, got one that differs in {wrong}; pass the table that "
            "`build` made the potential from"
        )


def as_json(name: str, value: Any) -> str:
    """Return `value` as JSON text."""
    try:
        return json.dumps(value, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`{name}` must hold plain numbers, texts, lists and dicts, got {error}; convert it"
        ) from error


def digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Return the SHA-256 of names, types, shapes and bytes of the tensors, and of the metadata but itself."""
    sha = hashlib.sha256()
    for key in sorted(metadata.keys() - {"sha256"}):
        sha.update(repr((key, metadata[key])).encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        sha.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        sha.update(tensor.view(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return sha.hexdigest()


def write_atomically(path: Path, write: Callable[[str], object]) -> None:
    """Call `write(temporary)`, then put the file in place; on an error the previous file stays and no piece is left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        write(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, SafetensorError):
            raise OSError(
                f"`path` must be writable and its disk not full, got {str(path)!r} ({error}); the previous file, if "
                "any, is untouched: free some space and save again"
            ) from error
        raise
