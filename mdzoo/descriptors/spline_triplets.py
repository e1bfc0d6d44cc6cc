"""Triplets of atoms in splines of their three distances, contracted over one distance after the other."""

from itertools import combinations_with_replacement

import torch
from torch import Tensor, nn

from mdzoo.basis.cardinal_spline import cardinal_slopes
from mdzoo.basis.even_splines import EvenSplines
from mdzoo.ops import blocks

PAIRS = 1 << 12
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

    index: Tensor
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
        index = torch.full([self.n_legs, self.n_legs, n_far + 3], self.n_features)
        index[a, b, n] = index[b, a, n] = torch.arange(self.n_features)
        self.register_buffer("index", index.flatten(1), persistent=False)
        self.register_buffer("first", (a * self.n_legs + b) * n_far + n, persistent=False)
        self.register_buffer("second", (b * self.n_legs + a) * n_far + n, persistent=False)
        self.register_buffer("share", torch.where(a == b, 0.5, 1.0).double(), persistent=False)
        self.register_buffer("kinds", torch.arange(n_species).view(-1, 1), persistent=False)

    def block_atoms(self, rows: Tensor) -> int:
        """Return the number of atoms in one block."""
        width = max(1, rows.shape[1] // self.n_rows)
        return max(1, self.block_pairs * (64 if rows.is_cuda else 1) // (width * width))

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
        """Return the same of some atoms, slopes by places alone: the last sum takes the four splines at each r_jk."""
        x, species = self.places(rows)
        r, jk, others = torch.sqrt((x * x).sum(1)), self.between(x), self.others(x)
        values, steps = self.near.with_slopes(r)
        b = self.legs(values, species)
        numbers, far, inside = self.far.local(jk)
        value, along = self.at_pairs(b, torch.cat([b, self.legs(steps, species)], 1), theta, numbers)
        by_r = ((along * far).sum(3) * others).sum(1) / r
        turn = (value * cardinal_slopes(inside)).sum(3) * others / (self.far.step * jk)
        slopes = x * (by_r + turn.sum(1)).unsqueeze(1) - x @ turn
        return 0.5 * ((value * far).sum(3) * others).sum([1, 2]), slopes.flatten(1)

    def at_pairs(self, b: Tensor, left: Tensor, theta: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return the coefficients of the functions `numbers` of r_jk, (n, J, J, 4), with the legs to k and `left` to j.

        `left` (n, 2 J, A) holds two numbers of each leg to j; there is one table of coefficients for each.
        """
        n, width = b.shape[0], b.shape[1]
        table = nn.functional.pad(theta, [0, 1]).index_select(1, self.index.flatten())
        table = table.view(theta.shape[0], self.n_legs, -1)
        inner = left @ (table[0] if table.shape[0] == 1 else table)
        inner = inner.view(n, 2 * width, self.n_legs, -1).transpose(1, 2).flatten(2)
        one, other = (b @ inner).view(n, width, 2 * width, -1).split(width, 2)
        return one.gather(3, numbers), other.gather(3, numbers)

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
