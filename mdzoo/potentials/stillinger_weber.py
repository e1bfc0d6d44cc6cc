"""The potential of Stillinger and Weber, in the form of LAMMPS's `pair_style sw`."""

import torch
from torch import Tensor

from mdzoo.potentials.parameters import Bounds, Choices, Numbers, Ties, Trainable, Values, check_positive
from mdzoo.potentials.tables import Table, held, pick, symmetric_index
from mdzoo.potentials.triplet_potential import TripletPotential, decay, room

NAMES = ["epsilon", "sigma", "a", "gamma", "A", "B", "p", "q", "lambda3", "cos0"]


class StillingerWeber(TripletPotential):
    r"""`E = sum_{i<j} phi_2 + sum_i sum_{j<k} phi_3` (Stillinger and Weber, DOI 10.1103/PhysRevB.31.5262).

        phi_2 = A epsilon [B (sigma / r)^p - (sigma / r)^q] exp(sigma / (r - a sigma))
        phi_3 = lambda epsilon (cos theta - cos0)^2 exp(gamma sigma / (r_ij - a sigma)) exp(gamma sigma / (r_ik - ...))

    each zero where a distance is beyond `a sigma` of its pair of species. In phi_3 the epsilon of different pairs is
    their geometric mean; LAMMPS's files hold one for each triple, which is here part of lambda. All derivatives are
    continuous at the cutoff. With `g = sqrt(epsilon) exp(gamma sigma / (r - a sigma))` and unit vectors n, the sum of
    phi_3 over pairs of bonds is a function of `sum_j g_j`, `sum_j g_j n_j` and `sum_j g_j n_j n_j`, so no pair is
    visited: the cost grows with the neighbours, not with their square.

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

    def atoms(self, vectors: Tensor, here: Tensor, there: Tensor) -> Tensor:
        """Return the energies (n,) of atoms with neighbours at (3, J, n), of their species and those of these."""
        x, y, z = vectors.unbind(0)
        r = torch.sqrt(x * x + y * y + z * z)
        pair = here * self.n_species + there if self.n_species > 1 else there
        place, sigma = pick(self.pairs, pair), self.sigma()
        leg = torch.sqrt(pick(self.epsilon(), place)) * decay(
            r, pick(self.gamma() * sigma, place), pick(self.ends(), place)
        )
        alone = self.lambda3() * (1.0 - self.cos0()).square()
        own = pick(self.triples, pair * self.n_species + there if self.n_species > 1 else there)
        energy = (self.pair_energy(r, place) - 0.5 * pick(alone, own) * leg * leg).sum(0)
        return energy + self.angular(leg, x / r, y / r, z / r, here, there)

    def pair_energy(self, r: Tensor, place: Tensor) -> Tensor:
        """Return half of phi_2 of each bond, (J, n) in eV."""
        x = torch.log(pick(self.sigma(), place) / r)
        repulsion = pick(self.B(), place) * torch.exp(pick(self.p(), place) * x)
        radial = repulsion - torch.exp(pick(self.q(), place) * x)
        end = decay(r, pick(self.sigma(), place), pick(self.ends(), place))
        return 0.5 * pick(self.A() * self.epsilon(), place) * radial * end

    def angular(self, leg: Tensor, x: Tensor, y: Tensor, z: Tensor, here: Tensor, there: Tensor) -> Tensor:
        """Return the sum of phi_3 over all j and k, j = k too, by the moments of the bonds of each species, (n,)."""
        kinds: list[Tensor] = []
        for kind in range(self.n_species):
            weight = leg * (there == kind).to(leg.dtype) if self.n_species > 1 else leg
            kinds.append(moments(weight, x, y, z))
        energy = torch.zeros_like(leg[0])
        lambda3, cos0, n = self.lambda3(), self.cos0(), self.n_species
        for j in range(n):
            for k in range(j, n):
                place = self.triples.index_select(0, (here * n + j) * n + k)
                bend = pick(cos0, place)
                products = kinds[j] * kinds[k]
                squares = products[4:7].sum(0) + 2.0 * products[7:].sum(0)
                terms = squares - 2.0 * bend * products[1:4].sum(0) + bend * bend * products[0]
                energy = energy + (0.5 if j == k else 1.0) * pick(lambda3, place) * terms
        return energy

    def ends(self) -> Tensor:
        """Return where the bonds of each pair of species end, `a sigma` or the cutoff."""
        return (self.a() * self.sigma()).clamp(max=self.cutoff)


def moments(weight: Tensor, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Return the sums over bonds of a weight times 1; x, y, z; xx, yy, zz; xy, xz, yz of their directions, (10, n)."""
    wx, wy, wz = weight * x, weight * y, weight * z
    rows = [weight, wx, wy, wz, wx * x, wy * y, wz * z, wx * y, wx * z, wy * z]
    return torch.stack([row.sum(0) for row in rows])
