r"""Families of distributions that approximate a posterior: of z (D,), in coordinates that others choose.

Each gives draws with their log density. Where that has a closed form its parameters are detached in it, so that the
gradient's noise vanishes where the guide is exact (Roeder, Wu, Duvenaud, arXiv:1703.09194).
"""

import difflib
import math
from typing import Any

import torch
from torch import Tensor, nn

from mdzoo.bayes.peers import dist

LARGEST = 3000
"""Numbers up to which a full covariance is held."""


class Guide(nn.Module):
    """The interface: `n` draws (n, D) and their log densities (n,)."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.dimension = int(dimension)

    def forward(self, n: int) -> tuple[Tensor, Tensor]:
        """Return draws and log densities, with their history."""
        raise NotImplementedError

    def centre(self) -> Tensor:
        """Return the mean of the draws, or about, (D,)."""
        raise NotImplementedError


class MeanField(Guide):
    r"""Independent normals, `q = prod N(m_k, s_k^2)` (Blundell et al., arXiv:1505.05424).

    For a Gaussian posterior of precision H it finds `s_k^2 = 1 / H_kk`, the variance of entry k when all others are
    known: never more than its own variance, and far less where entries are correlated. This is the family's bias, which
    no optimiser removes; in whitened coordinates there is nothing to lose.
    """

    def __init__(self, dimension: int, scale: float) -> None:
        super().__init__(dimension)
        self.mean = nn.Parameter(torch.zeros(dimension, dtype=torch.float64))
        self.log_scale = nn.Parameter(torch.full((dimension,), math.log(scale), dtype=torch.float64))

    def forward(self, n: int) -> tuple[Tensor, Tensor]:
        """Return draws and log densities."""
        z = self.mean + self.log_scale.exp() * torch.randn(n, self.dimension, dtype=torch.float64)
        q: Any = dist.Normal(self.mean.detach(), self.log_scale.detach().exp())
        return z, q.log_prob(z).sum(1)

    def centre(self) -> Tensor:
        """Return the mean."""
        return self.mean.detach()


class LowRank(Guide):
    """A normal of covariance `F F^T + diag(s^2)`, F (D, rank) (Ong, Nott, Smith, DOI 10.1080/10618600.2017.1390472)."""

    def __init__(self, dimension: int, scale: float, rank: int = 10) -> None:
        super().__init__(dimension)
        if not 1 <= rank <= dimension:
            raise ValueError(f"`rank` must be from 1 to {dimension}, the number of what is drawn, got {rank}; lower it")
        self.mean = nn.Parameter(torch.zeros(dimension, dtype=torch.float64))
        self.log_scale = nn.Parameter(torch.full((dimension,), math.log(scale), dtype=torch.float64))
        self.factor = nn.Parameter(0.1 * scale * torch.randn(dimension, int(rank), dtype=torch.float64))

    def forward(self, n: int) -> tuple[Tensor, Tensor]:
        """Return draws and log densities."""
        wide = torch.randn(n, self.factor.shape[1], dtype=torch.float64) @ self.factor.T
        z = self.mean + wide + self.log_scale.exp() * torch.randn(n, self.dimension, dtype=torch.float64)
        held = self.mean.detach(), self.factor.detach(), (2.0 * self.log_scale).exp().detach()
        q: Any = dist.LowRankMultivariateNormal(*held, validate_args=False)
        return z, q.log_prob(z)

    def centre(self) -> Tensor:
        """Return the mean."""
        return self.mean.detach()


class Full(Guide):
    """A normal of any covariance, `L L^T`."""

    def __init__(self, dimension: int, scale: float) -> None:
        super().__init__(dimension)
        if dimension > LARGEST:
            raise ValueError(f"`guide` must be low_rank or mean_field above {LARGEST} numbers, got full of {dimension}")
        self.mean = nn.Parameter(torch.zeros(dimension, dtype=torch.float64))
        self.log_scale = nn.Parameter(torch.full((dimension,), math.log(scale), dtype=torch.float64))
        self.lower = nn.Parameter(torch.zeros(dimension, dimension, dtype=torch.float64))

    def root(self) -> Tensor:
        """Return L, rows scaled by `exp(log_scale)`."""
        unit = self.lower.tril(-1) + torch.eye(self.dimension, dtype=torch.float64)
        return self.log_scale.exp().unsqueeze(1) * unit

    def forward(self, n: int) -> tuple[Tensor, Tensor]:
        """Return draws and log densities."""
        root = self.root()
        z = self.mean + torch.randn(n, self.dimension, dtype=torch.float64) @ root.T
        held = self.mean.detach()
        q: Any = dist.MultivariateNormal(held, scale_tril=root.detach(), validate_args=False)
        return z, q.log_prob(z)

    def centre(self) -> Tensor:
        """Return the mean."""
        return self.mean.detach()


class Flow(Guide):
    """A normal through affine coupling layers (Dinh, Sohl-Dickstein, Bengio, arXiv:1605.08803), and a last scaling."""

    def __init__(self, dimension: int, scale: float, layers: int = 4, width: int = 32) -> None:
        super().__init__(dimension)
        if dimension < 2:
            raise ValueError(f"`guide` must be full for one number, got flow of {dimension}; choose full")
        from pyro.distributions.transforms import affine_coupling

        made = [affine_coupling(dimension, [int(width)], log_scale_min_clip=-3.0) for _ in range(int(layers))]
        self.layers = nn.ModuleList(made).to(torch.float64)
        for layer in self.layers:
            whole: Any = layer
            last = whole.nn.layers[-1]
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        self.mean = nn.Parameter(torch.zeros(dimension, dtype=torch.float64))
        self.log_scale = nn.Parameter(torch.full((dimension,), math.log(scale), dtype=torch.float64))

    def forward(self, n: int) -> tuple[Tensor, Tensor]:
        """Return draws and log densities."""
        x = torch.randn(n, self.dimension, dtype=torch.float64)
        log_q = dist.Normal(torch.zeros_like(x), torch.ones_like(x)).log_prob(x).sum(1)
        for k, layer in enumerate(self.layers):
            turned = x.flip(1) if k % 2 else x
            y = layer(turned)
            log_q = log_q - layer.log_abs_det_jacobian(turned, y)  # type: ignore[operator]
            x = y.flip(1) if k % 2 else y
        return self.mean + self.log_scale.exp() * x, log_q - self.log_scale.sum()

    def centre(self) -> Tensor:
        """Return the mean of 4096 draws."""
        with torch.no_grad():
            return self(4096)[0].mean(0)


GUIDES: dict[str, type[Guide]] = {"flow": Flow, "full": Full, "low_rank": LowRank, "mean_field": MeanField}


def guide_of(name: str, dimension: int, scale: float, rank: int = 10) -> Guide:
    """Return a guide that starts with the deviation `scale` in every direction."""
    if name not in GUIDES:
        near = difflib.get_close_matches(str(name), GUIDES, 1, 0.0)
        raise ValueError(f"`guide` must be one of {sorted(GUIDES)}, got {name!r}; did you mean {near}?")
    return LowRank(dimension, scale, rank) if name == "low_rank" else GUIDES[name](dimension, scale)  # type: ignore[call-arg]
