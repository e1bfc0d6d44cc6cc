"""How charges of Gaussian shape act on one another, over all images: as a matrix, or as what it does to charges."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mdzoo.graph import Graph, with_leaves
from mdzoo.potentials.charge_solver import matrices
from mdzoo.potentials.ewald_sum import EwaldSum
from mdzoo.potentials.lattice import check_periods, direct_pairs, lay_out
from mdzoo.potentials.mesh_sum import MeshSum


class Interaction(NamedTuple):
    """A without its smooth part."""

    centers: Tensor  # (P,)
    neighbors: Tensor  # (P,)
    values: Tensor  # (P,) eV/e^2
    diagonal: Tensor  # (N,) eV/e^2, with the hardness


class GaussianCharges(nn.Module):
    """`A_ij = k erf(r / g) / r` with `g^2 = 2 (w_i^2 + w_j^2)`, summed over images, and `k / (w_i sqrt(pi))` for i = j.

    Arguments:
        k: of `mdzoo.units`, eV Angstrom.
        cutoff: of the pairs, Angstrom; it must hold what the widths leave of `1/r` to `accuracy`.
        accuracy: see `LatticeSum`.
    """

    def __init__(self, k: float, cutoff: float, accuracy: float) -> None:
        super().__init__()
        self.k = float(k)
        self.waves = EwaldSum(cutoff, accuracy)
        self.mesh = MeshSum(cutoff, accuracy, 6 if accuracy > 1e-6 else 10)

    def check_widths(self, widest: float) -> None:
        """Raise ValueError where the cutoff is too short for Gaussians of this width (Angstrom)."""
        needed = 2.0 * widest * self.waves.eta
        if self.waves.cutoff < needed:
            raise ValueError(
                f"`cutoff` must be at least {needed:.2f} Angstrom for a width of {widest:.2f} and accuracy "
                f"{self.waves.accuracy}, got {self.waves.cutoff}; lengthen it, or lower `accuracy`"
            )

    def forward(self, graph: Graph, widths: Tensor, hardness: Tensor) -> Interaction:
        """Return A without its smooth part.

        Arguments:
            graph: structures.
            widths: (N,) w of each atom, Angstrom.
            hardness: (N,) eV/e^2, what the diagonal has beside the Gaussian itself.
        """
        check_periods(graph.pbc)
        pairs = direct_pairs(graph, self.waves.cutoff, self.waves.alpha)
        squares = widths.square()
        g = (2.0 * (squares.index_select(0, pairs.centers) + squares.index_select(0, pairs.neighbors))).sqrt()
        values = self.k * (pairs.kernel - torch.erfc(pairs.r / g) / pairs.r)
        return Interaction(pairs.centers, pairs.neighbors, values, hardness + self.k / math.sqrt(math.pi) / widths)

    def matrix(self, graph: Graph, near: Interaction) -> Tensor:
        """Return A of each structure, (S, n, n) in eV/e^2; the mean over a crystal, which neutral sums miss, is out."""
        matrix = matrices(graph, near.diagonal, near.centers, near.neighbors, near.values)
        layout = lay_out(graph, self.waves.cutoff)
        if layout.width == 0:
            return matrix
        smooth = self.k * self.waves.pair_matrix(graph, layout, matrix.dtype)
        room = [0, matrix.shape[1] - layout.width, 0, matrix.shape[1] - layout.width]
        return matrix.index_add(0, layout.structures, torch.nn.functional.pad(smooth, room))

    def times(self, graph: Graph, near: Interaction, q: Tensor) -> Tensor:
        """Return A q, (N,) in eV/e, without the matrix: pairs, and a mesh for the smooth part."""
        pairs = q.index_select(0, near.neighbors) * near.values
        out = (near.diagonal * q).index_add(0, near.centers, pairs)
        return out + self.k * self.mesh.far(graph, lay_out(graph, self.mesh.cutoff), q)


def at_rest(graph: Graph, near: Interaction) -> tuple[Graph, Interaction]:
    """Return graph and interaction without their history."""
    fixed = with_leaves(graph, graph.vectors.detach(), graph.positions.detach(), graph.cell.detach())
    return fixed, Interaction(near.centers, near.neighbors, near.values.detach(), near.diagonal.detach())
