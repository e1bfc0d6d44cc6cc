"""Ultra-fast force fields: splines of the distances of pairs and triplets."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mdzoo.basis.even_splines import EvenSplines
from mdzoo.descriptors.base import Descriptor
from mdzoo.descriptors.spline_triplets import SplineTriplets
from mdzoo.graph import Graph, n_centers, seen, select_edges
from mdzoo.ops import pad, padding


class UF3(Descriptor):
    r"""Cubic B-splines of pairs and of triplets, of Xie, Rupp and Hennig (DOI 10.1038/s41524-023-01092-7).

        two bodies     sum_j B_k(r_ij)                                 for each species of j
        three bodies   sum_{j<k} B_l(r_ij) B_m(r_ik) B_n(r_jk)         for each pair of species of j and k

    with l and m exchanged and added where they or the species differ: either neighbour may be j. With `Linear` it is
    the potential UF3, and LAMMPS's `pair_style uf3` after `format=lammps_native`. The splines have even knots from
    `r_min` on and vanish with two derivatives at the cutoffs, those of r_jk at twice the cutoff of triplets. Below
    `r_min` the cubics of the first stretch go on. All pairs have the same knots, and all triplets. Triples of splines
    that no triangle meets are left out.

    Arguments:
        cutoff: of pairs, Angstrom.
        n_species: number of elements.
        r_min: first knot, Angstrom: somewhat below the shortest distance expected.
        resolution: number of stretches between the knots of pairs, and of splines.
        triplet_cutoff: of r_ij and r_ik, Angstrom.
        triplet_resolution: the same number for r_ij and r_ik, and for r_jk.

    Shapes: features (n, F) in the order of `labels()`, such as `2b[s=0,k=3]` and `3b[s=0,s'=1,l=1,m=2,n=3]`.

    Example:
        >>> UF3(resolution=10, triplet_resolution=[2, 3]).n_features
        19
    """

    def __init__(
        self,
        cutoff: float = 5.5,
        n_species: int = 1,
        r_min: float = 1.0,
        resolution: int = 16,
        triplet_cutoff: float = 4.0,
        triplet_resolution: Sequence[int] = (6, 12),
    ) -> None:
        super().__init__(cutoff, n_species)
        self.triplet_cutoff = float(triplet_cutoff)
        if not 0.0 < self.triplet_cutoff <= self.cutoff:
            raise ValueError(
                f"`triplet_cutoff` must be within (0, cutoff={self.cutoff}] (Angstrom), got {triplet_cutoff}; the "
                "first two shells of neighbours are usual"
            )
        if not 0.0 <= float(r_min) < self.triplet_cutoff:
            raise ValueError(
                f"`r_min` must be within [0, triplet_cutoff={self.triplet_cutoff}) (Angstrom), got {r_min}; take "
                "somewhat less than the shortest distance"
            )
        sizes = [int(n) for n in (resolution, *triplet_resolution)]
        if len(sizes) != 3 or min(sizes) < 1:
            raise ValueError(
                "`resolution` and the two numbers of `triplet_resolution` must be at least 1, got "
                f"{resolution} and {list(triplet_resolution)}; 16 and [6, 12] are common"
            )
        self.has_density, self.has_fold, self.smoothness = False, True, 2
        self.pairs = EvenSplines(r_min, self.cutoff, sizes[0])
        self.triplets = SplineTriplets(self.triplet_cutoff, float(r_min), sizes[1], sizes[2], self.n_species)
        self.n_pairs = self.n_species * sizes[0]
        self.n_features = self.n_pairs + self.triplets.n_features

    def forward(self, graph: Graph) -> Tensor:
        """Return the features, (n, F)."""
        if graph.centers.numel() == 0:
            return graph.vectors.new_zeros([0, self.n_features])
        return self.contract(self.density(graph))

    def density(self, graph: Graph) -> Tensor:
        """Return the features of pairs of each atom, and the rows of its neighbours that triplets need, (n, ...)."""
        return torch.cat([self.two_bodies(graph), self.rows(seen(graph, self.triplet_cutoff), n_centers(graph))], 1)

    def two_bodies(self, graph: Graph) -> Tensor:
        """Return the features of pairs, (n, S * K): each edge adds four numbers."""
        numbers, values, _ = self.pairs.local(torch.linalg.vector_norm(graph.vectors, dim=1))
        n, width = n_centers(graph), self.pairs.n + 3
        first = (graph.centers * self.n_species + graph.species[graph.neighbors]) * width
        sums = values.new_zeros([n * self.n_species * width])
        sums = sums.index_add(0, (first.unsqueeze(1) + numbers).flatten(), values.flatten())
        return sums.view(n, self.n_species, width)[:, :, : self.pairs.n].flatten(1)

    def rows(self, near: Graph, n: int) -> Tensor:
        """Return places and species of the neighbours of n atoms, (n, R * J); empty places are far."""
        if near.centers.numel() == 0:
            return near.vectors.new_zeros([n, 0])
        layout = padding(near.centers)
        table = near.vectors
        if self.n_species > 1:
            table = torch.cat([table, near.species[near.neighbors].to(table.dtype).unsqueeze(1)], 1)
        far = torch.full([table.shape[1]], self.triplets.filler, dtype=table.dtype, device=table.device)
        table = pad(table, layout, far).view(layout.n, layout.width, -1).transpose(1, 2).flatten(1)
        return torch.nn.functional.pad(table, [0, 0, 0, n - layout.n], value=self.triplets.filler)

    def contract(self, density: Tensor) -> Tensor:
        """Return the features, (n, F), of what `density` gives."""
        return torch.cat([density[:, : self.n_pairs], self.triplets(density[:, self.n_pairs :])], 1)

    def fold(self, density: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return `B @ theta`, (n,), and its slopes by what `density` gives, for weights (1, F) or (n, F), no graph."""
        own = theta[:, : self.n_pairs]
        energies, slopes = self.triplets.fold(density[:, self.n_pairs :], theta[:, self.n_pairs :])
        energies = energies + (density[:, : self.n_pairs] * own).sum(1)
        return energies, torch.cat([own.expand(density.shape[0], -1), slopes], 1)

    @torch.jit.unused
    @torch.no_grad()
    def slopes(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Return the features, (n, F), and dB_i/dr_ij, (n, J, 3, F), in closed form."""
        layout, r = padding(graph.centers), torch.linalg.vector_norm(graph.vectors, dim=1)
        table = graph.vectors.new_zeros(layout.n * layout.width, 3, self.n_features)
        steps = self.pairs.with_slopes(r)[1].unsqueeze(1) * (graph.vectors / r.unsqueeze(1)).unsqueeze(2)
        kinds = graph.species[graph.neighbors]
        for kind in range(self.n_species):
            mine = (kinds == kind).nonzero().squeeze(-1)
            table[layout.slots[mine], :, kind * self.pairs.n : (kind + 1) * self.pairs.n] = steps[mine]
        short = (r < self.triplet_cutoff).nonzero().squeeze(-1)
        near = select_edges(graph, short)
        if short.numel() > 0:
            inner = padding(near.centers)
            found = self.triplets.slopes(self.rows(near, inner.n)).flatten(0, 1)
            table[layout.slots[short], :, self.n_pairs :] = found[inner.slots]
        return self(graph), table.view(layout.n, layout.width, 3, -1)

    def isolated(self, like: Tensor) -> Tensor:
        """Return the features of an atom without neighbours, zero, (n_species, F)."""
        return torch.zeros([self.n_species, self.n_features], dtype=like.dtype, device=like.device)

    def labels(self) -> list[str]:
        """Return names such as `2b[s=0,k=3]` and `3b[s=0,s'=1,l=1,m=2,n=3]`."""
        pairs = [f"2b[s={s},k={k}]" for s in range(self.n_species) for k in range(self.pairs.n)]
        return pairs + self.triplets.labels()
