"""Moment tensors: all scalar contractions up to a level."""

import math

import torch
from torch import Tensor, nn

from mdzoo.basis.chebyshev import chebyshev_rows, chebyshev_slopes
from mdzoo.basis.contraction import contractions
from mdzoo.descriptors.expanded import ExpandedDescriptor
from mdzoo.descriptors.moment_products import Scalars, ranks, tables
from mdzoo.descriptors.moment_slopes import slopes_of
from mdzoo.descriptors.slopes import Block
from mdzoo.graph import Graph
from mdzoo.ops import Padding, pad

CHUNK = 256
"""Atoms whose products are in flight together: some thousand rows of them fit a cache."""


class MTP(ExpandedDescriptor):
    r"""Contractions of moment tensors to scalars (Shapeev, DOI 10.1137/15M1054183).

    With unit vectors u_ij and the nu-fold tensor product,

        M_mu,nu  = sum_j f_mu(r_ij, s_i, s_j) u_ij (x) ... (x) u_ij
        f_mu     = scaling * sum_beta c^beta_{mu s_i s_j} T_beta(xi) (r_cut - r)^2
        features = all full contractions of products of up to `max_factors` moments with sum(2 + 4 mu + nu) <= level

    with xi linear in r, from -1 at min_dist to 1 at r_cut; as in Gubaev et al., DOI 10.1016/j.commatsci.2018.09.031,
    and MLIP, DOI 10.1063/5.0155887: 9 features at level 8, 29 at 12, 92 at 16, 288 at 20. Species enter through the
    coefficients alone, so their number does not change F. The coefficients train with a loss; a linear fit takes them
    as they stand, at first one Chebyshev polynomial for each mu, mixed with another by an angle that depends on the
    species of the neighbour.

    Arguments:
        cutoff: r_cut, Angstrom.
        n_species: number of elements.
        level: even, from 2; a feature of a lower level comes before those of higher ones.
        radial_size: number of Chebyshev polynomials.
        min_dist: shortest distance expected, Angstrom; the polynomials grow fast below it.
        scaling: a factor of all f_mu, Angstrom^-2.
        max_factors: moments in one product, up to 4, where the published files stop.
        trainable: whether the radial coefficients train.

    Parameters: `radial_coefficients` (n_species, n_species, mu, beta), the first species that of the centre.
    Shapes: density (n, C), for each mu in spherical harmonics up to its highest rank, which holds all its moments, as
    traces of u (x) u are 1; features (n, F).

    Example:
        >>> MTP(level=8).labels()[:3]
        ['M00', 'M00 M00', 'M10']
    """

    def __init__(
        self,
        cutoff: float = 5.0,
        n_species: int = 1,
        level: int = 12,
        radial_size: int = 8,
        min_dist: float = 1.0,
        scaling: float = 0.01,
        max_factors: int = 4,
        trainable: bool = True,
    ) -> None:
        super().__init__(cutoff, n_species)
        check(int(level), int(max_factors), float(min_dist), self.cutoff)
        self.level, self.max_factors = int(level), int(max_factors)
        self.min_dist, self.scaling = float(min_dist), float(scaling)
        self.smoothness, self.has_fold, self.chunk = 1, True, CHUNK
        self.ranks = ranks(contractions(self.level, self.max_factors))
        self.set_degree(self.ranks[0])
        size = (self.ranks[0] + 1) ** 2
        self.n_sums = len(self.ranks) * size
        columns = [mu * size + lm for mu, top in enumerate(self.ranks) for lm in range((top + 1) ** 2)]
        self.register_buffer("columns", torch.tensor(columns), persistent=False)
        self.scalars = Scalars(self.level, self.max_factors)
        self.n_channels, self.n_features = self.scalars.n_channels, self.scalars.n_features
        self.radial_size = int(radial_size)
        start = first_coefficients(self.n_species, len(self.ranks), self.radial_size)
        self.radial_coefficients = nn.Parameter(start, requires_grad=bool(trainable))

    def collected(self, a: Tensor) -> Tensor:
        """Return `sum_j f_mu(r_ij) Y_lm(u_ij)`, (n, C), of those l that a mu uses."""
        return a.flatten(1).index_select(1, self.columns)

    def by_coefficients(self, slopes: Tensor) -> Tensor:
        """Return the slopes by all coefficients, (n, mu, lm), zero by those that are not used."""
        every = torch.zeros([slopes.shape[0], self.n_sums], dtype=slopes.dtype, device=slopes.device)
        return every.index_copy(1, self.columns, slopes).view(slopes.shape[0], -1, self.gradients.shape[0])

    def functions(self, r: Tensor, graph: Graph, layout: Padding) -> Tensor:
        """Return f_mu at the places of the table, (1, mu, n * J)."""
        xi, r = self.reduced(r)
        basis = chebyshev_rows(xi, self.scaling * (self.cutoff - r) ** 2, self.radial_size - 1)
        return self.mixed([basis], graph, layout)[0]

    def functions_with_slopes(self, r: Tensor, graph: Graph, layout: Padding) -> tuple[Tensor, Tensor]:
        """Return f_mu and their derivatives by r, (1, mu, n * J) each."""
        xi, r = self.reduced(r)
        values, slopes = chebyshev_slopes(xi, self.radial_size - 1)
        slopes = slopes * (2.0 / (self.cutoff - self.min_dist))
        near = self.cutoff - r
        rows = [self.scaling * near * near * values, self.scaling * near * (near * slopes - 2.0 * values)]
        found = self.mixed(rows, graph, layout)
        return found[0], found[1]

    def reduced(self, r: Tensor) -> tuple[Tensor, Tensor]:
        """Return xi and r, at most the cutoff."""
        r = torch.clamp(r, max=self.cutoff)
        return (2.0 * r - (self.min_dist + self.cutoff)) / (self.cutoff - self.min_dist), r

    def mixed(self, rows: list[Tensor], graph: Graph, layout: Padding) -> list[Tensor]:
        """Return the sums (1, mu, n * J) of each of some rows (beta, n * J), by the coefficients of the species."""
        coefficients = self.radial_coefficients.flatten(0, 1)
        if self.n_species == 1:
            return [(coefficients[0] @ basis).unsqueeze(0) for basis in rows]
        kinds = graph.species[graph.centers] * self.n_species + graph.species[graph.neighbors]
        kinds = pad(kinds, layout, torch.zeros_like(layout.slots[0]))
        order = torch.argsort(kinds)
        back = torch.argsort(order)
        every = torch.arange(coefficients.shape[0], device=kinds.device)
        counts: list[int] = (kinds.unsqueeze(1) == every).sum(0).tolist()
        out: list[Tensor] = []
        for basis in rows:
            parts = basis.index_select(1, order).split(counts, 1)
            sorted_rows = [c @ b for c, b in zip(coefficients, parts)]  # noqa: B905 - TorchScript
            out.append(torch.cat(sorted_rows, 1).index_select(1, back).unsqueeze(0))
        return out

    def contract(self, density: Tensor) -> Tensor:
        """Return the features, (n, F), of the density (n, C)."""
        return self.scalars(density)

    def contract_with(self, density: Tensor, theta: Tensor) -> Tensor:
        """Return `B(A) @ theta`, (n,): the weights act on the products, and the features are never formed."""
        return self.scalars.fold(density, theta)

    def fold(self, density: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return `B(A) @ theta`, (n,), and its slopes by A, (n, C), for weights (1, F) or (n, F), without a graph."""
        energies: list[Tensor] = []
        slopes: list[Tensor] = []
        weights = theta.t()
        for first in range(0, density.shape[0], self.chunk):
            last = min(first + self.chunk, density.shape[0])
            some = weights if weights.shape[1] == 1 else weights[:, first:last]
            found = self.scalars.slopes(density[first:last], some)
            energies.append(found[0])
            slopes.append(found[1])
        return torch.cat(energies), torch.cat(slopes)

    @torch.jit.unused
    def feature_slopes(self, density: Tensor) -> list[Block]:
        """Return dB/dA, one block."""
        plan = tables(self.level, self.max_factors)
        return [Block(torch.arange(self.n_channels), slopes_of(self.scalars, plan, density).mT)]

    def labels(self) -> list[str]:
        """Return names such as `M00` (mu, nu) and `M01 M01 M02 (0,1,1)`, bonds in the order 12, 13, 23."""
        out: list[str] = []
        for moments, bonds in contractions(self.level, self.max_factors):
            name = " ".join(f"M{mu}{nu}" for mu, nu in moments)
            out.append(f"{name} ({','.join(map(str, bonds))})" if any(bonds) else name)
        return out


def first_coefficients(n_species: int, n_radial: int, size: int) -> Tensor:
    """Return coefficients that tell neighbours of different species apart, (n_species, n_species, mu, beta)."""
    if size < n_radial + (n_species > 1):
        raise ValueError(
            f"`radial_size` must be at least {n_radial + (n_species > 1)} (one for each mu of the level, one more with "
            f"several species), got {size}; 8 is common"
        )
    out = torch.zeros(n_species, n_species, n_radial, size, dtype=torch.float64)
    for neighbor in range(n_species):
        angle = math.pi * neighbor / n_species
        for mu in range(n_radial):
            out[:, neighbor, mu, mu] = math.cos(angle)
            out[:, neighbor, mu, (mu + n_radial) % size] += math.sin(angle)
    return out


def check(level: int, max_factors: int, min_dist: float, cutoff: float) -> None:
    """Raise a ValueError for arguments that make no moments."""
    if level < 2 or level % 2 or level > 28:
        raise ValueError(f"`level` must be even and within 2..28, got {level}; 8 to 20 are common")
    if max_factors not in (1, 2, 3, 4):
        raise ValueError(f"`max_factors` must be 1, 2, 3 or 4, got {max_factors}; the published files have 4")
    if not 0.0 <= min_dist < cutoff:
        raise ValueError(
            f"`min_dist` must be within [0, cutoff={cutoff}) (Angstrom), got {min_dist}; give the shortest distance"
        )
