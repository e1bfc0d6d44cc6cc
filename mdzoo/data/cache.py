"""Neighbour lists kept on disk, keyed by content and cutoff: built once, in parallel, read by every later run.

Files are safetensors, written beside their place and moved there whole. A file that is short, altered or of another
structure is built again. The folder is `$MDZOO_CACHE_DIR`, else `mdzoo` in the user's cache folder; the oldest files
go when it outgrows its limit.
"""

import contextlib
import hashlib
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from ase import Atoms
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from mdzoo.data.neighbors import Edges, find_edges

log = logging.getLogger(__name__)
FORMAT = "mdzoo-edges-1"


def hash_structures(frames: Sequence[Atoms], start: str) -> str:
    """Return the SHA-256 of positions, cells and periodicity, begun with `start`."""
    digest = hashlib.sha256(start.encode())
    for atoms in frames:
        digest.update(np.int64(len(atoms)).tobytes())
        digest.update(np.ascontiguousarray(atoms.positions, dtype="<f8").tobytes())
        digest.update(np.ascontiguousarray(atoms.cell.array, dtype="<f8").tobytes())
        digest.update(bytes(atoms.pbc.tolist()))
    return digest.hexdigest()


def key_of(frames: Sequence[Atoms], cutoff: float) -> str:
    """Return the SHA-256 of what neighbour lists depend on."""
    return hash_structures(frames, f"{FORMAT} {float(cutoff)!r}")


def find_all(frames: Sequence[Atoms], cutoff: float, workers: int, names: Sequence[str]) -> list[Edges]:
    """Return the edges of all structures; `workers` threads work side by side (vesin leaves Python's lock)."""
    if workers <= 1:
        return [find_edges(atoms, cutoff, name) for atoms, name in zip(frames, names, strict=True)]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda pair: find_edges(pair[0], cutoff, pair[1]), zip(frames, names, strict=True)))


def load(path: Path, key: str) -> list[Edges] | None:
    """Return the edges that a file holds, None where it is absent, broken or not of this key."""
    if not path.exists():
        return None
    try:
        with safe_open(str(path), "numpy") as file:
            meta = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        if meta.get("key") != key or meta.get("sha256") != _checksum(arrays):
            raise ValueError("its checksum is wrong")
        return _split(arrays)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        log.warning("neighbour lists in %s are broken (%s); they are built again", path, error)
        return None


def store(path: Path, key: str, edges: Sequence[Edges]) -> None:
    """Write the edges whole or not at all; without a place to write (full disk, no permission) go on without."""
    arrays = _join(edges)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(save(arrays, metadata={"key": key, "sha256": _checksum(arrays)}))
        os.replace(temporary, path)
    except OSError as error:
        log.warning("neighbour lists are not kept on disk: %s", error)
        with contextlib.suppress(OSError):
            temporary.unlink()


def trim(directory: Path, limit: float) -> None:
    """Delete the files that were used longest ago until the folder holds at most `limit` bytes."""
    files = sorted(directory.glob("*.edges.safetensors"), key=lambda path: path.stat().st_mtime, reverse=True)
    total = 0
    for path in files:
        total += path.stat().st_size
        if total > limit:
            path.unlink(missing_ok=True)


def cached_edges(
    frames: Sequence[Atoms],
    cutoff: float,
    names: Sequence[str],
    directory: Path | None,
    workers: int = 1,
    limit: float = 5e9,
) -> list[Edges]:
    """Return the edges of the structures, from the disk where they are there, else built and kept there.

    Arguments:
        frames: structures.
        cutoff: Angstrom.
        names: what error messages call them.
        directory: folder of the files; None keeps nothing.
        workers: threads that build lists.
        limit: bytes that the folder may hold.
    """
    if directory is None:
        return find_all(frames, cutoff, workers, names)
    key = key_of(frames, cutoff)
    path = directory / f"{key}.edges.safetensors"
    found = load(path, key)
    if found is not None:
        _touch(path)
        return found
    edges = find_all(frames, cutoff, workers, names)
    store(path, key, edges)
    trim(directory, limit)
    return edges


def _touch(path: Path) -> None:
    """Note that the file was used; a folder that cannot be written is read all the same."""
    with contextlib.suppress(OSError):
        os.utime(path)


def _join(edges: Sequence[Edges]) -> dict[str, np.ndarray]:
    """Lay the edges of all structures end to end."""
    return {
        "counts": np.concatenate([e.counts for e in edges]),
        "neighbors": np.concatenate([e.neighbors for e in edges]),
        "shifts": np.concatenate([e.shifts for e in edges]),
        "atoms": np.array([len(e.counts) for e in edges], np.int64),
    }


def _split(arrays: dict[str, np.ndarray]) -> list[Edges]:
    """Return the edges of each structure, as views."""
    atoms = np.concatenate([[0], np.cumsum(arrays["atoms"])])
    totals = np.concatenate([[0], np.cumsum(arrays["counts"], dtype=np.int64)])[atoms]
    return [
        Edges(arrays["counts"][a:b], arrays["neighbors"][s:t], arrays["shifts"][s:t])
        for a, b, s, t in zip(atoms[:-1], atoms[1:], totals[:-1], totals[1:], strict=True)
    ]


def _checksum(arrays: dict[str, np.ndarray]) -> str:
    """Return the SHA-256 of the arrays."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode() + str(arrays[name].shape).encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()
