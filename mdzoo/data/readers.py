"""Where structures are read from: whatever ASE reads, by file, folder, glob, list or name."""

import difflib
import glob
import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from importlib import resources
from io import StringIO
from pathlib import Path

import ase.db
import ase.io
from ase import Atoms
from ase.io.extxyz import XYZError
from ase.io.formats import UnknownFileTypeError, parse_filename

Source = str | Path | Atoms | Sequence["str | Path | Atoms"]


def named_datasets() -> dict[str, dict[str, str]]:
    """Return the data sets that ship with the package: name -> split -> path of its file."""
    root = Path(str(resources.files("mdzoo"))) / "data" / "datasets"
    return {
        folder.name: {path.name.split(".")[0]: str(path) for path in sorted(folder.glob("*.extxyz*"))}
        for folder in sorted(root.glob("*"))
        if folder.is_dir() and not folder.name.startswith("_")
    }


def read(source: Source, split: str = "train") -> list[Atoms]:
    """Return the structures of `source`, in order; folders and globs are read in alphabetic order.

    Arguments:
        source: a file that ASE reads (extended XYZ, plain or .gz, an ASE database, DFT outputs ...), with ASE's
            `file@start:stop` if only some frames are wanted; a folder (cards `*.md` and hidden files are left out); a
            glob; the name of a data set that ships with mdzoo; structures; or a list of such.
        split: which file of a named data set is meant.

    Raises:
        FileNotFoundError: nothing is called `source`.
        ValueError: a file cannot be read to its end.
    """
    if isinstance(source, Atoms):
        return [source]
    if not isinstance(source, str | Path):
        return [atoms for item in source for atoms in read(item, split)]
    return [atoms for path in find_files(str(source), split) for atoms in read_file(path)]


def find_files(source: str, split: str) -> list[str]:
    """Return the files that a path, a folder, a glob or the name of a data set stands for."""
    path = Path(source).expanduser()
    datasets = named_datasets()
    if path.is_dir():
        files = sorted(str(p) for p in path.iterdir() if p.is_file() and not _is_text(p))
    elif Path(str(path).partition("@")[0]).is_file():
        files = [str(path)]
    elif source in datasets:
        files = [datasets[source][split]] if split in datasets[source] else []
    else:
        files = sorted(glob.glob(str(path), recursive=True))
    if not files:
        raise FileNotFoundError(f"`{split}` must be {_nearest(path, datasets)}")
    return files


def _is_text(path: Path) -> bool:
    """Say whether a file in a folder of data is about the data: hidden, or a card."""
    return path.name.startswith(".") or path.suffix == ".md"


def _nearest(path: Path, datasets: dict[str, dict[str, str]]) -> str:
    """Say what could have been meant by a path that does not exist."""
    beside = [p.name for p in path.parent.glob("*")] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, [*beside, *datasets], 1, 0.6)
    hint = f"did you mean {near[0]}?" if near else "give an existing path"
    return f"a file, a folder, a glob or one of the data sets {sorted(datasets)}, got {str(path)!r}; {hint}"


def read_file(path: str) -> list[Atoms]:
    """Return the structures of one file; each remembers its file in `info["_source"]`."""
    name = path.partition("@")[0]
    try:
        if re.search(r"\.(ext)?xyz(\.gz)?$", name):
            frames = list(_read_xyz(path))
        else:
            frames = list(_read_database(path) if name.endswith(".db") else _read_ase(path))
    except (XYZError, EOFError, OSError, zlib.error, UnknownFileTypeError, ValueError, IndexError, KeyError) as error:
        raise ValueError(
            f"`path` must be a whole file of a format that ASE reads, got {path} ({type(error).__name__}: {error}); it "
            "may be cut short: fetch or write it again"
        ) from error
    if not frames:
        raise ValueError(f"`path` must hold at least one structure, got none in {path}; check the file")
    for k, atoms in enumerate(frames):
        atoms.info["_source"] = f"{Path(path).name}:{k}"
    return frames


def _read_ase(path: str) -> Iterator[Atoms]:
    """Return all structures of a file, or those of `file@start:stop`."""
    return ase.io.iread(path, index=None if "@" in Path(path).name else ":")


def _read_database(path: str) -> Iterator[Atoms]:
    """Yield the rows of an ASE database, their key-value pairs and data in `info`, per-atom data in `arrays`."""
    with ase.db.connect(path) as database:
        for row in database.select():
            atoms = row.toatoms()
            atoms.info.update(row.key_value_pairs)
            for key, value in row.data.items():
                per_atom = hasattr(value, "shape") and value.shape[:1] == (len(atoms),) and len(value.shape) > 1
                (atoms.arrays if per_atom else atoms.info)[key] = value
            yield atoms


def _read_xyz(path: str) -> Iterator[Atoms]:
    """Return the structures of an XYZ file, from memory: ASE seeks each frame, and in a .gz that starts all over."""
    name, index = parse_filename(path)
    with gzip.open(name, "rt") if name.endswith(".gz") else open(name) as file:
        text = file.read()
    check_xyz(text)
    return ase.io.iread(StringIO(text), index=":" if index is None else index, format="extxyz")


def check_xyz(text: str) -> None:
    """Raise XYZError where a frame of an XYZ file has fewer lines than it says, or follows a blank line.

    ASE stops at a blank line without a word, and reads a last number that was cut in two.
    """
    lines = text.split("\n")
    whole = len(lines) - 1  # lines that end
    k = 0
    while k < len(lines) and lines[k].strip():
        if lines[k].lstrip().startswith("VEC"):
            k += 1
            continue
        n = int(lines[k])
        if k + 2 + n > len(lines) or (n and not lines[k + 1 + n]):
            raise XYZError(f"a frame has {max(whole - k - 2, 0)} whole lines of atoms and says {n}")
        k += 2 + n
    if k > whole and lines[-1]:
        raise XYZError("the last line does not end: it may be cut in the middle of a number; end it with a newline")
    if any(line.strip() for line in lines[k:]):
        raise XYZError("structures follow a blank line, where reading stops; remove the blank line")
