"""What every check uses: force fields, structures that move, differences, and a comparison that says what broke."""

from collections.abc import Callable

import torch
from torch import Tensor

from mdzoo.graph import Graph, edge_vectors, make_graph, with_leaves, within
from mdzoo.potentials.base import Potential
from mdzoo.potentials.force_field import ForceField, Prediction

SKIN = 0.3  # Angstrom, more than an atom moves in a difference
ROUNDING = 1e-10  # of the largest value
SINGLE = 1e-4  # of the largest value, for a model of float32: sums of some hundred terms that partly cancel
NAMES = ("energy", "energies", "forces", "virial", "atom_virial")


def force_field(potential: Potential, block_edges: int = 16384) -> ForceField:
    """Return the potential as a force field in eval mode, with as many elements as anyone may need."""
    return ForceField(potential, range(1, 119), block_edges).eval()


def compare(name: str, actual: Tensor, expected: Tensor, tolerance: float, floor: float = 1e-3) -> None:
    """Raise an AssertionError unless the largest deviation is below `tolerance` times the largest expected value."""
    if actual.shape != expected.shape:
        raise AssertionError(f"{name}: shape {list(actual.shape)} where {list(expected.shape)} is expected")
    if expected.numel() == 0:
        return
    expected = expected.to(torch.float64)
    worst = float((actual.to(torch.float64) - expected).abs().max())
    allowed = tolerance * max(float(expected.abs().max()), floor)
    if not worst <= allowed:
        raise AssertionError(f"{name}: deviates by {worst:.3e}, allowed are {allowed:.3e}")


def compare_predictions(name: str, actual: Prediction, expected: Prediction, tolerance: float = ROUNDING) -> None:
    """Compare energies, forces and virials."""
    for field, index in zip(NAMES, range(len(NAMES)), strict=True):
        compare(f"{name}, {field}", actual[index], expected[index], tolerance)


def moved(graph: Graph, positions: Tensor, cell: Tensor) -> Graph:
    """Return the graph with other positions and cells, its edges following."""
    vectors = edge_vectors(positions, cell, graph.batch, graph.centers, graph.neighbors, graph.shifts)
    return with_leaves(graph, vectors, positions, cell)


def total_energy(potential: Potential, graph: Graph) -> Tensor:
    """Return the energy of all structures together, a scalar."""
    return potential(within(graph, potential.cutoff)).sum()


def differences(function: Callable[[Tensor], Tensor], at: Tensor, step: float) -> Tensor:
    """Return the gradient of a scalar function by central differences of fourth order."""
    out = torch.zeros_like(at)
    with torch.no_grad():
        for index in range(at.numel()):
            move = torch.zeros_like(at)
            move.view(-1)[index] = step
            near, far = function(at + move) - function(at - move), function(at + 2 * move) - function(at - 2 * move)
            out.view(-1)[index] = (8.0 * near - far) / (12.0 * step)
    return out


def rotation() -> Tensor:
    """Return one proper rotation, (3, 3), along no axis of a crystal."""
    q, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64))
    return q * torch.linalg.det(q)


def cluster(species: Tensor, positions: Tensor, cutoff: float = float("inf")) -> Graph:
    """Return the Graph of atoms in free space, each with an edge to every other."""
    n = species.shape[0]
    distance = torch.cdist(positions.detach(), positions.detach())
    centers, neighbors = ((distance < cutoff) & ~torch.eye(n, dtype=torch.bool)).nonzero().unbind(1)
    zeros = torch.zeros(n, dtype=torch.int64)
    cell, shifts = torch.zeros(1, 3, 3).double(), torch.zeros(centers.shape[0], 3).double()
    charges, pbc = torch.zeros(n).double(), torch.zeros(1, 3, dtype=torch.bool)
    return make_graph(
        species, positions, zeros, torch.arange(n), charges, charges[:1], cell, pbc, centers, neighbors, shifts
    )
