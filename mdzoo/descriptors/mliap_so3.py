"""The SO(3) power spectrum of PyXtal_FF, in the form of LAMMPS (ML-IAP, `descriptor so3`)."""

from collections.abc import Sequence

import numpy as np

from mdzoo.basis.smeared_radial import mliap_functions
from mdzoo.descriptors.power_spectrum import PowerSpectrum
from mdzoo.descriptors.smeared_density import SmearedDensity
from mdzoo.descriptors.smeared_spectrum import SmearedSpectrum
from mdzoo.descriptors.soap import species_factors


class MliapSO3(SmearedSpectrum):
    r"""Power spectrum of the neighbours' Gaussians, without the central atom.

        c_nlm = 4 pi sum_j w_j f_c(r_j) e^(-alpha r_j^2) Y_lm(r_j) int r^2 g_n(r) e^(-alpha r^2) i_l(2 alpha r r_j) dr
        p_nn'l = 2 sqrt(2) pi / sqrt(2 l + 1) sum_m c_nlm c*_n'lm,    n' <= n

    with `f_c = (1 + cos(pi r / cutoff)) / 2` and l the fastest index: the order and the scale of LAMMPS, whose
    coefficients files therefore hold the weights of a linear model as they are. Radial functions and quadrature: see
    `mdzoo.basis.smeared_radial.mliap_functions`. Source: Yanxon, Zagaceta, Tang, Matteson, Zhu, DOI
    10.1088/2632-2153/abc940. All species share one density, in which w tells them apart; LAMMPS cuts w to integers and
    takes its cutoff from `(radelems_i + radelems_j) rcutfac`, which is `rcutfac` for radii of 0.5.

    Up to n_max 4 and l_max 5 the features are LAMMPS's to 1e-8. Beyond, LAMMPS loses digits that are kept here: its
    S^(-1/2) in double precision puts features off by up to 1e-5 at n_max 5 and 1e-2 at 6, it is wrong at 7 and not a
    number at 8, and its upward recursion for i_l puts them off by 1e-5 at l_max 6.

    Arguments:
        n_species: number of elements.
        cutoff: Angstrom (`rcutfac`).
        n_max: number of radial functions (`nmax`).
        l_max: L (`lmax`).
        alpha: of the Gaussians `e^(-alpha r^2)`, 1/Angstrom^2.
        species_weights: w of each species as a neighbour (`welems`), or None for 1.

    Shapes: density (n, n_max * (L + 1)^2), lm inner; features (n, n_max (n_max + 1) / 2 * (L + 1)).
    """

    def __init__(
        self,
        n_species: int = 1,
        cutoff: float = 5.0,
        n_max: int = 4,
        l_max: int = 4,
        alpha: float = 1.0,
        species_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(cutoff, n_species)
        for name, value, least in (("n_max", n_max, 0), ("l_max", l_max, -1), ("alpha", alpha, 0.0)):
            if not value > least:
                raise ValueError(f"`{name}` must be above {least}, got {value}; alpha is that of e^(-alpha r^2)")
        self.smoothness, self.n_max, self.l_max = 1, int(n_max), int(l_max)
        function = mliap_functions(self.cutoff, self.n_max, self.l_max, float(alpha))
        shares, central = [species_factors(species_weights, self.n_species)], [[0.0]] * self.n_species
        expansion = SmearedDensity(function, self.cutoff, self.cutoff, "cosine", 1, shares, central)
        self.rows = [(o, a, b) for a in range(self.n_max) for b in range(a + 1) for o in range(self.l_max + 1)]
        scales = np.array([2.0 * np.sqrt(2.0) * np.pi / np.sqrt(2.0 * order + 1.0) for order, _, _ in self.rows])
        self.set_parts(expansion, PowerSpectrum(self.n_max, self.l_max, self.rows, scales))

    def labels(self) -> list[str]:
        """Return names such as `p[n=2,n'=1,l=3]`."""
        return [f"p[n={a + 1},n'={b + 1},l={order}]" for order, a, b in self.rows]
