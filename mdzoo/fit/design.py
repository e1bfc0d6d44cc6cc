"""The rows of a linear model: what energies, forces and virials are made of, one column for each parameter.

With the density `A_i = sum_j u(r_ij)` and the columns `phi_i(A_i)` of the regressor,

    dE/dr_k = sum_i dphi_i/dA_i . dA_i/dr_k

so the rows are products, centre by centre, of dA/dr_ij (3J, C), by forward mode on a graph in which every edge is its
own centre, with dphi/dA (C, P), by forward mode along the C channels. There is no backward pass for each column.
"""

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mdzoo.fit.blocks import BYTES, Piece, density_rows, vector_slopes, whole
from mdzoo.fit.pieces import feature_pieces
from mdzoo.graph import Graph, within
from mdzoo.ops import segment_sum
from mdzoo.potentials import DescriptorPotential, ForceField, Potential, SumPotential
from mdzoo.regressors import Linear


class Rows(NamedTuple):
    """Energies, forces and virials of S structures and N atoms for each parameter set to one and all others to zero."""

    energy: Tensor  # (S, P)
    forces: Tensor  # (N, 3, P)
    virial: Tensor  # (S, 9, P)


def linear_part(potential: nn.Module) -> DescriptorPotential:
    """Return the one term of `potential` that is linear in its parameters.

    Raises:
        ValueError: there is none, or more than one.
    """
    inner = potential.potential if isinstance(potential, ForceField) else potential
    terms = list(inner.terms) if isinstance(inner, SumPotential) else [inner]
    found = [t for t in terms if isinstance(t, DescriptorPotential) and t.regressor.is_linear]
    if len(found) != 1:
        names = [type(getattr(term, "regressor", term)).__name__ for term in terms]
        raise ValueError(
            f"`potential` must hold one DescriptorPotential whose regressor is linear in its parameters, got "
            f"{len(found)} among {names}; choose regressor=linear for least squares, or fit=sgd for this model"
        )
    return found[0]


def n_parameters(potential: nn.Module) -> int:
    """Return P, the number of columns of the design matrix."""
    part = linear_part(potential)
    regressor: Any = part.regressor
    like = next(regressor.parameters())
    return regressor.phi(part.descriptor.isolated(like), torch.arange(part.descriptor.n_species)).shape[1]


def baseline(force_field: ForceField) -> ForceField:
    """Return a copy of the force field, in eval mode, whose linear parameters are zero: what the fit subtracts."""
    base = copy.deepcopy(force_field).eval()
    part = linear_part(base)
    regressor: Any = part.regressor
    regressor.set_theta(torch.zeros(n_parameters(base), dtype=getattr(torch, force_field.dtype)))
    alone = isinstance(regressor, Linear) and bool((regressor.bias == 0.0).all())
    if alone and isinstance(base.potential, SumPotential) and len(base.potential.terms) > 1:
        base.potential.terms = nn.ModuleList([term for term in base.potential.terms if term is not part])
    return base


@torch.no_grad()
def design(potential: Potential | ForceField, graph: Graph, max_bytes: int = BYTES) -> Rows:
    """Return the rows of the linear parameters of `potential` for the structures of `graph`.

    Arguments:
        potential: holds one DescriptorPotential with a regressor that is linear in its parameters.
        graph: one or more structures.
        max_bytes: bound of the intermediate arrays; atoms are taken in chunks that respect it.
    """
    part = linear_part(potential)
    parts = [structure_rows(part, single, max_bytes) for single in split(within(graph, part.cutoff))]
    return Rows(
        torch.stack([rows.energy[0] for rows in parts]),
        torch.cat([rows.forces for rows in parts]),
        torch.stack([rows.virial[0] for rows in parts]),
    )


def split(graph: Graph) -> list[Graph]:
    """Return the structures of a graph as graphs of one structure each."""
    n_structures = graph.cell.shape[0]
    marks = torch.arange(n_structures + 1, device=graph.batch.device)
    firsts = torch.searchsorted(graph.batch.contiguous(), marks)
    edges = torch.searchsorted(graph.centers.contiguous(), firsts).tolist()
    atoms = firsts.tolist()
    singles = []
    for s in range(n_structures):
        a, e = slice(atoms[s], atoms[s + 1]), slice(edges[s], edges[s + 1])
        tensors = [graph.species[a], graph.positions[a], graph.batch[a] - s, graph.ids[a], graph.charges[a]]
        tensors += [graph.total_charge[s : s + 1], graph.cell[s : s + 1], graph.pbc[s : s + 1]]
        tensors += [graph.centers[e] - atoms[s], graph.neighbors[e] - atoms[s], graph.shifts[e], graph.vectors[e]]
        singles.append(Graph(*tensors))
    return singles


def structure_rows(part: DescriptorPotential, graph: Graph, max_bytes: int) -> Rows:
    """Return the rows of one structure."""
    energy = energy_row(part, graph)
    if graph.centers.numel() == 0:
        nothing = energy.new_zeros(graph.species.shape[0], 3, energy.shape[1])
        return Rows(energy, nothing, energy.new_zeros(1, 9, energy.shape[1]))
    if part.descriptor.has_density:
        forces, virial = forward_rows(part, graph, max_bytes)
    else:
        forces, virial = backward_rows(part, graph, max_bytes)
    return Rows(energy, forces, virial.unsqueeze(0))


def energy_row(part: DescriptorPotential, graph: Graph) -> Tensor:
    """Return the sum of phi over the atoms, (1, P); atoms behind the last centre have an empty neighbourhood."""
    regressor: Any = part.regressor
    vectors = graph.vectors.to(next(regressor.parameters()).dtype)
    alone = part.descriptor.isolated(vectors)
    n = 0 if graph.centers.numel() == 0 else int(graph.centers[-1]) + 1
    features = part.descriptor(graph._replace(vectors=vectors)) if n > 0 else alone[:0]
    features = torch.cat([features, alone[graph.species[n:]]])
    return regressor.phi(features, graph.species).sum(0, keepdim=True)


def pieces_of(part: DescriptorPotential, like: Tensor) -> list[Piece]:
    """Return the columns that an atom fills: the features if Linear, else all columns of the regressor."""
    descriptor: Any = part.descriptor
    regressor: Any = part.regressor
    if isinstance(regressor, Linear):
        return feature_pieces(descriptor, like)
    width = n_parameters(part)
    return [whole(lambda a, s: regressor.phi(descriptor.contract(a), s), descriptor.n_channels, width, like)]


def forward_rows(part: DescriptorPotential, graph: Graph, max_bytes: int) -> tuple[Tensor, Tensor]:
    """Return the force rows (N, 3, P) and virial rows (9, P) of one structure by way of its density."""
    like = next(part.regressor.parameters())
    graph = graph._replace(vectors=graph.vectors.to(like.dtype))
    linear = isinstance(part.regressor, Linear)
    kinds, n_kinds = (graph.species, part.regressor.n_species) if linear else (torch.zeros_like(graph.species), 1)
    forces, virial = density_rows(part.descriptor, pieces_of(part, like), kinds, n_kinds, graph, max_bytes)
    missing = n_parameters(part) - forces.shape[-1]  # the bias columns of Linear have no derivative
    return nn.functional.pad(forces, (0, missing)), nn.functional.pad(virial, (0, missing))


def backward_rows(part: DescriptorPotential, graph: Graph, max_bytes: int) -> tuple[Tensor, Tensor]:
    """Return the force rows (N, 3, P) and virial rows (9, P) by one (batched) backward pass for each column."""
    regressor: Any = part.regressor
    like = next(regressor.parameters())
    slopes = vector_slopes(part.descriptor, regressor.phi, graph, like.dtype, max_bytes)  # (P, E, 3)
    g = slopes.permute(1, 2, 0)
    n_atoms = graph.species.shape[0]
    forces = segment_sum(g, graph.centers, n_atoms) - segment_sum(g, graph.neighbors, n_atoms)
    virial = -torch.einsum("ea,ebp->abp", graph.vectors.to(g.dtype), g)
    return forces, virial.flatten(0, 1)
