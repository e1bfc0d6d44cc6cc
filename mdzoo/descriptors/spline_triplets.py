"""Triplets of atoms in splines of their three distances, contracted over one distance after the other."""

from itertools import combinations_with_replacement

import torch
from torch import Tensor, nn

from mdzoo.basis.even_splines import EvenSplines
from mdzoo.ops import blocks

PAIRS = 1 << 13
"""Pairs of neighbours in one block of atoms: what is made of them stays in the cache."""


class SplineTriplets(nn.Module):
    r"""`sum_{j<k} b_A(j) b_B(k) B_n(r_jk) + [A <-> B]` for the legs A < B, half of it for A = B.

    A leg is a species and a function of the distance from the centre, `b_A(j) = [s_j = s] B_l(r_ij)`. Triples of
    functions that no triangle meets are left out. Each sum over triplets is two products of matrices for each atom,
    over k with `B_n(r_jk)` and over j.

    Arguments:
        cutoff: largest distance of both neighbours from the centre, Angstrom.
        inner: first knot, Angstrom.
        n_near: functions of r_ij and r_ik, which end at the cutoff.
        n_far: functions of r_jk, which end at twice the cutoff.
        n_species: number of elements.

    Shapes: rows (x, y, z, with several species the species) of the neighbours of each atom, (n, R * J) -> (n, F).
    """

    index: Tensor  # (A, legs with three more of each species, N + 3): which feature, F for none
    corners: Tensor  # (4 of r_jk, 4 of r_ik, 1, 1) from the first of the coefficients that touch a pair
    first: Tensor
    second: Tensor
    share: Tensor
    kinds: Tensor

    def __init__(self, cutoff: float, inner: float, n_near: int, n_far: int, n_species: int) -> None:
        super().__init__()
        self.near = EvenSplines(inner, cutoff, n_near)
        self.far = EvenSplines(inner, 2.0 * cutoff, n_far)
        self.n_species, self.n_near, self.n_far, self.n_legs = n_species, n_near, n_far, n_species * n_near
        self.n_rows, self.filler, self.block_pairs = 3 + int(n_species > 1), 2.0 * cutoff, PAIRS
        self.triples = triples(self.near, self.far, n_species)
        self.n_features = len(self.triples)
        a, b, n = torch.tensor(self.triples).unbind(1)
        index = torch.full([self.n_legs, n_species * (n_near + 3), n_far + 3], self.n_features)
        wide_a, wide_b = (leg + leg // n_near * 3 for leg in (a, b))
        index[a, wide_b, n] = index[b, wide_a, n] = torch.arange(self.n_features)
        corners = (torch.arange(4).unsqueeze(1) + torch.arange(4) * (n_far + 3)).view(4, 4, 1, 1)
        self.register_buffer("index", index, persistent=False)
        self.register_buffer("corners", corners, persistent=False)
        self.register_buffer("first", (a * self.n_legs + b) * n_far + n, persistent=False)
        self.register_buffer("second", (b * self.n_legs + a) * n_far + n, persistent=False)
        self.register_buffer("share", torch.where(a == b, 0.5, 1.0).double(), persistent=False)
        self.register_buffer("kinds", torch.arange(n_species).view(-1, 1), persistent=False)

    def block_atoms(self, rows: Tensor) -> int:
        """Return the number of atoms in one block."""
        width = max(1, rows.shape[1] // self.n_rows)
        return max(1, self.block_pairs * (64 if rows.is_cuda else 1) // max(1, width * (width - 1) // 2))

    def legs(self, functions: Tensor, species: Tensor) -> Tensor:
        """Return the functions (n, J, N) of each neighbour at the places of its species, (n, J, A)."""
        if self.n_species == 1:
            return functions
        mine = (species.unsqueeze(-1).unsqueeze(-1) == self.kinds).to(functions.dtype)
        return (functions.unsqueeze(2) * mine).flatten(2)

    def between(self, x: Tensor) -> Tensor:
        """Return r_jk of the places (n, 3, J), (n, J, J); tiny, with no slope, where two neighbours coincide."""
        squares = (x * x).sum(1)
        square = squares.unsqueeze(1) + squares.unsqueeze(2) - 2.0 * (x.mT @ x)
        return torch.sqrt(torch.clamp(square, min=1e-12 * self.near.outer**2))

    def others(self, x: Tensor) -> Tensor:
        """Return 1 for two neighbours and 0 for one and itself, (J, J)."""
        return 1.0 - torch.eye(x.shape[2], dtype=x.dtype, device=x.device)

    def forward(self, rows: Tensor) -> Tensor:
        """Return the features, (n, F)."""
        parts: list[Tensor] = []
        for block in blocks(rows, self.block_atoms(rows)):
            parts.append(self.features(block))
        return torch.cat(parts)

    def features(self, rows: Tensor) -> Tensor:
        """Return the features of some atoms."""
        x, species = self.places(rows)
        b = self.legs(self.near(torch.sqrt((x * x).sum(1))), species)
        far = self.far(self.between(x)) * self.others(x).unsqueeze(-1)
        products = b.mT @ self.summed(b, far).flatten(2)
        return products.flatten(1).index_select(1, self.first) * self.share

    def places(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the places (n, 3, J) and species (n, J) of the neighbours."""
        table = rows.reshape(rows.shape[0], self.n_rows, rows.shape[1] // self.n_rows)
        return table[:, :3], table[:, self.n_rows - 1]

    def summed(self, b: Tensor, far: Tensor) -> Tensor:
        """Return `sum_k b_B(k) g_n(j, k)`, (n, J, B, N), of the legs (n, J, B) and any g of pairs (n, J, J, N)."""
        n, width = b.shape[0], b.shape[1]
        return (b.mT @ far.flatten(2)).view(n, self.n_legs, width, self.n_far).transpose(1, 2)

    def fold(self, rows: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features times theta (1 or n, F), (n,), and its slopes by the rows, no graph."""
        energies, slopes = rows.new_empty([rows.shape[0]]), torch.zeros_like(rows)
        size = self.block_atoms(rows)
        with torch.no_grad():
            for first in range(0, rows.shape[0], size):
                last = first + size
                own = theta if theta.shape[0] == 1 else theta[first:last]
                energies[first:last], slope = self.fold_block(rows[first:last], own)
                slopes[first:last, : slope.shape[1]] = slope
        return energies, slopes

    def fold_block(self, rows: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return the same of some atoms, slopes by places alone, of each pair of neighbours once."""
        x, species = self.places(rows)
        r = torch.sqrt((x * x).sum(1))
        columns, column = self.leg_columns(r, species, theta)
        x, r = x.permute(1, 2, 0).contiguous(), r.t().contiguous()  # atoms last
        first, second = torch.triu_indices(r.shape[0], r.shape[0], 1, device=x.device).unbind(0)
        apart = x.index_select(1, second) - x.index_select(1, first)
        jk = torch.sqrt(torch.clamp((apart * apart).sum(0), min=1e-12 * self.near.outer**2))
        leg, leg_step = [part.index_select(1, second) for part in self.near.four(r)]
        places = column[0].index_select(0, first) + column[1].index_select(0, second) + self.far.place(jk)[0]
        value, by_j, by_jk = self.at_pairs(columns, places, jk)
        turn = contracted(by_jk, leg).div_(jk) * apart
        along = torch.zeros_like(r).index_add(0, first, contracted(by_j, leg))
        along = along.index_add(0, second, contracted(value, leg_step))
        slopes = (x * (along / r)).index_add(1, second, turn).index_add(1, first, turn, alpha=-1)
        return contracted(value, leg).sum(0), slopes.permute(2, 0, 1).flatten(1)

    def at_pairs(self, columns: Tensor, places: Tensor, jk: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the sums over the splines at r_jk, of their slopes by r_ij and of those by r_jk, (4, P, n) each.

        The four that are left belong to the splines at r_ik; `places` is where the first of each pair stands.
        """
        far, far_step = self.far.four(jk)
        sums = [torch.zeros_like(far), torch.zeros_like(far), torch.zeros_like(far)]
        for number in range(4):
            here = (places + self.corners[number]).flatten()
            value = columns[0].index_select(0, here).view(far.shape)
            sums[0].addcmul_(value, far[number])
            sums[1].addcmul_(columns[1].index_select(0, here).view(far.shape), far[number])
            sums[2].addcmul_(value, far_step[number])
        return sums[0], sums[1], sums[2]

    def leg_columns(self, r: Tensor, species: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return the coefficients that remain with the legs to j and with their slopes, (2, all of them).

        And where those of each neighbour begin as j and as k, (2, J, n).
        """
        values, steps = self.near.with_slopes(r)
        legs = torch.stack([self.legs(values, species), self.legs(steps, species)])
        table = nn.functional.pad(theta, [0, 1]).index_select(1, self.index.flatten())
        table = table.view(theta.shape[0], self.n_legs, -1)
        columns = legs @ (table[0] if table.shape[0] == 1 else table)
        starts = torch.arange(r.numel(), device=r.device).view(r.shape) * columns.shape[3]
        stretch = self.near.place(r)[0]
        if self.n_species > 1:
            stretch = stretch + species.to(torch.int64).clamp(0, self.n_species - 1) * (self.n_near + 3)
        return columns.flatten(1), torch.stack([starts, stretch * (self.n_far + 3)]).transpose(1, 2).contiguous()

    @torch.jit.unused
    def slopes(self, rows: Tensor) -> Tensor:
        """Return the slopes of the features by the place of each neighbour, (n, J, 3, F)."""
        return torch.cat([self.slopes_block(block) for block in rows.split(self.block_atoms(rows))])

    @torch.jit.unused
    def slopes_block(self, rows: Tensor) -> Tensor:
        """Return the same of some atoms."""
        x, species = self.places(rows)
        r, jk = torch.sqrt((x * x).sum(1)), self.between(x)
        values, steps = self.near.with_slopes(r)
        far, far_steps = self.far.with_slopes(jk)
        others = self.others(x).unsqueeze(-1)
        b, near_steps = self.legs(values, species), self.legs(steps, species)
        whole = near_steps.unsqueeze(-1) * self.summed(b, far * others).flatten(2).unsqueeze(2)
        parts = []
        for axis in range(3):
            turn = (x[:, axis].unsqueeze(1) - x[:, axis].unsqueeze(2)) / jk  # of r_jk by the place of j
            pulled = self.summed(b, far_steps * (turn.unsqueeze(-1) * others)).flatten(2)
            part = whole * (x[:, axis] / r).unsqueeze(-1).unsqueeze(-1) + b.unsqueeze(-1) * pulled.unsqueeze(2)
            part = part.flatten(2)
            parts.append((part[..., self.first] + part[..., self.second]) * self.share)
        return torch.stack(parts, 2)

    def labels(self) -> list[str]:
        """Return names such as `3b[s=0,s'=0,l=1,m=2,n=3]`."""
        out = []
        for a, b, n in self.triples:
            (s, one), (t, other) = divmod(a, self.n_near), divmod(b, self.n_near)
            out.append(f"3b[s={s},s'={t},l={one},m={other},n={n}]")
        return out


def triples(near: EvenSplines, far: EvenSplines, n_species: int) -> list[tuple[int, int, int]]:
    """Return the legs A <= B and functions n of r_jk within whose supports some triangle has its sides."""
    out = []
    for a, b in combinations_with_replacement(range(n_species * near.n), 2):
        (low, high), (other_low, other_high) = near.support(a % near.n), near.support(b % near.n)
        for n in range(far.n):
            from_, to = far.support(n)
            if to > max(0.0, low - other_high, other_low - high) and from_ < high + other_high:
                out.append((a, b, n))
    return out


def contracted(numbers: Tensor, weights: Tensor) -> Tensor:
    """Return the sum over the first axis, of four, of numbers times weights (4, P, n), without history."""
    out = numbers[0] * weights[0]
    for k in range(1, 4):
        out.addcmul_(numbers[k], weights[k])
    return out
