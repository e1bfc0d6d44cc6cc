"""What surrounds an atom, in numbers: the interface of every descriptor."""

import torch
from torch import Tensor, nn

from mdzoo.descriptors.expansion import Expansion
from mdzoo.descriptors.slopes import Block, backward, forward_edges, through_density, whole_block
from mdzoo.graph import Graph


class Descriptor(nn.Module):
    """Features of the neighbourhood of each atom.

    A descriptor whose features are functions of sums over edges splits into `density` and `contract`:

        A_i = sum_j u(r_ij, s_i, s_j),    B_i = contract(A_i)

    and sets `has_density`; what has no density implements `forward` alone. Features are given for the atoms up to the
    last centre, `n = centers[-1] + 1`; the atoms behind it have no edges, and their features are those of an empty
    neighbourhood (zero density).

    What features change with a neighbour is `slopes`, which any descriptor has. One that knows its own derivatives
    gives `feature_slopes` (dB/dA) and `edge_slopes` (dA/dr), or `slopes` as a whole, in place of forward mode.

    Attributes: `cutoff` (Angstrom), `n_species`, `n_features`, `n_channels` (C, columns of A), `smoothness` (continuous
    derivatives at the cutoff that the class promises).
    """

    cutoff: float
    n_species: int
    n_features: int
    n_channels: int
    smoothness: int
    has_density: bool
    has_fold: bool
    has_pull: bool

    def __init__(self, cutoff: float, n_species: int) -> None:
        super().__init__()
        if not float(cutoff) > 0.0:
            raise ValueError(
                f"`cutoff` must be positive (Angstrom), got {cutoff}; give the radius of the neighbourhood"
            )
        if int(n_species) < 1:
            raise ValueError(
                f"`n_species` must be at least 1, got {n_species}; give the number of elements of the data"
            )
        self.cutoff = float(cutoff)
        self.n_species = int(n_species)
        self.n_features = 0
        self.n_channels = 0
        self.smoothness = 0
        self.has_density = True
        self.has_fold = False
        self.has_pull = False

    def density(self, graph: Graph) -> Tensor:
        """Return A, (n, C): a sum over the edges of each centre."""
        raise NotImplementedError

    def contract(self, density: Tensor) -> Tensor:
        """Return the features B(A), (n, F), of the density (n, C)."""
        raise NotImplementedError

    def contract_with(self, density: Tensor, theta: Tensor) -> Tensor:
        """Return `B(A) @ theta`, (n,), for weights (F,), without forming the features where a descriptor knows how."""
        return self.contract(density) @ theta

    def fold(self, density: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return `B(A) @ theta`, (n,), and its slopes by A, (n, C), for weights (1, F) or (n, F), with no graph behind.

        A descriptor that knows them cheaply sets `has_fold`; `DescriptorPotential.first_order` then asks for these. A
        is what `density` gives; without a density in the sense above it may be any rows of each atom.
        """
        raise NotImplementedError

    def first_order(self, graph: Graph) -> tuple[Tensor, Expansion]:
        """Return the density, (n, C), and what `pull` needs, for `graph.vectors` without history.

        A descriptor that knows the slopes of its density in reverse sets `has_pull`, and `DescriptorPotential` then
        asks for these two instead of a backward pass.
        """
        raise NotImplementedError

    def pull(self, expansion: Expansion, slopes: Tensor) -> Tensor:
        """Return `dE/dr_ij` for each edge, (E, 3), of an E with the slopes (n, C) by the density."""
        raise NotImplementedError

    def forward(self, graph: Graph) -> Tensor:
        """Return the features, (n, F)."""
        return self.contract(self.density(graph))

    @torch.jit.unused
    @torch.no_grad()
    def slopes(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Return the features, (n, F), and dB_i/dr_ij, (n, J, 3, F), of a graph with edges; nothing to differentiate.

        Slopes stand in the table of `mdzoo.ops.padding`, zero where an atom has fewer than J neighbours; their layout
        in memory is free. A large graph is given piece by piece (`mdzoo.graph.block`).
        """
        return through_density(self, graph) if self.has_density else backward(self, graph)

    @torch.jit.unused
    def feature_slopes(self, density: Tensor) -> list[Block]:
        """Return dB/dA at the density (n, C), block of features by block of features, in their order."""
        return [whole_block(self.contract, density)]

    @torch.jit.unused
    def edge_slopes(self, graph: Graph) -> Tensor:
        """Return dA_i/dr_ij for each edge, (E, 3, C)."""
        return forward_edges(self.density, graph)

    def labels(self) -> list[str]:
        """Return the name of each feature, with its quantum numbers; used by priors, plots and messages."""
        raise NotImplementedError

    def isolated(self, like: Tensor) -> Tensor:
        """Return the features of an atom without neighbours, one row for each species, in the dtype of `like`."""
        return self.contract(self.empty(like))

    def empty(self, like: Tensor) -> Tensor:
        """Return the density of an atom without neighbours, one row for each species; by default zero."""
        return torch.zeros([self.n_species, self.n_channels], dtype=like.dtype, device=like.device)
