"""The dispersion correction D3 of Grimme with the damping of Becke and Johnson."""

from collections.abc import Sequence
from importlib import resources

import numpy as np
import torch
from torch import Tensor

from mdzoo.basis.cutoff import smoothstep
from mdzoo.graph import Graph
from mdzoo.ops import segment_sum
from mdzoo.potentials.base import Potential
from mdzoo.potentials.parameters import Bounds, Choices, Ties, Trainable
from mdzoo.units import BOHR, HARTREE

STEEPNESS = 16.0  # k1, of the count of neighbours
WIDTH = 4.0  # k3, of the references in coordination number
FUNCTIONALS = {  # s8, a1 and a2 (Bohr) fitted to a functional, s6 = 1: Grimme, Ehrlich, Goerigk, and as marked
    "b3lyp": (1.9889, 0.3981, 4.4211),
    "blyp": (2.6996, 0.4298, 4.2359),
    "bp": (3.2822, 0.3946, 4.8516),
    "hse06": (2.31, 0.383, 5.685),  # DOI 10.1021/jp501237c
    "pbe": (0.7875, 0.4289, 4.4407),
    "pbe0": (1.2177, 0.4145, 4.8593),
    "pbesol": (2.9491, 0.4466, 6.1742),  # DOI 10.1039/c0cp02984j
    "r2scan": (0.78981345, 0.49484001, 5.73083694),  # DOI 10.1063/5.0041008
    "revpbe": (2.355, 0.5238, 3.5016),
    "scan": (0.0, 0.538, 5.42),  # DOI 10.1103/PhysRevB.94.115144
    "tpss": (1.9435, 0.4535, 4.4752),
}


class D3(Potential):
    """`E_i = -1/2 sum_j [s6 C6 / (r^6 + R^6) + s8 C8 / (r^8 + R^8)]`, `C8 = 3 q_i q_j C6`, `R = a1 sqrt(C8 / C6) + a2`.

    C6 of a pair is the mean of those of reference compounds, weighted by how near their coordination numbers are:
    `C6 = sum_ab w_ia w_jb C6_ab`, `w_ia ~ exp(-4 (CN_i - CN_a)^2)`, `CN_i = sum_j 1 / (1 + exp(-16 (R_ij / r - 1)))`
    with R_ij the sum of the covalent radii times 4/3 (Grimme, Antony, Ehrlich, Krieg, DOI 10.1063/1.3382344; the
    damping: Grimme, Ehrlich, Goerigk, DOI 10.1002/jcc.21759). There is no three-body term. The tables and where they
    come from: d3_tables.md.

    Arguments:
        atomic_numbers: the element table, up to Z = 103.
        functional: of the density functional that is corrected; see `FUNCTIONALS`.
        s6, s8, a1, a2: instead of those of the functional; a2 in Bohr.
        cutoff: of the energy, Angstrom; the published energies have 60 Bohr.
        cn_cutoff: of the coordination numbers, Angstrom, at most `cutoff`; the published ones have 40 Bohr.
        truncation: `switched`, which takes the last fifth of either cutoff to bring the terms to zero with two
            continuous derivatives, or `plain`.
        trainable, bounds, ties: of `s6`, `s8`, `a1` and `a2`; see `mdzoo.potentials.parameters`.

    Example:
        >>> d3 = D3([18], "pbe", cutoff=30.0)
        >>> round(d3.c6_table()[0, 0].item(), 4)
        64.6462
    """

    cn: Tensor  # (n, 7) coordination numbers of the references
    known: Tensor  # (n, 7) bool
    c6: Tensor  # (n, n, 7, 7) Hartree Bohr^6
    q: Tensor  # (n,) Bohr, square root of the ratio of <r^4> and <r^2>
    radii: Tensor  # (n,) Bohr, covalent, scaled

    def __init__(
        self,
        atomic_numbers: Sequence[int],
        functional: str = "pbe",
        s6: float | None = None,
        s8: float | None = None,
        a1: float | None = None,
        a2: float | None = None,
        cutoff: float = 15.0,
        cn_cutoff: float = 10.0,
        truncation: str = "switched",
        trainable: Trainable = False,
        bounds: Bounds = None,
        ties: Ties = None,
    ) -> None:
        check(functional, truncation, float(cutoff), float(cn_cutoff))
        super().__init__(cutoff, 2, 2 if truncation == "switched" else -1)
        self.bohr, self.hartree, self.steepness, self.width = BOHR, HARTREE, STEEPNESS, WIDTH
        self.cn_cutoff, self.switched = float(cn_cutoff), truncation == "switched"
        for name, table in tables([int(z) for z in atomic_numbers]).items():
            self.register_buffer(name, table, persistent=False)
        choices = Choices(["s6", "s8", "a1", "a2"], trainable, bounds, ties)
        published = dict(zip(("s6", "s8", "a1", "a2"), (1.0, *FUNCTIONALS[functional]), strict=True))
        given = {"s6": s6, "s8": s8, "a1": a1, "a2": a2}
        start = {name: published[name] if value is None else float(value) for name, value in given.items()}
        self.s6, self.s8, self.a1, self.a2 = (
            choices.values(name, torch.tensor([value], dtype=torch.float64)) for name, value in start.items()
        )

    def forward(self, graph: Graph) -> Tensor:
        """Return the energy of each atom, (N,) in eV."""
        r = torch.linalg.vector_norm(graph.vectors, dim=-1) / self.bohr
        species_i, species_j = graph.species[graph.centers], graph.species[graph.neighbors]
        c6 = self.dispersion_coefficients(graph, r)
        ratio = 3.0 * self.q[species_i] * self.q[species_j]
        radius = self.a1() * ratio.sqrt() + self.a2()
        r2, radius2 = r * r, radius * radius
        sixth = self.s6() / (r2 * r2 * r2 + radius2 * radius2 * radius2)
        eighth = self.s8() * ratio / (r2 * r2 * r2 * r2 + radius2 * radius2 * radius2 * radius2)
        energy = self.ended(-0.5 * self.hartree * c6 * (sixth + eighth), r, self.cutoff)
        return segment_sum(energy, graph.centers, graph.species.shape[0])

    def ended(self, terms: Tensor, r: Tensor, cutoff: float) -> Tensor:
        """Return terms of edges of length r (Bohr) as the truncation leaves them, 0 beyond the cutoff (Angstrom)."""
        x = r * (self.bohr / cutoff)
        if self.switched:
            terms = terms * (1.0 - smoothstep(5.0 * x - 4.0, 2))
        return torch.where(x < 1.0, terms, torch.zeros_like(terms))

    def coordination_numbers(self, graph: Graph, r: Tensor) -> Tensor:
        """Return the coordination number of each atom, (N,)."""
        radii = self.radii[graph.species]
        pair = radii[graph.centers] + radii[graph.neighbors]
        counts = torch.sigmoid(self.steepness * (pair / r - 1.0))
        return segment_sum(self.ended(counts, r, self.cn_cutoff), graph.centers, graph.species.shape[0])

    def dispersion_coefficients(self, graph: Graph, r: Tensor) -> Tensor:
        """Return C6 of each edge, (E,) in Hartree Bohr^6."""
        away = self.coordination_numbers(graph, r).unsqueeze(1) - self.cn[graph.species]
        nearness = (-self.width * away * away).masked_fill(~self.known[graph.species], -float("inf"))
        weights = nearness.softmax(1)  # (N, 7)
        half = torch.einsum("na,nuab->nub", weights, self.c6[graph.species])  # (N, n, 7): summed for the centre
        half = half.flatten(0, 1)[graph.centers * self.c6.shape[0] + graph.species[graph.neighbors]]
        return (half * weights[graph.neighbors]).sum(1)

    def c6_table(self) -> Tensor:
        """Return C6 of free atoms of each pair of elements, (n, n) in Hartree Bohr^6."""
        free = (self.cn == 0.0).to(self.c6.dtype)
        return torch.einsum("ia,ijab,jb->ij", free, self.c6, free)


def check(functional: str, truncation: str, cutoff: float, cn_cutoff: float) -> None:
    """Raise a ValueError that names what is wrong."""
    for name, value, choices in (
        ("functional", functional, list(FUNCTIONALS)),
        ("truncation", truncation, ["plain", "switched"]),
    ):
        if value not in choices:
            raise ValueError(f"`{name}` must be one of {choices}, got {value!r}; choose one, or give s8, a1 and a2")
    if not 0.0 < cn_cutoff <= cutoff:
        raise ValueError(f"`cn_cutoff` must be within (0, cutoff={cutoff}], got {cn_cutoff}; lower it")


def tables(numbers: Sequence[int]) -> dict[str, Tensor]:
    """Return the published tables for some elements: `cn`, `known`, `c6`, `q` and `radii`.

    Raises:
        ValueError: an element that has none.
    """
    with resources.files("mdzoo.potentials").joinpath("d3_tables.npz").open("rb") as file, np.load(file) as stored:
        cn, q, radii, flat = stored["cn"], stored["r4r2"], stored["radii"], stored["c6"]
    if not numbers or not all(0 < z < len(cn) for z in numbers):
        raise ValueError(f"`atomic_numbers` must be within 1 to {len(cn) - 1}, got {list(numbers)}; D3 knows no others")
    known = cn >= 0.0
    n_known = known.sum(1)
    first, second = np.triu_indices(len(cn))
    ends = np.cumsum(n_known[first] * n_known[second])
    c6 = np.zeros((len(numbers), len(numbers), 7, 7))
    for i, z in enumerate(numbers):
        for j, other in enumerate(numbers):
            if z <= other:
                row = z * len(cn) - z * (z - 1) // 2 + other - z
                n, m = n_known[z], n_known[other]
                c6[i, j][np.ix_(known[z], known[other])] = 1e-4 * flat[ends[row] - n * m : ends[row]].reshape(n, m)
                c6[j, i] = c6[i, j].T
    rows = {"cn": cn[numbers], "known": known[numbers], "c6": c6, "q": q[numbers], "radii": radii[numbers]}
    return {name: torch.as_tensor(table) for name, table in rows.items()}
