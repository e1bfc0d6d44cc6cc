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
from mdzoo.fit.kernel_rows import kernel_rows
from mdzoo.graph import Graph, within
from mdzoo.potentials import DescriptorPotential, ForceField, Potential, SumPotential
from mdzoo.regressors import Linear, SparseGP
from mdzoo.regressors.by_species import BySpecies


class Rows(NamedTuple):
    """Energies, forces and virials of S structures and N atoms for each parameter set to one and all others to zero."""

    energy: Tensor  # (S, P)
    forces: Tensor  # (N, 3, P)
    virial: Tensor  # (S, 9, P)


def linear_parts(potential: nn.Module) -> list[DescriptorPotential]:
    """Return the terms of `potential` that are linear in their parameters, in order.

    Raises:
        ValueError: there is none.
    """
    inner = potential.potential if isinstance(potential, ForceField) else potential
    terms = list(inner.terms) if isinstance(inner, SumPotential) else [inner]
    found = [t for t in terms if isinstance(t, DescriptorPotential) and t.regressor.is_linear]
    if not found:
        names = [type(getattr(term, "regressor", term)).__name__ for term in terms]
        raise ValueError(
            f"`potential` must hold a DescriptorPotential whose regressor is linear in its parameters, got none among "
            f"{names}; choose regressor=linear for least squares, or fit=sgd for this model"
        )
    return found


def linear_part(potential: nn.Module) -> DescriptorPotential:
    """Return the one term of `potential` that is linear in its parameters.

    Raises:
        ValueError: there is none, or more than one.
    """
    found = linear_parts(potential)
    if len(found) != 1:
        raise ValueError(
            f"`potential` must hold one DescriptorPotential that is linear in its parameters, got {len(found)}; leave "
            "one of them for what is asked here"
        )
    return found[0]


def n_parameters(potential: nn.Module) -> int:
    """Return P, the number of columns of the design matrix."""
    return sum(n_columns(part) for part in linear_parts(potential))


def n_columns(part: DescriptorPotential) -> int:
    """Return the number of columns of one term."""
    regressor: Any = part.regressor
    like = next(regressor.parameters())
    return regressor.phi(part.descriptor.isolated(like), torch.arange(part.descriptor.n_species)).shape[1]


def set_theta(potential: nn.Module, theta: Tensor) -> None:
    """Give the linear terms their parameters, in the order of the columns."""
    parts = linear_parts(potential)
    for part, own in zip(parts, theta.split([n_columns(part) for part in parts]), strict=True):
        regressor: Any = part.regressor
        regressor.set_theta(own.to(next(regressor.parameters())))


def baseline(force_field: ForceField) -> ForceField:
    """Return a copy of the force field, in eval mode, whose linear parameters are zero: what the fit subtracts."""
    base = copy.deepcopy(force_field).eval()
    set_theta(base, torch.zeros(n_parameters(base), dtype=torch.float64))
    zero = [part for part in linear_parts(base) if not bool(getattr(part.regressor, "bias", torch.ones(1)).any())]
    if isinstance(base.potential, SumPotential) and len(base.potential.terms) > len(zero):
        base.potential.terms = nn.ModuleList([t for t in base.potential.terms if all(t is not z for z in zero)])
    return base


@torch.no_grad()
def design(potential: Potential | ForceField, graph: Graph, max_bytes: int = BYTES) -> Rows:
    """Return the rows of the linear parameters of `potential` for the structures of `graph`.

    Arguments:
        potential: holds one DescriptorPotential or more whose regressor is linear in its parameters.
        graph: one or more structures.
        max_bytes: bound of the intermediate arrays; atoms are taken in chunks that respect it.
    """
    return columns_of(potential, graph, max_bytes)


def columns_of(potential: nn.Module, graph: Graph, max_bytes: int = BYTES) -> Rows:
    """Return the same, which may be differentiated by the hyperparameters of kernels."""
    columns = [term_rows(part, within(graph, part.cutoff), max_bytes) for part in linear_parts(potential)]
    return columns[0] if len(columns) == 1 else Rows(*[torch.cat(blocks, -1) for blocks in zip(*columns, strict=True)])


def term_rows(part: DescriptorPotential, graph: Graph, max_bytes: int) -> Rows:
    """Return the rows of one term."""
    singles = [structure_rows(part, single, max_bytes) for single in split(graph)]
    return Rows(
        torch.stack([rows.energy[0] for rows in singles]),
        torch.cat([rows.forces for rows in singles]),
        torch.stack([rows.virial[0] for rows in singles]),
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
    graph = graph._replace(vectors=graph.vectors.to(next(regressor.parameters()).dtype))
    rows = kernel_rows if isinstance(regressor, SparseGP) else feature_rows
    features, forces, virial = rows(part, graph, max_bytes)
    energy = regressor.phi(features, graph.species).sum(0, keepdim=True)
    missing = energy.shape[1] - forces.shape[-1]  # the columns of a bias have no derivative
    forces, virial = (nn.functional.pad(columns, (0, missing)) for columns in (forces, virial))
    return Rows(energy, forces, virial.unsqueeze(0))


def feature_rows(part: DescriptorPotential, graph: Graph, max_bytes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the features (N, F), the force rows (N, 3, P) and the virial rows (9, P) of one structure."""
    regressor: Any = part.regressor
    own = isinstance(regressor, BySpecies)  # its columns know their slopes, and are the same for all species
    width = regressor.weights.shape[1] if own else n_columns(part)
    kinds, n_kinds = (graph.species, regressor.n_species) if own else (torch.zeros_like(graph.species), 1)
    rows = blocks.Rows(graph, kinds, n_kinds, width)
    features = part.descriptor.isolated(graph.vectors)[graph.species]
    more = 0 if isinstance(regressor, Linear) else 2 * width
    for first, _, here, found, table in slopes_by_blocks(part.descriptor, graph, more, max_bytes):
        last = first + len(found)
        features[first:last] = found
        species = graph.species[first:last]
        table = regressor.column_slopes(found, table) if own else through_features(regressor, found, species, table)
        rows.add(first, here, table)
    return features, *rows.columns()
