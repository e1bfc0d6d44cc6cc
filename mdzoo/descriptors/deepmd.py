"""The two-body embedding descriptor of DeePMD, se_e2_a: radial functions are networks, and train with the rest."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mdzoo.basis.cutoff import smoothstep
from mdzoo.basis.embedding import EmbeddingNetwork
from mdzoo.descriptors.base import Descriptor
from mdzoo.graph import Graph
from mdzoo.ops import pad, padding, segment_sum

NUMBERS = 400_000
"""Activations that one block of neighbours makes, few enough for the cache."""


class EmbeddedSum(nn.Module):
    """`sum_j G(R_j0) R_j` over the neighbours of one kind, block of atoms by block.

    Shapes: rows of edges (e, 4) and the atom of each, ascending and without gaps -> (n, M, 4).
    """

    def __init__(self, network: EmbeddingNetwork, widths: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.block = max(1, NUMBERS // sum(int(width) for width in widths))

    def forward(self, rows: Tensor, atoms: Tensor) -> Tensor:
        """Return the sums."""
        layout = padding(atoms)
        table = pad(rows, layout, torch.zeros([4], dtype=rows.dtype, device=rows.device))
        parts: list[Tensor] = []
        for block in table.split(max(1, self.block // layout.width) * layout.width):
            g = self.network(block[:, :1].t().contiguous()).view(-1, block.shape[0] // layout.width, layout.width)
            parts.append(g.transpose(0, 1) @ block.view(-1, layout.width, 4))
        return torch.cat(parts)


class DeepMD(Descriptor):
    r"""Products of a learnt density of neighbours with itself (Zhang et al., arXiv:1805.09003; DeepPot-SE, se_e2_a).

    With s(r) = w(r) / r, w = 1 up to `rcut_smth` and a quintic from there to 0 at the cutoff (two continuous
    derivatives), each neighbour is a row of the environment matrix, brought to unit deviation

        R_ij = ((s - mean) / std, s x / (r std_a), s y / (r std_a), s z / (r std_a))

    with numbers that depend on the species of the centre. Networks G: R -> R^M, one for each species of neighbour
    (`type_one_side`) or each pair, weight the rows, and the features are products of two of these sums:

        T_imk = 1/N_c sum_j G_m(R_ij0) R_ijk,      D_ima = sum_k T_imk T_iak,      m = 1..M, a = 1..axis_neuron

    N_c is the sum of `sel`, not the number of neighbours. deepmd-kit gives each atom sel_t places for neighbours of
    species t; one that stays empty has s = 0 and adds G(-mean/std) (-mean/std), which is what a neighbour at the cutoff
    adds, so T is smooth. Here the places are counted, not filled: T is a constant of the species, that of an atom
    alone, plus a sum over the neighbours there are of what vanishes at the cutoff, and stays so beyond sel_t
    neighbours, where deepmd-kit drops the farthest.

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
        set_davg_zero: whether the mean stays 0 when the statistics are set.
        activation_function: `tanh` or `silu`.
        trainable: whether the networks train.
        seed: of the first weights.

    Buffers: `davg` (n_species,), the mean of s, and `dstd` (n_species, 2), the deviations of s and of its components;
    a fit sets them from the training set by `statistics` and `set_statistics`.
    Shapes: density (n, M * 4), features (n, M * axis_neuron).

    Example:
        >>> DeepMD(neuron=[2, 4], axis_neuron=2).labels()[:3]
        ['D[m=1,a=1]', 'D[m=1,a=2]', 'D[m=2,a=1]']
    """

    sel: Tensor
    kinds: Tensor
    davg: Tensor
    dstd: Tensor

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
        self.rcut_smth = float(rcut_smth)
        if not 0.0 <= self.rcut_smth < self.cutoff:
            raise ValueError(
                f"`rcut_smth` must be within [0, cutoff={self.cutoff}) (Angstrom), got {rcut_smth}; 0.5 is common"
            )
        sizes = places(sel, self.n_species)
        self.n_places = sum(sizes)
        self.m, self.axis_neuron = int(list(neuron)[-1]) if len(neuron) > 0 else 0, int(axis_neuron)
        self.kinds_of(bool(type_one_side), exclude_types)
        n_networks, seed = self.n_species if type_one_side else self.n_species**2, int(seed)
        self.sums = nn.ModuleList(
            EmbeddedSum(EmbeddingNetwork(neuron, activation_function, resnet_dt, seed * n_networks + kind), neuron)
            for kind in range(n_networks)
        )
        self.sums.requires_grad_(bool(trainable))
        if not 1 <= self.axis_neuron <= self.m:
            raise ValueError(f"`axis_neuron` must be 1 to {self.m}, the last of `neuron`, got {axis_neuron}; try 16")
        self.set_davg_zero = bool(set_davg_zero)
        self.n_channels, self.n_features = 4 * self.m, self.m * self.axis_neuron
        self.register_buffer("sel", torch.tensor(sizes), persistent=False)
        self.register_buffer("davg", torch.zeros(self.n_species, dtype=torch.float64))
        self.register_buffer("dstd", torch.ones(self.n_species, 2, dtype=torch.float64))

    def kinds_of(self, one_side: bool, excluded: Sequence[Sequence[int]]) -> None:
        """Make the table of which network a pair of species has, (n_species, n_species), -1 for none."""
        table = torch.arange(self.n_species**2).view(self.n_species, -1)
        if one_side:
            table = table[:1].repeat(self.n_species, 1)
        for pair in excluded:
            if len(pair) != 2 or not all(0 <= int(kind) < self.n_species for kind in pair):
                raise ValueError(
                    f"`exclude_types` must hold pairs of species 0 to {self.n_species - 1}, got {list(pair)}; count "
                    "them as the element table does"
                )
            table[int(pair[0]), int(pair[1])] = table[int(pair[1]), int(pair[0])] = -1
        self.register_buffer("kinds", table, persistent=False)

    def environment(self, graph: Graph) -> Tensor:
        """Return s, s x / r, s y / r, s z / r for each edge, (E, 4) in 1/Angstrom."""
        x, y, z = graph.vectors.t().contiguous().unbind(0)
        r = torch.sqrt(x * x + y * y + z * z)
        s = smoothstep((self.cutoff - r) / (self.cutoff - self.rcut_smth), 2) / r
        return torch.stack([s, s * x / r, s * y / r, s * z / r], 1)

    def density(self, graph: Graph) -> Tensor:
        """Return T, (n, M * 4)."""
        n = 0 if graph.centers.numel() == 0 else int(graph.centers[-1]) + 1
        here, there = graph.species[graph.centers], graph.species[graph.neighbors]
        rows = self.environment(graph)
        first = (rows[:, :1] - self.davg[here].unsqueeze(1)) / self.dstd[here, :1]
        rows = torch.cat([first, rows[:, 1:] / self.dstd[here, 1:]], 1)
        kinds = self.kinds.flatten()[here * self.n_species + there]
        total = torch.zeros([n, self.m, 4], dtype=rows.dtype, device=rows.device)
        for kind, summed in enumerate(self.sums):
            mine = (kinds == kind).nonzero().squeeze(-1)
            if mine.numel() > 0:
                atoms, place = torch.unique_consecutive(graph.centers[mine], return_inverse=True)
                total = total.index_add(0, atoms, summed(rows[mine], place))
        counts = torch.bincount(graph.centers * self.n_species + there, minlength=n * self.n_species)
        vacant = self.sel - counts.view(n, self.n_species)
        lone = torch.einsum("nt,ntm->nm", vacant.to(rows.dtype), self.vacancies()[graph.species[:n]])
        return (total + nn.functional.pad(lone.unsqueeze(-1), [0, 3])).flatten(1) / self.n_places

    def vacancies(self) -> Tensor:
        """Return what a neighbour at the cutoff adds to the first column of T, by species, (centre, neighbour, M)."""
        first = (-self.davg / self.dstd[:, 0]).unsqueeze(0)
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
        lone = torch.einsum("t,stm->sm", self.sel.to(like.dtype), self.vacancies())
        return nn.functional.pad(lone.unsqueeze(-1), [0, 3]).flatten(1) / self.n_places

    def labels(self) -> list[str]:
        """Return the names of the features."""
        return [f"D[m={m},a={a}]" for m in range(1, self.m + 1) for a in range(1, self.axis_neuron + 1)]

    @torch.jit.unused
    def statistics(self, graph: Graph) -> Tensor:
        """Return for each species the sums of 1, s, s^2 and of the components over atoms and edges, (n_species, 4)."""
        here = graph.species[graph.centers]
        seen = self.kinds[here, graph.species[graph.neighbors]] >= 0
        rows = self.environment(graph)[seen]
        sums = torch.stack([rows[:, 0], rows[:, 0] ** 2, rows[:, 1:].sum(1)], 1)
        atoms = torch.bincount(graph.species, minlength=self.n_species).to(rows.dtype)
        return torch.cat([atoms.unsqueeze(1), segment_sum(sums, here[seen], self.n_species)], 1)

    @torch.jit.unused
    def standardised(self) -> bool:
        """Tell whether the statistics have been set."""
        return bool((self.davg != 0.0).any() or (self.dstd != 1.0).any())

    @torch.jit.unused
    def set_statistics(self, sums: Tensor) -> None:
        """Take mean and deviation from the sum of `statistics` over a training set, as deepmd-kit does.

        Empty places count as zeros; a deviation is 0.01 at least, and 0.1 where a species has no atom.
        """
        count = (sums[:, 0] * self.n_places).clamp_min(1.0)
        s, squares, components = sums[:, 1] / count, sums[:, 2] / count, sums[:, 3] / (3.0 * count)
        radial = (squares - s * s).clamp_min(0.0).sqrt()
        angular = (squares / 3.0 - components * components).clamp_min(0.0).sqrt()
        found = torch.stack([radial, angular], 1).clamp_min(0.01)
        self.dstd.copy_(torch.where(sums[:, :1] > 0.0, found, 0.1))
        if not self.set_davg_zero:
            self.davg.copy_(s)


def places(sel: int | Sequence[int], n_species: int) -> list[int]:
    """Return the places for neighbours of each species."""
    sizes = [int(sel)] * n_species if isinstance(sel, int | float) else [int(size) for size in sel]
    if len(sizes) != n_species or min(sizes) < 0 or sum(sizes) < 1:
        raise ValueError(
            f"`sel` must be a positive number or {n_species} of them, one for each species, got {sel}; give about the "
            "most neighbours that an atom has"
        )
    return sizes
