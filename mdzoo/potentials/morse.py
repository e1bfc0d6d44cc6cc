"""A pair potential with a well of chosen depth, width and place."""

import torch
from torch import Tensor

from mdzoo.potentials.base import PairPotential
from mdzoo.potentials.pairs import PairChoices, PairNumbers
from mdzoo.potentials.parameters import Bounds, Ties, Trainable


class Morse(PairPotential):
    """`phi(r) = D [exp(-2 alpha (r - r0)) - 2 exp(-alpha (r - r0))]` (Morse, DOI 10.1103/PhysRev.34.57).

    LAMMPS: `pair_style morse`.

    Arguments:
        D: depth of the well, eV, one number for all pairs or a symmetric table; there is no mixing rule.
        alpha: inverse width, 1/Angstrom, likewise.
        r0: its place, Angstrom, likewise.
        cutoff, truncation, onset, n_species: see `PairPotential`.
        trainable, bounds, ties: of `D`, `alpha` and `r0`; see `mdzoo.potentials.parameters`.

    Example:
        >>> copper, zero = Morse(0.3429, 1.3588, 2.866, 8.0), torch.zeros(1, dtype=torch.int64)
        >>> round(float(copper.pair_energy(torch.tensor([2.866]), zero, zero)), 4)
        -0.3429
    """

    def __init__(
        self,
        D: PairNumbers,
        alpha: PairNumbers,
        r0: PairNumbers,
        cutoff: float,
        truncation: str = "switched",
        onset: float | None = None,
        n_species: int = 1,
        trainable: Trainable = False,
        bounds: Bounds = None,
        ties: Ties = None,
    ) -> None:
        super().__init__(cutoff, truncation, onset, n_species)
        choices = PairChoices(["D", "alpha", "r0"], n_species, trainable, bounds, ties)
        self.D = choices.pairs("D", D, zero=True)
        self.alpha = choices.pairs("alpha", alpha)
        self.r0 = choices.pairs("r0", r0)

    def pair_energy(self, r: Tensor, species_i: Tensor, species_j: Tensor) -> Tensor:
        """Return phi of each edge, (E,) in eV."""
        pair = self.pair(species_i, species_j)
        x = torch.exp(self.alpha().index_select(0, pair) * (self.r0().index_select(0, pair) - r))
        return self.D().index_select(0, pair) * x * (x - 2.0)
