"""A pair potential of any shape: numbers at knots, and a cubic spline or straight lines between them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mdzoo.basis.cardinal_spline import cardinal_coefficients, cardinal_weights
from mdzoo.potentials.base import PairPotential
from mdzoo.potentials.pairs import PairChoices
from mdzoo.potentials.parameters import Bounds, Ties, Trainable

Table = float | Sequence[float] | Sequence[Sequence[float]]


class PairTable(PairPotential):
    """`phi(r) = sum_k c_k B(t - k)`, `t = (K - 1) (u - u_first) / (u_last - u_first)`, u = r or r^2.

    B are cubic B-splines: phi is the cubic spline through the given values. With `linear` they are tents: phi runs
    straight between the values. Below the first knot phi goes on along its slope in u.

    LAMMPS's `pair_style table spline K` and `linear K` have the same energies for a file of K lines that are even in
    r^2 (`RSQ`). Their forces come from a table of their own; those here are the derivative of the energy, which is
    therefore conserved.

    Arguments:
        values: phi at the knots, eV: K numbers for all pairs, K for each pair of species i <= j, row by row, or one
            number for all, to be trained from there.
        inner: the first knot, Angstrom; the last stands at the cutoff.
        cutoff, truncation, onset, n_species: see `PairPotential`.
        n_knots: K, if `values` is one number.
        spacing: the knots are even in `r` or in `r2`.
        interpolation: `spline` or `linear`.
        slopes: phi' at the first and the last knot of each pair, eV/Angstrom; of a spline without kinks at the second
            and last but one (not-a-knot) if not given.
        trainable, bounds, ties: of `c`, whose entries are numbered; see `mdzoo.potentials.parameters`.

    Example:
        >>> table, zero = PairTable([1.0, 0.2, -0.3, -0.2, 0.0], 2.0, 6.0), torch.zeros(1, dtype=torch.int64)
        >>> round(float(table.pair_energy(torch.tensor([4.0]), zero, zero)), 6)
        -0.3
    """

    def __init__(
        self,
        values: Table,
        inner: float,
        cutoff: float,
        n_knots: int | None = None,
        spacing: str = "r",
        interpolation: str = "spline",
        slopes: Sequence[Sequence[float]] | None = None,
        truncation: str = "switched",
        onset: float | None = None,
        n_species: int = 1,
        trainable: Trainable = False,
        bounds: Bounds = None,
        ties: Ties = None,
    ) -> None:
        super().__init__(cutoff, truncation, onset, n_species)
        check_choice("spacing", spacing, ["r", "r2"])
        check_choice("interpolation", interpolation, ["spline", "linear"])
        self.inner, self.squared, self.linear = float(inner), spacing == "r2", interpolation == "linear"
        if not 0.0 <= self.inner < self.cutoff:
            raise ValueError(
                f"`inner` must be within [0, cutoff={self.cutoff}), got {self.inner}; begin below the cutoff"
            )
        choices = PairChoices(["c"], n_species, trainable, bounds, ties)
        table = rows(values, choices.n * (choices.n + 1) // 2, n_knots)
        self.last = table.shape[1] - 1
        coefficients = table if self.linear else self.spline(table, slopes)
        self.c = choices.values("c", torch.as_tensor(coefficients), "real")
        self.c.place = self.c.place[choices.index()]

    def spline(self, table: np.ndarray, slopes: Sequence[Sequence[float]] | None) -> np.ndarray:
        """Return the coefficients of the splines through the rows of a table."""
        if slopes is None:
            return np.stack([cardinal_coefficients(row) for row in table])
        given = np.asarray(slopes, float)
        if given.shape != (len(table), 2):
            raise ValueError(
                f"`slopes` must be two numbers for each of {len(table)} pairs of species, got {slopes}; give phi' at "
                "the first and last knot"
            )
        ends = np.array([self.inner, self.cutoff])
        step = (ends[1] ** 2 - ends[0] ** 2) / (2.0 * ends) if self.squared else ends[1] - ends[0]
        return np.stack([cardinal_coefficients(*pair) for pair in zip(table, given * step / self.last, strict=True)])

    def pair_energy(self, r: Tensor, species_i: Tensor, species_j: Tensor) -> Tensor:
        """Return phi of each edge, (E,) in eV."""
        u, first, end = (r * r, self.inner**2, self.cutoff**2) if self.squared else (r, self.inner, self.cutoff)
        t = (u - first) * (self.last / (end - first))
        within = t.clamp(min=0.0)
        k = within.detach().floor().clamp(max=self.last - 1.0)
        x, c = within - k, self.c()
        weights = torch.stack([1.0 - x, x], 1) if self.linear else cardinal_weights(x)
        start = self.pair(species_i, species_j) * c.shape[1]
        places = (start + k.to(torch.int64)).unsqueeze(1) + torch.arange(weights.shape[1], device=r.device)
        phi = (weights * c.flatten()[places]).sum(1)
        slope = c[:, 1] - c[:, 0] if self.linear else 0.5 * (c[:, 2] - c[:, 0])
        return phi + (t - within) * slope.index_select(0, self.pair(species_i, species_j))


def rows(values: Table, n_pairs: int, n_knots: int | None) -> np.ndarray:
    """Return the values of each pair, (pairs, K)."""
    table = np.asarray(values, float)
    if table.ndim == 0 and n_knots is not None:
        table = np.full(int(n_knots), table)
    if table.ndim == 1:
        table = np.tile(table, (n_pairs, 1))
    if table.ndim != 2 or len(table) != n_pairs or table.shape[1] < 4 or not np.isfinite(table).all():
        raise ValueError(
            f"`values` must be four or more finite numbers for each of {n_pairs} pairs of species, or one number "
            f"beside `n_knots`, got an array of shape {list(np.shape(values))} and n_knots={n_knots}; give one row for "
            "each pair"
        )
    return table


def check_choice(name: str, value: str, choices: list[str]) -> None:
    """Raise a ValueError unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {choices}, got {value!r}; choose one")
