"""What the bond-order potentials of Tersoff's family share: two exponentials, and the order that weakens one."""

import torch
from torch import Tensor

from mdzoo.potentials.parameters import Choices
from mdzoo.potentials.tables import Table, held, ordered_values, pick, symmetric_index
from mdzoo.potentials.triplet_potential import TripletPotential, room


class BondOrder(TripletPotential):
    r"""`E = 1/2 sum_i sum_j f_C(r_ij) [A exp(-lambda1 r_ij) - b_ij B exp(-lambda2 r_ij)]`.

        zeta_ij = sum_k f_C(r_ik) g(theta_jik) exp((lambda3 (r_ij - r_ik))^m)
        b_ij = (1 + (beta zeta_ij)^eta)^(-1/(2 delta))

    A member gives `angular`, g, `fade`, f_C as a function of `(r - R) / D` within -1 and 1, and `powers`, eta and
    delta. The order b_ij belongs to atom i: the energy of an atom is a function of its own edges, although its forces
    reach neighbours of neighbours.

    `A` and `lambda1` are tables over pairs of species, symmetric; `B`, `lambda2` and `beta` over ordered pairs (i, j);
    all others over ordered triples (i, j, k), R and D of a bond being those of (i, j, j).
    """

    pairs: Tensor  # (n * n,) place of each pair of species among the pairs i <= j
    own: Tensor  # (n * n,) place of the triple (i, j, j)
    cubic: Tensor  # (n * n * n,) bool: m = 3
    cubes: bool
    mixed: bool

    def __init__(self, smoothness: int, n_species: int, m: Table) -> None:
        super().__init__(0.0, smoothness, n_species, symmetric=False)
        n, power = self.n_species, ordered_values("m", m, int(n_species), 3)
        if not ((power == 1.0) | (power == 3.0)).all():
            raise ValueError(f"`m` must be 1 or 3, got {power.unique().tolist()}; no other power is in use")
        self.cubes, self.mixed = bool((power == 3.0).any()), len(power.unique()) > 1
        own = (torch.arange(n * n) * n).view(n, n) + torch.arange(n)
        self.register_buffer("cubic", power == 3.0, persistent=False)
        self.register_buffer("pairs", symmetric_index(n, 2), persistent=False)
        self.register_buffer("own", own.flatten(), persistent=False)

    def hold_bonds(
        self, choices: Choices, A: Table, lambda1: Table, B: Table, lambda2: Table, beta: Table, lambda3: Table
    ) -> None:
        """Keep what is common to all members, but where bonds end."""
        n = self.n_species
        self.A, self.lambda1 = held(choices, "A", A, n, 2, True), held(choices, "lambda1", lambda1, n, 2, True)
        self.B, self.lambda2 = held(choices, "B", B, n, 2), held(choices, "lambda2", lambda2, n, 2)
        self.beta, self.lambda3 = held(choices, "beta", beta, n, 2), held(choices, "lambda3", lambda3, n, 3)

    def hold_ends(self, choices: Choices, R: Table, D: Table, cutoff: float | None) -> None:
        """Keep where bonds end, and from there the cutoff."""
        self.R, self.D = held(choices, "R", R, self.n_species, 3), held(choices, "D", D, self.n_species, 3)
        self.cutoff = room(cutoff, self.R() + self.D(), [self.R, self.D])

    def angular(self, cosine: Tensor, triple: Tensor) -> Tensor:
        """Return g of each triplet, (J, J - 1, n)."""
        raise NotImplementedError

    def fade(self, t: Tensor) -> Tensor:
        """Return f_C, from 1 at t = -1 to 0 at t = 1."""
        raise NotImplementedError

    def powers(self) -> tuple[Tensor, Tensor]:
        """Return eta and delta of each ordered pair of species, (n * n,) each."""
        raise NotImplementedError

    def triplet_energy(self, one: list[Tensor], other: list[Tensor], cosine: Tensor, triple: Tensor) -> Tensor:
        """Return the terms of zeta, (J, J - 1, n)."""
        stretch = pick(self.lambda3(), triple) * (one[0] - other[0])
        if self.cubes:
            cube = stretch * stretch * stretch
            stretch = torch.where(pick(self.cubic, triple), cube, stretch) if self.mixed else cube
        decay = torch.exp(stretch.clamp(max=60.0))  # finite in float32 too
        return self.ending(other[0], self.R(), self.D(), triple) * self.angular(cosine, triple) * decay

    def bond_energy(self, r: Tensor, zeta: Tensor, pair: Tensor) -> Tensor:
        """Return the energy of each bond as its first atom counts it, (J, n) in eV."""
        place, (eta, delta) = pick(self.pairs, pair), self.powers()
        order = pick(eta, pair) * torch.log((pick(self.beta(), pair) * zeta).clamp(min=1e-35))  # zeta = 0: b = 1
        b = torch.exp(torch.nn.functional.softplus(order, threshold=40.0) * pick(-0.5 / delta, pair))
        repulsion = pick(self.A(), place) * torch.exp(-pick(self.lambda1(), place) * r)
        attraction = pick(self.B(), pair) * torch.exp(-pick(self.lambda2(), pair) * r)
        end = self.ending(r, self.R().index_select(0, self.own), self.D().index_select(0, self.own), pair)
        return 0.5 * end * (repulsion - b * attraction)

    def ending(self, r: Tensor, R: Tensor, D: Tensor, index: Tensor) -> Tensor:
        """Return f_C at r; 1 below R - D, and 0 above R + D, or above the cutoff if that is less."""
        width = D.clamp(min=1e-6)
        start = torch.minimum(R, self.cutoff - width)
        return self.fade((pick(1.0 / width, index) * (r - pick(start, index))).clamp(-1.0, 1.0))
