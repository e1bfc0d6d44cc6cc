"""How tables over pairs and triples of species are given where their order may matter, and how they are read out."""

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

from mdzoo.potentials.parameters import Choices, Numbers, Values

Table = Numbers | Sequence[Sequence[Sequence[float]]]


def pick(table: Tensor, index: Tensor) -> Tensor:
    """Return the entries `table[index]`; a table of one entry as it is, to be broadcast."""
    return table if table.shape[0] == 1 else table.index_select(0, index.flatten()).view(index.shape)


def ordered_values(name: str, values: Table, n_species: int, order: int) -> Tensor:
    """Return one value for each pair (order 2) or triple (order 3) of species, `(n^order,)`, row by row.

    Raises:
        ValueError: `values` is neither one number nor a table of this shape.
    """
    given, shape = torch.as_tensor(values, dtype=torch.float64), [n_species] * order
    if given.dim() > 0 and list(given.shape) != shape:
        raise ValueError(
            f"`{name}` must be one number or a table {' x '.join(map(str, shape))}, got shape {list(given.shape)}; "
            "give one value for each, in the order of the species"
        )
    return given.expand(shape).flatten()


def ordered_labels(n_species: int, order: int) -> list[str]:
    """Return the names of their entries, `0-0`, `0-1`, ... or `0-0-0`, ..."""
    return ["-".join(map(str, kinds)) for kinds in product(range(n_species), repeat=order)]


def symmetric_values(name: str, values: Table, n_species: int, order: int) -> Tensor:
    """Return those values with the last two species in ascending order, `(n^(order - 2) n (n + 1) / 2,)`.

    Raises:
        ValueError: the table changes where the last two species change places.
    """
    table = ordered_values(name, values, n_species, order).view(-1, n_species, n_species)
    if not torch.equal(table, table.mT):
        raise ValueError(
            f"`{name}` must not change where the last two species change places, got {table.tolist()}; "
            "give one value for both"
        )
    rows, columns = torch.triu_indices(n_species, n_species)
    return table[:, rows, columns].flatten()


def symmetric_labels(n_species: int, order: int) -> list[str]:
    """Return the names of their entries."""
    labels = [label.split("-") for label in ordered_labels(n_species, order)]
    return ["-".join(kinds) for kinds in labels if int(kinds[-2]) <= int(kinds[-1])]


def symmetric_index(n_species: int, order: int) -> Tensor:
    """Return where each pair or triple in any order stands among those, `(n^order,)` int64."""
    pairs = torch.zeros(n_species, n_species, dtype=torch.int64)
    rows, columns = torch.triu_indices(n_species, n_species)
    pairs[rows, columns] = pairs[columns, rows] = torch.arange(len(rows))
    blocks = torch.arange(n_species ** (order - 2))
    return (blocks.unsqueeze(1) * len(rows) + pairs.flatten()).flatten()


def held(
    choices: Choices,
    name: str,
    values: Table,
    n_species: int,
    order: int,
    symmetric: bool = False,
    domain: str = "positive",
) -> Values:
    """Return a parameter over pairs or triples of species, one entry for each, or for those in ascending order."""
    start = (symmetric_values if symmetric else ordered_values)(name, values, n_species, order)
    labels = (symmetric_labels if symmetric else ordered_labels)(n_species, order)
    return choices.values(name, start, domain, labels)
