"""How alike are two neighbourhoods: kernels of features, closed under sums and products.

A kernel is written for the features of atoms: `forward` gives k(x_i, y_m), and `pull` how k(x_i, y_m) changes when x_i
moves along given directions, which is all that rows of forces and stresses ask for: no pass for each y.
Hyperparameters are logarithms, so that whatever an optimiser does, they stay positive; they change where a fit is asked
to (`optimise_kernel`).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Kernel(nn.Module):
    """A positive definite function of two rows of features."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return k(x_i, y_m), (n, m), of features (n, F) and (m, F)."""
        raise NotImplementedError

    @torch.jit.unused
    def pull(self, x: Tensor, y: Tensor, rows: Tensor, index: Tensor) -> Tensor:
        """Return `sum_f dk(x_i, y_m)/dx_f d_qf`, (q, m), for directions d (q, F) of features with i = index (q,)."""
        raise NotImplementedError

    def diagonal(self, x: Tensor) -> Tensor:
        """Return k(x_i, x_i), (n,)."""
        raise NotImplementedError

    @torch.jit.unused
    def coordinates(self, x: Tensor) -> Tensor:
        """Return points (n, D) that are near each other where the kernel finds the atoms alike."""
        raise NotImplementedError


class ScaledKernel(Kernel):
    """The base of kernels of `x / lengths`, times a variance (eV^2).

    Arguments:
        n_features: F.
        variance: k(x, x) where the kernel is normalised, in eV^2.
        lengths: one number for all features, or one for each.
        ard: whether each feature has a length of its own (automatic relevance determination).
    """

    def __init__(self, n_features: int, variance: float, lengths: float | Sequence[float], ard: bool) -> None:
        super().__init__()
        given = torch.as_tensor(lengths, dtype=torch.float64).flatten()
        if given.numel() not in (1, int(n_features)) or (given.numel() > 1 and not ard):
            raise ValueError(
                f"`lengths` must be one number, or {n_features} with ard=true, got {given.numel()} and ard={ard}; "
                "give one for all features or one for each"
            )
        for name, values in (("variance", torch.tensor([float(variance)])), ("lengths", given)):
            if not (torch.isfinite(values) & (values > 0.0)).all():
                raise ValueError(f"`{name}` must be positive and finite, got {values.tolist()}; 1.0 is a start")
        lengths_of_all = given.log().expand(int(n_features) if ard else 1).clone()
        self.log_variance = nn.Parameter(torch.tensor(float(variance), dtype=torch.float64).log(), requires_grad=False)
        self.log_lengths = nn.Parameter(lengths_of_all, requires_grad=False)


class Sum(Kernel):
    """`k = sum_p k_p`.

    Arguments:
        kernels: the terms.
    """

    def __init__(self, kernels: Sequence[Kernel]) -> None:
        super().__init__()
        self.kernels = nn.ModuleList(some(kernels))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the kernel, (n, m)."""
        out = torch.zeros([x.shape[0], y.shape[0]], dtype=x.dtype, device=x.device)
        for kernel in self.kernels:
            out = out + kernel(x, y)
        return out

    @torch.jit.unused
    def pull(self, x: Tensor, y: Tensor, rows: Tensor, index: Tensor) -> Tensor:
        """Return the sum of those of the terms, (q, m)."""
        kernels: Any = self.kernels
        return torch.stack([kernel.pull(x, y, rows, index) for kernel in kernels]).sum(0)

    def diagonal(self, x: Tensor) -> Tensor:
        """Return the variance of each atom, (n,)."""
        out = torch.zeros_like(x[:, 0])
        for kernel in self.kernels:
            out = out + kernel.diagonal(x)  # type: ignore[operator]
        return out

    @torch.jit.unused
    def coordinates(self, x: Tensor) -> Tensor:
        """Return those of all kernels, one after another."""
        kernels: Any = self.kernels
        return torch.cat([kernel.coordinates(x) for kernel in kernels], 1)


class Product(Kernel):
    """`k = prod_p k_p`.

    Arguments:
        kernels: the factors.
    """

    def __init__(self, kernels: Sequence[Kernel]) -> None:
        super().__init__()
        self.kernels = nn.ModuleList(some(kernels))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the kernel, (n, m)."""
        out = torch.ones([x.shape[0], y.shape[0]], dtype=x.dtype, device=x.device)
        for kernel in self.kernels:
            out = out * kernel(x, y)
        return out

    @torch.jit.unused
    def pull(self, x: Tensor, y: Tensor, rows: Tensor, index: Tensor) -> Tensor:
        """Return `(k k')' = k k'' + k' k` of the factors, one after another, (q, m)."""
        value = torch.ones([x.shape[0], y.shape[0]], dtype=x.dtype, device=x.device)
        slopes = torch.zeros([rows.shape[0], y.shape[0]], dtype=x.dtype, device=x.device)
        kernels: Any = self.kernels
        for kernel in kernels:
            factor = kernel(x, y)
            slopes = slopes * factor[index] + value[index] * kernel.pull(x, y, rows, index)
            value = value * factor
        return slopes

    def diagonal(self, x: Tensor) -> Tensor:
        """Return the variance of each atom, (n,)."""
        out = torch.ones_like(x[:, 0])
        for kernel in self.kernels:
            out = out * kernel.diagonal(x)  # type: ignore[operator]
        return out

    @torch.jit.unused
    def coordinates(self, x: Tensor) -> Tensor:
        """Return those of all kernels, one after another."""
        kernels: Any = self.kernels
        return torch.cat([kernel.coordinates(x) for kernel in kernels], 1)


def some(kernels: Sequence[Kernel]) -> Sequence[Kernel]:
    """Return the kernels, of which there must be one or more."""
    if len(kernels) == 0:
        raise ValueError("`kernels` must hold at least one kernel, got none; name DotProduct or another")
    return kernels
