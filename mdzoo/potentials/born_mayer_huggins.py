"""The pair potential of alkali halides."""

import torch
from torch import Tensor

from mdzoo.potentials.base import PairPotential
from mdzoo.potentials.pairs import PairChoices, PairNumbers
from mdzoo.potentials.parameters import Bounds, Ties, Trainable


class BornMayerHuggins(PairPotential):
    """`phi(r) = A exp((sigma - r) / rho) - C / r^6 + D / r^8`, without the Coulomb term.

    The signs are LAMMPS's (`pair_style born`): the dispersion of dipoles and quadrupoles of Fumi and Tosi
    (DOI 10.1016/0022-3697(64)90159-3), which attracts, has a positive C and a negative D.

    Arguments:
        A: eV, one number for all pairs or a symmetric table; there is no mixing rule.
        rho: Angstrom, likewise.
        sigma: Angstrom, likewise; sums of ionic radii.
        C: eV Angstrom^6, likewise.
        D: eV Angstrom^8, likewise.
        cutoff, truncation, onset, n_species: see `PairPotential`.
        trainable, bounds, ties: of `A`, `rho`, `sigma`, `C` and `D`; see `mdzoo.potentials.parameters`.

    Example:
        >>> halide, zero = BornMayerHuggins(0.21, 0.32, 2.34, 1.05, -0.5, 10.0), torch.zeros(1, dtype=torch.int64)
        >>> round(float(halide.pair_energy(torch.tensor([2.34]), zero, zero)), 5)
        0.20305
    """

    def __init__(
        self,
        A: PairNumbers,
        rho: PairNumbers,
        sigma: PairNumbers,
        C: PairNumbers,
        D: PairNumbers,
        cutoff: float,
        truncation: str = "switched",
        onset: float | None = None,
        n_species: int = 1,
        trainable: Trainable = False,
        bounds: Bounds = None,
        ties: Ties = None,
    ) -> None:
        super().__init__(cutoff, truncation, onset, n_species)
        choices = PairChoices(["A", "rho", "sigma", "C", "D"], n_species, trainable, bounds, ties)
        self.A = choices.pairs("A", A, zero=True)
        self.rho = choices.pairs("rho", rho)
        self.sigma = choices.pairs("sigma", sigma, zero=True)
        self.C = choices.pairs("C", C, "real")
        self.D = choices.pairs("D", D, "real")

    def pair_energy(self, r: Tensor, species_i: Tensor, species_j: Tensor) -> Tensor:
        """Return phi of each edge, (E,) in eV."""
        pair = self.pair(species_i, species_j)
        x = (self.sigma().index_select(0, pair) - r) / self.rho().index_select(0, pair)
        r2 = r * r
        dispersion = (self.D().index_select(0, pair) / r2 - self.C().index_select(0, pair)) / (r2 * r2 * r2)
        return self.A().index_select(0, pair) * torch.exp(x) + dispersion
