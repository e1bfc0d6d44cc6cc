"""Features brought to zero mean and unit deviation; the numbers travel with the model."""

import torch
from torch import Tensor, nn


class Scale(nn.Module):
    """`x_f = (B_f - mean_f) / std_f`, with the mean and the deviation of the training set.

    Until they are `set`, features pass unchanged.

    Arguments:
        n_features: F.

    Example:
        >>> scale = Scale(1)
        >>> scale.set(torch.tensor([2.0]), torch.tensor([4.0]))
        >>> scale(torch.tensor([[6.0]])).tolist()
        [[1.0]]
    """

    mean: Tensor
    std: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(int(n_features), dtype=torch.float64))
        self.register_buffer("std", torch.ones(int(n_features), dtype=torch.float64))

    def forward(self, features: Tensor) -> Tensor:
        """Return the scaled features, (n, F)."""
        return (features - self.mean) / self.std

    @torch.jit.unused
    def set(self, mean: Tensor, std: Tensor) -> None:
        """Take the mean and the deviation, (F,) each; a feature that does not vary is left with its deviation 1."""
        if mean.shape != self.mean.shape or std.shape != self.std.shape:
            raise ValueError(
                f"`mean` and `std` must hold {self.mean.numel()} numbers each, got {list(mean.shape)} and "
                f"{list(std.shape)}; take them over the rows of the features"
            )
        if not (torch.isfinite(mean).all() and torch.isfinite(std).all() and (std >= 0.0).all()):
            raise ValueError("`mean` and `std` must be finite and not negative, got NaN or worse; check the features")
        varies = std > 1e-10 * mean.abs()
        self.mean.copy_(mean)
        self.std.copy_(torch.where(varies, std, torch.ones_like(std)))
