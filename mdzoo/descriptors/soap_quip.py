"""The smooth overlap of atomic positions (SOAP), in the form of QUIP and GAP."""

import numpy as np

from mdzoo.basis.smeared_radial import quip_functions
from mdzoo.descriptors.power_spectrum import PowerSpectrum
from mdzoo.descriptors.smeared_density import SmearedDensity
from mdzoo.descriptors.smeared_spectrum import SmearedSpectrum
from mdzoo.descriptors.soap import check_sizes

BASES = ("EQUISPACED_GAUSS", "POLY", "GTO")


class SoapQuip(SmearedSpectrum):
    r"""Power spectrum of the density of Gaussian atoms, normalised for each atom, and a constant last feature.

        p_ab,l = (1 or sqrt 2 for a != b) / sqrt(2 l + 1) sum_m c_alm c_blm,    features = (p / |p|, covariance_sigma0)

    where a and b <= a run over species and radial functions, and l is the fastest index. The dot product of two such
    rows is the kernel of GAP before its power zeta. Arguments have QUIP's names; its species are here 0, 1, ... Source:
    Bartok, Kondor, Csanyi, DOI 10.1103/PhysRevB.87.184115; Bartok, Csanyi, DOI 10.1002/qua.24927. Not here: QUIP's
    `cutoff_dexp`, `diagonal_radial`, `average`, and the mixings of channels.

    Arguments:
        n_species: number of elements.
        cutoff: Angstrom.
        cutoff_transition_width: over which neighbours fade by half a cosine, Angstrom.
        n_max: number of radial functions.
        l_max: L.
        atom_sigma: standard deviation of the Gaussian atoms, Angstrom.
        radial_basis: `EQUISPACED_GAUSS`, `POLY` or `GTO`.
        central_weight: factor of the central atom.
        central_reference_all_species: whether the central atom stands in the density of every species, or of its own
            only; None is true for one species, false for several.
        covariance_sigma0: the last feature.
        normalise: whether p is divided by its norm.

    Shapes: density (n, n_species * n_max * (L + 1)^2), lm inner; features (n, F) in the order of `labels()`.
    """

    def __init__(
        self,
        n_species: int = 1,
        cutoff: float = 5.0,
        cutoff_transition_width: float = 0.5,
        n_max: int = 8,
        l_max: int = 6,
        atom_sigma: float = 0.5,
        radial_basis: str = "EQUISPACED_GAUSS",
        central_weight: float = 1.0,
        central_reference_all_species: bool | None = None,
        covariance_sigma0: float = 0.0,
        normalise: bool = True,
    ) -> None:
        super().__init__(cutoff, n_species, (float(covariance_sigma0),))
        check_sizes(self.cutoff, n_max, l_max, atom_sigma)
        if radial_basis not in BASES:
            raise ValueError(f"`radial_basis` must be one of {list(BASES)}, got {radial_basis!r}; these are QUIP's")
        width = float(cutoff_transition_width)
        if not 0.0 < width <= self.cutoff:
            raise ValueError(
                f"`cutoff_transition_width` must be in (0, {self.cutoff}], got {width}; it ends at the cutoff"
            )
        every = self.n_species == 1 if central_reference_all_species is None else bool(central_reference_all_species)
        self.smoothness, self.n_max, self.l_max = 1, int(n_max), int(l_max)
        kinds = np.eye(self.n_species)
        central = float(central_weight) * (np.ones_like(kinds) if every else kinds)
        function = quip_functions(radial_basis, self.cutoff, self.n_max, self.l_max, float(atom_sigma))
        expansion = SmearedDensity(function, self.cutoff, width, "cosine", 1, kinds.tolist(), central.tolist())
        size = self.n_species * self.n_max
        self.rows = [(order, a, b) for a in range(size) for b in range(a + 1) for order in range(self.l_max + 1)]
        scales = np.array([(1.0 if a == b else np.sqrt(2.0)) / np.sqrt(2.0 * order + 1.0) for order, a, b in self.rows])
        self.set_parts(expansion, PowerSpectrum(size, self.l_max, self.rows, scales, 1, bool(normalise)))

    def labels(self) -> list[str]:
        """Return names such as `p[s=1,n=1,s'=0,n'=2,l=3]`, and `sigma0`."""
        names = [
            f"p[s={a // self.n_max},n={a % self.n_max + 1},s'={b // self.n_max},n'={b % self.n_max + 1},l={order}]"
            for order, a, b in self.rows
        ]
        return [*names, "sigma0"]
