"""The neighbours of an atom as rows of numbers of unit deviation: what DeePMD's descriptors see."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mdzoo.basis.cutoff import smoothstep
from mdzoo.graph import Graph
from mdzoo.ops import pad, padding, segment_sum


class EnvironmentMatrix(nn.Module):
    r"""`R_ij = ((s - mean) / std, s x / (r std_a), s y / (r std_a), s z / (r std_a))` for each neighbour.

    s(r) = w(r) / r with w = 1 up to `rcut_smth` and a quintic from there to 0 at the cutoff, which has two continuous
    derivatives. mean, std and std_a depend on the species of the centre; until they are set from data they are 0, 1, 1
    (Zhang et al., arXiv:1805.09003; the statistics are those of deepmd-kit).

    Arguments:
        cutoff: rcut, Angstrom.
        n_species: number of elements.
        rcut_smth: where the quintic starts, Angstrom.
        sel: places for neighbours of each species, one number for all or a list.
        exclude_types: pairs of species, by number, that do not see each other.
        set_davg_zero: whether the mean stays 0.

    Buffers: `davg` (n_species,), `dstd` (n_species, 2) for s and for its components, `sel` (n_species,), `seen`
    (n_species, n_species).
    Shapes: edges -> (E, 4).
    """

    sel: Tensor
    seen: Tensor
    davg: Tensor
    dstd: Tensor

    def __init__(
        self,
        cutoff: float,
        n_species: int,
        rcut_smth: float,
        sel: int | Sequence[int],
        exclude_types: Sequence[Sequence[int]],
        set_davg_zero: bool,
    ) -> None:
        super().__init__()
        self.cutoff, self.rcut_smth, self.n_species = float(cutoff), float(rcut_smth), int(n_species)
        if not 0.0 <= self.rcut_smth < self.cutoff:
            raise ValueError(
                f"`rcut_smth` must be within [0, cutoff={self.cutoff}) (Angstrom), got {rcut_smth}; 0.5 is common"
            )
        self.set_davg_zero = bool(set_davg_zero)
        self.sizes = places(sel, self.n_species)
        self.n_places = sum(self.sizes)
        self.register_buffer("sel", torch.tensor(self.sizes), persistent=False)
        self.register_buffer("seen", pairs_seen(exclude_types, self.n_species), persistent=False)
        self.register_buffer("davg", torch.zeros(self.n_species, dtype=torch.float64))
        self.register_buffer("dstd", torch.ones(self.n_species, 2, dtype=torch.float64))

    def rows(self, graph: Graph) -> Tensor:
        """Return s, s x / r, s y / r, s z / r for each edge, (E, 4) in 1/Angstrom."""
        x, y, z = graph.vectors.t().contiguous().unbind(0)
        r = torch.sqrt(x * x + y * y + z * z)
        s = smoothstep((self.cutoff - r) / (self.cutoff - self.rcut_smth), 2) / r
        return torch.stack([s, s * x / r, s * y / r, s * z / r], 1)

    def forward(self, graph: Graph) -> Tensor:
        """Return R for each edge, (E, 4)."""
        here, rows = graph.species[graph.centers], self.rows(graph)
        first = (rows[:, :1] - self.davg[here].unsqueeze(1)) / self.dstd[here, :1]
        return torch.cat([first, rows[:, 1:] / self.dstd[here, 1:]], 1)

    def absent(self) -> Tensor:
        """Return the first number of R of a neighbour at the cutoff, or of one that is not there, (n_species,)."""
        return -self.davg / self.dstd[:, 0]

    @torch.jit.unused
    def statistics(self, graph: Graph) -> Tensor:
        """Return for each species the sums of 1, s, s^2 and of the components over atoms and edges, (n_species, 4)."""
        here = graph.species[graph.centers]
        seen = self.seen[here, graph.species[graph.neighbors]]
        rows = self.rows(graph)[seen]
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


def by_atom(rows: Tensor, atoms: Tensor) -> Tensor:
    """Return rows (e, k) of the ascending `atoms` in a table by atom, (n, J, k), zero where one has fewer than J."""
    layout = padding(atoms)
    table = pad(rows, layout, torch.zeros([rows.shape[1]], dtype=rows.dtype, device=rows.device))
    return table.view(layout.n, layout.width, rows.shape[1])


def places(sel: int | Sequence[int], n_species: int) -> list[int]:
    """Return the places for neighbours of each species."""
    sizes = [int(sel)] * n_species if isinstance(sel, int | float) else [int(size) for size in sel]
    if len(sizes) != n_species or min(sizes) < 1:
        raise ValueError(
            f"`sel` must be a positive number or {n_species} of them, one for each species, got {sel}; give about the "
            "most neighbours that an atom has"
        )
    return sizes


def pairs_seen(excluded: Sequence[Sequence[int]], n_species: int) -> Tensor:
    """Return which pairs of species see each other, (n_species, n_species)."""
    seen = torch.ones(n_species, n_species, dtype=torch.bool)
    for pair in excluded:
        if len(pair) != 2 or not all(0 <= int(kind) < n_species for kind in pair):
            raise ValueError(
                f"`exclude_types` must hold pairs of species 0 to {n_species - 1}, got {list(pair)}; count them as the "
                "element table does"
            )
        seen[int(pair[0]), int(pair[1])] = seen[int(pair[1]), int(pair[0])] = False
    return seen
