"""The power spectrum of a density, one batched product for each l."""

import numpy as np
import torch
from torch import Tensor, nn


class PowerSpectrum(nn.Module):
    """`p_f = scale_f sum_m a_{c_f l_f m} b_{c'_f l_f m}` with `b` the density or its sum over kinds.

    Arguments:
        n_channels: C, densities times radial functions.
        l_max: L.
        rows: (l, c, c') of each feature.
        scales: one for each feature.
        summed: number of densities over which b is summed, 1 for `b = a`.
        normalise: whether the features of each atom are divided by their norm.

    Shapes: density (n, C * (L + 1)^2), lm inner -> (n, F).
    """

    kept: Tensor
    scales: Tensor

    def __init__(
        self,
        n_channels: int,
        l_max: int,
        rows: list[tuple[int, int, int]],
        scales: np.ndarray,
        summed: int = 1,
        normalise: bool = False,
    ) -> None:
        super().__init__()
        self.normalise = bool(normalise)
        self.n_channels, self.summed = int(n_channels), int(summed)
        self.widths = [2 * order + 1 for order in range(l_max + 1)]
        self.lm, self.n_features = (l_max + 1) ** 2, len(rows)
        n_second = self.n_channels // self.summed
        self.size = (l_max + 1) * self.n_channels * n_second
        places = [(order * self.n_channels + c) * n_second + d for order, c, d in rows]
        self.register_buffer("kept", torch.tensor(places), persistent=False)
        self.register_buffer("scales", torch.as_tensor(scales, dtype=torch.float64), persistent=False)

    def forward(self, density: Tensor) -> Tensor:
        """Return the features, (n, F)."""
        features = self.products(density).index_select(1, self.kept) * self.scales
        return features / norm(features.square().sum(1)).unsqueeze(1) if self.normalise else features

    def with_weights(self, density: Tensor, theta: Tensor) -> Tensor:
        """Return the features times theta (F,), (n,); the features are never formed."""
        products = self.products(density)
        out = products @ self.placed(theta * self.scales)
        return out / norm(products.square() @ self.placed(self.scales.square())) if self.normalise else out

    def fold(self, density: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features times theta (1, F) or (n, F), (n,), and their slopes by the density, (n, C * lm)."""
        weights = self.placed(theta * self.scales)
        if not self.normalise:
            slopes = self.pulled(density, weights)
            return 0.5 * (density * slopes).sum(1), slopes  # of degree two
        products = self.products(density)
        shares = products * self.placed(self.scales.square())
        sizes = norm((products * shares).sum(1, keepdim=True))
        energies = (products * weights).sum(1, keepdim=True) / sizes
        slopes = self.pulled(density, torch.addcmul(weights, shares, energies / sizes, value=-1.0))
        return energies.squeeze(1), slopes / sizes

    def pulled(self, density: Tensor, weights: Tensor) -> Tensor:
        """Return the slopes by the density, (n, C * lm), of the products times weights (1 or n, (L + 1) * C * C')."""
        weights = weights.view(weights.shape[0], len(self.widths), self.n_channels, -1)
        a = density.view(-1, self.n_channels, self.lm)
        parts: list[Tensor] = []
        if self.summed == 1:
            weights = weights + weights.mT
            for order, left in enumerate(a.split(self.widths, 2)):
                parts.append(weights[:, order] @ left)
            return torch.cat(parts, 2).flatten(1)
        for order, (left, right) in enumerate(zip(a.split(self.widths, 2), self.second(a).split(self.widths, 2))):  # noqa: B905
            parts.append(weights[:, order] @ right + (weights[:, order].mT @ left).repeat(1, self.summed, 1))
        return torch.cat(parts, 2).flatten(1)

    def sizes(self, density: Tensor) -> Tensor:
        """Return what the features of each atom are divided by, (n,)."""
        if not self.normalise:
            return torch.ones_like(density[:, 0])
        return norm(self.products(density).square() @ self.placed(self.scales.square()))

    def placed(self, theta: Tensor) -> Tensor:
        """Return numbers of the features (..., F) at their places among the products, (..., (L + 1) * C * C')."""
        shape = list(theta.shape[:-1])
        nothing = torch.zeros(shape + [self.size], dtype=theta.dtype, device=theta.device)
        return nothing.index_copy(-1, self.kept, theta)

    def second(self, a: Tensor) -> Tensor:
        """Return b, (n, C', lm), of a (n, C, lm)."""
        return a if self.summed == 1 else a.view(a.shape[0], self.summed, -1, self.lm).sum(1)

    @torch.jit.unused
    def rows(self) -> list[tuple[int, int, int]]:
        """Return (l, c, c') of each feature."""
        second = self.n_channels // self.summed
        return [
            (k // (self.n_channels * second), k // second % self.n_channels, k % second) for k in self.kept.tolist()
        ]

    def products(self, density: Tensor) -> Tensor:
        """Return `sum_m a_clm b_c'lm` for all l, c and c', (n, (L + 1) * C * C')."""
        a = density.view(-1, self.n_channels, self.lm)
        parts: list[Tensor] = []
        b = self.second(a)
        for left, right in zip(a.split(self.widths, 2), b.split(self.widths, 2)):  # noqa: B905 - TorchScript
            parts.append((left @ right.mT).flatten(1))
        return torch.cat(parts, 1)


def norm(squares: Tensor) -> Tensor:
    """Return the root of a sum of squares, with a finite slope where it is zero."""
    return torch.sqrt(torch.clamp(squares, min=1e-30))
