"""Energy quadratic in the features, with one set of weights for each species."""

import torch
from torch import Tensor, nn

from mdzoo.regressors.base import Regressor


class Quadratic(Regressor):
    """`E_i = b_{s_i} + sum_f beta_f B_f + sum_f (alpha_ff B_f^2 / 2 + sum_{g > f} alpha_fg B_f B_g)`, linear in them.

    Source: Wood, Thompson, DOI 10.1063/1.5017641; the order of the weights is that of LAMMPS's quadratic SNAP.

    Arguments:
        n_features: F, taken from the descriptor.
        n_species: number of elements.
        bias: whether each species has a constant term (eV).

    Parameters: `weights` (n_species, F + F (F + 1) / 2): beta, then the rows of the upper triangle of alpha; `bias`
    (n_species,) in eV.

    Example:
        >>> Quadratic(3, 1)(torch.ones(2, 3, dtype=torch.float64), torch.zeros(2, dtype=torch.int64)).tolist()
        [0.0, 0.0]
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, n_features: int, n_species: int, bias: bool = True) -> None:
        super().__init__(n_features, n_species)
        self.is_linear = True
        width = self.n_features + self.n_features * (self.n_features + 1) // 2
        self.weights = nn.Parameter(torch.zeros(self.n_species, width, dtype=torch.float64))
        self.bias = nn.Parameter(torch.zeros(self.n_species, dtype=torch.float64), requires_grad=bool(bias))
        rows, columns = torch.triu_indices(self.n_features, self.n_features)
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("columns", columns, persistent=False)

    def forward(self, features: Tensor, species: Tensor) -> Tensor:
        """Return the energies, (n,)."""
        if self.n_species == 1:
            return self.energies(features, self.weights[0]) + self.bias[0]
        out = self.bias[species]
        for kind in range(self.n_species):
            rows = (species == kind).nonzero().squeeze(-1)
            out = out.index_add(0, rows, self.energies(features[rows], self.weights[kind]))
        return out

    def energies(self, features: Tensor, weights: Tensor) -> Tensor:
        """Return the energies of atoms of one species without the constant, (n,): `B . (beta + alpha B)`."""
        beta, alpha = weights.split([self.n_features, weights.shape[0] - self.n_features])
        square = torch.zeros([self.n_features, self.n_features], dtype=weights.dtype, device=weights.device)
        square = square.index_put((self.rows, self.columns), alpha)
        square = square - 0.5 * torch.diag(torch.diagonal(square))
        return (features * (beta + features @ square)).sum(-1)

    @torch.jit.unused
    def phi(self, features: Tensor, species: Tensor) -> Tensor:
        """Return the rows of the design matrix, (n, P): the columns of a species in its block, then its count."""
        half = 1.0 - 0.5 * (self.rows == self.columns).to(features.dtype)
        products = half * features[:, self.rows] * features[:, self.columns]
        columns = torch.cat([features, products], -1)
        kind = nn.functional.one_hot(species, self.n_species).to(features.dtype)
        blocks = (kind.unsqueeze(-1) * columns.unsqueeze(-2)).flatten(1)
        return torch.cat([blocks, kind], -1) if self.bias.requires_grad else blocks

    @torch.jit.unused
    def theta(self) -> Tensor:
        """Return the parameters in the order of the columns of `phi`, (P,)."""
        parts = [self.weights.flatten(), self.bias] if self.bias.requires_grad else [self.weights.flatten()]
        return torch.cat(parts)

    @torch.jit.unused
    def set_theta(self, theta: Tensor) -> None:
        """Take the parameters in the order of the columns of `phi`."""
        n_weights = self.weights.numel()
        with torch.no_grad():
            self.weights.copy_(theta[:n_weights].reshape(self.weights.shape))
            if self.bias.requires_grad:
                self.bias.copy_(theta[n_weights:])
