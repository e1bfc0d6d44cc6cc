"""Functions of one distance that are smooth but costly: one Chebyshev series for all of them."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.polynomial import chebyshev
from torch import Tensor, nn

from mdzoo.basis.chebyshev import chebyshev_rows
from mdzoo.ops import eager

PIECE = 2048
"""Edges whose products are formed at a time: they stay in the cache, and no page of memory is touched for them."""


class RadialTable(nn.Module):
    """Functions `g_lk(r)` on [0, cutoff], exact to about `tolerance` of their largest values, times a given weight.

    The series is evaluated in products `T_i(u) T_{s j}(u)`, i < s (5 to 9), which span the same polynomials as T_n(u)
    and take two short recursions and one outer product.

    Arguments:
        function: distances (m,) -> values (m, blocks, K); analytic, called at construction only.
        cutoff: Angstrom.
        tolerance: coefficients below this share of a function's largest value are dropped.

    Shapes: r (E,) and weight (E,) -> (blocks, K, E); the weight must vanish beyond the cutoff.
    """

    coefficients: Tensor
    slopes: Tensor

    def __init__(self, function: Callable[[np.ndarray], np.ndarray], cutoff: float, tolerance: float = 1e-11) -> None:
        super().__init__()
        self.cutoff = float(cutoff)
        table = coefficients(lambda x: function(self.cutoff * x), tolerance)
        self.blocks, self.k_max = table.shape[1], table.shape[2]
        self.stride = min(range(5, 10), key=lambda stride: -len(table) % stride)  # the one with least to spare
        self.coarse, self.piece = -(-len(table) // self.stride), PIECE
        matrix = as_products(table.reshape(len(table), -1), self.coarse, self.stride)
        self.register_buffer("coefficients", torch.as_tensor(matrix.T.copy()), persistent=False)
        derived = 2.0 / self.cutoff * chebyshev.chebder(table.reshape(len(table), -1))
        steps = as_products(derived, self.coarse, self.stride)
        self.register_buffer("slopes", torch.as_tensor(steps.T.copy()), persistent=False)

    def forward(self, r: Tensor, weight: Tensor) -> Tensor:
        """Return the functions at the distances r times `weight`, (blocks, K, E)."""
        return self.sums(r, weight, self.coefficients).view(self.blocks, self.k_max, -1)

    def sums(self, r: Tensor, weight: Tensor, matrix: Tensor) -> Tensor:
        """Return the coefficients in `matrix` times the products, (rows, E)."""
        fine, coarse = self.factors(r, weight)
        if torch.compiler.is_compiling():  # a number of pieces that depends on the data would break its graph
            return matrix @ outer(coarse, fine)
        if writes(fine):
            return self.written(fine, coarse, matrix)
        parts: list[Tensor] = []
        for left, right in zip(coarse.split(self.piece, 1), fine.split(self.piece, 1)):  # noqa: B905 - TorchScript
            parts.append(matrix @ outer(left, right))
        return torch.cat(parts, 1)

    def written(self, fine: Tensor, coarse: Tensor, matrix: Tensor) -> Tensor:
        """Return the same without history, each piece written where it stands."""
        out = fine.new_empty([matrix.shape[0], fine.shape[1]])
        for first in range(0, fine.shape[1], self.piece):
            last = first + self.piece
            torch.mm(matrix, outer(coarse[:, first:last], fine[:, first:last]), out=out[:, first:last])
        return out

    def with_slopes(self, r: Tensor, weight: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Return the functions times `weight` and their derivatives by r, for the derivative `slope` of the weight.

        There is no history behind either.
        """
        fine, coarse = self.factors(r, weight)
        matrix, share = torch.cat([self.coefficients, self.slopes]), torch.where(weight > 0.0, slope / weight, weight)
        if torch.compiler.is_compiling():
            values, steps = (matrix @ outer(coarse, fine)).chunk(2)
            steps = torch.addcmul(steps, values, share)
        else:
            rows = r.new_empty([matrix.shape[0], r.shape[0]])
            values, steps = rows.chunk(2)
            for first in range(0, r.shape[0], self.piece):
                last = first + self.piece
                torch.mm(matrix, outer(coarse[:, first:last], fine[:, first:last]), out=rows[:, first:last])
                steps[:, first:last].addcmul_(values[:, first:last], share[first:last])  # while it is in the cache
        shape = [self.blocks, self.k_max, r.shape[0]]
        return values.view(shape), steps.view(shape)

    def factors(self, r: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return `T_i(u)` and `weight T_{s j}(u)` in rows."""
        u = 2.0 / self.cutoff * torch.clamp(r, max=self.cutoff) - 1.0
        fine = chebyshev_rows(u, torch.ones_like(u), self.stride)
        return fine[: self.stride], chebyshev_rows(fine[self.stride], weight, self.coarse - 1)


def writes(rows: Tensor) -> bool:
    """Tell whether results may be written where they stand: no history is kept and nothing transforms the rows."""
    if not torch.jit.is_scripting():  # noqa: SIM102 - TorchScript drops what stands inside
        if not eager(rows):
            return False
    return not torch.is_grad_enabled()


def outer(left: Tensor, right: Tensor) -> Tensor:
    """Return the products of all rows, (a, E) and (b, E) -> (a * b, E)."""
    return (left.unsqueeze(1) * right.unsqueeze(0)).flatten(0, 1)


def as_products(series: np.ndarray, n_coarse: int, stride: int) -> np.ndarray:
    """Return the coefficients over `T_i T_{s j}`, j < n_coarse (outer), i < s, of a series in T_n; s is the stride."""
    rest = np.zeros((n_coarse * stride, series.shape[1]))
    rest[: len(series)] = series
    out = np.zeros_like(rest)
    for n in reversed(range(len(rest))):  # T_{sj+i} = 2 T_i T_{sj} - T_{sj-i}
        j, i = divmod(n, stride)
        out[n] += rest[n] * (2.0 if i and j else 1.0)
        if i and j:
            rest[n - 2 * i] -= rest[n]
    return out


def coefficients(function: Callable[[np.ndarray], np.ndarray], tolerance: float) -> np.ndarray:
    """Return the Chebyshev coefficients in u = 2 x - 1 of functions of x in [0, 1], (degree + 1, ...)."""
    for size in (64, 128, 256, 512):
        nodes = np.cos(np.pi * (np.arange(size) + 0.5) / size)
        values = function(0.5 * (nodes + 1.0))
        out = np.tensordot(2.0 / size * chebyshev.chebvander(nodes, size - 1), values, (0, 0))
        out[0] *= 0.5
        sizes = np.abs(out / np.maximum(np.abs(values).max(0), 1e-300)).reshape(size, -1).max(1)
        noise = sizes[3 * size // 4 :].max()  # what cancels in nearly dependent functions never falls below rounding
        if noise < 1e-9:
            return out[: max(2, 1 + int(np.flatnonzero(sizes > max(tolerance, 4.0 * noise))[-1]))]
    raise ValueError(f"`function` must be smooth, got no end of its series at degree {size}; take a broader one")
