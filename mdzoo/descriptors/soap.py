"""The smooth overlap of atomic positions (SOAP), in the form of dscribe."""

import math
from collections.abc import Sequence

import numpy as np

from mdzoo.basis.smeared_radial import gto_functions, polynomial_functions
from mdzoo.descriptors.power_spectrum import PowerSpectrum
from mdzoo.descriptors.smeared_density import SmearedDensity
from mdzoo.descriptors.smeared_spectrum import SmearedSpectrum

BASES = {"gto": gto_functions, "polynomial": polynomial_functions}
COMPRESSIONS = ("off", "mu2", "mu1nu1", "crossover")
PADDING = math.sqrt(2.0 * math.log(1000.0))
"""Where a Gaussian has fallen to 1e-3, in sigma."""


class Soap(SmearedSpectrum):
    r"""Power spectrum of the density of Gaussian atoms.

        p^{ZZ'}_nn'l = pi sqrt(8 / (2 l + 1)) sum_m c^Z_nlm c^Z'_n'lm

    with the coefficients `c^Z_nlm` of the density of species Z, the central atom included: the form of dscribe (Himanen
    et al., DOI 10.1016/j.cpc.2019.106949; Bartok, Kondor, Csanyi, DOI 10.1103/PhysRevB.87.184115). Features go by pairs
    Z <= Z', then l, n, n' (n <= n' where Z = Z'), each pair once: a kernel counts those with n != n' or Z != Z' twice.
    Kernels of QUIP and others agree after normalisation only.

    dscribe counts neighbours up to `r_cut + 3.72 sigma`, where their Gaussians have left the sphere of the basis, and
    drops them there by a jump of about a thousandth. Here they fade over that last `width` with `smoothness` continuous
    derivatives; `smoothness=-1` is dscribe's jump, with which all features are dscribe's.

    Arguments:
        n_species: number of elements.
        r_cut: radius of the radial basis, Angstrom.
        n_max: number of radial functions.
        l_max: L.
        sigma: standard deviation of the Gaussian atoms, Angstrom.
        rbf: `gto` (Gaussian-type orbitals) or `polynomial`.
        compression: dscribe's name (Darby, Kermode, Csanyi, DOI 10.1038/s41524-022-00847-y): `off`; `crossover` (only
            Z = Z'); `mu1nu1` (each species with the sum of all, every n and n'); `mu2` (one density for all species).
        species_weights: factor of each species' neighbours, or None.
        central_weight: factor of the central atom.
        cutoff: radius up to which neighbours count, Angstrom; None for `r_cut + 3.72 sigma`.
        width: over which they fade, Angstrom; None for `cutoff - r_cut`.
        smoothness: continuous derivatives at the cutoff; -1 for a jump.

    Shapes: density (n, densities * n_max * (L + 1)^2), lm inner; features (n, F) in the order of `labels()`.
    """

    def __init__(
        self,
        n_species: int = 1,
        r_cut: float = 5.0,
        n_max: int = 8,
        l_max: int = 6,
        sigma: float = 0.5,
        rbf: str = "gto",
        compression: str = "off",
        species_weights: Sequence[float] | None = None,
        central_weight: float = 1.0,
        cutoff: float | None = None,
        width: float | None = None,
        smoothness: int = 2,
    ) -> None:
        check_sizes(r_cut, n_max, l_max, sigma)
        reach = float(r_cut) + PADDING * float(sigma) if cutoff is None else float(cutoff)
        super().__init__(reach, n_species)
        if rbf not in BASES:
            raise ValueError(f"`rbf` must be one of {list(BASES)}, got {rbf!r}; these are dscribe's radial bases")
        if compression not in COMPRESSIONS:
            raise ValueError(f"`compression` must be one of {list(COMPRESSIONS)}, got {compression!r}; `off` keeps all")
        if rbf == "gto" and not float(r_cut) > 1.0:
            raise ValueError(f"`r_cut` must be above 1 Angstrom for gto, got {r_cut}; its orbitals start there")
        fade = self.cutoff - float(r_cut) if width is None else float(width)
        if smoothness >= 0 and not 0.0 < fade <= self.cutoff:
            raise ValueError(f"`width` must be in (0, {self.cutoff}], got {fade}; give it, or a cutoff beyond r_cut")
        self.smoothness, self.compression = int(smoothness), str(compression)
        self.n_max, self.l_max = int(n_max), int(l_max)
        weights = species_factors(species_weights, self.n_species)
        shares = [weights] if compression == "mu2" else np.diag(weights).tolist()
        central = [[float(central_weight) * row[s] for row in shares] for s in range(self.n_species)]
        function = BASES[rbf](float(r_cut), self.n_max, self.l_max, float(sigma))
        taper = "none" if self.smoothness < 0 else "polynomial"
        expansion = SmearedDensity(function, self.cutoff, fade, taper, self.smoothness, shares, central)
        self.rows = feature_rows(compression, len(shares), self.n_max, self.l_max)
        scales = np.pi * np.sqrt(8.0 / (2.0 * np.array([row[0] for row in self.rows]) + 1.0))
        summed = len(shares) if compression == "mu1nu1" else 1
        self.set_parts(expansion, PowerSpectrum(len(shares) * self.n_max, self.l_max, self.rows, scales, summed))

    def labels(self) -> list[str]:
        """Return names such as `p[s=0,n=1,s'=1,n'=2,l=3]`; s = `all` is the sum over species."""
        one = self.compression == "mu2"
        every = one or self.compression == "mu1nu1"
        names = []
        for order, c, d in self.rows:
            first, second = "all" if one else str(c // self.n_max), "all" if every else str(d // self.n_max)
            names.append(f"p[s={first},n={c % self.n_max + 1},s'={second},n'={d % self.n_max + 1},l={order}]")
        return names


def feature_rows(compression: str, n_densities: int, n_max: int, l_max: int) -> list[tuple[int, int, int]]:
    """Return (l, c, c') of each feature in dscribe's order; c is density * n_max + n."""
    kinds = range(n_densities)
    if compression == "mu1nu1":
        pairs = [(z, 0, False) for z in kinds]
    else:
        pairs = [(a, b, a == b) for a in kinds for b in range(a, a + 1 if compression == "crossover" else n_densities)]
    return [
        (order, a * n_max + n, b * n_max + k)
        for a, b, same in pairs
        for order in range(l_max + 1)
        for n in range(n_max)
        for k in range(n if same else 0, n_max)
    ]


def species_factors(weights: Sequence[float] | None, n_species: int) -> list[float]:
    """Return one factor for each species."""
    if weights is None:
        return [1.0] * n_species
    if len(weights) != n_species:
        raise ValueError(f"`species_weights` must hold {n_species} numbers, got {list(weights)}; one for each species")
    return [float(weight) for weight in weights]


def check_sizes(r_cut: float, n_max: int, l_max: int, sigma: float) -> None:
    """Refuse sizes that leave nothing to expand in."""
    for name, value, least in (("r_cut", r_cut, 0.0), ("sigma", sigma, 0.0), ("n_max", n_max, 0), ("l_max", l_max, -1)):
        if not value > least:
            raise ValueError(f"`{name}` must be above {least}, got {value}; r_cut and sigma are lengths in Angstrom")
