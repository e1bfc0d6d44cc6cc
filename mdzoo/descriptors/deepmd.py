"""The two-body embedding descriptor of DeePMD, se_e2_a: radial functions are networks, and train with the rest."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mdzoo.basis.embedding import EmbeddingNetwork
from mdzoo.descriptors.base import Descriptor
from mdzoo.descriptors.environment_matrix import EnvironmentMatrix, by_atom
from mdzoo.graph import Graph, n_centers
from mdzoo.ops import blocks

NUMBERS = 400_000
"""Activations that one block of neighbours makes, few enough for the cache."""


class EmbeddedSum(nn.Module):
    """`sum_j G(R_j0) R_j` over the neighbours of one kind, block of atoms by block.

    Shapes: rows of edges (e, 4) and the atom of each, ascending and without gaps -> (n, M, 4).
    """

    def __init__(self, network: EmbeddingNetwork, widths: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.m, self.block = int(list(widths)[-1]), max(1, NUMBERS // sum(int(width) for width in widths))

    def forward(self, rows: Tensor, atoms: Tensor) -> Tensor:
        """Return the sums."""
        table = by_atom(rows, atoms)
        parts: list[Tensor] = []
        for block in blocks(table, max(1, self.block // max(1, table.shape[1]))):
            g = self.network(block[:, :, 0].reshape(1, -1)).view(self.m, block.shape[0], block.shape[1])
            parts.append(g.transpose(0, 1) @ block)
        return torch.cat(parts)


class DeepMD(Descriptor):
    r"""Products of a learnt density of neighbours with itself (Zhang et al., arXiv:1805.09003; DeepPot-SE, se_e2_a).

    With the rows R_ij of the environment matrix (`EnvironmentMatrix`) and networks G: R -> R^M, one for each species of
    neighbour (`type_one_side`) or each pair of species,

        T_imk = 1/N_c sum_j G_m(R_ij0) R_ijk,      D_ima = sum_k T_imk T_iak,      m = 1..M, a = 1..axis_neuron

    N_c is the sum of `sel`, not the number of neighbours. deepmd-kit gives each atom sel_t places for neighbours of
    species t; one that stays empty has s = 0 and adds G(-mean/std) (-mean/std), which is what a neighbour at the cutoff
    adds, so T is smooth. Here the places are counted, not filled: T is a constant of the species, that of an atom
    alone, plus a sum over the neighbours there are of what vanishes at the cutoff, and stays so beyond sel_t
    neighbours, where deepmd-kit drops the farthest. Excluded pairs have no places; in deepmd-kit theirs count as empty.

    Arguments:
        cutoff: rcut, Angstrom.
        n_species: number of elements.
        rcut_smth: where the quintic starts, Angstrom.
        sel: places for neighbours of each species, one number for all or a list.
        neuron: widths of the layers of G, the last is M; a layer of the same or twice the width is residual.
        axis_neuron: number of columns of the second factor.
        resnet_dt: whether residual layers have trainable time steps.
        type_one_side: whether G ignores the species of the centre.
        exclude_types: pairs of species, by number, that do not see each other.
        set_davg_zero: whether the mean of s stays 0 when a fit sets the statistics from its training set.
        activation_function: `tanh` or `silu`.
        trainable: whether the networks train.
        seed: of the first weights.

    Shapes: density (n, M * 4), features (n, M * axis_neuron).

    Example:
        >>> DeepMD(neuron=[2, 4], axis_neuron=2).labels()[:3]
        ['D[m=1,a=1]', 'D[m=1,a=2]', 'D[m=2,a=1]']
    """

    kinds: Tensor

    def __init__(
        self,
        cutoff: float = 6.0,
        n_species: int = 1,
        rcut_smth: float = 0.5,
        sel: int | Sequence[int] = 60,
        neuron: Sequence[int] = (25, 50, 100),
        axis_neuron: int = 16,
        resnet_dt: bool = False,
        type_one_side: bool = True,
        exclude_types: Sequence[Sequence[int]] = (),
        set_davg_zero: bool = False,
        activation_function: str = "tanh",
        trainable: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(cutoff, n_species)
        self.smoothness = 2
        self.environment = EnvironmentMatrix(cutoff, self.n_species, rcut_smth, sel, exclude_types, set_davg_zero)
        self.m, self.axis_neuron = int(list(neuron)[-1]) if len(neuron) > 0 else 0, int(axis_neuron)
        n_networks, first = self.n_species if type_one_side else self.n_species**2, int(seed)
        self.sums = nn.ModuleList(
            EmbeddedSum(EmbeddingNetwork(neuron, activation_function, resnet_dt, first * n_networks + kind), neuron)
            for kind in range(n_networks)
        )
        self.sums.requires_grad_(bool(trainable))
        if not 1 <= self.axis_neuron <= self.m:
            raise ValueError(f"`axis_neuron` must be 1 to {self.m}, the last of `neuron`, got {axis_neuron}; try 16")
        self.n_channels, self.n_features = 4 * self.m, self.m * self.axis_neuron
        kinds = torch.arange(self.n_species**2).view(self.n_species, -1)  # (centre, neighbour), -1 for no network
        kinds = kinds[:1].expand(self.n_species, -1) if type_one_side else kinds
        self.register_buffer("kinds", torch.where(self.environment.seen, kinds, -1), persistent=False)

    def density(self, graph: Graph) -> Tensor:
        """Return T, (n, M * 4)."""
        n = n_centers(graph)
        here, there, rows = graph.species[graph.centers], graph.species[graph.neighbors], self.environment(graph)
        kinds = self.kinds.flatten()[here * self.n_species + there]
        total = torch.zeros([n, self.m, 4], dtype=rows.dtype, device=rows.device)
        for kind, summed in enumerate(self.sums):
            mine = (kinds == kind).nonzero().squeeze(-1)
            atoms, place = torch.unique_consecutive(graph.centers[mine], return_inverse=True)
            total = total.index_add(0, atoms, summed(rows[mine], place))
        counts = torch.bincount(graph.centers * self.n_species + there, minlength=n * self.n_species)
        vacant = (self.environment.sel - counts.view(n, self.n_species)).to(rows.dtype)
        return self.filled(total, torch.einsum("nt,ntm->nm", vacant, self.vacancies()[graph.species[:n]]))

    def filled(self, total: Tensor, first: Tensor) -> Tensor:
        """Return the sums (n, M, 4) and what empty places add to their first column (n, M), divided by N_c."""
        return (total + nn.functional.pad(first.unsqueeze(-1), [0, 3])).flatten(1) / self.environment.n_places

    def vacancies(self) -> Tensor:
        """Return what an empty place adds to the first column of T, by species, (centre, neighbour, M)."""
        first = self.environment.absent().unsqueeze(0)
        each: list[Tensor] = []
        for summed in self.sums:
            each.append(first * summed.network(first))
        each.append(torch.zeros_like(each[0]))  # of pairs that do not see each other
        return torch.stack(each)[self.kinds, :, torch.arange(self.n_species, device=first.device).unsqueeze(1)]

    def contract(self, density: Tensor) -> Tensor:
        """Return the features, (n, M * axis_neuron), of the density (n, M * 4)."""
        t = density.view(-1, self.m, 4)
        return (t @ t[:, : self.axis_neuron].mT).flatten(1)

    def contract_with(self, density: Tensor, theta: Tensor) -> Tensor:
        """Return `D @ theta`, (n,): the weights act on the second factor."""
        t = density.view(-1, self.m, 4)
        return (t * (theta.view(self.m, -1) @ t[:, : self.axis_neuron])).sum([1, 2])

    def empty(self, like: Tensor) -> Tensor:
        """Return the density of an atom without neighbours, one row for each species."""
        lone = torch.einsum("t,stm->sm", self.environment.sel.to(like.dtype), self.vacancies())
        return self.filled(torch.zeros([self.n_species, self.m, 4], dtype=like.dtype, device=like.device), lone)

    def labels(self) -> list[str]:
        """Return the names of the features."""
        return [f"D[m={m},a={a}]" for m in range(1, self.m + 1) for a in range(1, self.axis_neuron + 1)]
