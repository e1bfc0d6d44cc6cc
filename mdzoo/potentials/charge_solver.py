"""Charges that equilibrate: the linear system behind QEq, ReaxFF, COMB and the fourth generation of networks.

    E(q) = sum_i chi_i q_i + 1/2 sum_ij A_ij q_i q_j,   sum_i q_i = Q   =>   sum_j A_ij q_j + chi_i = mu

with one electrochemical potential mu for each structure.
"""

import torch
from torch import Tensor

from mdzoo.graph import Graph
from mdzoo.ops import segment_sum


def places(graph: Graph) -> Tensor:
    """Return the number of each atom within its structure, (N,); the atoms of a structure are contiguous."""
    counts = torch.bincount(graph.batch, minlength=graph.cell.shape[0])
    starts = counts.cumsum(0) - counts
    return torch.arange(graph.batch.shape[0], device=graph.batch.device) - starts[graph.batch]


def side_by_side(rows: Tensor, graph: Graph) -> Tensor:
    """Return one number for each atom as a table (S, n), 0 where a structure has fewer than n atoms."""
    n_structures = graph.cell.shape[0]
    width = int(torch.bincount(graph.batch, minlength=n_structures).max()) if n_structures > 0 else 0
    table = torch.zeros(n_structures * width, dtype=rows.dtype, device=rows.device)
    return table.index_copy(0, graph.batch * width + places(graph), rows).view(n_structures, width)


def matrices(graph: Graph, diagonal: Tensor, i: Tensor, j: Tensor, values: Tensor) -> Tensor:
    """Return A of each structure, (S, n, n), from its diagonal (N,) and its pairs (P,); 1 on unused diagonals."""
    place, n_structures = places(graph), graph.cell.shape[0]
    width = int(place.max()) + 1 if place.numel() > 0 else 0
    used = side_by_side(torch.ones_like(diagonal), graph)
    flat = torch.zeros(n_structures * width * width, dtype=values.dtype, device=values.device)
    flat = flat.index_add(0, (graph.batch[i] * width + place[i]) * width + place[j], values)
    on_diagonal = torch.diag_embed(side_by_side(diagonal, graph) + 1.0 - used)
    return flat.view(n_structures, width, width) + on_diagonal


def equilibrium(matrix: Tensor, chi: Tensor, graph: Graph) -> Tensor:
    """Return the charges (N,) that solve the systems of all structures, by one factorisation of each.

    The system bordered by the constraint, `[[A, 1], [1, 0]] [q, -mu] = [-chi, Q]`; differentiable any number of times.

    Arguments:
        matrix: (S, n, n) eV/e^2, see `matrices`.
        chi: (N,) eV/e.
        graph: says to which structure an atom belongs, and its total charge.
    """
    used = side_by_side(torch.ones_like(chi), graph)
    corner = (used.sum(1) == 0.0).to(used.dtype).view(-1, 1, 1)  # a structure without atoms has nothing to constrain
    upper = torch.cat([matrix, used.unsqueeze(2)], 2)
    lower = torch.cat([used.unsqueeze(1), corner], 2)
    right = torch.cat([-side_by_side(chi, graph), graph.total_charge.to(chi.dtype).unsqueeze(1)], 1)
    solved = torch.linalg.solve(torch.cat([upper, lower], 1), right)
    return solved[:, :-1].reshape(-1).index_select(0, graph.batch * used.shape[1] + places(graph))


def times(matrix: Tensor, q: Tensor, graph: Graph) -> Tensor:
    """Return A q of each atom, (N,)."""
    product = (matrix @ side_by_side(q, graph).unsqueeze(2)).reshape(-1)
    return product.index_select(0, graph.batch * matrix.shape[1] + places(graph))


def moved_along(s: Tensor, t: Tensor, graph: Graph) -> Tensor:
    """Return `s + mu t` with mu such that each structure has its total charge, for `A s = -chi` and `A t = 1`."""
    n_structures = graph.cell.shape[0]
    lacking = graph.total_charge.to(s.dtype) - segment_sum(s, graph.batch, n_structures)
    mu = lacking / segment_sum(t, graph.batch, n_structures)
    return s + mu[graph.batch] * t
