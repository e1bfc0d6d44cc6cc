"""What must not change the energy: the order of atoms, rotations, reflections, translations."""

import torch
from torch import Tensor

from mdzoo.graph import Graph
from mdzoo.potentials.base import Potential
from mdzoo.testing.compare import ROUNDING, compare, compare_predictions, force_field, moved, rotation


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
