"""What descriptors share whose features are one part of the density after another."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mdzoo.basis.radial import Radial
from mdzoo.descriptors.expanded import ExpandedDescriptor
from mdzoo.descriptors.slopes import Block, part_block
from mdzoo.descriptors.species_channels import SpeciesChannels
from mdzoo.graph import Graph
from mdzoo.ops import Padding


class PartwiseDescriptor(ExpandedDescriptor):
    """The base of those that set `parts`, modules with `forward -> (n, F)`, `fold -> (n,)`, `n_features` and `labels`.

    Parts follow one another in the features. The radial functions are those of the modules `radial` and `channels` (of
    species), where a member does not say otherwise.
    """

    if TYPE_CHECKING:  # TorchScript would read an annotation as an attribute that is no module
        parts: torch.nn.ModuleList
        radial: Radial
        channels: SpeciesChannels

    def functions(self, r: Tensor, graph: Graph, layout: Padding) -> Tensor:
        """Return the radial functions of the neighbours, (blocks, C, n * J)."""
        return self.channels(self.radial(r), graph, layout)

    def functions_with_slopes(self, r: Tensor, graph: Graph, layout: Padding) -> tuple[Tensor, Tensor]:
        """Return the radial functions of the neighbours and their derivatives by r, (blocks, C, n * J) each."""
        values, steps = self.radial.with_slopes(r)
        return self.channels(values, graph, layout), self.channels(steps, graph, layout)

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
