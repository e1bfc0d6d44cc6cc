"""The screened Coulomb potential."""

import torch
from torch import Tensor

from mdzoo.potentials.base import PairPotential
from mdzoo.potentials.pairs import PairChoices, PairNumbers
from mdzoo.potentials.parameters import Bounds, Ties, Trainable


class Yukawa(PairPotential):
    """`phi(r) = A exp(-kappa r) / r` (Yukawa, DOI 10.11429/ppmsj1919.17.0_48).

    LAMMPS: `pair_style yukawa`, which has one kappa for all pairs.

    Arguments:
        A: eV Angstrom, one number for all pairs or a symmetric table, of either sign; there is no mixing rule.
        kappa: 1/Angstrom, likewise, not negative.
        cutoff, truncation, onset, n_species: see `PairPotential`.
        trainable, bounds, ties: of `A` and `kappa`; see `mdzoo.potentials.parameters`.

    Example:
        >>> plasma, zero = Yukawa(14.4, 0.5, 20.0), torch.zeros(1, dtype=torch.int64)
        >>> round(float(plasma.pair_energy(torch.tensor([2.0]), zero, zero)), 5)
        2.64873
    """

    def __init__(
        self,
        A: PairNumbers,
        kappa: PairNumbers,
        cutoff: float,
        truncation: str = "switched",
        onset: float | None = None,
        n_species: int = 1,
        trainable: Trainable = False,
        bounds: Bounds = None,
        ties: Ties = None,
    ) -> None:
        super().__init__(cutoff, truncation, onset, n_species)
        choices = PairChoices(["A", "kappa"], n_species, trainable, bounds, ties)
        self.A = choices.pairs("A", A, "real")
        self.kappa = choices.pairs("kappa", kappa, zero=True)

    def pair_energy(self, r: Tensor, species_i: Tensor, species_j: Tensor) -> Tensor:
        """Return phi of each edge, (E,) in eV."""
        pair = self.pair(species_i, species_j)
        return self.A().index_select(0, pair) * torch.exp(-self.kappa().index_select(0, pair) * r) / r
