"""Fewer features: linear combinations of those of a descriptor."""

import torch
from torch import Tensor

from mdzoo.descriptors.base import Descriptor
from mdzoo.descriptors.slopes import Block
from mdzoo.graph import Graph

KINDS = ("random", "principal")


class Projection(Descriptor):
    """`B' = B W` with a matrix W (F, P) that does not train and travels with the model.

    `random` draws the entries from N(0, 1/P), which keeps scalar products up to sqrt(2/P) of the norms (Johnson and
    Lindenstrauss, DOI 10.1090/conm/026/737400). `principal` starts like that, and a fit then takes the P combinations
    that vary most over the atoms of the training set, of features scaled to unit deviation: the principal components.
    A model that has learnt its components keeps them when a fit goes on from it.

    Arguments:
        descriptor: any descriptor.
        n_components: P, at most the number of its features.
        kind: `random` or `principal`.
        seed: of the random matrix.

    Shapes: features (n, P). Where the regressor is linear W is folded into its weights, and F features never exist.
    """

    __constants__ = ["has_density"]

    def __init__(self, descriptor: Descriptor, n_components: int = 32, kind: str = "random", seed: int = 0) -> None:
        super().__init__(descriptor.cutoff, descriptor.n_species)
        size = int(n_components)
        if not 1 <= size <= descriptor.n_features:
            raise ValueError(
                f"`n_components` must be 1 to {descriptor.n_features}, the number of features, got {n_components}; "
                "give fewer, or a larger descriptor"
            )
        if kind not in KINDS:
            raise ValueError(f"`kind` must be one of {list(KINDS)}, got {kind!r}; `principal` learns from the data")
        self.kind = kind
        self.descriptor = descriptor
        self.smoothness = descriptor.smoothness
        self.has_density, self.has_fold = descriptor.has_density, descriptor.has_fold
        self.n_channels = descriptor.n_channels
        self.n_features = size
        generator = torch.Generator().manual_seed(int(seed))
        matrix = torch.randn(descriptor.n_features, size, generator=generator, dtype=torch.float64) / size**0.5
        self.register_buffer("matrix", matrix)
        self.register_buffer("learnt", torch.tensor(kind == "random"))

    @torch.jit.unused
    def set_matrix(self, matrix: Tensor) -> None:
        """Take another matrix W, (F, P)."""
        if matrix.shape != self.matrix.shape:
            raise ValueError(
                f"`matrix` must have the shape {list(self.matrix.shape)}, got {list(matrix.shape)}; one column "
                "for each component"
            )
        self.matrix.copy_(matrix)
        self.learnt.fill_(True)

    @torch.jit.unused
    def set_principal(self, covariance: Tensor) -> None:
        """Take the P leading principal components of features with this covariance (F, F), scaled to unit deviation.

        Components that do not vary beyond rounding, where features depend on each other, are zero.
        """
        deviation = covariance.diagonal().sqrt()
        varies = deviation > 1e-12 * deviation.max()
        scale = torch.where(varies, 1.0 / torch.where(varies, deviation, 1.0), 0.0)
        variances, vectors = torch.linalg.eigh(covariance * scale * scale.unsqueeze(1))
        rounding = torch.finfo(variances.dtype).eps * len(variances) * variances[-1]
        vectors = vectors * (variances > rounding)
        self.set_matrix(scale.unsqueeze(1) * vectors.flip(1)[:, : self.n_features])

    def density(self, graph: Graph) -> Tensor:
        """Return the density of the descriptor, (n, C)."""
        return self.descriptor.density(graph)

    def contract(self, density: Tensor) -> Tensor:
        """Return the features, (n, P), of the density (n, C)."""
        return self.descriptor.contract(density) @ self.matrix

    def contract_with(self, density: Tensor, theta: Tensor) -> Tensor:
        """Return `B(A) @ W @ theta`, (n,)."""
        return self.descriptor.contract_with(density, self.matrix @ theta)

    def fold(self, density: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return `B(A) @ W @ theta`, (n,), and its slopes by A, (n, C), for weights (1, P) or (n, P)."""
        return self.descriptor.fold(density, theta @ self.matrix.t())

    @torch.jit.unused
    def feature_slopes(self, density: Tensor) -> list[Block]:
        """Return dB/dA, one block: the slopes of the features, times the matrix."""
        inner = self.descriptor.feature_slopes(density)
        out = density.new_zeros(density.shape[0], self.n_channels, self.n_features)
        for (channels, values), rows in zip(inner, self.matrix.split([b.values.shape[2] for b in inner]), strict=True):
            out[:, channels] += values @ rows
        return [Block(torch.arange(self.n_channels), out)]

    @torch.jit.unused
    def edge_slopes(self, graph: Graph) -> Tensor:
        """Return dA_i/dr_ij for each edge, (E, 3, C)."""
        return self.descriptor.edge_slopes(graph)

    def forward(self, graph: Graph) -> Tensor:
        """Return the features, (n, P)."""
        return self.descriptor(graph) @ self.matrix

    def empty(self, like: Tensor) -> Tensor:
        """Return the density of an atom without neighbours, one row for each species."""
        return self.descriptor.empty(like)

    def isolated(self, like: Tensor) -> Tensor:
        """Return the features of an atom without neighbours, one row for each species, in the dtype of `like`."""
        return self.descriptor.isolated(like) @ self.matrix

    def labels(self) -> list[str]:
        """Return the names of the components."""
        return [f"component[{i}]" for i in range(1, self.n_features + 1)]
