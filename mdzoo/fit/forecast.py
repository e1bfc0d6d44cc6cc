"""What a closed form will cost: said before the work starts, and refused where it cannot fit.

    memory = 8 n^2 (F + 12) bytes,    n = P + 1

holds F triangles (one for each part and target) and, one after the other, 4P to 6P waiting rows with their copies, and
the decomposition of one stacked triangle. Time is that of the rows (one structure is timed), of folding m of them into
triangles (2 m n^2 operations) and of the decompositions (22 n^3 each).
"""

import functools
import os
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from mdzoo.fit.factors import Factors, triangle

ROWS = {"energy": (1, 0), "forces": (0, 3), "stress": (9, 0)}
"""Rows of each target: for each structure, and for each atom."""


class Forecast(NamedTuple):
    """What a closed form will cost."""

    n_parameters: int
    n_structures: int
    rows: int
    memory: float  # bytes
    limit: float  # bytes
    seconds: tuple[float, float, float]  # rows, triangles, decompositions

    def text(self) -> str:
        """Return it as a person wants to read it."""
        parts = ", ".join(f"{n} {t:.1f}" for n, t in zip(("rows", "triangles", "solving"), self.seconds, strict=True))
        return (
            f"forecast: {self.n_parameters} parameters, {self.n_structures} structures, {self.rows} rows; about "
            f"{self.memory / 1e6:.0f} MB of {self.limit / 1e6:.0f} MB and {sum(self.seconds):.1f} s ({parts})"
        )


def forecast(module: Any, dataset: Any, ranks: int = 1) -> Forecast:
    """Return what fitting a data set will cost; the rows of its structure of median size are timed.

    Arguments:
        module: `LeastSquares`.
        dataset: structures, as many as `frames`, one of which is `one(index)`.
        ranks: processes that share the work.
    """
    atoms = np.array([len(frame) for frame in dataset.frames])
    rows = sum(ROWS[t][0] * len(atoms) + ROWS[t][1] * int(atoms.sum()) for t in module.targets)
    middle = int(np.argsort(atoms)[len(atoms) // 2])
    batch, n = dataset.one(middle), module.train_factors.n_columns - 1
    each = seconds_of(lambda: module.stream(Factors(n), batch, None)) / atoms[middle]
    factors = module.train_factors
    memory = memory_needed(n, factors.n_parts * factors.n_groups * len(module.targets))
    seconds = (float(each * atoms.sum()) / ranks, *work(n, rows // ranks, module.decompositions()))
    return Forecast(n, len(atoms), rows, memory, module.memory, seconds)


def memory_needed(n_parameters: int, n_factors: int) -> float:
    """Return the bytes that a fit takes beside its data."""
    return 8.0 * (n_parameters + 1) ** 2 * (n_factors + 12)


def memory_free() -> float:
    """Return the bytes that this machine, or this process's share of it, has left."""
    found = [float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))]
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        table = dict(line.split(":") for line in meminfo.read_text().splitlines())
        found.append(1024.0 * int(table["MemAvailable"].split()[0]))
    group = Path("/sys/fs/cgroup")
    if (group / "memory.max").is_file() and (group / "memory.max").read_text().strip() != "max":
        found.append(float((group / "memory.max").read_text()) - float((group / "memory.current").read_text()))
    return min(found)


def check_memory(n_parameters: int, n_factors: int, limit: float) -> None:
    """Raise a ValueError if a fit would not fit."""
    needed = memory_needed(n_parameters, n_factors)
    if needed > limit:
        most = int((limit / 8.0 / (n_factors + 12)) ** 0.5) - 1
        raise ValueError(
            f"`memory` must hold {needed / 1e9:.3g} GB for {n_factors} triangles of {n_parameters} parameters, got "
            f"{limit / 1e9:.3g} GB; use fewer folds or groups, ridge=evidence, or at most {most} parameters (a smaller "
            "descriptor, or a projection of it)"
        )


def seconds_of(call: Callable[[], object]) -> float:
    """Return the least time of three calls after one that prepares what is kept."""
    call()
    return min(timeit.repeat(call, number=1, repeat=3))


@functools.cache
def speeds() -> tuple[float, float]:
    """Return operations per second of folding rows into triangles and of singular values, measured on small ones."""
    n = 256
    rows = torch.randn(4 * n, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    square = rows[:n]
    folding = 2.0 * 4.0 * n**3 / seconds_of(lambda: triangle([rows], n))
    return folding, 22.0 * n**3 / seconds_of(lambda: torch.linalg.svd(square))


def work(n_parameters: int, rows: int, decompositions: int) -> tuple[float, float]:
    """Return the seconds of the triangles and of the decompositions."""
    n = n_parameters + 1.0
    folding, decomposing = speeds()
    return 2.0 * rows * n**2 / folding, 22.0 * n**3 * decompositions / decomposing
