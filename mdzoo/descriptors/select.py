"""Some of the features of a descriptor."""

import difflib
import re
from collections.abc import Sequence

import torch
from torch import Tensor

from mdzoo.descriptors.base import Descriptor
from mdzoo.descriptors.slopes import Block
from mdzoo.graph import Graph


class Select(Descriptor):
    """Those features of a descriptor whose labels match a pattern of `include` and none of `exclude`.

    In a pattern `*` stands for any text and `?` for any one character; all others, brackets too, for themselves. The
    other features cost nothing where weights are folded in: they are weights of zero.

    Arguments:
        descriptor: any descriptor.
        include: patterns of labels to keep.
        exclude: patterns of labels to drop.

    Shapes: features (n, those kept), in the order of the descriptor.

    Example:
        >>> from mdzoo.descriptors import SO3
        >>> Select(SO3(5.0, K=2, L=1), include=["p[k=1*"], exclude=["*l=1]"]).labels()
        ["p[k=1,k'=1,l=0]", "p[k=1,k'=2,l=0]"]
    """

    __constants__ = ["has_density"]

    def __init__(self, descriptor: Descriptor, include: Sequence[str] = ("*",), exclude: Sequence[str] = ()) -> None:
        super().__init__(descriptor.cutoff, descriptor.n_species)
        names = descriptor.labels()
        kept = matches("include", include, names) - matches("exclude", exclude, names)
        if not kept:
            raise ValueError(
                f"`include` must leave at least one feature, got {list(include)} without {list(exclude)}; widen a "
                "pattern"
            )
        self.descriptor = descriptor
        self.smoothness = descriptor.smoothness
        self.has_density, self.has_fold = descriptor.has_density, descriptor.has_fold
        self.n_channels = descriptor.n_channels
        self.n_features = len(kept)
        self.register_buffer("kept", torch.tensor(sorted(kept)), persistent=False)

    def density(self, graph: Graph) -> Tensor:
        """Return the density of the descriptor, (n, C)."""
        return self.descriptor.density(graph)

    def contract(self, density: Tensor) -> Tensor:
        """Return the features, (n, F), of the density (n, C)."""
        return self.descriptor.contract(density).index_select(1, self.kept)

    def contract_with(self, density: Tensor, theta: Tensor) -> Tensor:
        """Return `B(A) @ theta`, (n,)."""
        every = torch.zeros([self.descriptor.n_features], dtype=theta.dtype, device=theta.device)
        return self.descriptor.contract_with(density, every.index_copy(0, self.kept, theta))

    def fold(self, density: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return `B(A) @ theta`, (n,), and its slopes by A, (n, C), for weights (1, F) or (n, F)."""
        every = torch.zeros([theta.shape[0], self.descriptor.n_features], dtype=theta.dtype, device=theta.device)
        return self.descriptor.fold(density, every.index_copy(1, self.kept, theta))

    @torch.jit.unused
    def feature_slopes(self, density: Tensor) -> list[Block]:
        """Return dB/dA of the features that are kept; blocks without any are left out."""
        out, first = [], 0
        for channels, values in self.descriptor.feature_slopes(density):
            last = first + values.shape[2]
            columns = self.kept[(self.kept >= first) & (self.kept < last)] - first
            if len(columns) > 0:
                out.append(Block(channels, values[..., columns]))
            first = last
        return out

    @torch.jit.unused
    def edge_slopes(self, graph: Graph) -> Tensor:
        """Return dA_i/dr_ij for each edge, (E, 3, C)."""
        return self.descriptor.edge_slopes(graph)

    def forward(self, graph: Graph) -> Tensor:
        """Return the features, (n, F)."""
        return self.descriptor(graph).index_select(1, self.kept)

    def empty(self, like: Tensor) -> Tensor:
        """Return the density of an atom without neighbours, one row for each species."""
        return self.descriptor.empty(like)

    def isolated(self, like: Tensor) -> Tensor:
        """Return the features of an atom without neighbours, one row for each species, in the dtype of `like`."""
        return self.descriptor.isolated(like).index_select(1, self.kept)

    def labels(self) -> list[str]:
        """Return the labels that are kept."""
        names = self.descriptor.labels()
        return [names[i] for i in self.kept.tolist()]


def matches(name: str, patterns: Sequence[str], labels: Sequence[str]) -> set[int]:
    """Return which labels match any of the patterns; each pattern must match one."""
    found: set[int] = set()
    for pattern in patterns:
        text = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern)
        here = {i for i, label in enumerate(labels) if re.fullmatch(text, label)}
        if not here:
            near = difflib.get_close_matches(pattern, labels, 3, 0.0)
            raise ValueError(f"`{name}` must match a label, got {pattern!r}; the nearest labels are {near}")
        found |= here
    return found
