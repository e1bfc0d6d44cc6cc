"""The three-body embedding descriptor of DeePMD, se_e3: learnt functions of the angles between neighbours."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mdzoo.basis.embedding import EmbeddingNetwork
from mdzoo.descriptors.base import Descriptor
from mdzoo.descriptors.deepmd import NUMBERS
from mdzoo.descriptors.environment_matrix import EnvironmentMatrix, by_atom
from mdzoo.graph import Graph, n_centers
from mdzoo.ops import blocks


class AngularSum(nn.Module):
    """`sum_jj' theta_jj' G(theta_jj')`, theta the scalar products of two tables of vectors, block of atoms by block.

    Shapes: (n, J, 3), (n, J', 3) -> (n, M).
    """

    def __init__(self, network: EmbeddingNetwork, widths: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.m, self.block = int(list(widths)[-1]), max(1, NUMBERS // sum(int(width) for width in widths))

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the sums."""
        parts: list[Tensor] = []
        size = max(1, self.block // max(1, left.shape[1] * right.shape[1]))
        for a, b in zip(blocks(left, size), blocks(right, size)):  # noqa: B905 - TorchScript
            theta = (a @ b.mT).flatten(1)
            g = self.network(theta.view(1, -1)).view(self.m, theta.shape[0], theta.shape[1])
            parts.append((g.transpose(0, 1) @ theta.unsqueeze(2)).squeeze(2))
        return torch.cat(parts)


class SeE3(Descriptor):
    r"""Learnt functions of pairs of neighbours (Wang et al., DOI 10.1088/1741-4326/ac888b; DeepPot-SE, se_e3 or se_t).

    With the components R_ijk, k = 1..3, of the environment matrix (`EnvironmentMatrix`) and a network G for each
    unordered pair of species of neighbours,

        theta_ijj' = sum_k R_ijk R_ij'k,    D_im = sum_{t <= t'} 1/(N_t N_t') sum_{j in t, j' in t'} theta G_m(theta)

    with N_t = sel_t. Empty places have theta = 0 and add nothing; the pair j = j' is one of the sum, as in deepmd-kit.
    The cost goes with the square of the number of neighbours: for short cutoffs, or beside `DeepMD` in a `Concatenate`.

    Arguments:
        cutoff: rcut, Angstrom.
        n_species: number of elements.
        rcut_smth: where the quintic starts, Angstrom.
        sel: places for neighbours of each species, one number for all or a list.
        neuron: widths of the layers of G, the last is M; a layer of the same or twice the width is residual.
        resnet_dt: whether residual layers have trainable time steps.
        exclude_types: pairs of species (centre and neighbour), by number, that do not see each other.
        activation_function: `tanh` or `silu`.
        trainable: whether the networks train.
        seed: of the first weights.

    Shapes: features (n, M). There is no density.

    Example:
        >>> SeE3(neuron=[2, 4]).labels()[:2]
        ['D[m=1]', 'D[m=2]']
    """

    def __init__(
        self,
        cutoff: float = 4.0,
        n_species: int = 1,
        rcut_smth: float = 0.5,
        sel: int | Sequence[int] = 20,
        neuron: Sequence[int] = (8, 16, 32),
        resnet_dt: bool = False,
        exclude_types: Sequence[Sequence[int]] = (),
        activation_function: str = "tanh",
        trainable: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(cutoff, n_species)
        self.smoothness, self.has_density = 2, False
        self.environment = EnvironmentMatrix(cutoff, self.n_species, rcut_smth, sel, exclude_types, True)
        self.pairs = [(s, t) for s in range(self.n_species) for t in range(s, self.n_species)]
        self.scales = [1.0 / (self.environment.sizes[s] * self.environment.sizes[t]) for s, t in self.pairs]
        first = int(seed) * len(self.pairs)
        self.sums = nn.ModuleList(
            AngularSum(EmbeddingNetwork(neuron, activation_function, resnet_dt, first + number), neuron)
            for number in range(len(self.pairs))
        )
        self.sums.requires_grad_(bool(trainable))
        self.n_features = int(list(neuron)[-1])

    def forward(self, graph: Graph) -> Tensor:
        """Return D, (n, M)."""
        n = n_centers(graph)
        there, rows = graph.species[graph.neighbors], self.environment(graph)[:, 1:]
        rows = rows * self.environment.seen[graph.species[graph.centers], there].unsqueeze(1)
        tables: list[Tensor] = []
        for kind in range(self.n_species):
            mine = (there == kind).nonzero().squeeze(-1)
            table = by_atom(rows[mine], graph.centers[mine])
            tables.append(nn.functional.pad(table, [0, 0, 0, 0, 0, n - table.shape[0]]))
        out = torch.zeros([n, self.n_features], dtype=rows.dtype, device=rows.device)
        for number, summed in enumerate(self.sums):
            s, t = self.pairs[number]
            out = out + self.scales[number] * summed(tables[s], tables[t])
        return out

    def isolated(self, like: Tensor) -> Tensor:
        """Return the features of an atom without neighbours, zero, one row for each species."""
        return torch.zeros([self.n_species, self.n_features], dtype=like.dtype, device=like.device)

    def labels(self) -> list[str]:
        """Return the names of the features."""
        return [f"D[m={m}]" for m in range(1, self.n_features + 1)]
