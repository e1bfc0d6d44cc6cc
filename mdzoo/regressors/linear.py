"""Energy linear in the features, with one set of weights for each species."""

import torch
from torch import Tensor, nn

from mdzoo.regressors.base import Regressor


class Linear(Regressor):
    """`E_i = b_{s_i} + sum_f w_{s_i f} B_{i f}` (Thompson et al., DOI 10.1016/j.jcp.2014.12.018, eq. 11).

    Arguments:
        n_features: F, taken from the descriptor.
        n_species: number of elements.
        bias: whether each species has a constant term (eV).

    Parameters: `weights` (n_species, F) in eV per unit of the feature, `bias` (n_species,) in eV.

    Example:
        >>> Linear(3, 1)(torch.ones(2, 3, dtype=torch.float64), torch.zeros(2, dtype=torch.int64)).tolist()
        [0.0, 0.0]
    """

    def __init__(self, n_features: int, n_species: int, bias: bool = True) -> None:
        super().__init__(n_features, n_species)
        self.is_linear = True
        self.weights = nn.Parameter(torch.zeros(self.n_species, self.n_features, dtype=torch.float64))
        self.bias = nn.Parameter(torch.zeros(self.n_species, dtype=torch.float64), requires_grad=bool(bias))

    def forward(self, features: Tensor, species: Tensor) -> Tensor:
        """Return the energies, (n,)."""
        if self.n_species == 1:
            return features @ self.weights[0] + self.bias[0]
        return (features * self.weights[species]).sum(-1) + self.bias[species]

    @torch.jit.unused
    def phi(self, features: Tensor, species: Tensor) -> Tensor:
        """Return the rows of the design matrix, (n, P): the features in the block of their species, then its count."""
        kind = nn.functional.one_hot(species, self.n_species).to(features.dtype)
        blocks = (kind.unsqueeze(-1) * features.unsqueeze(-2)).flatten(1)
        return torch.cat([blocks, kind], -1) if self.bias.requires_grad else blocks

    @torch.jit.unused
    def set_theta(self, theta: Tensor) -> None:
        """Take the parameters in the order of the columns of `phi`."""
        n_weights = self.weights.numel()
        with torch.no_grad():
            self.weights.copy_(theta[:n_weights].reshape(self.weights.shape))
            if self.bias.requires_grad:
                self.bias.copy_(theta[n_weights:])
