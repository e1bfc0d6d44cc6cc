"""All pairs of the neighbours of an atom, each once, without an index: those up to half a ring apart.

An odd number J of neighbours stands in a ring, and each meets the J // 2 that follow it, which are views of its rows
written twice. Atoms stand last, (J, n), so that what is done for all pairs runs over long rows.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Pairs(NamedTuple):
    """What pairs of neighbours j and k have in common, each (J // 2, J, n)."""

    cosine: Tensor  # of the angle j-i-k
    square: Tensor  # r_jk^2
    distance: Tensor  # r_jk
    envelope: Tensor  # f(r_jk)


class Room(NamedTuple):
    """Where numbers of pairs are laid so that those of one second neighbour stand in one column, and are summed."""

    rows: Tensor  # (J // 2, J + J // 2 + 1, n), zero where there is no pair
    place: Tensor  # (J // 2, J, n), the view of it that pairs fill


def partners(rows: Tensor) -> Tensor:
    """Return the rows (R, J, n) of the neighbours that follow each of J, an odd number, (R, J // 2, J, n): a view."""
    width = rows.shape[1]
    if torch.compiler.is_compiling():  # the number of windows would ask the data
        steps = torch.arange(1, width // 2 + 1, device=rows.device).unsqueeze(1)
        return rows[:, (torch.arange(width, device=rows.device) + steps) % width]
    windows = torch.cat([rows, rows], 1).unfold(1, width, 1)
    return windows[:, 1 : width // 2 + 1].transpose(2, 3)


def room(rows: Tensor) -> Room:
    """Return room for numbers of the pairs of rows (R, J, n)."""
    width, n = rows.shape[1], rows.shape[2]
    count = width // 2
    free = torch.zeros([count, width + count + 1, n], dtype=rows.dtype, device=rows.device)
    return Room(free, free.as_strided([count, width, n], [(width + count + 2) * n, n, 1], n))


def at_partners(space: Room) -> Tensor:
    """Return what lies in the room, summed at the second neighbour of each pair, (J, n)."""
    width = space.place.shape[1]
    found = space.rows.sum(0)
    out = found[:width]
    out[: found.shape[0] - width] += found[width:]
    return out


def sums(numbers: Tensor, space: Room) -> Tensor:
    """Return the sums of the numbers (J // 2, J, n) of the pairs of each neighbour, (J, n)."""
    space.place.copy_(numbers)
    return at_partners(space).add_(numbers.sum(0))


def sums_with(numbers: Tensor, here: Tensor, there: Tensor, space: Room) -> Tensor:
    """Return the same, each number times the row of the other neighbour: (J, n) of the first, (J // 2, J, n)."""
    torch.mul(numbers, here, out=space.place)
    return at_partners(space).add_((numbers * there).sum(0))
