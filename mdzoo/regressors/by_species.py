"""Regressors that are linear in their parameters and have one set of weights for each species."""

import torch
from torch import Tensor, nn

from mdzoo.regressors.base import Regressor


class BySpecies(Regressor):
    """`E_i = b_{s_i} + sum_p w_{s_i p} c_p(B_i)` with columns c that know nothing of the species.

    Arguments:
        n_features: F, taken from the descriptor.
        n_species: number of elements.
        width: number of columns W.
        bias: whether each species has a constant term (eV).

    Parameters: `weights` (n_species, W) in eV per unit of the column, `bias` (n_species,) in eV.
    """

    def __init__(self, n_features: int, n_species: int, width: int, bias: bool) -> None:
        super().__init__(n_features, n_species)
        self.is_linear, self.has_bias = True, bool(bias)
        self.weights = nn.Parameter(torch.zeros(self.n_species, int(width), dtype=torch.float64))
        self.bias = nn.Parameter(torch.zeros(self.n_species, dtype=torch.float64), requires_grad=bool(bias))

    def columns(self, features: Tensor) -> Tensor:
        """Return c (n, W)."""
        raise NotImplementedError

    @torch.jit.unused
    def column_slopes(self, features: Tensor, slopes: Tensor) -> Tensor:
        """Return the slopes of the columns (n, J, 3, W) from those of the features, (n, J, 3, F)."""
        raise NotImplementedError

    def phi(self, features: Tensor, species: Tensor) -> Tensor:
        """Return the rows of the design matrix, (n, P): the columns in the block of their species, then its count."""
        kind = nn.functional.one_hot(species, self.n_species).to(features.dtype)
        blocks = (kind.unsqueeze(-1) * self.columns(features).unsqueeze(-2)).flatten(1)
        return torch.cat([blocks, kind], -1) if self.has_bias else blocks

    @torch.jit.unused
    def theta(self) -> Tensor:
        """Return the parameters in the order of the columns of `phi`, (P,)."""
        parts = [self.weights.flatten(), self.bias] if self.has_bias else [self.weights.flatten()]
        return torch.cat(parts)

    @torch.jit.unused
    def set_theta(self, theta: Tensor) -> None:
        """Take the parameters in the order of the columns of `phi`."""
        n_weights = self.weights.numel()
        with torch.no_grad():
            self.weights.copy_(theta[:n_weights].reshape(self.weights.shape))
            if self.has_bias:
                self.bias.copy_(theta[n_weights:])
