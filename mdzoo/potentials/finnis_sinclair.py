"""The analytic many-body potential of Finnis and Sinclair for metals."""

import torch
from torch import Tensor

from mdzoo.graph import Graph
from mdzoo.ops import segment_sum
from mdzoo.potentials.base import Potential
from mdzoo.potentials.parameters import Bounds, Choices, Ties, Trainable, Values
from mdzoo.potentials.tables import Table, held, pick, symmetric_index
from mdzoo.potentials.triplet_potential import room

NAMES = ["A", "d", "beta", "c", "c0", "c1", "c2"]


class FinnisSinclair(Potential):
    r"""`E_i = -A sqrt(rho_i) + 1/2 sum_j V(r_ij)` (Finnis and Sinclair, DOI 10.1080/01418618408244210).

        rho_i = sum_j (r - d)^2 + beta (r - d)^3 / d below d,    V = (r - c)^2 (c0 + c1 r + c2 r^2) below c

    Forces are continuous at the cutoff but for an atom that loses its last neighbour, where the root has a kink.
    LAMMPS has no such formula; mdzoo writes it as tables of `eam/fs`.

    Arguments:
        A: eV; one number, or one for each species.
        d: Angstrom, where the density ends; one number, or a symmetric table over pairs of species, as all below.
        beta: of the density.
        c: Angstrom, where the pair term ends.
        c0, c1, c2: of the pair term, eV/Angstrom^2, eV/Angstrom^3 and eV/Angstrom^4.
        cutoff: Angstrom; both terms end there even if their ends grow beyond while they train. The largest of d and c
            if not given, and a tenth more where one of them trains.
        n_species: number of elements.
        trainable, bounds, ties: of the parameters above, see `mdzoo.potentials.parameters`; entries are called `0-1`,
            those of A `0`.

    Defaults are those of molybdenum in the paper (A and d in eV and Angstrom).

    Example:
        >>> round(FinnisSinclair().cutoff, 9)
        4.114825
    """

    pairs: Tensor  # (n * n,) place of each pair of species among the pairs i <= j

    def __init__(
        self,
        A: Table = 1.887117,
        d: Table = 4.114825,
        beta: Table = 0.0,
        c: Table = 3.25,
        c0: Table = 43.4475218,
        c1: Table = -31.9332978,
        c2: Table = 6.0804249,
        cutoff: float | None = None,
        n_species: int = 1,
        trainable: Trainable = False,
        bounds: Bounds = None,
        ties: Ties = None,
    ) -> None:
        super().__init__(0.0, 1, 0)
        self.n_species, choices = int(n_species), Choices(NAMES, trainable, bounds, ties)

        def pair(name: str, values: Table, domain: str = "positive") -> Values:
            return held(choices, name, values, self.n_species, 2, symmetric=True, domain=domain)

        self.A, self.beta = held(choices, "A", A, self.n_species, 1), pair("beta", beta, "real")
        self.d, self.c = pair("d", d), pair("c", c)
        self.c0, self.c1, self.c2 = pair("c0", c0, "real"), pair("c1", c1, "real"), pair("c2", c2, "real")
        self.register_buffer("pairs", symmetric_index(self.n_species, 2), persistent=False)
        self.cutoff = room(cutoff, torch.maximum(self.d(), self.c()), [self.d, self.c])

    def forward(self, graph: Graph) -> Tensor:
        """Return the energy of each atom, (N,) in eV."""
        species, n_atoms = graph.species, graph.species.shape[0]
        r = torch.linalg.vector_norm(graph.vectors, dim=-1)
        place = pick(self.pairs, species[graph.centers] * self.n_species + species[graph.neighbors])
        rho = segment_sum(self.density(r, place), graph.centers, n_atoms)
        embedded = rho > 0.0
        root = torch.sqrt(torch.where(embedded, rho, torch.ones_like(rho)))
        binding = torch.where(embedded, pick(self.A(), species) * root, torch.zeros_like(rho))
        return segment_sum(0.5 * self.pair_energy(r, place), graph.centers, n_atoms) - binding

    def density(self, r: Tensor, place: Tensor) -> Tensor:
        """Return what each edge adds to rho, (E,) in Angstrom^2."""
        d = self.d().clamp(max=self.cutoff)
        t = (pick(d, place) - r).clamp(min=0.0)
        return t * t * (1.0 - pick(self.beta() / d, place) * t)

    def pair_energy(self, r: Tensor, place: Tensor) -> Tensor:
        """Return V of each edge, (E,) in eV."""
        t = (pick(self.c().clamp(max=self.cutoff), place) - r).clamp(min=0.0)
        return t * t * (pick(self.c0(), place) + r * (pick(self.c1(), place) + r * pick(self.c2(), place)))
