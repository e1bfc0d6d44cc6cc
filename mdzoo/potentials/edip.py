"""The environment-dependent interatomic potential, in the form of LAMMPS's `pair_style edip` and `edip/multi`."""

import torch
from torch import Tensor

from mdzoo.potentials.parameters import Bounds, Choices, Ties, Trainable, Values
from mdzoo.potentials.tables import Table, held, pick, symmetric_index
from mdzoo.potentials.triplet_potential import TripletPotential, decay, room

PAIRS = ["A", "B", "a", "c", "alpha", "beta", "gamma", "rho", "sigma"]
TRIPLES = ["eta", "lambda3", "mu", "Q0", "u1", "u2", "u3", "u4"]


class EDIP(TripletPotential):
    r"""Bonds and angles that depend on the coordination Z of their atom (Justo et al., DOI 10.1103/PhysRevB.58.2539).

        E_i = sum_j A [(B / r_ij)^rho - exp(-beta Z_i^2)] exp(sigma / (r_ij - a))
            + sum_{j<k} exp(gamma / (r_ij - a)) exp(gamma / (r_ik - a)) h(cos theta, Z_i)
        h = lambda [1 - exp(-Q (cos theta + tau)^2) + eta Q (cos theta + tau)^2]
        Q = Q0 exp(-mu Z),    tau = u1 + u2 (u3 exp(-u4 Z) - exp(-2 u4 Z))
        Z_i = sum_j f(r_ij),  f = exp(alpha / (1 - x^-3)) with x = (r - c) / (a - c), 1 below c and 0 above a

    All derivatives are continuous at the cutoff. LAMMPS's `edip` interpolates in tables and agrees to about 1e-7, its
    `edip/multi` computes the formulas; several elements: Lucas, Bertolus and Pizzagalli, DOI
    10.1088/0953-8984/22/3/035802.

    Arguments:
        A: eV; one number, or a table over ordered pairs of species (i, j), as all down to `sigma`.
        B, a, c: Angstrom; a is where bonds end, c where they begin to count less in Z.
        alpha, beta, rho: of the coordination and the bond.
        gamma, sigma: Angstrom, decay of the angular term and of the bond.
        eta, mu, Q0, u1, u2, u3, u4: of the angular term; one number, or a table n x n x n over the species of i, j and
            k, symmetric in j and k.
        lambda3: eV, its strength (lambda), as these.
        cutoff: Angstrom; bonds end there even if `a` grows beyond while it trains. The largest `a` if not given, and a
            tenth more where `a` trains.
        n_species: number of elements.
        trainable, bounds, ties: of the parameters above, see `mdzoo.potentials.parameters`; entries are called `0-1`
            and `0-1-1`.

    Defaults are those of silicon in LAMMPS's Si.edip.

    Example:
        >>> round(EDIP().cutoff, 9)
        3.121382
    """

    triples: Tensor  # (n * n * n,) place of each triple of species among those with j <= k

    def __init__(
        self,
        A: Table = 7.9821730,
        B: Table = 1.5075463,
        a: Table = 3.1213820,
        c: Table = 2.5609104,
        alpha: Table = 3.1083847,
        beta: Table = 0.0070975,
        gamma: Table = 1.1247945,
        rho: Table = 1.2085196,
        sigma: Table = 0.5774108,
        eta: Table = 0.2523244,
        lambda3: Table = 1.4533108,
        mu: Table = 0.6966326,
        Q0: Table = 312.1341346,
        u1: Table = -0.165799,
        u2: Table = 32.557,
        u3: Table = 0.286198,
        u4: Table = 0.66,
        cutoff: float | None = None,
        n_species: int = 1,
        trainable: Trainable = False,
        bounds: Bounds = None,
        ties: Ties = None,
    ) -> None:
        super().__init__(0.0, 4, n_species, symmetric=True)
        choices, n = Choices([*PAIRS, *TRIPLES], trainable, bounds, ties), self.n_species

        def pair(name: str, values: Table) -> Values:
            return held(choices, name, values, n, 2)

        def triple(name: str, values: Table, domain: str = "positive") -> Values:
            return held(choices, name, values, n, 3, symmetric=True, domain=domain)

        self.A, self.B, self.a, self.c = pair("A", A), pair("B", B), pair("a", a), pair("c", c)
        self.alpha, self.beta, self.gamma = pair("alpha", alpha), pair("beta", beta), pair("gamma", gamma)
        self.rho, self.sigma = pair("rho", rho), pair("sigma", sigma)
        self.eta, self.lambda3 = triple("eta", eta), triple("lambda3", lambda3)
        self.mu, self.Q0 = triple("mu", mu), triple("Q0", Q0)
        self.u1, self.u2 = triple("u1", u1, "real"), triple("u2", u2, "real")
        self.u3, self.u4 = triple("u3", u3, "real"), triple("u4", u4, "real")
        if not (self.c() < self.a()).all():
            raise ValueError(f"`c` must be below `a`, got {self.c().tolist()} and {self.a().tolist()}; exchange them")
        self.register_buffer("triples", symmetric_index(n, 3), persistent=False)
        self.cutoff = room(cutoff, self.a(), [self.a])

    def legs(self, r: Tensor, pair: Tensor) -> Tensor:
        """Return `exp(gamma / (r - a))` of each bond and Z of its atom, (2, J, n)."""
        bond = decay(r, pick(self.gamma(), pair), pick(self.ends(), pair))
        return torch.stack([bond, self.coordination(r, pair).expand_as(r)])

    def triplet_energy(self, one: list[Tensor], other: list[Tensor], cosine: Tensor, triple: Tensor) -> Tensor:
        """Return the angular term of each triplet, (P, n) in eV."""
        place, z = pick(self.triples, triple), one[1]
        fall = torch.exp(-pick(self.u4(), place) * z)
        bend = cosine + pick(self.u1(), place) + pick(self.u2(), place) * fall * (pick(self.u3(), place) - fall)
        q = pick(self.Q0(), place) * torch.exp(-pick(self.mu(), place) * z) * bend * bend
        h = 1.0 - torch.exp(-q) + pick(self.eta(), place) * q
        return pick(self.lambda3(), place) * h * one[0] * other[0]

    def bond_energy(self, r: Tensor, zeta: Tensor, pair: Tensor) -> Tensor:
        """Return the bond term, (J, n) in eV."""
        power = torch.exp(pick(self.rho(), pair) * torch.log(pick(self.B(), pair) / r))
        weaker = torch.exp(-pick(self.beta(), pair) * self.coordination(r, pair).square())
        end = decay(r, pick(self.sigma(), pair), pick(self.ends(), pair))
        return pick(self.A(), pair) * (power - weaker) * end

    def coordination(self, r: Tensor, pair: Tensor) -> Tensor:
        """Return Z of each atom, (n,)."""
        start, end = pick(self.c(), pair), pick(self.ends(), pair)
        x = ((r - start) / (end - start)).clamp(min=0.0)
        cube = x * x * x
        inside = x < 1.0
        share = torch.where(inside, cube / torch.where(inside, 1.0 - cube, torch.ones_like(r)), torch.zeros_like(r))
        counts = torch.exp(-pick(self.alpha(), pair) * share)
        return torch.where(inside, counts, torch.zeros_like(r)).sum(0)

    def ends(self) -> Tensor:
        """Return where the bonds of each ordered pair of species end, (n * n,)."""
        return self.a().clamp(max=self.cutoff)
