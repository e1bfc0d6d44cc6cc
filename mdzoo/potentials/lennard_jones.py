"""The 12-6 pair potential, smoothly switched off at the cutoff."""

from torch import Tensor

from mdzoo.potentials.base import PairPotential
from mdzoo.potentials.pairs import pair_index, pair_labels, pair_values
from mdzoo.potentials.parameters import Bounds, Choices, Numbers, Ties, Trainable


class LennardJones(PairPotential):
    """`phi(r) = 4 epsilon [(sigma / r)^12 - (sigma / r)^6] S(r)` (Jones, DOI 10.1098/rspa.1924.0082).

    `S` falls from 1 at `onset` to 0 at `cutoff` as `1 - 10 t^3 + 15 t^4 - 6 t^5`, with two continuous derivatives at
    either end; below `onset` the potential is the plain one, without a shift.

    Arguments:
        epsilon: depth of the well, eV: one number for all pairs, one for each species (mixed as sqrt(e_i e_j)), or a
            symmetric table. Each pair of species trains on its own.
        sigma: where the potential crosses zero, Angstrom: as `epsilon`, mixed as (s_i + s_j) / 2.
        cutoff: Angstrom.
        onset: where the switch begins, Angstrom; 0.8 cutoff if not given.
        n_species: number of elements.
        trainable, bounds, ties: of `epsilon` and `sigma`, whose entries are pairs of species `i-j`, i <= j; see
            `mdzoo.potentials.parameters`.

    Example:
        >>> import torch
        >>> argon = LennardJones(epsilon=0.0104, sigma=3.4, cutoff=8.5)
        >>> zero = torch.zeros(1, dtype=torch.int64)
        >>> round(float(argon.pair_energy(torch.tensor([3.4 * 2 ** (1 / 6)]), zero, zero)), 6)
        -0.0104
    """

    pairs: Tensor  # (n * n,) place of each pair of species among the pairs i <= j

    def __init__(
        self,
        epsilon: Numbers,
        sigma: Numbers,
        cutoff: float,
        onset: float | None = None,
        n_species: int = 1,
        trainable: Trainable = False,
        bounds: Bounds = None,
        ties: Ties = None,
    ) -> None:
        super().__init__(cutoff, 1, 2)
        self.onset = 0.8 * self.cutoff if onset is None else float(onset)
        if not 0.0 <= self.onset < self.cutoff:
            raise ValueError(
                f"`onset` must be within [0, cutoff={self.cutoff}), got {self.onset}; begin the switch below the cutoff"
            )
        self.n_species = int(n_species)
        choices, labels = Choices(["epsilon", "sigma"], trainable, bounds, ties), pair_labels(self.n_species)
        depths = pair_values("epsilon", epsilon, self.n_species, geometric=True)
        lengths = pair_values("sigma", sigma, self.n_species, geometric=False)
        self.epsilon = choices.values("epsilon", depths, "positive", labels)
        self.sigma = choices.values("sigma", lengths, "positive", labels)
        self.register_buffer("pairs", pair_index(self.n_species), persistent=False)

    def pair_energy(self, r: Tensor, species_i: Tensor, species_j: Tensor) -> Tensor:
        """Return phi of each edge, (E,) in eV."""
        pair = self.pairs.index_select(0, species_i * self.n_species + species_j)
        x = self.sigma().index_select(0, pair) / r
        x3 = x * x * x
        x6 = x3 * x3
        t = ((r - self.onset) / (self.cutoff - self.onset)).clamp(0.0, 1.0)
        switch = 1.0 - t * t * t * (10.0 - 15.0 * t + 6.0 * t * t)
        return 4.0 * self.epsilon().index_select(0, pair) * (x6 * x6 - x6) * switch
