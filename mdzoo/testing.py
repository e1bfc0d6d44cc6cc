"""Does it keep its promises? Plain checks of a potential, for mdzoo's own tests and for anyone who adds a member.

Each takes a Potential of float64 and a Graph with edges out to the cutoff plus `SKIN`, and raises an AssertionError
that says what broke. Gradients are compared with differences of fourth order; the rest holds to rounding, 1e-10 of the
largest value, because sums over edges may run in another order.
"""

import copy
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from mdzoo.graph import Graph, collate, edge_vectors, make_graph, with_leaves, within
from mdzoo.potentials.base import Potential
from mdzoo.potentials.checkpoint import load, save
from mdzoo.potentials.force_field import ForceField, Prediction

SKIN = 0.3  # Angstrom, more than an atom moves in a difference
ROUNDING = 1e-10  # of the largest value
SINGLE = 2e-4  # of the largest value, for a model of float32: sums of some hundred terms that partly cancel
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


def check_gradients(potential: Potential, graph: Graph, step: float = 5e-4, tolerance: float = 1e-7) -> None:
    """Forces and the virial are the derivatives of the energy; the shares of the atoms add up to the virial."""
    found = force_field(potential)(graph)
    forces = -differences(lambda x: total_energy(potential, moved(graph, x, graph.cell)), graph.positions, step)
    compare("forces against differences", found.forces, forces, tolerance)

    def strained(strain: Tensor) -> Tensor:
        deform = torch.eye(3, dtype=torch.float64) + strain
        return total_energy(potential, moved(graph, graph.positions @ deform, graph.cell @ deform))

    virial = -differences(strained, torch.zeros(3, 3, dtype=torch.float64), step)
    compare("virial against differences", found.virial.sum(0), virial, tolerance)
    compare("sum of the atoms' virials", found.atom_virial.sum(0), found.virial.sum(0), ROUNDING)
    compare("sum of the forces", found.forces.sum(0), torch.zeros(3), ROUNDING, float(found.forces.abs().max()))


def check_permutation(potential: Potential, graph: Graph) -> None:
    """Atoms of a structure in another order have the same energies and forces, in that order."""
    noise = torch.rand(graph.species.numel(), generator=torch.Generator().manual_seed(1))
    order = torch.argsort(graph.batch + noise)
    place = torch.argsort(order)
    edges = torch.argsort(place[graph.centers], stable=True)
    permuted = graph._replace(
        species=graph.species[order],
        positions=graph.positions[order],
        batch=graph.batch[order],
        ids=graph.ids[order],
        charges=graph.charges[order],
        centers=place[graph.centers][edges],
        neighbors=place[graph.neighbors][edges],
        shifts=graph.shifts[edges],
        vectors=graph.vectors[edges],
    )
    expected, found = force_field(potential)(graph), force_field(potential)(permuted)
    compare("energies of permuted atoms", found.energies, expected.energies[order], ROUNDING)
    compare("forces of permuted atoms", found.forces, expected.forces[order], ROUNDING)
    compare("virial of permuted atoms", found.virial, expected.virial, ROUNDING)


def check_rotation(potential: Potential, graph: Graph) -> None:
    """A rotation keeps the energies and rotates forces and virials."""
    check_orthogonal(potential, graph, rotation())


def check_reflection(potential: Potential, graph: Graph) -> None:
    """A reflection keeps the energies and reflects forces and virials."""
    check_orthogonal(potential, graph, rotation() @ torch.diag(torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64)))


def rotation() -> Tensor:
    """Return one proper rotation, (3, 3), along no axis of a crystal."""
    q, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64))
    return q * torch.linalg.det(q)


def check_orthogonal(potential: Potential, graph: Graph, q: Tensor) -> None:
    """Compare a structure with its image under the orthogonal matrix q."""
    expected = force_field(potential)(graph)
    found = force_field(potential)(moved(graph, graph.positions @ q.T, graph.cell @ q.T))
    compare("energies of the image", found.energies, expected.energies, ROUNDING)
    compare("forces of the image", found.forces, expected.forces @ q.T, ROUNDING)
    compare("virial of the image", found.virial, q @ expected.virial @ q.T, ROUNDING)


def check_translation(potential: Potential, graph: Graph) -> None:
    """A shift of all atoms changes nothing, nor does the choice of the image that stands for an atom."""
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(-2, 3, graph.positions.shape, generator=generator) * graph.pbc[graph.batch]
    shift = torch.randn(3, generator=generator, dtype=torch.float64)
    images = images.to(torch.float64)
    positions = graph.positions + torch.einsum("nk,nkl->nl", images, graph.cell[graph.batch]) + shift
    shifts = graph.shifts + images[graph.centers] - images[graph.neighbors]
    shifted = moved(graph._replace(shifts=shifts), positions, graph.cell)
    compare_predictions("translation", force_field(potential)(shifted), force_field(potential)(graph))


def check_smooth(potential: Potential, n_species: int = 1, order: int = 4) -> None:
    """An atom that leaves through the cutoff takes with it as many continuous derivatives as the class declares.

    One atom of each species moves on a line through the cutoff of the potential, and of each term of a sum; its
    derivatives just inside, by repeated automatic differentiation, are compared with those just outside, relative to
    the largest on the way there. Orders above `order` are not tried.
    """
    order = min(potential.smoothness, order)
    cutoffs = {float(m.cutoff) for m in potential.modules() if isinstance(m, Potential) and m.cutoff > 0.0}
    for cutoff in sorted(cutoffs):
        for leaver in range(n_species):
            path = (0.8, 0.85, 0.9, 0.95, 1.0 - 1e-7, 1.0 + 1e-7)
            table = torch.stack([leaving(potential, leaver, n_species, cutoff, x, order) for x in path])
            for n in range(order + 1):
                largest = float(table[:4, n].abs().max())
                compare(f"derivative {n} at {cutoff} Angstrom", table[4, n], table[5, n], 1e-4, largest)


def leaving(potential: Potential, leaver: int, n_species: int, cutoff: float, x: float, order: int) -> Tensor:
    """Return the energy and its derivatives to `order`, (order + 1,), as an atom stands `x * cutoff` from a cluster.

    The others stand behind the cluster's centre, so that the one edge to the centre is all that breaks.
    """
    r = torch.tensor(x * cutoff, dtype=torch.float64, requires_grad=True)
    others = torch.randn(1 + n_species, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    others = torch.nn.functional.normalize(others - torch.tensor([2.0, 0.0, 0.0]), dim=1)
    others = others * torch.linspace(0.45, 0.6, 1 + n_species, dtype=torch.float64).unsqueeze(1) * cutoff
    line = torch.eye(3, dtype=torch.float64)[:1]
    places = torch.cat([0.0 * line, others, r * line]) @ rotation()
    species = torch.cat([torch.arange(places.shape[0] - 1) % n_species, torch.tensor([leaver])])
    derivative = total_energy(potential, cluster(species, places))
    out = [derivative.detach()]
    for _ in range(order):
        if derivative.requires_grad:
            slope = torch.autograd.grad(derivative, r, create_graph=True, allow_unused=True, materialize_grads=True)
            derivative = slope[0]
            out.append(derivative.detach())
        else:
            out.append(torch.zeros_like(out[0]))
    return torch.stack(out)


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


def check_double_backward(potential: Potential, graph: Graph, tolerance: float = 1e-6) -> None:
    """A loss of energies, forces and virials has the gradient in the parameters that its differences say."""
    model = force_field(copy.deepcopy(potential).requires_grad_(True)).train()
    weights = list(model.parameters())
    generator = torch.Generator().manual_seed(5)
    direction = [torch.randn(w.shape, generator=generator, dtype=w.dtype) for w in weights]
    start = [w.detach().clone() for w in weights]

    def loss(at: Tensor) -> Tensor:
        with torch.no_grad():
            for weight, origin, along in zip(weights, start, direction, strict=True):
                weight.copy_(origin + at.squeeze() * along)
        with torch.enable_grad():
            found = model(graph)
            return found.energy.square().sum() + found.forces.square().sum() + found.virial.square().sum()

    origin = torch.zeros(1, dtype=torch.float64)
    slopes = torch.autograd.grad(loss(origin), weights, allow_unused=True)
    slope = sum(((s * d).sum() for s, d in zip(slopes, direction, strict=True) if s is not None), start=torch.zeros(()))
    compare("gradient of the loss", slope.reshape(1), differences(loss, origin, 1e-4), tolerance)


def check_scripts(potential: Potential, graph: Graph) -> None:
    """Scripted, saved and loaded, the force field is the eager one, to rounding; in float32 too."""
    expected = force_field(potential)(graph)
    single = force_field(copy.deepcopy(potential)).to(torch.float32)
    compare_predictions("float32", single(graph), expected, SINGLE)
    with torch.jit.optimized_execution(False):
        scripted = torch.jit.script(force_field(potential))
        compare_predictions("scripted", scripted(graph), expected)
        loaded = reloaded(scripted)
        compare_predictions("scripted, saved and loaded", loaded(graph), expected)
        compare_predictions("scripted, then float32", loaded.to(torch.float32)(graph), expected, SINGLE)
        compare_predictions("float32, then scripted", reloaded(torch.jit.script(single))(graph), expected, SINGLE)


def reloaded(module: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
    """Return what comes back after saving."""
    stream = io.BytesIO()
    torch.jit.save(module, stream)
    stream.seek(0)
    return torch.jit.load(stream)


def check_save_load(potential: Potential, table: dict, graph: Graph, folder: Path) -> None:
    """A model file gives back the same model, to the bit."""
    model = force_field(potential)
    save(folder / "model.safetensors", model, table)
    compare_predictions("model file", load(folder / "model.safetensors")(graph), model(graph), 0.0)
