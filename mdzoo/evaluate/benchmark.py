"""What a step costs: microseconds per atom for energies alone, with forces, and as an exported file."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import ase.build
import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols
from rich.table import Table

from mdzoo.data.graphs import graph_from_atoms
from mdzoo.graph import Graph
from mdzoo.potentials.force_field import ForceField


def benchmark(force_field: ForceField, atoms: Atoms, sizes: list[int], repeats: int = 5) -> list[dict[str, Any]]:
    """Time the model on supercells of `atoms` and return one row for each size.

    A row holds `n_atoms`, `n_edges` and the medians of `repeats` runs after one that does not count, in microseconds
    per atom: `neighbors` (the list alone), `energies` (no derivatives), `forces` (energies, forces and virial), and
    `ratio = forces / energies`. One run needs no list: an engine rebuilds it every ten steps or so.

    Arguments:
        force_field: the model, in the dtype to be timed.
        atoms: periodic cell.
        sizes: least numbers of atoms; the nearest supercell that has as many is taken.
        repeats: timed runs of each.
    """
    if int(repeats) < 1:
        raise ValueError(f"`repeats` must be at least 1, got {repeats}; five are enough for a median")
    force_field.eval()
    return [time_one(force_field, supercell(atoms, size), int(repeats)) for size in sizes]


def crystal(atomic_number: int) -> Atoms:
    """Return the crystal of an element, in its cubic cell."""
    symbol = chemical_symbols[atomic_number]
    try:
        return ase.build.bulk(symbol, cubic=True)
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"`structure` must be given, got none, and {symbol} has no cubic crystal; name a file"
        ) from error


def supercell(atoms: Atoms, size: int, rattle: float = 0.05) -> Atoms:
    """Return the most cubic repetition of `atoms` with at least `size` atoms, moved by `rattle` (Angstrom) each."""
    if not atoms.pbc.all():
        raise ValueError(f"`structure` must be periodic in all directions, got pbc={atoms.pbc.tolist()}; give a cell")
    repeats = np.ones(3, dtype=int)
    while len(atoms) * repeats.prod() < size:
        repeats[np.argmin(repeats * atoms.cell.lengths())] += 1
    cell = ase.build.make_supercell(atoms, np.diag(repeats))
    cell.rattle(rattle, seed=0)
    return cell


def time_one(force_field: ForceField, atoms: Atoms, repeats: int) -> dict[str, Any]:
    """Return the row of one structure."""
    graph = graph_from_atoms(atoms, force_field.atomic_numbers, force_field.cutoff)
    each = 1e6 / len(atoms)
    neighbors = seconds(lambda: graph_from_atoms(atoms, force_field.atomic_numbers, force_field.cutoff), repeats)
    energies = seconds(lambda: energies_alone(force_field, graph), repeats)
    forces = seconds(lambda: force_field(graph), repeats)
    return {
        "n_atoms": len(atoms),
        "n_edges": len(graph.centers),
        "neighbors": each * neighbors,
        "energies": each * energies,
        "forces": each * forces,
        "ratio": forces / energies,
    }


@torch.no_grad()
def energies_alone(force_field: ForceField, graph: Graph) -> torch.Tensor:
    """Return the energies without derivatives, in the dtype of the model."""
    return force_field.potential(graph._replace(vectors=graph.vectors.to(getattr(torch, force_field.dtype))))


def seconds(run: Callable[[], object], repeats: int) -> float:
    """Return the median time of `repeats` calls, after one that does not count."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def timing_table(rows: list[dict[str, Any]], title: str) -> Table:
    """Return the rows as a table for the terminal."""
    table = Table(title=title, header_style="bold", title_style="bold")
    for header in ("atoms", "edges", "neighbors\nus/atom", "energies\nus/atom", "+ forces\nus/atom", "forces/energies"):
        table.add_column(header, justify="right")
    for row in rows:
        times = [f"{row[key]:.1f}" for key in ("neighbors", "energies", "forces")]
        table.add_row(str(row["n_atoms"]), str(row["n_edges"]), *times, f"{row['ratio']:.2f}")
    return table
