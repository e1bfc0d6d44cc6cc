"""The linear atomic cluster expansion to body order 5."""

import math
from collections.abc import Sequence

import torch

from mdzoo.basis.radial import Radial
from mdzoo.descriptors.invariant_functions import Limits, functions
from mdzoo.descriptors.partwise import PartwiseDescriptor
from mdzoo.descriptors.species_channels import SpeciesChannels
from mdzoo.descriptors.symmetric_products import SymmetricProducts


class ACE(PartwiseDescriptor):
    r"""A complete, linearly independent set of invariant polynomials of the density, of correlation order v = 1 to 4.

    With `a_iklm = sum_j g_kl(r_ij) f(r_ij) Y_lm(r_ij)` for each species of neighbour,

        B_i = sum_{m1..mv} U_{m1..mv} a_ik1l1m1 ... a_ikvlvmv

    for each multiset of factors (species, k, l) with an even sum of l, and as many tensors U as there are invariants
    that are symmetric under exchange of equal factors; these U are orthonormal. Products of order 4 are scalar products
    of two coupled pairs, so nothing is enumerated over edges, and with weights not even over features.
    Source: Drautz, DOI 10.1103/PhysRevB.99.014104; Dusson et al., DOI 10.1016/j.jcp.2022.110946.

    Arguments:
        cutoff: Angstrom.
        n_species: number of elements; k runs over the radial functions of each.
        K: number of radial functions, one number or one for each body order from 2 up.
        L: largest l, likewise (body order 2 has l = 0 alone).
        body_order: v + 1, 2 to 5.
        degree: largest `sum of (k - 1) + l_weight * l` over the factors, likewise; null for no such bound.
        l_weight: of l in the degree.
        radial: a family of `mdzoo.basis.radial.Radial`; `chebyshev` is fastest.
        smoothness: continuous derivatives at the cutoff.
        stretch: s of the transformed distance, see `Radial`.
        r0: Angstrom, of `agnesi`: about the distance of nearest neighbours.
        species_channels: channels that all species share, see `SpeciesChannels`; null gives each species its own.

    Shapes: density (n, species * K * (L + 1)^2), lm inner; features (n, F) in the order of `labels()`, such as
    `B3[k1=1,l1=2,k2=1,l2=1,k3=2,l3=1]`; k is species.k with several species.
    """

    def __init__(
        self,
        cutoff: float = 5.0,
        n_species: int = 1,
        K: int | Sequence[int] = 4,
        L: int | Sequence[int] = 3,
        body_order: int = 4,
        degree: float | Sequence[float] | None = None,
        l_weight: float = 1.0,
        radial: str = "chebyshev",
        smoothness: int = 2,
        stretch: float = 3.0,
        r0: float = 2.5,
        species_channels: int | None = None,
    ) -> None:
        super().__init__(cutoff, n_species)
        if body_order not in (2, 3, 4, 5):
            raise ValueError(f"`body_order` must be 2, 3, 4 or 5, got {body_order}; 4 is a good start")
        ks = [int(k) for k in by_order("K", K, body_order, 1)]
        ls = [int(l) for l in by_order("L", L, body_order, 0)]  # noqa: E741
        degrees = by_order("degree", math.inf if degree is None else degree, body_order, 0)
        if not float(l_weight) > 0.0:
            raise ValueError(f"`l_weight` must be positive, got {l_weight}; 1 counts l like k")
        self.smoothness = int(smoothness)
        limits = [Limits(k, l, d, float(l_weight)) for k, l, d in zip(ks, ls, degrees, strict=True)]  # noqa: E741
        self.channels = SpeciesChannels(self.n_species, species_channels)
        n_channels = self.channels.n_channels
        found = functions(n_channels, max(ks), limits)
        self.k_max, self.l_max = max(ks), max(order for function in found for _, order in function.factors)
        self.n_channels = (self.l_max + 1) ** 2 * n_channels * self.k_max
        self.radial = Radial(radial, self.cutoff, self.k_max, self.l_max, self.smoothness, stretch, r0)
        self.set_degree(self.l_max)
        self.parts = torch.nn.ModuleList([SymmetricProducts(n_channels, self.k_max, self.l_max, found)])
        self.n_features = len(found)


def by_order(name: str, value: float | Sequence[float], body_order: int, least: int) -> list[float]:
    """Return one size for each body order from 2 up."""
    values = [value] * (body_order - 1) if isinstance(value, int | float) else list(value)
    if len(values) != body_order - 1 or min(values) < least:
        raise ValueError(
            f"`{name}` must be one number or {body_order - 1} (one for each body order from 2 to {body_order}), each "
            f"at least {least}, got {value}; give as many as body_order asks"
        )
    return values
