"""Proper orthogonal descriptors of body orders 2 to 7."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mdzoo.basis.proper_orthogonal import ProperOrthogonal
from mdzoo.descriptors.expansion import by_species
from mdzoo.descriptors.partwise import PartwiseDescriptor
from mdzoo.descriptors.pod_four_body import FourBody
from mdzoo.descriptors.pod_products import Cross, ThreeBody, TwoBody
from mdzoo.graph import Graph
from mdzoo.ops import Padding


class POD(PartwiseDescriptor):
    r"""Proper orthogonal descriptors of Nguyen (DOI 10.1016/j.jcp.2023.112030 and 10.1103/PhysRevB.107.144103).

    With the radial modes R_k of `ProperOrthogonal`, neighbours j of the species s, and cosines of the angles at i,

        order 2   sum_j R_k(r_j)                                            for each s
        order 3   sum_jj' R_k(r_j) R_k(r_j') cos_jj'^p                      for s <= s', p <= P_3
        order 4   sum_jj'j'' R_k R_k R_k cos_jj'^a cos_jj''^b cos_j'j''^c   for s <= s' <= s'', a >= b >= c,
                                                                            a + b + c <= P_4
        order 5   products of two features of order 3 with k + k' < K_5 (k from 0) and p + p' <= P_5
        order 6   products of features of orders 3 and 4, and order 7 of order 4 twice, likewise

    in the order of LAMMPS (`pair_style pod`, of 2025), whose coefficients apply. LAMMPS leaves out a body order of an
    atom with fewer neighbours than it takes, which makes its energies jump where a neighbour leaves such an atom; here
    they do not, so the two differ for atoms with one to five neighbours.

    Arguments:
        cutoff: r_cut, Angstrom.
        n_species: number of elements.
        K: number of radial modes for each body order from 2 up, none larger than that of order 3 from there on.
        P: largest degree for each body order from 3 up.
        rin: where the radial family begins, Angstrom, below the shortest distance expected.
        bessel_degree: number of sines for each stretch of the distance.
        inverse_degree: largest inverse power of the distance.

    Shapes: density (n, S * (K_2 + K_3 * (P_3 + 1)^2)); features (n, F) in the order of `labels()`,
    such as `2b[s=0,k=1]`, `3b[s=0,s'=0,k=1,p=2]`, `4b[s=0,s'=0,s''=0,k=1,a=1,b=1,c=0]`.

    Example:
        >>> POD(K=[6, 5], P=[4]).n_features
        31
    """

    def __init__(
        self,
        cutoff: float = 5.0,
        n_species: int = 1,
        K: Sequence[int] = (6, 5, 4),
        P: Sequence[int] = (4, 3),
        rin: float = 1.0,
        bessel_degree: int = 4,
        inverse_degree: int = 8,
    ) -> None:
        super().__init__(cutoff, n_species)
        ks, ps = checked([int(k) for k in K], [int(p) for p in P])
        if not 0.0 <= float(rin) < self.cutoff:
            raise ValueError(
                f"`rin` must be within [0, cutoff={self.cutoff}) (Angstrom), got {rin}; 1 suits most solids"
            )
        if int(bessel_degree) < 1 or int(inverse_degree) < 0 or 3 * int(bessel_degree) + int(inverse_degree) < max(ks):
            raise ValueError(
                f"`bessel_degree` must be at least 1 and with `inverse_degree` give {max(ks)} functions (three for "
                f"each degree and one for each inverse power), got {bessel_degree} and {inverse_degree}; raise them"
            )
        self.smoothness, self.K, self.P = 3, ks, ps
        self.k_two, self.k_many = ks[0], ks[1]
        self.radial = ProperOrthogonal(max(ks[0], ks[1]), rin, self.cutoff, bessel_degree, inverse_degree)
        self.unit = math.sqrt(4.0 * math.pi)  # 1 / Y_00
        self.set_degree(ps[0])
        self.n_channels = self.n_species * (ks[0] + ks[1] * (ps[0] + 1) ** 2)
        self.parts = torch.nn.ModuleList(parts_of(self.n_species, ks, ps))
        self.n_features = sum(part.n_features for part in self.parts)

    def functions(self, r: Tensor, graph: Graph, layout: Padding) -> Tensor:
        """Return the radial functions of order 2, then those of the others, (1, c, n * J)."""
        return self.both(self.radial(r), graph, layout)

    def functions_with_slopes(self, r: Tensor, graph: Graph, layout: Padding) -> tuple[Tensor, Tensor]:
        """Return the same and their derivatives by r."""
        values, steps = self.radial.with_slopes(r)
        return self.both(values, graph, layout), self.both(steps, graph, layout)

    def both(self, radial: Tensor, graph: Graph, layout: Padding) -> Tensor:
        """Return the functions (1, K, n * J) of order 2, then of the others, for each species, (1, c, n * J)."""
        two = by_species(radial[:, : self.k_two], graph, layout, self.n_species)
        return torch.cat([two, by_species(radial[:, : self.k_many], graph, layout, self.n_species)], 1)

    def collected(self, a: Tensor) -> Tensor:
        """Return the sums of the radial functions, then a_klm, (n, C)."""
        two, many = a.split([self.n_species * self.k_two, self.n_species * self.k_many], 1)
        return torch.cat([two[:, :, 0] * self.unit, many.flatten(1)], 1)

    def by_coefficients(self, slopes: Tensor) -> Tensor:
        """Return the slopes by the coefficients a_clm, those of order 2 first, (n, c, lm)."""
        lm = self.gradients.shape[0]
        two, many = slopes.split([self.n_species * self.k_two, self.n_species * self.k_many * lm], 1)
        padded = torch.nn.functional.pad((two * self.unit).unsqueeze(2), [0, lm - 1])
        return torch.cat([padded, many.view(slopes.shape[0], -1, lm)], 1)


def parts_of(n_species: int, ks: list[int], ps: list[int]) -> list[torch.nn.Module]:
    """Return the parts of all body orders that have features."""
    three = ThreeBody(n_species, ks[0], ks[1], ps[0])
    parts: list[torch.nn.Module] = [TwoBody(n_species, ks[0]), three]
    four = FourBody(n_species, ks[0], ks[1], ps[0], ks[2], ps[1]) if ks[2] > 0 else None
    if four is not None:
        parts.append(four)
    pairs = [(5, three, three), (6, three, four), (7, four, four)]
    for (order, left, right), k_max, degree in zip(pairs, ks[3:], ps[2:], strict=True):
        if k_max > 0 and left is not None and right is not None:
            parts.append(Cross(left, right, order, k_max, degree))
    return parts


def checked(ks: list[int], ps: list[int]) -> tuple[list[int], list[int]]:
    """Return the numbers of radial functions of orders 2 to 7 and the degrees of orders 3 to 7, zeros behind."""
    if not 2 <= len(ks) <= 6 or ks[0] < 1 or ks[1] < 1 or min(ks) < 0 or max([0, *ks[3:]]) > max([0, *ks[2:3]]):
        raise ValueError(
            f"`K` must hold 2 to 6 numbers, for body orders 2 up to 7, at least 1 for the first two and none of the "
            f"later ones above that of order 4, got {ks}; 0 leaves an order out"
        )
    if ks[1] < max([0, *ks[2:]]):
        raise ValueError(f"`K` must not be larger for order 4 than for order 3, got {ks}; raise the second number")
    if len(ps) != len(ks) - 1 or min(ps) < 0 or ps[0] > 12 or max([0, *ps[1:2]]) > min(6, ps[0]):
        raise ValueError(
            f"`P` must hold {len(ks) - 1} degrees, one for each of `K` but the first, up to 12 for order 3 and up to 6 "
            f"and not above it for order 4, got {ps}; 4 and 3 are common"
        )
    return ks + [0] * (6 - len(ks)), ps + [0] * (6 - len(ks))
