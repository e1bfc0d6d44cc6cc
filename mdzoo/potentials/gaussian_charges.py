"""How charges of Gaussian shape act on one another, over all images."""

import math

import torch
from torch import Tensor, nn

from mdzoo.graph import Graph
from mdzoo.potentials.charge_solver import matrices
from mdzoo.potentials.ewald_sum import EwaldSum
from mdzoo.potentials.lattice import Layout, check_periods, direct_pairs, lay_out


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
        self.lattice_sum = EwaldSum(cutoff, accuracy)

    def check_widths(self, widest: float) -> None:
        """Raise ValueError where the cutoff is too short for Gaussians of this width (Angstrom)."""
        needed = 2.0 * widest * self.lattice_sum.eta
        if self.lattice_sum.cutoff < needed:
            raise ValueError(
                f"`cutoff` must be at least {needed:.2f} Angstrom for a width of {widest:.2f} and accuracy "
                f"{self.lattice_sum.accuracy}, got {self.lattice_sum.cutoff}; lengthen it, or lower `accuracy`"
            )

    def forward(self, graph: Graph, widths: Tensor, hardness: Tensor) -> Tensor:
        """Return A of each structure with the hardness on its diagonal, (S, n, n) in eV/e^2.

        Arguments:
            graph: structures.
            widths: (N,) w of each atom, Angstrom.
            hardness: (N,) eV/e^2.
        """
        check_periods(graph.pbc)
        pairs = direct_pairs(graph, self.lattice_sum.cutoff, self.lattice_sum.alpha)
        squares = widths.square()
        g = (2.0 * (squares.index_select(0, pairs.centers) + squares.index_select(0, pairs.neighbors))).sqrt()
        values = self.k * (pairs.kernel - torch.erfc(pairs.r / g) / pairs.r)
        diagonal = hardness + self.k / math.sqrt(math.pi) / widths
        matrix = matrices(graph, diagonal, pairs.centers, pairs.neighbors, values)
        layout = lay_out(graph, self.lattice_sum.cutoff)
        return matrix if layout.width == 0 else self.with_waves(matrix, graph, layout)

    def with_waves(self, matrix: Tensor, graph: Graph, layout: Layout) -> Tensor:
        """Return A with the smooth part of periodic structures added; a uniform background acts on neutral sums not."""
        waves = self.k * self.lattice_sum.pair_matrix(graph, layout, matrix.dtype)
        room = [0, matrix.shape[1] - layout.width, 0, matrix.shape[1] - layout.width]
        return matrix.index_add(0, layout.structures, torch.nn.functional.pad(waves, room))
