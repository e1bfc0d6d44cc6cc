"""How rows are summed: the one segmented sum, and the padded layout that turns it into a batched matrix product."""

from typing import NamedTuple

import torch
from torch import Tensor


def segment_sum(rows: Tensor, index: Tensor, n_segments: int) -> Tensor:
    """Return `out[s] = sum of rows[e] over all e with index[e] == s`, (n_segments, ...); segments may be empty.

    Rows of up to 15 numbers are summed number by number: half the time, and a third where they lie so in memory. Wider
    ones are summed as they lie, up to four times faster than that.
    """
    shape: list[int] = list(rows.shape[1:])
    if narrow(shape):
        columns = rows.flatten(1).t() if len(shape) > 0 else rows.unsqueeze(0)
        table = torch.zeros([columns.shape[0], n_segments], dtype=rows.dtype, device=rows.device)
        return table.index_add(1, index, columns).t().reshape([n_segments] + shape)
    return torch.zeros([n_segments] + shape, dtype=rows.dtype, device=rows.device).index_add(0, index, rows)


def narrow(shape: list[int]) -> bool:
    """Tell whether a row of this shape has 1 to 15 numbers; no where torch compiles, which must not ask the data."""
    if not torch.jit.is_scripting():  # noqa: SIM102 - TorchScript drops what stands inside
        if torch.compiler.is_compiling():
            return False
    width = 1
    for size in shape:
        width *= size
    return 0 < width < 16


class Padding(NamedTuple):
    """Where each edge stands in a (n, J) table of the n atoms that have edges and their up to J neighbours."""

    n: int  # atoms up to the last centre; those behind it have no edges
    width: int  # J, the largest number of neighbours
    slots: Tensor  # (E,) position of each edge in the flattened table


def padding(centers: Tensor) -> Padding:
    """Lay edges, sorted by centre, into a (n, J) table; n and J are 0 where there is none."""
    n = int(torch.nn.functional.pad(centers[-1:] + 1, [0, 1])[0])
    starts = torch.searchsorted(centers.contiguous(), torch.arange(n + 1, device=centers.device))
    width = int(torch.nn.functional.pad(starts[1:] - starts[:-1], [0, 1]).max())
    slots = torch.arange(centers.numel(), device=centers.device) + (centers * width - starts[centers])
    return Padding(n, width, slots)


def blocks(rows: Tensor, size: int, dim: int = 0) -> list[Tensor]:
    """Split rows along `dim` into blocks for the cache; one where torch compiles, as their number asks the data."""
    if torch.compiler.is_compiling():
        return [rows]
    return list(rows.split(size, dim))


def pad(rows: Tensor, layout: Padding, fill: Tensor) -> Tensor:
    """Put `rows` (E, ...) into the table, (n * J, ...), with `fill` in the empty places."""
    table = fill.expand([layout.n * layout.width] + list(rows.shape[1:])).clone()
    return table.index_copy(0, layout.slots, rows)
