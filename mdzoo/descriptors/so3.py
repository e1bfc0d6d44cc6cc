"""The SO(3) power spectrum and bispectrum of the slides, to body order 5."""

from collections.abc import Sequence

import torch

from mdzoo.basis.radial import Radial
from mdzoo.descriptors.invariants import Bispectrum, FiveBody, Power
from mdzoo.descriptors.partwise import PartwiseDescriptor
from mdzoo.descriptors.species_channels import SpeciesChannels

PAIRINGS = ("slides", "full")


class SO3(PartwiseDescriptor):
    r"""Invariants of the density expanded in radial functions x spherical harmonics.

    With `u_klm(r) = g_kl(r) f(r) Y_lm(r)` and the density `a_iklm = sum_j u_klm(r_ij)` of each species of neighbour,

        order 3 (power spectrum)  p_ikk'l      = sum_m a*_iklm a_ik'lm                          k <= k'
        order 4 (bispectrum)      b_ikk'll1l2  = sum_m a*_iklm y_ik'l1l2lm
        order 5                   c_ikk'll1..4 = sum_m y*_ikl1l2lm y_ik'l3l4lm
        where                     y_ikl1l2lm   = sum_m1m2 C^{l1 l2 l}_{m1 m2 m} a_ikl1m1 a_ikl2m2

    with Clebsch-Gordan coefficients C, l1 <= l2 and only even l + l1 + l2 (odd ones change sign under reflection).
    Source: the slides of MDP.jl (C. Nguyen, 2021); Bartok, Kondor, Csanyi, DOI 10.1103/PhysRevB.87.184115.

    Arguments:
        cutoff: Angstrom.
        n_species: number of elements; k runs over the radial functions of each.
        K: number of radial functions, one number or one for each body order from 3 up.
        L: largest l, likewise.
        body_order: 3, 4 or 5; the lists, where given, must have body_order - 2 entries.
        radial: `bessel`, `bessel2` (singular at r -> 0) or `chebyshev`, see `mdzoo.basis.radial.Radial`.
        pairing: `slides` (k on l, one k' on l1 and l2: K^2 pairs) or `full` (all triples of k, each invariant once).
        smoothness: continuous derivatives at the cutoff.
        stretch: of the distance of `chebyshev`.
        species_channels: channels that all species share, see `SpeciesChannels`; null gives each species its own.

    Shapes: density (n, species * K * (L + 1)^2), lm inner; features (n, F) in the order of `labels()`, such as
    `p[k=1,k'=2,l=0]`, `b[k=1,k'=2,l=0,l1=1,l2=1]`; k is species.k with several species.
    """

    def __init__(
        self,
        cutoff: float = 5.0,
        n_species: int = 1,
        K: int | Sequence[int] = 4,
        L: int | Sequence[int] = 3,
        body_order: int = 4,
        radial: str = "bessel",
        pairing: str = "slides",
        smoothness: int = 2,
        stretch: float = 3.0,
        species_channels: int | None = None,
    ) -> None:
        super().__init__(cutoff, n_species)
        ks, ls = sizes("K", K, body_order, 1), sizes("L", L, body_order, 0)
        if pairing not in PAIRINGS:
            raise ValueError(f"`pairing` must be one of {list(PAIRINGS)}, got {pairing!r}; `slides` is the smaller one")
        self.smoothness = int(smoothness)
        self.k_max, self.l_max = max(ks), max(ls)
        self.channels = SpeciesChannels(self.n_species, species_channels)
        n_channels = self.channels.n_channels
        self.n_channels = (self.l_max + 1) ** 2 * n_channels * self.k_max
        self.radial = Radial(radial, self.cutoff, self.k_max, self.l_max, self.smoothness, stretch)
        self.set_degree(self.l_max)
        self.parts = torch.nn.ModuleList([Power(n_channels, self.k_max, self.l_max, ks[0], ls[0])])
        if body_order > 3:
            full = pairing == "full"
            self.parts.append(Bispectrum(n_channels, self.k_max, self.l_max, ks[1], ls[1], full))
        if body_order > 4:
            self.parts.append(FiveBody(n_channels, self.k_max, self.l_max, ks[2], ls[2]))
        self.n_features = sum(part.n_features for part in self.parts)


def sizes(name: str, value: int | Sequence[int], body_order: int, least: int) -> list[int]:
    """Return one size for each body order from 3 up."""
    if body_order not in (3, 4, 5):
        raise ValueError(f"`body_order` must be 3, 4 or 5, got {body_order}; 4 is the slides' bispectrum")
    values = [int(value)] * (body_order - 2) if isinstance(value, int) else [int(v) for v in value]
    if len(values) != body_order - 2 or min(values) < least:
        raise ValueError(
            f"`{name}` must be one number or {body_order - 2} (one for each body order from 3 to {body_order}), each "
            f"at least {least}, got {value}; give as many as body_order asks"
        )
    return values
