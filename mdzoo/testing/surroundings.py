"""Any surroundings: batches, blocks, atoms alone, crowds of neighbours, copies of a structure."""

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mdzoo.graph import Graph, collate, make_graph
from mdzoo.potentials.base import Potential
from mdzoo.potentials.force_field import Prediction
from mdzoo.testing.compare import ROUNDING, cluster, compare, compare_predictions, force_field


def check_batch(potential: Potential, graphs: Sequence[Graph]) -> None:
    """Structures in one batch have the energies, forces and virials that they have alone."""
    together = force_field(potential)(collate(list(graphs)))
    alone = [force_field(potential)(graph) for graph in graphs]
    compare_predictions("batch", together, Prediction(*[torch.cat(column) for column in zip(*alone, strict=True)]))


def check_isolated(potential: Potential, graph: Graph, n_species: int = 1) -> None:
    """Atoms without neighbours have finite energies and no forces, and do not disturb others, before or behind them."""
    species = torch.arange(n_species)
    lone = cluster(species, torch.arange(3.0 * n_species).view(-1, 3).double(), 0.0)
    found = force_field(potential)(lone)
    if not torch.isfinite(found.energies).all():
        raise AssertionError(f"energies of isolated atoms: not finite, {found.energies.tolist()}")
    compare("forces of isolated atoms", found.forces, torch.zeros(n_species, 3), 0.0)
    compare("virial of isolated atoms", found.virial, torch.zeros(1, 3, 3), 0.0)
    check_batch(potential, [lone, graph, lone])


def check_blocks(potential: Potential, graph: Graph) -> None:
    """Evaluated in small blocks, in one piece, or in train mode, the result is the same."""
    expected = force_field(potential)(graph)
    for edges in (1, 7, 100):
        compare_predictions(f"blocks of {edges} edges", force_field(potential, edges)(graph), expected)
    trained = force_field(copy.deepcopy(potential)).train()(graph)
    compare_predictions("train mode", Prediction(*[tensor.detach() for tensor in trained]), expected)


def check_crowded(potential: Potential, n_species: int = 1) -> None:
    """One neighbour, neighbours on a line or in one direction, and 200 of them give finite numbers.

    Energies, forces and the gradient of a loss of forces in the parameters; lines run along the axes, where spherical
    coordinates would break down.
    """
    model = force_field(copy.deepcopy(potential).requires_grad_(True)).train()
    reach = potential.cutoff or 3.0
    for name, places in crowds().items():
        species = torch.arange(places.shape[0]) % n_species
        found = model(cluster(species, reach * places, reach))
        loss = found.energy.square().sum() + found.forces.square().sum()
        weights = [w for w in model.parameters() if loss.requires_grad]
        slopes = torch.autograd.grad(loss, weights, allow_unused=True) if weights else ()
        for what, tensor in [("energies", found.energies), ("forces", found.forces), *(("slopes", s) for s in slopes)]:
            if tensor is not None and not torch.isfinite(tensor).all():
                raise AssertionError(f"{what} of {name}: not finite")


def crowds() -> dict[str, Tensor]:
    """Return positions of a centre and its neighbours in units of the cutoff, by name."""
    axes = torch.eye(3, dtype=torch.float64)
    out = {"two atoms": torch.stack([0.0 * axes[0], 0.6 * axes[2]])}
    for axis, letter in enumerate("xyz"):
        line = axes[axis] * torch.tensor([[0.0], [0.45], [-0.45], [0.9]], dtype=torch.float64)
        out[f"atoms on the {letter} axis"] = line
    k = torch.arange(200, dtype=torch.float64)
    z, turn = 1.0 - (2.0 * k + 1.0) / 200.0, k * math.pi * (3.0 - 5.0**0.5)  # a spiral of even density
    flat = torch.sqrt(1.0 - z * z)
    sphere = torch.stack([flat * torch.cos(turn), flat * torch.sin(turn), z], 1)
    radius = 0.5 + 0.15 * (k % 4).unsqueeze(1)
    out["200 neighbours"] = torch.cat([0.0 * axes[:1], radius.clamp(max=0.97) * sphere])
    return out


def check_extensive(potential: Potential, graph: Graph) -> None:
    """A periodic structure doubled along a lattice vector has the atoms, forces and virial of the single one twice."""
    axis = int(graph.pbc[0].nonzero()[0])
    expected, found = force_field(potential)(graph), force_field(potential)(doubled(graph, axis))
    compare("energies of a doubled cell", found.energies, expected.energies.repeat(2), ROUNDING)
    compare("forces of a doubled cell", found.forces, expected.forces.repeat(2, 1), ROUNDING)
    compare("virial of a doubled cell", found.virial, 2.0 * expected.virial, ROUNDING)


def doubled(graph: Graph, axis: int) -> Graph:
    """Return one structure twice in a cell twice as long; atom i of the second copy is atom N + i."""
    n = graph.species.shape[0]
    factor = torch.ones(3, dtype=torch.float64)
    factor[axis] = 2.0
    centers, neighbors, shifts = [], [], []
    for copy_of in (0, 1):
        place = graph.shifts[:, axis] + copy_of
        over = torch.floor(place / 2.0)
        moved_shifts = graph.shifts.clone()
        moved_shifts[:, axis] = over
        centers.append(graph.centers + copy_of * n)
        neighbors.append(graph.neighbors + (place - 2.0 * over).long() * n)
        shifts.append(moved_shifts)
    positions = torch.cat([graph.positions, graph.positions + graph.cell[0, axis]])
    return make_graph(
        graph.species.repeat(2),
        positions,
        graph.batch.repeat(2),
        torch.arange(2 * n),
        graph.charges.repeat(2),
        2.0 * graph.total_charge,
        graph.cell * factor.unsqueeze(1),
        graph.pbc,
        torch.cat(centers),
        torch.cat(neighbors),
        torch.cat(shifts),
    )
