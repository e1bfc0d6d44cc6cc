"""The potential of Stillinger and Weber, in the form of LAMMPS's `pair_style sw`."""

import torch
from torch import Tensor

from mdzoo.potentials.parameters import Bounds, Choices, Numbers, Ties, Trainable, Values
from mdzoo.potentials.tables import Table, check_positive, held, pick, symmetric_index
from mdzoo.potentials.triplet_potential import TripletPotential, decay, room

NAMES = ["epsilon", "sigma", "a", "gamma", "A", "B", "p", "q", "lambda3", "cos0"]


class StillingerWeber(TripletPotential):
    r"""`E = sum_{i<j} phi_2 + sum_i sum_{j<k} phi_3` (Stillinger and Weber, DOI 10.1103/PhysRevB.31.5262).

        phi_2 = A epsilon [B (sigma / r)^p - (sigma / r)^q] exp(sigma / (r - a sigma))
        phi_3 = lambda epsilon (cos theta - cos0)^2 exp(gamma sigma / (r_ij - a sigma)) exp(gamma sigma / (r_ik - ...))

    each zero where a distance is beyond `a sigma` of its pair of species. In phi_3 the epsilon of different pairs is
    their geometric mean; LAMMPS's files hold one for each triple, which is here part of lambda. All derivatives are
    continuous at the cutoff.

    Arguments:
        epsilon: eV; one number for all pairs, or a symmetric table over pairs of species (so all down to `q`).
        sigma: Angstrom.
        a: cutoff in sigma.
        gamma: decay of the angular term.
        A, B, p, q: of the pair term.
        lambda3: strength of the angular term (lambda); one number, or a table n x n x n over the species of i, j and
            k, symmetric in j and k.
        cos0: of the angle without energy, a table of the same kind.
        cutoff: Angstrom; bonds end there even if `a sigma` grows beyond while it trains. The largest `a sigma` if not
            given, and a tenth more where `a` or `sigma` trains.
        n_species: number of elements.
        trainable, bounds, ties: of the parameters above, see `mdzoo.potentials.parameters`; entries are called `0-1`
            and `0-1-1`.

    Defaults are those of silicon in the paper, with the energy scale of LAMMPS's Si.sw.

    Example:
        >>> silicon = StillingerWeber()
        >>> round(silicon.cutoff, 5)
        3.77118
    """

    pairs: Tensor  # (n * n,) place of each pair of species among the pairs i <= j
    triples: Tensor  # (n * n * n,) place of each triple of species among those with j <= k

    def __init__(
        self,
        epsilon: Numbers = 2.1683,
        sigma: Numbers = 2.0951,
        a: Numbers = 1.8,
        gamma: Numbers = 1.2,
        A: Numbers = 7.049556277,
        B: Numbers = 0.6022245584,
        p: Numbers = 4.0,
        q: Numbers = 0.0,
        lambda3: Table = 21.0,
        cos0: Table = -1.0 / 3.0,
        cutoff: float | None = None,
        n_species: int = 1,
        trainable: Trainable = False,
        bounds: Bounds = None,
        ties: Ties = None,
    ) -> None:
        super().__init__(0.0, 4, n_species, symmetric=True)
        choices, n = Choices(NAMES, trainable, bounds, ties), self.n_species

        def pair(name: str, values: Table) -> Values:
            return held(choices, name, values, n, 2, symmetric=True)

        self.epsilon, self.sigma, self.a = pair("epsilon", epsilon), pair("sigma", sigma), pair("a", a)
        self.gamma, self.A, self.B = pair("gamma", gamma), pair("A", A), pair("B", B)
        self.p, self.q = pair("p", p), pair("q", q)
        self.lambda3 = held(choices, "lambda3", lambda3, n, 3, symmetric=True)
        self.cos0 = held(choices, "cos0", cos0, n, 3, symmetric=True, domain="real")
        self.register_buffer("pairs", symmetric_index(n, 2), persistent=False)
        self.register_buffer("triples", symmetric_index(n, 3), persistent=False)
        check_positive("epsilon", self.epsilon().detach())
        self.cutoff = room(cutoff, self.sigma() * self.a(), [self.sigma, self.a])

    def legs(self, r: Tensor, pair: Tensor) -> Tensor:
        """Return `sqrt(epsilon) exp(gamma sigma / (r - a sigma))` of each bond, (1, J, n)."""
        place, sigma = pick(self.pairs, pair), self.sigma()
        factor = torch.sqrt(pick(self.epsilon(), place))
        return (factor * decay(r, pick(self.gamma() * sigma, place), pick(self.ends(), place))).unsqueeze(0)

    def triplet_energy(self, one: list[Tensor], other: list[Tensor], cosine: Tensor, triple: Tensor) -> Tensor:
        """Return phi_3 of each triplet, (P, n) in eV."""
        place = pick(self.triples, triple)
        bend = cosine - pick(self.cos0(), place)
        return pick(self.lambda3(), place) * bend * bend * one[0] * other[0]

    def bond_energy(self, r: Tensor, zeta: Tensor, pair: Tensor) -> Tensor:
        """Return half of phi_2 of each bond, (J, n) in eV."""
        place, sigma = pick(self.pairs, pair), self.sigma()
        x = torch.log(pick(sigma, place) / r)
        repulsion = pick(self.B(), place) * torch.exp(pick(self.p(), place) * x)
        radial = repulsion - torch.exp(pick(self.q(), place) * x)
        end = decay(r, pick(sigma, place), pick(self.ends(), place))
        return 0.5 * pick(self.A() * self.epsilon(), place) * radial * end

    def ends(self) -> Tensor:
        """Return where the bonds of each pair of species end, `a sigma` or the cutoff."""
        return (self.a() * self.sigma()).clamp(max=self.cutoff)
