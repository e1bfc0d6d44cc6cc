"""Cubic splines on even knots, as sums of cubic B-splines: two continuous derivatives, four coefficients a value."""

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline
from scipy.linalg import solve_banded
from torch import Tensor


def cardinal_coefficients(values: ArrayLike, slopes: tuple[float, float] | None = None) -> np.ndarray:
    """Return the coefficients c, (K + 2,), of the cubic spline through `values` at t = 0, 1, ..., K - 1.

    The value at knot k is `(c_k + 4 c_k+1 + c_k+2) / 6` (Schoenberg, Cardinal Spline Interpolation, 1973).

    Arguments:
        values: (K,), K >= 4.
        slopes: derivatives by t at the first and last knot; not-a-knot ends without them.
    """
    y = np.asarray(values, float)
    first, last = CubicSpline(np.arange(len(y)), y)([0, len(y) - 1], 1) if slopes is None else slopes
    bands = np.array([[1.0], [4.0], [1.0]]) * np.ones(len(y))
    bands[0, 1] = bands[2, -2] = 2.0
    right = 6.0 * y
    right[0] += 2.0 * first
    right[-1] -= 2.0 * last
    c = solve_banded((1, 1), bands, right)
    return np.concatenate([[c[1] - 2.0 * first], c, [c[-2] + 2.0 * last]])


def cardinal_weights(x: Tensor, dim: int = -1) -> Tensor:
    """Return the weights of the four coefficients from knot k on at t = k + x, x in [0, 1]: (...) -> (..., 4).

    The four stand at `dim`.
    """
    y = 1.0 - x
    x2, y2 = x * x, y * y
    return torch.stack([y2 * y, 4.0 - 3.0 * x2 * (1.0 + y), 4.0 - 3.0 * y2 * (1.0 + x), x2 * x], dim) / 6.0


def cardinal_slopes(x: Tensor, dim: int = -1) -> Tensor:
    """Return the derivatives of the weights by x, (...) -> (..., 4)."""
    y = 1.0 - x
    return torch.stack([-0.5 * y * y, x * (1.5 * x - 2.0), y * (2.0 - 1.5 * y), 0.5 * x * x], dim)
