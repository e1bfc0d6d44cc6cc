"""How rows are summed: the one segmented sum, and the padded layout that turns it into a batched matrix product."""

import functools
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

Kernel = Callable[[Tensor, Tensor, int], Tensor]


def segment_sum(rows: Tensor, index: Tensor, n_segments: int, ascending: bool = False) -> Tensor:
    """Return `out[s] = sum of rows[e] over all e with index[e] == s`, (n_segments, ...); segments may be empty.

    Each kernel adds the rows of a segment in their order, so which one runs changes no digit on a CPU. In eager mode
    they are measured once for each size class (`fastest`), torch_scatter's among them where that is installed and the
    caller knows that the index is `ascending`, as centres are. Where torch scripts or compiles, rows of up to 15
    numbers are summed number by number, and wider ones as they lie.
    """
    if not torch.jit.is_scripting():  # noqa: SIM102 - TorchScript drops what stands inside
        if eager(rows):
            return fastest(rows, index, n_segments, ascending)(rows, index, n_segments)
    return by_number(rows, index, n_segments) if narrow(rows) else by_row(rows, index, n_segments)


def by_row(rows: Tensor, index: Tensor, n_segments: int) -> Tensor:
    """Sum rows as they lie: up to four times faster for wide ones."""
    shape: list[int] = list(rows.shape[1:])
    return torch.zeros([n_segments] + shape, dtype=rows.dtype, device=rows.device).index_add(0, index, rows)


def by_number(rows: Tensor, index: Tensor, n_segments: int) -> Tensor:
    """Sum rows number by number: half the time for many narrow ones, and a third where they lie so in memory."""
    shape: list[int] = list(rows.shape[1:])
    columns = rows.flatten(1).t() if len(shape) > 0 else rows.unsqueeze(0)
    table = torch.zeros([columns.shape[0], n_segments], dtype=rows.dtype, device=rows.device)
    return table.index_add(1, index, columns).t().reshape([n_segments] + shape)


def narrow(rows: Tensor) -> bool:
    """Tell whether rows have 1 to 15 numbers each; no where torch compiles, which must not ask the data."""
    if torch.compiler.is_compiling():
        return False
    width = 1
    for size in rows.shape[1:]:
        width *= size
    return 0 < width < 16


class AscendingSum(torch.autograd.Function):
    """The sum by torch_scatter for an ascending index, any number of times differentiable: its slope is a gather."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, index: Tensor, n_segments: int) -> Tensor:
        """Return the sums."""
        ctx.save_for_backward(index)
        return scatter_library().segment_coo(rows, index, dim_size=n_segments)  # type: ignore[union-attr]

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None, None]:
        """Return the slope by each row, that by its segment."""
        return slopes[0].index_select(0, ctx.saved_tensors[0]), None, None


def by_scatter(rows: Tensor, index: Tensor, n_segments: int) -> Tensor:
    """Sum rows by torch_scatter (the extra `scatter`), for an ascending index: narrow ones two to four times faster."""
    return AscendingSum.apply(rows, index, n_segments)


@functools.cache
def scatter_library() -> ModuleType | None:
    """Return torch_scatter if it is installed and was built for this torch."""
    try:
        import torch_scatter
    except (ImportError, OSError):
        return None
    return torch_scatter


def eager(rows: Tensor) -> bool:
    """Tell whether nothing traces, transforms or batches the rows, and there are some."""
    watched = torch.compiler.is_compiling() or torch.jit.is_tracing() or torch._C._are_functorch_transforms_active()
    return not watched and torch._C._len_torch_dispatch_stack() == 0 and rows.numel() > 0


chosen: dict[tuple[Any, ...], Kernel] = {}
"""The fastest kernel of each size class that has been met; lasts as long as the process."""


def fastest(rows: Tensor, index: Tensor, n_segments: int, ascending: bool) -> Kernel:
    """Return the kernel that was fastest for the first rows of this kind, and of this size within a factor of two."""
    count, width = rows.shape[0], rows.numel() // rows.shape[0]
    layout = rows.device.type, rows.dtype, rows.is_contiguous(), ascending
    key = (*layout, count.bit_length(), width.bit_length())
    if key not in chosen:
        kernels: list[Kernel] = [by_row, by_number]
        if ascending and scatter_library() is not None:
            kernels.append(by_scatter)
        with torch.no_grad():
            chosen[key] = min(kernels, key=lambda kernel: seconds(kernel, rows, index, n_segments))
    return chosen[key]


def seconds(kernel: Kernel, rows: Tensor, index: Tensor, n_segments: int) -> float:
    """Return the shortest of three times of a kernel, after one call that is not counted."""
    found: list[float] = []
    for _ in range(4):
        start = time.perf_counter()
        kernel(rows, index, n_segments)
        if rows.is_cuda:
            torch.cuda.synchronize()
        found.append(time.perf_counter() - start)
    return min(found[1:])


class Padding(NamedTuple):
    """Where each edge stands in a (n, J) table of the n atoms that have edges and their up to J neighbours."""

    n: int  # atoms up to the last centre; those behind it have no edges
    width: int  # J, the largest number of neighbours
    slots: Tensor  # (E,) position of each edge in the flattened table


def padding(centers: Tensor) -> Padding:
    """Lay edges, sorted by centre, into a (n, J) table; n and J are 0 where there is none."""
    if not torch.jit.is_scripting():  # noqa: SIM102 - TorchScript drops what stands inside
        if hasattr(centers, "table"):  # see mdzoo.graph.table_centers
            n, width = centers.table
            return Padding(n, width, torch.arange(n * width))
    n = int(torch.nn.functional.pad(centers[-1:] + 1, [0, 1])[0])
    starts = torch.searchsorted(centers.contiguous(), torch.arange(n + 1, device=centers.device))
    width = int(torch.nn.functional.pad(starts[1:] - starts[:-1], [0, 1]).max())
    slots = torch.arange(centers.numel(), device=centers.device) + (centers * width - starts[centers])
    return Padding(n, width, slots)


def odd(layout: Padding) -> Padding:
    """Return a table of an odd number of places for each atom: one more where it is even."""
    more = 1 - layout.width % 2
    return Padding(layout.n, layout.width + more, layout.slots + more * (layout.slots // max(1, layout.width)))


def blocks(rows: Tensor, size: int, dim: int = 0) -> list[Tensor]:
    """Split rows along `dim` into blocks for the cache; one where torch compiles, as their number asks the data."""
    if torch.compiler.is_compiling():
        return [rows]
    return list(rows.split(size, dim))


def full(rows: Tensor, layout: Padding) -> bool:
    """Tell whether `rows` leave no place of the table empty; no where torch compiles and would have to ask the data."""
    if not torch.jit.is_scripting():  # noqa: SIM102 - TorchScript drops what stands inside
        if torch.compiler.is_compiling():
            return known(rows.shape[0] == layout.n * layout.width)
    return rows.shape[0] == layout.n * layout.width


def known(condition: bool) -> bool:
    """Tell whether torch knows that a condition on sizes holds, without asking the data, while it compiles."""
    from torch.fx.experimental.symbolic_shapes import guard_or_false  # half a second, which only compiling needs

    return guard_or_false(condition)


def pad(rows: Tensor, layout: Padding, fill: Tensor) -> Tensor:
    """Put `rows` (E, ...) into the table, (n * J, ...), with `fill` in the empty places."""
    if full(rows, layout):
        return rows
    table = fill.expand([layout.n * layout.width] + list(rows.shape[1:])).clone()
    return table.index_copy(0, layout.slots, rows)
