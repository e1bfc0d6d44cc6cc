"""How alike are two neighbourhoods by the distance of their features: squared exponential and Matern."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mdzoo.regressors.kernel import ScaledKernel

NUS = (1.5, 2.5)


class StationaryKernel(ScaledKernel):
    """The base of kernels of the scaled distance alone: a member gives `profile` and `steepness`."""

    def squares(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the squared distances of scaled features, (n, m), of which the tiny negative ones are zero."""
        both = x.square().sum(1).unsqueeze(1) + y.square().sum(1)
        return (both - 2.0 * x @ y.t()).clamp_min(0.0)

    def profile(self, squares: Tensor) -> Tensor:
        """Return k / v at squared distances."""
        raise NotImplementedError

    def steepness(self, squares: Tensor) -> Tensor:
        """Return `-2 d(k / v)/d(r^2)`, finite everywhere."""
        raise NotImplementedError

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the kernel, (n, m)."""
        inverse = (-self.log_lengths).exp()
        return self.log_variance.exp() * self.profile(self.squares(x * inverse, y * inverse))

    @torch.jit.unused
    def pull(self, x: Tensor, y: Tensor, rows: Tensor, index: Tensor) -> Tensor:
        """Return `steepness (d . y - d . x)`, (q, m)."""
        inverse = (-self.log_lengths).exp()
        x, y, rows = x * inverse, y * inverse, rows * inverse
        steep = self.log_variance.exp() * self.steepness(self.squares(x, y))
        return steep[index] * (rows @ y.T - (rows * x[index]).sum(1, keepdim=True))

    def diagonal(self, x: Tensor) -> Tensor:
        """Return the variance of each atom, (n,)."""
        return self.log_variance.exp().expand(x.shape[0])

    @torch.jit.unused
    def coordinates(self, x: Tensor) -> Tensor:
        """Return the features in units of the lengths, (n, F)."""
        return x * (-self.log_lengths).exp()


class SquaredExponential(StationaryKernel):
    """`k = v exp(-1/2 sum_f (x_f - y_f)^2 / l_f^2)` (Rasmussen, Williams, 2006, eq. 4.9; GAP's ard_se).

    Arguments:
        n_features: F.
        variance: v, eV^2.
        lengths: l, in units of the features.
        ard: whether each feature has its own.

    Example:
        >>> SquaredExponential(1)(torch.zeros(1, 1), torch.ones(1, 1)).item().__round__(4)
        0.6065
    """

    def __init__(
        self, n_features: int, variance: float = 1.0, lengths: float | Sequence[float] = 1.0, ard: bool = False
    ) -> None:
        super().__init__(n_features, variance, lengths, ard)

    def profile(self, squares: Tensor) -> Tensor:
        """Return exp(-r^2 / 2)."""
        return (-0.5 * squares).exp()

    def steepness(self, squares: Tensor) -> Tensor:
        """Return exp(-r^2 / 2)."""
        return (-0.5 * squares).exp()


class Matern(StationaryKernel):
    """`nu = 3/2: k = v (1 + a) e^-a, a = sqrt(3) r`; `nu = 5/2: k = v (1 + a + a^2 / 3) e^-a, a = sqrt(5) r`.

    Source: Rasmussen, Williams, Gaussian Processes for Machine Learning, 2006, eq. 4.17. With nu = 3/2 forces are
    continuous, with 5/2 their slopes are too.

    Arguments:
        n_features: F.
        nu: 1.5 or 2.5.
        variance: v, eV^2.
        lengths: in units of the features.
        ard: whether each feature has its own.

    Example:
        >>> Matern(1, nu=1.5)(torch.zeros(1, 1), torch.zeros(1, 1)).item()
        1.0
    """

    def __init__(
        self,
        n_features: int,
        nu: float = 2.5,
        variance: float = 1.0,
        lengths: float | Sequence[float] = 1.0,
        ard: bool = False,
    ) -> None:
        super().__init__(n_features, variance, lengths, ard)
        if float(nu) not in NUS:
            raise ValueError(f"`nu` must be one of {NUS}, got {nu}; forces need slopes of the kernel")
        self.nu = float(nu)

    def reduced(self, squares: Tensor) -> Tensor:
        """Return a = sqrt(2 nu) r, with a finite slope at zero."""
        return (2.0 * self.nu * squares).clamp_min(1e-24).sqrt()

    def profile(self, squares: Tensor) -> Tensor:
        """Return k / v."""
        a = self.reduced(squares)
        return (1.0 + a if self.nu < 2.0 else 1.0 + a + a.square() / 3.0) * (-a).exp()

    def steepness(self, squares: Tensor) -> Tensor:
        """Return `3 e^-a` or `5/3 (1 + a) e^-a`."""
        a = self.reduced(squares)
        return (3.0 if self.nu < 2.0 else 5.0 / 3.0 * (1.0 + a)) * (-a).exp()
