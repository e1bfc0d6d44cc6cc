"""What the Coulomb sums over all images share."""

import torch
from torch import Tensor

from mdzoo.graph import Graph
from mdzoo.potentials.base import Potential
from mdzoo.potentials.charges import Charges
from mdzoo.potentials.lattice_sum import LatticeSum
from mdzoo.units import coulomb_constant


class GlobalCoulomb(Potential):
    """`E_i = k/2 q_i phi_i`, with phi of a lattice sum.

    Arguments:
        lattice_sum: gives the potential at the atoms.
        source: gives the charges.
        constants: the set that k is of, see `mdzoo.units`.
    """

    def __init__(self, lattice_sum: LatticeSum, source: Charges, constants: str) -> None:
        super().__init__(lattice_sum.cutoff, -1, 2)
        self.has_charges = True
        self.k = coulomb_constant(constants)
        self.source = source
        self.lattice_sum = lattice_sum

    def charges(self, graph: Graph) -> Tensor:
        """Return the charge of each atom, (N,) in e."""
        return self.source.of_data(graph)

    def forward(self, graph: Graph) -> Tensor:
        """Return the energy of each atom, (N,) in eV."""
        q = self.source(graph)
        return 0.5 * self.k * q * self.lattice_sum(graph, q)


def scaled_pairs(k: float, q: Tensor, centers: Tensor, neighbors: Tensor, r: Tensor, scale: Tensor) -> Tensor:
    """Return what pairs that a topology excludes or scales add to a sum over all pairs, (N,) in eV.

    A lattice sum has every pair in full, `erfc + erf = 1`, so a pair that should count `scale` times (0: excluded) adds
    `(scale - 1) k q_i q_j / r`, half of it at either atom.

    Arguments:
        k: of `mdzoo.units`, eV Angstrom.
        q: charges, (N,) e.
        centers: (P,) one atom of each pair; each pair once.
        neighbors: (P,) the other, in the image that is meant.
        r: (P,) their distance, Angstrom.
        scale: (P,) how much of the pair counts.
    """
    half = 0.5 * k * (scale - 1.0) * q.index_select(0, centers) * q.index_select(0, neighbors) / r
    return torch.zeros_like(q).index_add(0, centers, half).index_add(0, neighbors, half)
