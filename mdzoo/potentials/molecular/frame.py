"""Where the atoms of a topology stand in a Graph, and the shortest vectors between them."""

from typing import NamedTuple

import torch
from torch import Tensor

from mdzoo.graph import Graph


class Frame(NamedTuple):
    """The structures of a Graph, each with the atoms of a topology in the topology's order."""

    positions: Tensor  # (N, 3) Angstrom
    cell: Tensor  # (S, 3, 3) Angstrom
    inverse: Tensor  # (S, 3, 3) 1/Angstrom: `vector @ inverse` counts lattice vectors, 0 along those not periodic
    batch: Tensor  # (N,) structure of each atom
    order: Tensor  # (N,) atoms of the Graph, structure by structure, each by its ids
    firsts: list[Tensor]  # of each topology, where the structures that have it begin in `order`


def frame_of(graph: Graph, order: Tensor, firsts: list[Tensor]) -> Frame:
    """Return the Frame of a Graph whose atoms are sorted and whose topologies are known."""
    cell = graph.cell.detach()
    periodic = torch.where(graph.pbc.unsqueeze(2), cell, torch.zeros_like(cell))
    return Frame(graph.positions, graph.cell, torch.linalg.pinv(periodic), graph.batch, order, firsts)


def shortest(frame: Frame, i: Tensor, j: Tensor) -> Tensor:
    """Return `r_j - r_i` by the nearest image of j, (n, 3) in the dtype of the positions.

    The nearest for vectors shorter than half the least distance of two opposite faces of the cell.
    """
    between = frame.positions.index_select(0, j) - frame.positions.index_select(0, i)
    if not bool(frame.inverse.any()):
        return between
    if frame.cell.shape[0] == 1:
        return between - torch.round(between.detach() @ frame.inverse[0]) @ frame.cell[0]
    structure = frame.batch.index_select(0, i)
    count = torch.einsum("nk,nkl->nl", between.detach(), frame.inverse.index_select(0, structure)).round()
    return between - torch.einsum("nk,nkl->nl", count, frame.cell.index_select(0, structure))


def angle(a: Tensor, b: Tensor) -> Tensor:
    """Return the angle between vectors, (n,) in radian, smooth at 0 and pi to 1e-12 of their area."""
    cross = torch.linalg.cross(a, b)
    return torch.atan2(torch.sqrt((cross * cross).sum(1) + 1e-24), (a * b).sum(1))


def dihedral(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Return the angle between the planes of a, b and of b, c, (n,) in radian, IUPAC's sign; 0 where there is no plane.

    `tan phi = |b| a . (b x c) / (a x b) . (b x c)`; vectors follow each other along the chain of atoms.
    """
    normal = torch.linalg.cross(b, c)
    y = torch.linalg.vector_norm(b, dim=1) * (a * normal).sum(1)
    x = (torch.linalg.cross(a, b) * normal).sum(1)
    flat = x.detach().square() + y.detach().square() < 1e-24
    return torch.atan2(y, torch.where(flat, torch.ones_like(x), x))
