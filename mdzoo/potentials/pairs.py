"""Parameters that each pair of species has: how config gives them, and what is mixed of those of single species."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mdzoo.potentials.parameters import Bounds, Choices, Numbers, Ties, Trainable, Values, check_positive

PairNumbers = Numbers | Sequence[Sequence[float | None]]
MIXINGS = ("arithmetic", "geometric", "sixthpower", "none")


class PairChoices(Choices):
    """What the config says of parameters with an entry for each pair of species, called `i-j` with i <= j.

    Arguments:
        names: of the parameters.
        n_species: n.
        trainable, bounds, ties: see `mdzoo.potentials.parameters`.
    """

    def __init__(self, names: Sequence[str], n_species: int, trainable: Trainable, bounds: Bounds, ties: Ties) -> None:
        super().__init__(names, trainable, bounds, ties)
        self.n = int(n_species)

    def pairs(
        self, name: str, given: PairNumbers, domain: str = "positive", mixture: Tensor | None = None, zero: bool = False
    ) -> Any:
        """Return `Values` that give a flat n x n table, at i n + j the entry of the pair i, j.

        Arguments:
            name: of the parameter.
            given: one number for all pairs, one for each species, or a symmetric table, null where it is to be mixed.
            domain: of its class.
            mixture: the table to take what is not given from; none for a form without a mixing rule.
            zero: whether a positive parameter may be zero, so that its term does not act.
        """
        table = full_table(name, given, self.n, mixture)
        if domain == "positive" and not zero:
            check_positive(name, table)
        rows, columns = torch.triu_indices(self.n, self.n)
        labels = [f"{i}-{j}" for i, j in zip(rows.tolist(), columns.tolist(), strict=True)]
        values: Values = self.values(name, table[rows, columns], domain, labels)
        values.place = values.place[self.index()]
        return values

    def index(self) -> Tensor:
        """Return where the pair of species (i, j), at i n + j, stands among the pairs i <= j, (n * n,) int64."""
        index = torch.zeros(self.n, self.n, dtype=torch.int64)
        rows, columns = torch.triu_indices(self.n, self.n)
        index[rows, columns] = torch.arange(rows.numel())
        return torch.maximum(index, index.T).flatten()


def full_table(name: str, given: PairNumbers, n: int, mixture: Tensor | None) -> Tensor:
    """Return the symmetric table (n, n) of a parameter; what is not given comes from `mixture`.

    Raises:
        ValueError: the shape is none of those allowed, the table is not symmetric, or a pair is missing without a rule.
    """
    table = as_tensor(name, given, n)
    table = table.expand(n, n) if table.dim() == 0 else torch.diag_embed(table) if table.dim() == 1 else table
    if as_tensor(name, given, n).dim() == 1:
        table = torch.where(torch.eye(n, dtype=torch.bool), table, torch.nan)
    missing = table.isnan()
    if missing.any() and mixture is None:
        i, j = missing.nonzero()[0].tolist()
        raise ValueError(
            f"`{name}` must be given for the pair of species {i}-{j}, got {given}; give every pair, for there is no "
            "rule to mix it"
        )
    return table if mixture is None else torch.where(missing, mixture, table)


def as_tensor(name: str, given: PairNumbers, n: int) -> Tensor:
    """Return what was given, (), (n,) or (n, n), NaN for null."""

    def number(x: Any) -> Any:
        return torch.nan if x is None else [number(y) for y in x] if isinstance(x, list | tuple) else x

    table = torch.as_tensor(number(given), dtype=torch.float64)
    right = list(table.shape) == [n] * table.dim() and table.dim() <= 2
    if not right or (table.dim() == 2 and not torch.allclose(table, table.mT, 0.0, 0.0, equal_nan=True)):
        raise ValueError(
            f"`{name}` must be one number, {n} numbers to mix or a symmetric {n} x {n} table, got {given}; give them "
            "in the order of the species"
        )
    return table


def own(name: str, given: PairNumbers, n: int) -> Tensor:
    """Return the values of the pairs of like species, (n,)."""
    table = as_tensor(name, given, n)
    return table.expand(n) if table.dim() < 2 else table.diagonal()


def mix(rule: str, epsilon: Tensor, sigma: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """Return the tables of energies and lengths (n, n) mixed of those of the species, by one of LAMMPS's rules.

    - `arithmetic` (Lorentz, Berthelot): `sqrt(e_i e_j)`, `(s_i + s_j) / 2`;
    - `geometric`: `sqrt(e_i e_j)`, `sqrt(s_i s_j)`;
    - `sixthpower` (Waldman, Hagler, DOI 10.1002/jcc.540140909): `2 sqrt(e_i e_j) s_i^3 s_j^3 / (s_i^6 + s_j^6)`,
      `((s_i^6 + s_j^6) / 2)^(1/6)`;
    - `none`: nothing is mixed.
    """
    if rule not in MIXINGS:
        raise ValueError(f"`mixing` must be one of {list(MIXINGS)}, got {rule!r}; choose one")
    if rule == "none":
        return None, None
    energies, product = torch.outer(epsilon, epsilon).sqrt(), torch.outer(sigma, sigma)
    if rule == "arithmetic":
        return energies, 0.5 * (sigma.unsqueeze(1) + sigma)
    if rule == "geometric":
        return energies, product.sqrt()
    sixth = 0.5 * (sigma.pow(6).unsqueeze(1) + sigma.pow(6))
    return energies * product.pow(3) / sixth, sixth.pow(1.0 / 6.0)
