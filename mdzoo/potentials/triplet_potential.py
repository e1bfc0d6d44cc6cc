"""The base of all potentials whose bonds feel the angles that they make with other bonds of the same atom."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mdzoo.graph import Graph
from mdzoo.ops import padding
from mdzoo.potentials.base import Potential
from mdzoo.potentials.parameters import Values

TRIPLETS = 32768
"""Triplets in one block of atoms: what is made of them stays in the cache."""


class TripletPotential(Potential):
    """A sum over bonds of each atom and pairs of them, in one of two forms.

        symmetric:   E_i = sum_{j<k} zeta(r_ij, r_ik, cos theta_jik) + sum_j epsilon(r_ij)
        else:        E_i = sum_j epsilon(r_ij, sum_{k != j} zeta(r_ij, r_ik, cos theta_jik))

    A member gives `triplet_energy`, zeta, and `bond_energy`, epsilon; with `legs` it says what a triplet sees of each
    of its bonds, the distance by default. One whose sum over pairs is known in closed form gives `atoms`. Everything
    here is a function of the edges of i alone: the reach is 1. The neighbours of all atoms stand in one (J, n) table,
    atoms last, so that each operation runs over rows; empty places lie just beyond the cutoff.

    Shapes: J neighbours, n atoms of a block, P triplets of each: (J (J - 1) / 2, n) if symmetric, else (J, J - 1, n).
    `pair` holds `s_i n_species + s_j` of each bond, (J, n), and `triple` `(s_i n_species + s_j) n_species + s_k` of
    each triplet, (P..., n); with one species both are empty.

    Arguments:
        cutoff: Angstrom.
        smoothness: see `Potential`.
        n_species: number of elements.
        symmetric: whether zeta is the same where j and k change places.
    """

    n_species: int
    symmetric: bool
    block_triplets: int

    def __init__(self, cutoff: float, smoothness: int, n_species: int, symmetric: bool) -> None:
        super().__init__(cutoff, 1, smoothness)
        self.n_species = int(n_species)
        self.symmetric = bool(symmetric)
        self.block_triplets = TRIPLETS

    def legs(self, r: Tensor, pair: Tensor) -> Tensor:
        """Return what triplets see of a bond, (B, J, n)."""
        return r.unsqueeze(0)

    def triplet_energy(self, one: list[Tensor], other: list[Tensor], cosine: Tensor, triple: Tensor) -> Tensor:
        """Return zeta of each triplet, (P..., n), from the legs to j and to k, B of (P..., n) each."""
        raise NotImplementedError

    def bond_energy(self, r: Tensor, zeta: Tensor, pair: Tensor) -> Tensor:
        """Return the energy of each bond, (J, n) in eV; zeta is the sum of its triplets, zero if symmetric."""
        raise NotImplementedError

    def forward(self, graph: Graph) -> Tensor:
        """Return the energy of each atom, (N,) in eV."""
        n_atoms, layout = graph.species.shape[0], padding(graph.centers)
        if layout.n == 0:
            return torch.zeros([n_atoms], dtype=graph.vectors.dtype, device=graph.vectors.device)
        n, width = layout.n, layout.width
        slots = (layout.slots - graph.centers * width) * n + graph.centers  # atoms last
        empty = torch.full([3, width * n], 0.6 * self.cutoff, dtype=graph.vectors.dtype, device=slots.device)
        vectors = empty.index_copy(1, slots, graph.vectors.t()).view(3, width, n)
        species = torch.zeros([width * n if self.n_species > 1 else 0], dtype=torch.int64, device=slots.device)
        if self.n_species > 1:
            species = species.index_copy(0, slots, graph.species.index_select(0, graph.neighbors))
        species = species.view(width, -1)
        parts: list[Tensor] = []
        size = max(1, self.block_triplets // max(1, width * (width - 1)))
        for first in range(0, n, size):
            last = min(first + size, n)
            parts.append(self.atoms(vectors[:, :, first:last], graph.species[first:last], species[:, first:last]))
        return torch.nn.functional.pad(torch.cat(parts), [0, n_atoms - n])

    def atoms(self, vectors: Tensor, here: Tensor, there: Tensor) -> Tensor:
        """Return the energies (n,) of atoms with neighbours at (3, J, n), of their species and those of these."""
        width, n = vectors.shape[1], vectors.shape[2]
        x, y, z = vectors.unbind(0)
        r = torch.sqrt(x * x + y * y + z * z)
        x, y, z = x / r, y / r, z / r
        pair = here * self.n_species + there if self.n_species > 1 else there
        table = torch.cat([torch.stack([x, y, z]), self.legs(r, pair)])
        if self.symmetric:
            first, second = torch.triu_indices(width, width, 1, device=r.device).unbind(0)
            zeta = self.triplets(
                table.index_select(1, first), table.index_select(1, second), pair, there, first, second
            )
            return self.bond_energy(r, torch.zeros_like(r), pair).sum(0) + zeta.sum(0)
        second = others(width, r.device)
        other = table.index_select(1, second).view(table.shape[0], width, max(0, width - 1), n)
        first = torch.arange(width, device=r.device).unsqueeze(1)
        zeta = self.triplets(table.unsqueeze(2), other, pair, there, first, second.view(width, -1))
        return self.bond_energy(r, zeta.sum(1), pair).sum(0)

    def triplets(
        self, one: Tensor, other: Tensor, pair: Tensor, there: Tensor, first: Tensor, second: Tensor
    ) -> Tensor:
        """Return zeta of each triplet, (P..., n), from directions and legs, (3 + B, P..., n), to j and to k."""
        left, right = list(one.unbind(0)), list(other.unbind(0))  # whose slopes are stacked once, not padded row by row
        cosine = left[0] * right[0] + left[1] * right[1] + left[2] * right[2]
        triple = there
        if self.n_species > 1:
            triple = pair[first] * self.n_species + there[second]
        return self.triplet_energy(left[3:], right[3:], cosine, triple)


def others(width: int, device: torch.device) -> Tensor:
    """Return the neighbours k != j of each neighbour j, (width * (width - 1),)."""
    k = torch.arange(max(0, width - 1), device=device)
    j = torch.arange(width, device=device).unsqueeze(1)
    return (k + (k >= j).to(torch.int64)).flatten()


def room(cutoff: float | None, ranges: Tensor, makers: Sequence[Values]) -> float:
    """Return the cutoff of bonds that end at `ranges`: the largest if none is given, a tenth more where these train.

    Raises:
        ValueError: the cutoff is not positive.
    """
    if cutoff is None:
        return float(ranges.detach().max()) * (1.1 if any(m.raw.requires_grad for m in makers) else 1.0)
    if not float(cutoff) > 0.0:
        raise ValueError(f"`cutoff` must be positive (Angstrom), got {cutoff}; leave it out to have it from the others")
    return float(cutoff)


def decay(r: Tensor, scale: Tensor, end: Tensor) -> Tensor:
    """Return `exp(scale / (r - end))`, 0 beyond the end, with all derivatives."""
    inside = r < end
    gap = torch.where(inside, r - end, -torch.ones_like(r))
    return torch.where(inside, torch.exp(scale / gap), torch.zeros_like(r))
