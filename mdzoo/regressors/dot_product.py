"""How alike are two neighbourhoods by the angle between their features: the kernel of GAP and FLARE."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mdzoo.regressors.kernel import ScaledKernel


class DotProduct(ScaledKernel):
    r"""`k = v s^zeta` with `s = (x . y + c^2) / (|x|_c |y|_c)` and `|x|_c = sqrt(x . x + c^2)`.

    The kernel of GAP on SOAP (Bartok, Csanyi, DOI 10.1002/qua.24927) and of FLARE (Vandermause et al., DOI
    10.1038/s41467-022-32294-0); c = `sigma0` is QUIP's `covariance_sigma0`. An atom whose features vanish where its
    neighbours leave needs c > 0: the direction of a zero vector is not continuous.

    Arguments:
        n_features: F.
        zeta: power, an integer from 1 up.
        sigma0: c, in units of the scaled features.
        normalise: whether s is divided by the norms.
        variance: v, eV^2.
        lengths: see `ScaledKernel`.
        ard: likewise.

    Example:
        >>> DotProduct(2, zeta=2)(torch.eye(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64)).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(
        self,
        n_features: int,
        zeta: int = 2,
        sigma0: float = 0.0,
        normalise: bool = True,
        variance: float = 1.0,
        lengths: float | Sequence[float] = 1.0,
        ard: bool = False,
    ) -> None:
        super().__init__(n_features, variance, lengths, ard)
        if int(zeta) != zeta or int(zeta) < 1:
            raise ValueError(f"`zeta` must be an integer from 1 up, got {zeta}; GAP takes 4, FLARE 2")
        if not float(sigma0) >= 0.0:
            raise ValueError(f"`sigma0` must not be negative, got {sigma0}; 0 for a descriptor that never vanishes")
        self.zeta, self.sigma0, self.normalise = int(zeta), float(sigma0), bool(normalise)

    def unit(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return `(x, c) / |x|_c`, (n, F + 1), and `1 / |x|_c`, (n, 1); the latter 1 where nothing is normalised."""
        x = nn.functional.pad(x * (-self.log_lengths).exp(), [0, 1], value=self.sigma0)
        if not self.normalise:
            return x, torch.ones_like(x[:, :1])
        inverse = x.square().sum(1, keepdim=True).clamp_min(1e-30).rsqrt()
        return x * inverse, inverse

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the kernel, (n, m)."""
        return self.log_variance.exp() * (self.unit(x)[0] @ self.unit(y)[0].t()).pow(self.zeta)

    @torch.jit.unused
    def pull(self, x: Tensor, y: Tensor, rows: Tensor, index: Tensor) -> Tensor:
        """Return `zeta s^(zeta - 1) (d . y / |x||y| - s d . x / |x|^2)`, (q, m)."""
        (u, inverse), (v, _) = self.unit(x), self.unit(y)
        rows = nn.functional.pad(rows * (-self.log_lengths).exp() * inverse[index], [0, 1])
        if self.normalise:  # a unit vector turns: the part of d along x does nothing
            rows = rows - (rows * u[index]).sum(1, keepdim=True) * u[index]
        factors = self.log_variance.exp() * self.zeta * (u @ v.T).pow(self.zeta - 1)
        return (rows @ v.T) * factors[index]

    def diagonal(self, x: Tensor) -> Tensor:
        """Return the variance of each atom, (n,)."""
        return self.log_variance.exp() * self.unit(x)[0].square().sum(1).pow(self.zeta)

    @torch.jit.unused
    def coordinates(self, x: Tensor) -> Tensor:
        """Return the unit vectors, (n, F + 1)."""
        return self.unit(x)[0]
