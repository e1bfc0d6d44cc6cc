"""The n-m pair potential."""

from torch import Tensor

from mdzoo.potentials.base import PairPotential
from mdzoo.potentials.pairs import PairChoices, PairNumbers, mix, own
from mdzoo.potentials.parameters import Bounds, Ties, Trainable


class Mie(PairPotential):
    """`phi(r) = C epsilon [(sigma / r)^n - (sigma / r)^m]`, `C = n / (n - m) (n / m)^(m / (n - m))`.

    epsilon is the depth of the well for any exponents (Mie, DOI 10.1002/andp.19033160802). LAMMPS: `mie/cut`.

    Arguments:
        epsilon: depth of the well, eV: one number for all pairs, one for each species (to be mixed), or a symmetric
            table, null where it is to be mixed.
        sigma: where the potential crosses zero, Angstrom, likewise.
        cutoff, truncation, onset, n_species: see `PairPotential`.
        n, m: exponents of repulsion and attraction, n > m, given like sigma and mixed by the same rule.
        mixing: `arithmetic`, `geometric`, `sixthpower` or `none`; see `mdzoo.potentials.pairs.mix`.
        trainable, bounds, ties: of `epsilon`, `sigma`, `n` and `m`; see `mdzoo.potentials.parameters`.

    Example:
        >>> mie, zero = Mie(0.5, 3.0, 12.0, n=14, m=6), torch.zeros(1, dtype=torch.int64)
        >>> round(float(mie.pair_energy(torch.tensor([3.0 * (14 / 6) ** (1 / 8)]), zero, zero)), 6)
        -0.5
    """

    def __init__(
        self,
        epsilon: PairNumbers,
        sigma: PairNumbers,
        cutoff: float,
        n: PairNumbers = 12.0,
        m: PairNumbers = 6.0,
        truncation: str = "switched",
        onset: float | None = None,
        mixing: str = "arithmetic",
        n_species: int = 1,
        trainable: Trainable = False,
        bounds: Bounds = None,
        ties: Ties = None,
    ) -> None:
        super().__init__(cutoff, truncation, onset, n_species)
        choices = PairChoices(["epsilon", "sigma", "n", "m"], n_species, trainable, bounds, ties)
        like = {"epsilon": epsilon, "sigma": sigma, "n": n, "m": m}
        alone = {name: own(name, given, choices.n) for name, given in like.items()}
        depths, lengths = mix(mixing, alone["epsilon"], alone["sigma"])
        self.epsilon = choices.pairs("epsilon", epsilon, mixture=depths, zero=True)
        self.sigma = choices.pairs("sigma", sigma, mixture=lengths)
        self.n = choices.pairs("n", n, mixture=mix(mixing, alone["epsilon"], alone["n"])[1])
        self.m = choices.pairs("m", m, mixture=mix(mixing, alone["epsilon"], alone["m"])[1])
        if not (self.n() > self.m()).all():
            raise ValueError(
                f"`n` must be larger than `m`, got {self.n().tolist()} and {self.m().tolist()}; n is the exponent of "
                "the repulsion"
            )

    def pair_energy(self, r: Tensor, species_i: Tensor, species_j: Tensor) -> Tensor:
        """Return phi of each edge, (E,) in eV."""
        pair, n, m = self.pair(species_i, species_j), self.n(), self.m()
        depth = self.epsilon() * n / (n - m) * (n / m).pow(m / (n - m))
        x = self.sigma().index_select(0, pair) / r
        return depth.index_select(0, pair) * (x.pow(n.index_select(0, pair)) - x.pow(m.index_select(0, pair)))
