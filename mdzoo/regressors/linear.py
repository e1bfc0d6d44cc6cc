"""Energy linear in the features, with one set of weights for each species."""

import torch
from torch import Tensor

from mdzoo.regressors.by_species import BySpecies


class Linear(BySpecies):
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
        super().__init__(n_features, n_species, n_features, bias)

    def forward(self, features: Tensor, species: Tensor) -> Tensor:
        """Return the energies, (n,)."""
        if self.n_species == 1:
            return features @ self.weights[0] + self.bias[0]
        return (features * self.weights[species]).sum(-1) + self.bias[species]

    def columns(self, features: Tensor) -> Tensor:
        """Return the features."""
        return features

    @torch.jit.unused
    def column_slopes(self, features: Tensor, slopes: Tensor) -> Tensor:
        """Return the slopes of the features."""
        return slopes
