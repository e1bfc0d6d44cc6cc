"""Derivatives: forces and virials against differences, smoothness at the cutoff, gradients of a loss of forces."""

import copy

import torch
from torch import Tensor

from mdzoo.graph import Graph
from mdzoo.potentials.base import Potential
from mdzoo.testing.compare import (
    ROUNDING,
    cluster,
    compare,
    differences,
    force_field,
    moved,
    rotation,
    total_energy,
)


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
