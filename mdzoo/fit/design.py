"""The rows of a linear model: what energies, forces and virials are made of, one column for each parameter.

With the features `B_i` of the descriptor and the columns `phi(B_i)` of the regressor,

    dE/dr_k = sum_i dphi_i/dB_i . dB_i/dr_k

The descriptor gives dB/dr (`Descriptor.slopes`). There is no backward pass for each column.
"""

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mdzoo.fit import blocks
from mdzoo.fit.blocks import BYTES, slopes_by_blocks, through_features
from mdzoo.graph import Graph, within
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
    regressor: Any = part.regressor
    linear, width = isinstance(regressor, Linear), n_parameters(part)
    graph = graph._replace(vectors=graph.vectors.to(next(regressor.parameters()).dtype))
    kinds, n_kinds = (graph.species, regressor.n_species) if linear else (torch.zeros_like(graph.species), 1)
    rows = blocks.Rows(graph, kinds, n_kinds, part.descriptor.n_features if linear else width)
    features = part.descriptor.isolated(graph.vectors)[graph.species]
    for first, _, here, found, table in slopes_by_blocks(part.descriptor, graph, 0 if linear else width, max_bytes):
        last = first + len(found)
        features[first:last] = found
        rows.add(first, here, table if linear else through_features(regressor, found, graph.species[first:last], table))
    forces, virial = rows.columns()
    missing = width - forces.shape[-1]  # the bias columns of Linear have no derivative
    energy = regressor.phi(features, graph.species).sum(0, keepdim=True)
    forces, virial = (nn.functional.pad(columns, (0, missing)) for columns in (forces, virial))
    return Rows(energy, forces, virial.unsqueeze(0))
