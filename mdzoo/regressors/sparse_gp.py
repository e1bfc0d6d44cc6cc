"""A Gaussian process on few inducing points: linear in its parameters, so it shares the solver of all that is."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mdzoo.regressors.base import Regressor
from mdzoo.regressors.dot_product import DotProduct
from mdzoo.regressors.kernel import Kernel

SELECTIONS = ("cur", "farthest", "kmeans", "leverage", "energy_uniform")
WIDE = 100.0
"""Standard deviation of the prior of the constants, beside a kernel of variance 1 eV^2."""


class SparseGP(Regressor):
    r"""`E_i = b_{s_i} + sum_m alpha_m k(x_i, x_m)` over the inducing points x_m of the species of atom i.

    With K_nm the kernel sums of all labels (energies are sums over atoms, forces and stresses their derivatives) and
    K_mm that of the inducing points, alpha minimises

        |K_nm alpha - y|^2 + lambda alpha^T K_mm alpha

    (subset of regressors: Quinonero-Candela, Rasmussen, JMLR 6, 1939 (2005); Bartok, Csanyi, DOI 10.1002/qua.24927), by
    a QR of `[K_nm; lambda^(1/2) L^T]` with `K_mm + jitter = L L^T`, never by the normal equations. lambda is the noise
    variance of a row of weight one, in units of the kernel's variance. The jitter is `jitter` times the mean of the
    diagonal of K_mm; where L does not exist it grows by tens.

    Arguments:
        n_features: F, taken from the descriptor.
        n_species: number of elements.
        n_inducing: number of points, one number for each species or one for all of them.
        kernel: one for all species or a list of one for each; by default DotProduct with zeta = 2.
        selection: how a fit picks the points among the atoms of the training set: `cur`, `farthest`, `kmeans`,
            `leverage` or `energy_uniform`, see `mdzoo.fit.inducing`.
        scaled: whether features are divided by their deviation over the training set first.
        bias: whether each species has a constant term (eV).
        jitter: see above.

    Parameters: `alpha` (P,), `bias` (n_species,) eV, and those of the kernels. Buffers: `points` (P, F), scaled;
    `deviation` (F,); `learnt`, whether the points were set.

    Example:
        >>> gp = SparseGP(2, 1, n_inducing=1)
        >>> gp.set_points(torch.tensor([[1.0, 0.0]], dtype=torch.float64))
        >>> gp.set_theta(torch.tensor([3.0, 0.5], dtype=torch.float64))
        >>> gp(torch.tensor([[2.0, 0.0]], dtype=torch.float64), torch.tensor([0])).tolist()
        [3.5]
    """

    points: Tensor
    deviation: Tensor
    learnt: Tensor

    def __init__(
        self,
        n_features: int,
        n_species: int,
        n_inducing: int | Sequence[int] = 500,
        kernel: Kernel | Sequence[Kernel] | None = None,
        selection: str = "cur",
        scaled: bool = False,
        bias: bool = True,
        jitter: float = 1e-10,
    ) -> None:
        super().__init__(n_features, n_species)
        if selection not in SELECTIONS:
            raise ValueError(
                f"`selection` must be one of {list(SELECTIONS)}, got {selection!r}; GAP takes cur for SOAP"
            )
        if not 0.0 < float(jitter) < 1.0:
            raise ValueError(f"`jitter` must be above 0 and below 1, got {jitter}; 1e-10 keeps most digits")
        self.is_linear, self.has_bias = True, bool(bias)
        self.selection, self.scaled, self.jitter = selection, bool(scaled), float(jitter)
        self.counts = counts_of(n_inducing, self.n_species)
        self.kernels = nn.ModuleList(kernels_of(kernel, self.n_features, self.n_species))
        self.alpha = nn.Parameter(torch.zeros(sum(self.counts), dtype=torch.float64))
        self.bias = nn.Parameter(torch.zeros(self.n_species, dtype=torch.float64), requires_grad=bool(bias))
        self.register_buffer("points", torch.zeros(sum(self.counts), self.n_features, dtype=torch.float64))
        self.register_buffer("deviation", torch.ones(self.n_features, dtype=torch.float64))
        self.register_buffer("learnt", torch.tensor(False))

    def forward(self, features: Tensor, species: Tensor) -> Tensor:
        """Return the energies, (n,)."""
        x = features / self.deviation
        points, weights = self.points.split(self.counts), self.alpha.split(self.counts)
        energy = self.bias[species]
        for kind, kernel in enumerate(self.kernels):
            if self.n_species == 1:
                return energy + kernel(x, points[kind]) @ weights[kind]
            rows = (species == kind).nonzero().squeeze(-1)
            energy = energy.index_add(0, rows, kernel(x[rows], points[kind]) @ weights[kind])
        return energy

    def phi(self, features: Tensor, species: Tensor) -> Tensor:
        """Return the rows of the design matrix, (n, P): kernels in the block of their species, then its count."""
        x, points = features / self.deviation, self.points.split(self.counts)
        columns: list[Tensor] = []
        for kind, kernel in enumerate(self.kernels):
            columns.append(kernel(x, points[kind]) * (species == kind).unsqueeze(1))
        out = torch.cat(columns, 1)
        kinds = nn.functional.one_hot(species, self.n_species).to(out)
        return torch.cat([out, kinds], 1) if self.has_bias else out

    def diagonal(self, features: Tensor, species: Tensor) -> Tensor:
        """Return k(x_i, x_i) of each atom, (n,)."""
        x, out = features / self.deviation, torch.zeros_like(features[:, 0])
        for kind, kernel in enumerate(self.kernels):
            out = torch.where(species == kind, kernel.diagonal(x), out)
        return out

    @torch.jit.unused
    def theta(self) -> Tensor:
        """Return the parameters in the order of the columns of `phi`, (P,)."""
        return torch.cat([self.alpha, self.bias]) if self.has_bias else self.alpha

    @torch.jit.unused
    def add_slopes(
        self, out: Tensor, features: Tensor, species: Tensor, rows: Tensor, index: Tensor, to: Tensor
    ) -> None:
        """Add to out (T, P) at `to` (q,) how phi of the atoms `index` (q,) changes along `rows` (q, F)."""
        x, rows, first = features / self.deviation, rows / self.deviation, 0
        for kind, (kernel, points) in enumerate(self.blocks()):
            mine = slice(None) if self.n_species == 1 else (species[index] == kind).nonzero().squeeze(-1)
            block = out[:, first : first + len(points)]
            block.index_add_(0, to[mine], kernel.pull(x, points, rows[mine], index[mine]))
            first += len(points)

    def blocks(self) -> list[tuple[Any, Tensor]]:
        """Return kernel and points of each species."""
        return list(zip(self.kernels, self.points.split(self.counts), strict=True))

    @torch.jit.unused
    def covariance(self) -> Tensor:
        """Return K_mm with the jitter, (M, M), a block for each species."""
        return torch.block_diag(*[self.jittered(kernel(points, points)) for kernel, points in self.blocks()])

    def jittered(self, square: Tensor) -> Tensor:
        """Return the kernel of the points with the least jitter by which it has a Cholesky factor."""
        unit = square.diagonal().mean() * torch.eye(len(square)).to(square)
        jitter = self.jitter
        while torch.linalg.cholesky_ex(square.detach() + jitter * unit.detach())[1] > 0:
            jitter *= 10.0
            if not jitter < 1.0:
                raise ValueError(
                    "`kernel` must be positive definite on the inducing points, got one that is not even with "
                    f"jitter {jitter:.0e}; check the features (mdzoo doctor) and the lengths of the kernel"
                )
        return square + jitter * unit

    @torch.jit.unused
    def prior_root(self) -> Tensor:
        """Return R (P, P) of the prior, `exp(-lambda |R theta|^2 / 2 s^2)`: L^T of K_mm, and 1 / WIDE of a constant."""
        root = torch.linalg.cholesky(self.covariance()).mT
        if not self.has_bias:
            return root
        return torch.block_diag(root, torch.eye(self.n_species).to(root) / WIDE)

    @torch.jit.unused
    def set_theta(self, theta: Tensor) -> None:
        """Take the parameters in the order of the columns of `phi`."""
        with torch.no_grad():
            self.alpha.copy_(theta[: len(self.alpha)])
            if self.has_bias:
                self.bias.copy_(theta[len(self.alpha) :])

    @torch.jit.unused
    def set_deviation(self, features: Tensor) -> None:
        """Divide features by their deviation over these (n, F), those that do not vary by 1."""
        deviation = features.std(0)
        varies = deviation > 1e-10 * features.abs().amax(0)
        self.deviation.copy_(torch.where(varies, deviation, torch.ones_like(deviation)))

    @torch.jit.unused
    def set_points(self, points: Tensor) -> None:
        """Take the features (P, F) of the inducing points, species by species, not yet divided by the deviation."""
        if points.shape != self.points.shape:
            raise ValueError(
                f"`points` must have the shape {list(self.points.shape)}, got {list(points.shape)}; one row of "
                "features for each inducing point"
            )
        if not torch.isfinite(points).all():
            raise ValueError("`points` must be finite, got NaN or infinity; run mdzoo doctor on the data")
        self.points.copy_(points / self.deviation)
        self.learnt.fill_(True)


def counts_of(n_inducing: int | Sequence[int], n_species: int) -> list[int]:
    """Return the number of inducing points of each species."""
    counts = [int(n_inducing)] * n_species if isinstance(n_inducing, int | float) else [int(n) for n in n_inducing]
    if len(counts) != n_species or min(counts) < 1:
        raise ValueError(
            f"`n_inducing` must be one number from 1 up, or {n_species} (one for each species), got {n_inducing}; "
            "give at least one point for each"
        )
    return counts


def kernels_of(kernel: Kernel | Sequence[Kernel] | None, n_features: int, n_species: int) -> list[Kernel]:
    """Return the kernel of each species; they may share one."""
    if kernel is None or isinstance(kernel, Kernel):
        return [kernel or DotProduct(n_features)] * n_species
    if len(kernel) != n_species:
        raise ValueError(
            f"`kernel` must be one, or {n_species} (one for each species), got {len(kernel)}; give as many"
        )
    return list(kernel)
