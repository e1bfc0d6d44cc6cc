"""Cubic B-splines on even knots: each touches four stretches of the distance, and all end with two derivatives."""

import torch
from torch import Tensor, nn

from mdzoo.basis.cardinal_spline import cardinal_slopes, cardinal_weights


class EvenSplines(nn.Module):
    """Cubic B-splines `B(t - k)`, k = 0..N-1, `t = N (r - inner) / (outer - inner)`, B on the knots -3, -2, -1, 0, 1.

    Their sums are all cubic splines with N even stretches between `inner` and `outer` that vanish at the end with two
    derivatives. Below `inner` the cubics of the first stretch go on.

    Arguments:
        inner: first knot, Angstrom.
        outer: last knot, Angstrom.
        n: N.

    Shapes: r (...) -> (..., N).
    """

    near: Tensor

    def __init__(self, inner: float, outer: float, n: int) -> None:
        super().__init__()
        self.inner, self.outer, self.n = float(inner), float(outer), int(n)
        self.step = (self.outer - self.inner) / self.n
        self.register_buffer("near", torch.arange(4), persistent=False)

    def place(self, r: Tensor) -> tuple[Tensor, Tensor]:
        """Return the stretch of each distance and how far into it it lies, from 0 to 1; the end for all beyond."""
        t = torch.clamp((r - self.inner) / self.step, max=float(self.n))
        k = torch.clamp(t.detach().floor(), min=0.0, max=self.n - 1.0)
        return k.to(torch.int64), t - k

    def local(self, r: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the numbers of the four functions at each distance, N to N + 2 for none, and their x, (..., 4)."""
        k, x = self.place(r)
        return k.unsqueeze(-1) + self.near, cardinal_weights(x), x

    def four(self, r: Tensor) -> tuple[Tensor, Tensor]:
        """Return the four functions at each distance and their derivatives by r, (4, ...) each."""
        x = self.place(r)[1]
        return cardinal_weights(x, 0), cardinal_slopes(x, 0) / self.step

    def forward(self, r: Tensor) -> Tensor:
        """Return all functions, (..., N)."""
        numbers, values, _ = self.local(r)
        return self.spread(numbers, values)

    def with_slopes(self, r: Tensor) -> tuple[Tensor, Tensor]:
        """Return all functions and their derivatives by r, (..., N) each."""
        numbers, values, x = self.local(r)
        return self.spread(numbers, values), self.spread(numbers, cardinal_slopes(x) / self.step)

    def spread(self, numbers: Tensor, values: Tensor) -> Tensor:
        """Return a row of N for each distance, zero but for four."""
        shape: list[int] = list(values.shape[:-1])
        rows = torch.zeros(shape + [self.n + 3], dtype=values.dtype, device=values.device)
        return rows.scatter(-1, numbers, values)[..., : self.n]

    @torch.jit.unused
    def support(self, k: int) -> tuple[float, float]:
        """Return the distances between which function k is not zero."""
        return (0.0 if k < 4 else self.inner + (k - 3) * self.step), self.inner + (k + 1) * self.step
