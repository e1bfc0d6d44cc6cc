"""What a Gaussian process with a dot-product kernel is once it is fitted: a polynomial without inducing points."""

import torch
from torch import Tensor, nn

from mdzoo.regressors.base import Regressor
from mdzoo.regressors.dot_product import DotProduct
from mdzoo.regressors.linear import Linear
from mdzoo.regressors.sparse_gp import SparseGP

MOST = 1e9
"""Bytes that the weights of a mapped model may take."""


class MappedGP(Regressor):
    r"""`E_i = b + w . x_i / |x_i|_l` (zeta = 1) or `b + x_i . W x_i / |x_i|_l^2` (zeta = 2), `x = (B, c)`.

    Here `|x|_l^2 = sum_f B_f^2 / l_f^2 + c^2`. With the inducing points u_m of `SparseGP` and its kernel
    `v (u . u_m)^zeta`, `w = v sum_m alpha_m u_m` and `W = v sum_m alpha_m u_m u_m^T`, divided by l: the same energies
    at a cost that does not depend on the number of points (the mapping of FLARE, Vandermause et al., DOI
    10.1038/s41467-022-32294-0). `mdzoo.potentials.mapping` makes these where a model is exported.

    Arguments:
        n_features: F, taken from the descriptor.
        n_species: number of elements.
        zeta: 1 or 2.
        sigma0: c.
        normalise: whether u is divided by its norm.

    Parameters: `weights` (n_species, F + 1) or (n_species, F + 1, F + 1), `bias` (n_species,), in eV; buffer `inverse`
    (n_species, F), 1 / l.

    Example:
        >>> MappedGP(2, 1)(torch.ones(3, 2, dtype=torch.float64), torch.zeros(3, dtype=torch.int64)).tolist()
        [0.0, 0.0, 0.0]
    """

    inverse: Tensor

    def __init__(
        self, n_features: int, n_species: int, zeta: int = 2, sigma0: float = 0.0, normalise: bool = True
    ) -> None:
        super().__init__(n_features, n_species)
        if zeta not in (1, 2):
            raise ValueError(f"`zeta` must be 1 or 2, got {zeta}; above that a sum over inducing points is smaller")
        self.zeta, self.sigma0, self.normalise = int(zeta), float(sigma0), bool(normalise)
        size = [self.n_species] + [self.n_features + 1] * self.zeta
        self.weights = nn.Parameter(torch.zeros(size, dtype=torch.float64))
        self.bias = nn.Parameter(torch.zeros(self.n_species, dtype=torch.float64))
        self.register_buffer("inverse", torch.ones(self.n_species, self.n_features, dtype=torch.float64))

    def forward(self, features: Tensor, species: Tensor) -> Tensor:
        """Return the energies, (n,)."""
        if self.n_species == 1:
            return self.bias[0] + self.energies(features, self.weights[0], self.inverse[0])
        energy = self.bias[species]
        for kind in range(self.n_species):
            rows = (species == kind).nonzero().squeeze(-1)
            energy = energy.index_add(0, rows, self.energies(features[rows], self.weights[kind], self.inverse[kind]))
        return energy

    def slopes(self, features: Tensor, species: Tensor) -> tuple[Tensor, Tensor]:
        """Return the energies, (n,), and their slopes by the features, (n, F), with no graph behind them."""
        weights, bias = self.weights.detach(), self.bias.detach()
        if self.n_species == 1:
            energy, slopes = self.steep(features, weights[0], self.inverse[0])
            return bias[0] + energy, slopes
        energy, slopes = bias[species], torch.zeros_like(features)
        for kind in range(self.n_species):
            rows = (species == kind).nonzero().squeeze(-1)
            own, steep = self.steep(features[rows], weights[kind], self.inverse[kind])
            energy, slopes = energy.index_add(0, rows, own), slopes.index_add(0, rows, steep)
        return energy, slopes

    def energies(self, b: Tensor, weights: Tensor, inverse: Tensor) -> Tensor:
        """Return the energies of atoms of one species without the constant, (n,)."""
        return self.halves(b, weights)[0] * self.norm(b, inverse).pow(-self.zeta)

    def steep(self, b: Tensor, weights: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
        """Return the energies of atoms of one species without the constant, (n,), and their slopes, (n, F)."""
        norm, (energy, slopes) = self.norm(b, inverse), self.halves(b, weights)
        power = norm.pow(-self.zeta)
        energy = energy * power
        slopes = slopes * power.unsqueeze(1)
        if self.normalise:
            shrink = self.zeta * energy / norm.square()
            slopes = slopes - (b * inverse.square()) * shrink.unsqueeze(1)
        return energy, slopes

    def norm(self, b: Tensor, inverse: Tensor) -> Tensor:
        """Return |(x / l, c)|, (n,), or ones."""
        if not self.normalise:
            return torch.ones_like(b[:, 0])
        return (b.square() @ inverse.square() + self.sigma0**2).clamp_min(1e-30).sqrt()

    def halves(self, b: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return `w . (b, c)` or `(b, c) . W (b, c)`, (n,), and its slopes by b, (n, F) or (1, F)."""
        n, c = self.n_features, self.sigma0
        if self.zeta == 1:
            return b @ weights[:n] + c * weights[n], weights[:n].unsqueeze(0)
        both = 0.5 * (weights + weights.t())
        along = b @ both[:n, :n] + c * both[:n, n]
        return (b * (along + c * both[:n, n])).sum(1) + c * c * both[n, n], 2.0 * along


@torch.no_grad()
def mapped(gp: SparseGP) -> Regressor | None:
    """Return the polynomial that a fitted SparseGP is, None where it is none of low degree.

    Raises:
        ValueError: it would be too large.
    """
    kernels = [kernel for kernel, _ in gp.blocks()]
    first = kernels[0]
    if not isinstance(first, DotProduct) or first.zeta > 2 or any(form(kernel) != form(first) for kernel in kernels):
        return None
    size = 8 * gp.n_species * (gp.n_features + 1) ** first.zeta
    if size > MOST:
        raise ValueError(
            f"`n_features` must leave weights of at most {MOST / 1e9:.1f} GB for a mapped model, got {gp.n_features} "
            f"({size / 1e9:.1f} GB); take a smaller descriptor, or keep the inducing points"
        )
    out = MappedGP(gp.n_features, gp.n_species, first.zeta, first.sigma0, first.normalise).to(gp.alpha)
    out.bias.copy_(gp.bias)
    for kind, ((kernel, points), alpha) in enumerate(zip(gp.blocks(), gp.alpha.split(gp.counts), strict=True)):
        u, alpha = kernel.unit(points)[0], kernel.log_variance.exp() * alpha
        out.inverse[kind] = (-kernel.log_lengths).exp() / gp.deviation
        u = u * nn.functional.pad(out.inverse[kind], [0, 1], value=1.0)
        out.weights[kind] = alpha @ u if first.zeta == 1 else u.T @ (alpha.unsqueeze(1) * u)
    return out if first.normalise or first.zeta == 2 else linear(out)


def form(kernel: object) -> tuple[int, float, bool] | None:
    """Return what kernels of all species must have in common."""
    return (kernel.zeta, kernel.sigma0, kernel.normalise) if isinstance(kernel, DotProduct) else None


def linear(found: MappedGP) -> Linear:
    """Return the Linear that a mapped model of zeta = 1 without norm is: its weights fold into the descriptor."""
    out = Linear(found.n_features, found.n_species).to(found.weights)
    out.weights.copy_(found.weights[:, :-1])
    out.bias.copy_(found.bias + found.weights[:, -1] * found.sigma0)
    return out
