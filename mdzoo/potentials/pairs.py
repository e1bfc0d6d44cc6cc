"""How tables over pairs of species are given, and in which order they are kept."""

import torch
from torch import Tensor

from mdzoo.potentials.parameters import Numbers


def check_positive(name: str, values: Tensor) -> None:
    """Raise a ValueError unless every value is positive and finite."""
    if not (torch.isfinite(values) & (values > 0.0)).all():
        raise ValueError(f"`{name}` must be positive and finite, got {values.tolist()}; leave out what does not act")


def pair_values(name: str, values: Numbers, n_species: int, geometric: bool) -> Tensor:
    """Return one value for each pair of species i <= j, row by row, `(n (n + 1) / 2,)`.

    Arguments:
        name: the argument, for the error.
        values: one number for all pairs, one for each species (mixed), or a symmetric table; positive.
        n_species: n.
        geometric: mix by `sqrt(a_i a_j)`, else by `(a_i + a_j) / 2`.

    Raises:
        ValueError: the shape is none of these, the table is not symmetric, or a value is not positive.
    """
    given = torch.as_tensor(values, dtype=torch.float64)
    check_positive(name, given)
    table = given.expand(n_species, n_species) if given.dim() == 0 else given
    if given.dim() == 1:
        column = given.unsqueeze(1)
        table = (column * given).sqrt() if geometric else 0.5 * (column + given)
    if list(table.shape) != [n_species, n_species] or not torch.equal(table, table.mT):
        raise ValueError(
            f"`{name}` must be one number, {n_species} numbers to mix or a symmetric {n_species} x {n_species} table, "
            f"got {given.tolist()}; give them in the order of the species"
        )
    rows, columns = torch.triu_indices(n_species, n_species)
    return table[rows, columns]


def pair_index(n_species: int) -> Tensor:
    """Return where the pair of species (i, j), at i n + j, stands among the pairs i <= j, `(n * n,)` int64."""
    index = torch.zeros(n_species, n_species, dtype=torch.int64)
    rows, columns = torch.triu_indices(n_species, n_species)
    index[rows, columns] = torch.arange(rows.numel())
    return torch.maximum(index, index.T).flatten()


def pair_labels(n_species: int) -> list[str]:
    """Return the names of the pairs of species, `0-0`, `0-1`, ..., row by row."""
    return [f"{i}-{j}" for i in range(n_species) for j in range(i, n_species)]
