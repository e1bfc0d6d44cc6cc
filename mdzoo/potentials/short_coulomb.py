"""What the Coulomb sums that end at a cutoff share: pairs of charges, and each charge with itself."""

import torch
from torch import Tensor

from mdzoo.graph import Graph
from mdzoo.ops import segment_sum
from mdzoo.potentials.base import Potential
from mdzoo.potentials.charges import Charges
from mdzoo.units import coulomb_constant


class ShortCoulomb(Potential):
    """`E_i = k q_i / 2 (sum_j q_j f(r_ij) + s q_i)`: a member gives the kernel f and its self term s, in 1/Angstrom.

    Arguments:
        cutoff: Angstrom.
        smoothness: continuous derivatives of f at the cutoff.
        source: gives the charges; where these are moved to the total charge, the reach is global.
        constants: the set that k is of, see `mdzoo.units`.
    """

    def __init__(self, cutoff: float, smoothness: int, source: Charges, constants: str) -> None:
        super().__init__(cutoff, -1 if source.neutral else 1, smoothness)
        if not 0.0 < self.cutoff < float("inf"):
            raise ValueError(f"`cutoff` must be positive and finite (Angstrom), got {self.cutoff}; 10 to 12 is usual")
        self.has_charges = True
        self.k = coulomb_constant(constants)
        self.source = source

    def kernel(self, r: Tensor) -> Tensor:
        """Return f of each edge, (E,) in 1/Angstrom."""
        raise NotImplementedError

    def self_term(self) -> float:
        """Return s, 1/Angstrom."""
        raise NotImplementedError

    def charges(self, graph: Graph) -> Tensor:
        """Return the charge of each atom, (N,) in e."""
        return self.source.of_data(graph)

    def forward(self, graph: Graph) -> Tensor:
        """Return the energy of each atom, (N,) in eV."""
        q = self.source(graph)
        r = torch.linalg.vector_norm(graph.vectors, dim=-1)
        pair = q.index_select(0, graph.neighbors) * self.kernel(r)
        pair = torch.where(r < self.cutoff, pair, torch.zeros_like(pair))
        return 0.5 * self.k * q * (segment_sum(pair, graph.centers, q.shape[0]) + self.self_term() * q)


def check_alpha(alpha: float) -> float:
    """Return the damping as a float; it must not be negative."""
    if not 0.0 <= float(alpha) < float("inf"):
        raise ValueError(f"`alpha` must be zero or more (1/Angstrom), got {alpha}; 0.2 is usual, 0 does not damp")
    return float(alpha)
