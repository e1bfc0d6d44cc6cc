"""The potential that charges make at one another, summed over a lattice: what Ewald's and the mesh sum share."""

import math

import torch
from torch import Tensor, nn

from mdzoo.graph import Graph
from mdzoo.potentials.lattice import Layout, Pairs, check_neutral, check_periods, direct_pairs, lay_out, table_of


class LatticeSum(nn.Module):
    """`phi_i = sum_j q_j / r_ij` over all atoms and images, charge i itself left out; in e/Angstrom.

    `1/r = erfc(alpha r) / r + erf(alpha r) / r`: pairs below the cutoff, and smooth charges by a member's `smooth_part`
    (Ewald, DOI 10.1002/andp.19213690304). Crystals are surrounded by a conductor; slabs and molecules by nothing.
    Molecules are summed over all pairs, whatever the cutoff.

    Arguments:
        cutoff: of the pairs, Angstrom.
        accuracy: of the potential; both sums end where their terms have fallen to about that share of the first.
    """

    def __init__(self, cutoff: float, accuracy: float) -> None:
        super().__init__()
        self.cutoff, self.accuracy = float(cutoff), float(accuracy)
        if not 0.0 < self.cutoff < float("inf"):
            raise ValueError(f"`cutoff` must be positive and finite (Angstrom), got {self.cutoff}; 6 to 10 is usual")
        if not 1e-15 <= self.accuracy <= 1e-2:
            raise ValueError(f"`accuracy` must be within [1e-15, 1e-2], got {self.accuracy}; 1e-6 suits dynamics")
        self.eta = math.sqrt(-math.log(self.accuracy))
        self.alpha = self.eta / self.cutoff
        self.longest = 2.0 * self.alpha * self.eta  # |k|, 1/Angstrom

    def smooth_part(self, graph: Graph, layout: Layout, q: Tensor) -> Tensor:
        """Return `sum_j q_j erf(alpha r_ij) / r_ij` with i itself, images and no mean, (L, n) from q (L, n)."""
        raise NotImplementedError

    def forward(self, graph: Graph, q: Tensor) -> Tensor:
        """Return phi, (N,), of the charges q (N,) in e."""
        check_periods(graph.pbc)
        check_neutral(q, graph)
        pairs = direct_pairs(graph, self.cutoff, self.alpha)
        layout = lay_out(graph, self.cutoff)
        return self.near(pairs, q) + self.far(graph, layout, q)

    def near(self, pairs: Pairs, q: Tensor) -> Tensor:
        """Return the potential of the pairs, (N,)."""
        return torch.zeros_like(q).index_add(0, pairs.centers, q.index_select(0, pairs.neighbors) * pairs.kernel)

    def far(self, graph: Graph, layout: Layout, q: Tensor) -> Tensor:
        """Return the potential of the smooth charges without that of each on itself, (N,), 0 in molecules."""
        if layout.width == 0:
            return torch.zeros_like(q)
        table = table_of(q, layout)
        crystal = (layout.half == 0.0).to(q.dtype)
        mean = math.pi / (self.alpha * self.alpha) * crystal / torch.linalg.det(layout.cells).abs().to(q.dtype)
        phi = self.smooth_part(graph, layout, table) - 2.0 * self.alpha / math.sqrt(math.pi) * table
        phi = phi - (mean * table.sum(1)).unsqueeze(1)
        return torch.zeros_like(q).index_copy(0, layout.atoms, phi.view(-1).index_select(0, layout.slots))
