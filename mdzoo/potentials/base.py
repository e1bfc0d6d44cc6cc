"""Which energy has each atom: the one noun of the package, and the base of all pair potentials."""

import torch
from torch import Tensor, nn

from mdzoo.graph import Graph
from mdzoo.ops import segment_sum


class Potential(nn.Module):
    """A module that gives each atom of a Graph its energy, `forward(Graph) -> (N,)` in eV; forces follow from it.

    Attributes:
        cutoff: radius (Angstrom) beyond which edges do not matter.
        reach: through how many edges the energy of an atom looks: 0 none, 1 descriptors and pair terms, 2 or more bond
            orders and message passing, -1 global (Ewald, charge equilibration).
        smoothness: continuous derivatives at the cutoff that the class promises; the tests hold it to that.
        has_charges: whether `charges` are the potential's own and not those of the Graph.
    """

    cutoff: float
    reach: int
    smoothness: int
    has_charges: bool

    def __init__(self, cutoff: float, reach: int, smoothness: int) -> None:
        super().__init__()
        self.cutoff = float(cutoff)
        self.reach = int(reach)
        self.smoothness = int(smoothness)
        self.has_charges = False

    def forward(self, graph: Graph) -> Tensor:
        """Return the energy of each atom, (N,) in eV."""
        raise NotImplementedError

    def first_order(self, graph: Graph) -> Tensor:
        """Return the same energies for one derivative by vectors, positions and cell: all that forces ask for.

        A member that knows its slopes may give them here without the graph of how they came about: second derivatives
        and those by parameters are those of `forward` alone.
        """
        return self.forward(graph)

    def charges(self, graph: Graph) -> Tensor:
        """Return the charge of each atom, (N,) in e: those given, unless the potential has its own."""
        return graph.charges


class PairPotential(Potential):
    """A sum over pairs, `E_i = 1/2 sum_j phi(r_ij, s_i, s_j)`: a member gives `pair_energy` alone."""

    def pair_energy(self, r: Tensor, species_i: Tensor, species_j: Tensor) -> Tensor:
        """Return phi of each edge, (E,) in eV, already smooth at the cutoff."""
        raise NotImplementedError

    def forward(self, graph: Graph) -> Tensor:
        """Return the energy of each atom, (N,) in eV."""
        r = torch.linalg.vector_norm(graph.vectors, dim=-1)
        species_i, species_j = graph.species[graph.centers], graph.species[graph.neighbors]
        phi = self.pair_energy(r, species_i, species_j)
        phi = torch.where(r < self.cutoff, phi, torch.zeros_like(phi))
        return segment_sum(0.5 * phi, graph.centers, graph.species.shape[0])
