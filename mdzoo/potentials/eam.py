"""The embedded-atom method in tables, with the splines of LAMMPS's `pair_style eam`, `eam/alloy` and `eam/fs`."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mdzoo.graph import Graph
from mdzoo.ops import segment_sum
from mdzoo.potentials.base import Potential
from mdzoo.potentials.finnis_sinclair import FinnisSinclair
from mdzoo.potentials.parameters import Bounds, Choices, Ties, Trainable
from mdzoo.potentials.tables import symmetric_index

Rows = Sequence[Sequence[float]] | None


class EAM(Potential):
    r"""`E_i = F(rho_i) + 1/2 sum_j phi(r_ij)`, `rho_i = sum_j f(r_ij)` (Daw and Baskes, DOI 10.1103/PhysRevB.29.6443).

    F, f and r phi are cubic splines through equidistant values, with the slopes that LAMMPS takes from differences of
    four neighbours; beyond its last value F goes on as a straight line. f belongs to the element of j (alloy form), or
    to the elements of j and i (Finnis and Sinclair's form), as there are rows. The values are the parameters. How
    smoothly an atom leaves is up to the tables: one continuous derivative where they end in zeros, else none.

    Arguments:
        F: eV; a row for each species.
        f: a row for each species of j, or for each ordered pair (j, i), row by row.
        rphi: eV Angstrom; a row for each pair of species i <= j, row by row.
        d_rho: step of F, which begins at 0.
        d_r: step of f and rphi, Angstrom; both begin at 0.
        cutoff: Angstrom; nothing acts beyond.
        n_species: number of elements.
        trainable, bounds, ties: of F, f and rphi, see `mdzoo.potentials.parameters`; entries are called `0/17`, the row
            and the place in it.

    Defaults, without rows: a coarse start for a fit, Finnis and Sinclair's molybdenum for all species.

    Example:
        >>> EAM(d_r=0.1).f().shape
        torch.Size([1, 44])
    """

    pairs: Tensor  # (n * n,) place of each pair of species among the pairs i <= j

    def __init__(
        self,
        F: Rows = None,
        f: Rows = None,
        rphi: Rows = None,
        d_rho: float = 0.5,
        d_r: float = 0.05,
        cutoff: float = 4.3,
        n_species: int = 1,
        trainable: Trainable = False,
        bounds: Bounds = None,
        ties: Ties = None,
    ) -> None:
        super().__init__(cutoff, 1, 0)
        n, choices = int(n_species), Choices(["F", "f", "rphi"], trainable, bounds, ties)
        self.n_species, self.d_rho, self.d_r = n, float(d_rho), float(d_r)
        if F is None and f is None and rphi is None:
            F, f, rphi = start(n, self.d_rho, self.d_r, self.cutoff)
        embedding, density = checked("F", F, [n]), checked("f", f, [n, n * n])
        pair = checked("rphi", rphi, [n * (n + 1) // 2])
        if density.shape[1] != pair.shape[1] or not 0.0 < self.cutoff <= self.d_r * density.shape[1]:
            raise ValueError(
                f"`f` and `rphi` must have rows of one length that reach the cutoff {self.cutoff}, got "
                f"{density.shape[1]} and {pair.shape[1]} values, {self.d_r} Angstrom apart; give as many as it takes"
            )
        self.by_pairs = density.shape[0] > n
        self.F = choices.values("F", embedding, "real", row_labels(embedding))
        self.f = choices.values("f", density, "real", row_labels(density))
        self.rphi = choices.values("rphi", pair, "real", row_labels(pair))
        self.register_buffer("pairs", symmetric_index(n, 2), persistent=False)
        self.smoothness = int(ends_flat(density, self.cutoff / self.d_r) and ends_flat(pair, self.cutoff / self.d_r))

    def forward(self, graph: Graph) -> Tensor:
        """Return the energy of each atom, (N,) in eV."""
        r = torch.linalg.vector_norm(graph.vectors, dim=-1)
        here, there = graph.species[graph.centers], graph.species[graph.neighbors]
        phi = spline(self.rphi(), self.pairs.index_select(0, here * self.n_species + there), r / self.d_r) / r
        phi = (0.5 * phi).masked_fill(r >= self.cutoff, 0.0)
        pairs = segment_sum(phi, graph.centers, graph.species.shape[0])
        return pairs + self.embedding(self.density(graph, r) / self.d_rho, graph.species)

    def density(self, graph: Graph, r: Tensor) -> Tensor:
        """Return rho of each atom, (N,), from the lengths of the edges (E,)."""
        row = graph.species[graph.neighbors]
        if self.by_pairs:
            row = row * self.n_species + graph.species[graph.centers]
        f = spline(self.f(), row, r / self.d_r).masked_fill(r >= self.cutoff, 0.0)
        return segment_sum(f, graph.centers, graph.species.shape[0])

    def embedding(self, x: Tensor, species: Tensor) -> Tensor:
        """Return F at `x = rho / d_rho`, (N,) in eV."""
        F = self.F()
        slope = (F[:, -1] - F[:, -2]).index_select(0, species)
        return spline(F, species, x) + slope * (x - (F.shape[1] - 1)).clamp(min=0.0)


def spline(values: Tensor, row: Tensor, x: Tensor) -> Tensor:
    """Return the splines `row` through values (rows, m) at x steps from their beginning; the last value beyond."""
    m = values.shape[1]
    place = x.detach().floor().clamp(0.0, m - 2.0)
    p = (x - place).clamp(max=1.0)
    cubic = coefficients(values).view(-1, 4).index_select(0, row * m + place.to(torch.int64))
    return cubic[:, 0] + p * (cubic[:, 1] + p * (cubic[:, 2] + p * cubic[:, 3]))


def coefficients(values: Tensor) -> Tensor:
    """Return the cubics between the values, (rows, m, 4), constant first, with LAMMPS's slopes at the values."""
    step = values[:, 1:] - values[:, :-1]
    wide = (values[:, :-4] - values[:, 4:] + 8.0 * (values[:, 3:-1] - values[:, 1:-3])) / 12.0
    first, last = 0.5 * (step[:, :1] + step[:, 1:2]), 0.5 * (step[:, -1:] + step[:, -2:-1])
    slope = torch.cat([step[:, :1], first, wide, last, step[:, -1:]], 1)
    second = 3.0 * step - 2.0 * slope[:, :-1] - slope[:, 1:]
    third = slope[:, :-1] + slope[:, 1:] - 2.0 * step
    ends = [torch.nn.functional.pad(part, [0, 1]) for part in (second, third)]
    return torch.stack([values, slope, ends[0], ends[1]], 2)


def start(n_species: int, d_rho: float, d_r: float, cutoff: float) -> tuple[Rows, Rows, Rows]:
    """Return tables of Finnis and Sinclair's molybdenum for all species."""
    metal, zero = FinnisSinclair(), torch.zeros(1, dtype=torch.int64)
    r = torch.arange(int(cutoff / d_r) + 2, dtype=torch.float64) * d_r
    rho = torch.arange(int(60.0 / d_rho) + 1, dtype=torch.float64) * d_rho
    with torch.no_grad():
        density, pair = metal.density(r, zero), r * metal.pair_energy(r, zero)
        embedding = -metal.A() * rho.sqrt()
    rows = [[table.tolist()] for table in (embedding, density, pair)]
    return rows[0] * n_species, rows[1] * n_species, rows[2] * (n_species * (n_species + 1) // 2)


def checked(name: str, rows: Rows, counts: Sequence[int]) -> Tensor:
    """Return the rows as a table.

    Raises:
        ValueError: they are not as many as there should be, or not of one length of at least 5.
    """
    try:
        table = torch.as_tensor(rows, dtype=torch.float64)
    except (RuntimeError, TypeError, ValueError):
        table = torch.zeros(0)
    if table.dim() != 2 or table.shape[0] not in counts or table.shape[1] < 5:
        wanted = " or ".join(map(str, dict.fromkeys(counts)))
        raise ValueError(
            f"`{name}` must be {wanted} rows of one length, at least 5, got shape "
            f"{list(table.shape)}; give one row for each species or pair"
        )
    return table


def row_labels(table: Tensor) -> list[str]:
    """Return `row/place` for each value of a table."""
    return [f"{row}/{place}" for row in range(table.shape[0]) for place in range(table.shape[1])]


def ends_flat(table: Tensor, x: float) -> bool:
    """Say whether all rows and their slopes are zero x steps from their beginning, and so beyond."""
    ends = table[:, max(0, int(x) - 2) :] if x < table.shape[1] else table[:, -1:]
    return not bool(ends.any())
