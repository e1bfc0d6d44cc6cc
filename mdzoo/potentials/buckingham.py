"""The exp-6 pair potential."""

import torch
from torch import Tensor

from mdzoo.potentials.base import PairPotential
from mdzoo.potentials.pairs import PairChoices, PairNumbers
from mdzoo.potentials.parameters import Bounds, Ties, Trainable


class Buckingham(PairPotential):
    """`phi(r) = A exp(-r / rho) - C / r^6` (Buckingham, DOI 10.1098/rspa.1938.0173).

    It falls without end at short distances; `empirical=[buckingham,zbl]` keeps atoms apart. LAMMPS: `pair_style buck`.

    Arguments:
        A: eV, one number for all pairs or a symmetric table; there is no mixing rule.
        rho: Angstrom, likewise.
        C: eV Angstrom^6, likewise; may be zero.
        cutoff, truncation, onset, n_species: see `PairPotential`.
        trainable, bounds, ties: of `A`, `rho` and `C`; see `mdzoo.potentials.parameters`.

    Example:
        >>> oxygen, zero = Buckingham(22764.0, 0.149, 27.88, 10.0), torch.zeros(1, dtype=torch.int64)
        >>> round(float(oxygen.pair_energy(torch.tensor([3.0]), zero, zero)), 5)
        -0.0382
    """

    def __init__(
        self,
        A: PairNumbers,
        rho: PairNumbers,
        C: PairNumbers,
        cutoff: float,
        truncation: str = "switched",
        onset: float | None = None,
        n_species: int = 1,
        trainable: Trainable = False,
        bounds: Bounds = None,
        ties: Ties = None,
    ) -> None:
        super().__init__(cutoff, truncation, onset, n_species)
        choices = PairChoices(["A", "rho", "C"], n_species, trainable, bounds, ties)
        self.A = choices.pairs("A", A, zero=True)
        self.rho = choices.pairs("rho", rho)
        self.C = choices.pairs("C", C, zero=True)

    def pair_energy(self, r: Tensor, species_i: Tensor, species_j: Tensor) -> Tensor:
        """Return phi of each edge, (E,) in eV."""
        pair = self.pair(species_i, species_j)
        repulsion = self.A().index_select(0, pair) * torch.exp(-r / self.rho().index_select(0, pair))
        r3 = r * r * r
        return repulsion - self.C().index_select(0, pair) / (r3 * r3)
