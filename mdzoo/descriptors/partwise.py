"""What descriptors share whose features are one part of the density after another."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mdzoo.descriptors.base import Descriptor
from mdzoo.descriptors.slopes import Block, part_block


class PartwiseDescriptor(Descriptor):
    """The base of those that set `parts`, modules with `forward -> (n, F)`, `fold -> (n,)`, `n_features` and `labels`.

    A member gives the density; parts follow one another in the features.
    """

    if TYPE_CHECKING:  # TorchScript would read an annotation as an attribute that is no module
        parts: torch.nn.ModuleList

    def contract(self, density: Tensor) -> Tensor:
        """Return the features, (n, F), of the density (n, C)."""
        parts: list[Tensor] = []
        for part in self.parts:
            parts.append(part(density))
        return torch.cat(parts, 1)

    def contract_with(self, density: Tensor, theta: Tensor) -> Tensor:
        """Return `B(A) @ theta`, (n,): each part folds its weights in, and the features are never formed."""
        out = torch.zeros_like(density[:, 0])
        first = 0
        for part in self.parts:
            out = out + part.fold(density, theta[first : first + part.n_features])
            first += part.n_features
        return out

    @torch.jit.unused
    def feature_slopes(self, density: Tensor) -> list[Block]:
        """Return dB/dA, one block for each part: of a part with `slopes` its own, else by forward mode."""
        return [part_block(part, density) for part in self.parts]

    def labels(self) -> list[str]:
        """Return the labels of all parts."""
        return [label for part in self.parts for label in part.labels()]
