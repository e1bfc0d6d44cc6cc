"""The 12-6 pair potential, and its 9-6 relative."""

from torch import Tensor

from mdzoo.potentials.base import PairPotential
from mdzoo.potentials.pairs import PairChoices, PairNumbers, mix, own
from mdzoo.potentials.parameters import Bounds, Ties, Trainable


class LennardJones(PairPotential):
    """`phi(r) = 4 epsilon [(sigma / r)^n - (sigma / r)^6]`, n = 12 (Jones, DOI 10.1098/rspa.1924.0082) or 9.

    LAMMPS: `pair_style lj/cut`, `lj96/cut` (whose factor is 4 too) and `lj/smooth/linear`.

    Arguments:
        epsilon: depth of the 12-6 well, eV: one number for all pairs, one for each species (to be mixed), or a
            symmetric table, null where it is to be mixed. Each pair of species trains on its own.
        sigma: where the potential crosses zero, Angstrom, likewise.
        cutoff, truncation, onset, n_species: see `PairPotential`.
        n: 12 or 9.
        mixing: `arithmetic`, `geometric`, `sixthpower` or `none`; see `mdzoo.potentials.pairs.mix`.
        trainable, bounds, ties: of `epsilon` and `sigma`; see `mdzoo.potentials.parameters`.

    Example:
        >>> argon = LennardJones(epsilon=0.0104, sigma=3.4, cutoff=8.5)
        >>> zero = torch.zeros(1, dtype=torch.int64)
        >>> round(float(argon.pair_energy(torch.tensor([3.4 * 2 ** (1 / 6)]), zero, zero)), 6)
        -0.0104
    """

    def __init__(
        self,
        epsilon: PairNumbers,
        sigma: PairNumbers,
        cutoff: float,
        truncation: str = "switched",
        onset: float | None = None,
        n: int = 12,
        mixing: str = "arithmetic",
        n_species: int = 1,
        trainable: Trainable = False,
        bounds: Bounds = None,
        ties: Ties = None,
    ) -> None:
        super().__init__(cutoff, truncation, onset, n_species)
        self.n = int(n)
        if self.n not in (9, 12):
            raise ValueError(f"`n` must be 12 or 9, got {self.n}; empirical=mie takes any exponents")
        choices = PairChoices(["epsilon", "sigma"], n_species, trainable, bounds, ties)
        depths, lengths = mix(mixing, own("epsilon", epsilon, choices.n), own("sigma", sigma, choices.n))
        self.epsilon = choices.pairs("epsilon", epsilon, mixture=depths, zero=True)
        self.sigma = choices.pairs("sigma", sigma, mixture=lengths)

    def pair_energy(self, r: Tensor, species_i: Tensor, species_j: Tensor) -> Tensor:
        """Return phi of each edge, (E,) in eV."""
        pair = self.pair(species_i, species_j)
        x = self.sigma().index_select(0, pair) / r
        x3 = x * x * x
        x6 = x3 * x3
        return 4.0 * self.epsilon().index_select(0, pair) * x6 * ((x6 if self.n == 12 else x3) - 1.0)
