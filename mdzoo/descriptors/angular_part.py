"""The angular part of the symmetry functions of Behler and Parrinello, block of atoms by block of atoms."""

import torch
from torch import Tensor, nn

from mdzoo.basis.cutoff import cosine_cutoff, cosine_cutoff_slope, tanh_cutoff, tanh_cutoff_slope
from mdzoo.descriptors.angular_functions import AngularFunctions
from mdzoo.descriptors.expansion import Surroundings
from mdzoo.descriptors.neighbour_pairs import Pairs, partners, room, sums, sums_with
from mdzoo.ops import blocks

PAIRS = 1 << 14
"""Pairs of neighbours in one block: its rows stay in the cache."""


class AngularPart(nn.Module):
    """G4 and G5 of each pair of kinds of neighbours, with their slopes for given weights.

    Arguments:
        cutoff: Angstrom.
        cutoff_function: `cosine` or `tanh`.
        g4: rows (eta, zeta, lambda, R_s).
        g5: likewise.
        shares: number of kinds.

    Shapes: rows (x, y, z, r, rho, kinds) of the neighbours of each atom (n, R * J), J odd -> (n, T * (G4 + G5)) for the
    T pairs of kinds (0,0), (1,0), (1,1), (2,0) ...
    """

    kind: Tensor

    def __init__(
        self, cutoff: float, cutoff_function: str, g4: list[list[float]], g5: list[list[float]], shares: int
    ) -> None:
        super().__init__()
        self.cutoff, self.is_cosine, self.block_pairs = cutoff, cutoff_function == "cosine", PAIRS
        self.kinds = [(a, b) for a in range(shares) for b in range(a + 1)]
        order = [self.kinds.index((max(a, b), min(a, b))) for a in range(shares) for b in range(shares)]
        self.register_buffer("kind", torch.tensor(order), persistent=False)
        self.closed, self.open = AngularFunctions(g4, True), AngularFunctions(g5, False)
        self.shares, self.several = shares, shares if shares > 1 else 0
        self.row_counts = [3, 1, self.closed.n_near, self.open.n_near, self.several]
        self.n_rows, self.n_functions = sum(self.row_counts), len(g4) + len(g5)
        self.n_features = len(self.kinds) * self.n_functions

    def rows(self, around: Surroundings, shares: Tensor, f: Tensor) -> Tensor:
        """Return the rows of each atom, (n, R * J), for what each neighbour counts in each kind and f(r)."""
        if self.several == 0:
            f = f * shares[0]
        rows = [around.x, around.y, around.z, around.r] + self.closed.near(around.r, f) + self.open.near(around.r, f)
        if self.several > 0:
            rows += shares.unbind(0)
        layout = around.layout
        return torch.stack(rows).view(self.n_rows, layout.n, layout.width).transpose(0, 1).flatten(1)

    def width(self, table: Tensor) -> int:
        """Return J."""
        return table.shape[1] // self.n_rows

    def block_atoms(self, table: Tensor) -> int:
        """Return the number of atoms in one block."""
        width = self.width(table)
        return max(1, self.block_pairs * (256 if table.is_cuda else 1) // max(1, width * (width // 2)))

    def by_neighbours(self, block: Tensor) -> Tensor:
        """Return the rows of some atoms (n, R * J) with atoms last, (R, J, n)."""
        return block.reshape(block.shape[0], self.n_rows, self.width(block)).permute(1, 2, 0).contiguous()

    def forward(self, table: Tensor) -> Tensor:
        """Return the functions, (n, T * (G4 + G5))."""
        parts: list[Tensor] = []
        for block in blocks(table, self.block_atoms(table)):
            parts.append(self.functions(self.by_neighbours(block)))
        return torch.cat(parts)

    def fold(self, table: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return the functions times theta (1 or n, T * (G4 + G5)), (n,), and its slopes by the rows, no graph.

        Each pair of neighbours gives one number; slopes are those of a product of functions of one neighbour, of the
        angle and of r_jk^2.
        """
        energies, slopes = table.new_empty([table.shape[0]]), torch.empty_like(table)
        size, last_near = self.block_atoms(table), self.n_rows - self.several
        with torch.no_grad():
            for first in range(0, table.shape[0], size):
                last = first + size
                rows = self.by_neighbours(table[first:last])
                found = self.fold_block(rows, theta if theta.shape[0] == 1 else theta[first:last])
                energies[first:last] = 0.5 * (rows[4:last_near] * found[4:last_near]).sum([0, 1])
                slopes[first:last] = found.permute(2, 0, 1).flatten(1)
        return energies, slopes

    def envelope(self, r: Tensor) -> Tensor:
        """Return the cutoff function f(r), of the shape of r."""
        x = r / self.cutoff
        return cosine_cutoff(x) if self.is_cosine else tanh_cutoff(x)

    def envelope_slope(self, r: Tensor) -> Tensor:
        """Return the derivative of the cutoff function by r^2."""
        x = r / self.cutoff
        slope = cosine_cutoff_slope(x) if self.is_cosine else tanh_cutoff_slope(x)
        return slope / ((2.0 * self.cutoff) * r)

    def pairs(self, one: Tensor, other: Tensor) -> Pairs:
        """Return cosines and distances from the rows (x, y, z, r, ...) of first and second neighbours."""
        cosine = torch.addcmul(torch.addcmul(one[0] * other[0], one[1], other[1]), one[2], other[2])
        if self.closed.n_features == 0:
            return Pairs(cosine, cosine, cosine, cosine)
        r1, r2 = one[3], other[3]
        square = torch.addcmul(r1 * r1 + r2 * r2, r1 * r2, cosine, value=-2.0)
        square = torch.clamp(square, min=1e-12 * self.cutoff**2)  # finite slope where two neighbours coincide
        distance = torch.sqrt(square)
        return Pairs(cosine, square, distance, self.envelope(distance))

    def functions(self, rows: Tensor) -> Tensor:
        """Return G4 and G5, (n, T * (G4 + G5)), from the rows (R, J, n) of neighbours."""
        here, there = rows.unsqueeze(1), partners(rows)
        pairs = self.pairs(here, there)
        one, other = here.split(self.row_counts), there.split(self.row_counts)
        weights: list[Tensor] = []
        if self.several > 0:
            for a, b in self.kinds:
                weight = one[4][a] * other[4][b]
                weights.append(weight if a == b else torch.addcmul(weight, one[4][b], other[4][a]))
        closed = self.closed(pairs, one[2], other[2], weights)
        opened = self.open(pairs, one[3], other[3], weights)
        parts: list[Tensor] = []
        for kind in range(len(self.kinds)):
            parts += closed[kind * self.closed.n_features : (kind + 1) * self.closed.n_features]
            parts += opened[kind * self.open.n_features : (kind + 1) * self.open.n_features]
        return torch.stack(parts, 1)

    def fold_block(self, rows: Tensor, theta: Tensor) -> Tensor:
        """Return the slopes of G4 and G5 times theta (1 or n, T * (G4 + G5)) by the rows (R, J, n), of their shape."""
        here, there, space = rows.unsqueeze(1), partners(rows), room(rows)
        pairs = self.pairs(here, there)
        one, other = here.split(self.row_counts), there.split(self.row_counts)
        weights = self.pair_weights(theta, rows, other[4])
        by_cosine, _, by_open = self.open.fold(
            pairs, pairs.envelope, one[3], other[3], weights[self.closed.n_features :], space
        )
        envelope_slope = self.envelope_slope(pairs.distance)
        also, by_square, by_closed = self.closed.fold(
            pairs, envelope_slope, one[2], other[2], weights[: self.closed.n_features], space
        )
        by_cosine += also
        turning = by_square * here[3] * there[3]
        by_r = 2.0 * (rows[3] * sums(by_square, space) - sums(turning * pairs.cosine, space) / rows[3])
        by_cosine = torch.add(by_cosine, turning, alpha=-2.0)
        units = [sums_with(by_cosine, rows[k], there[k], space) for k in range(3)]
        nothing = torch.zeros_like(rows[: self.several])
        return torch.cat([torch.stack(units + [by_r]), by_closed, by_open, nothing])

    def pair_weights(self, theta: Tensor, rows: Tensor, kinds: Tensor) -> list[Tensor]:
        """Return what each of G4 and G5 counts in each pair, for theta (1 or n, T * (G4 + G5))."""
        n_functions, width = self.n_functions, rows.shape[1]
        if self.several == 0:
            return list(theta.t().unsqueeze(1).expand(n_functions, width, rows.shape[2]).contiguous().unbind(0))
        each = theta.view(theta.shape[0], -1, n_functions).index_select(1, self.kind)
        each = each.view(-1, self.shares, self.shares, n_functions).permute(3, 2, 1, 0).unsqueeze(3)
        here = (each * rows[-self.shares :]).sum(2)  # for the first neighbour and a second one of each species
        out: list[Tensor] = []
        for k in range(n_functions):
            total = here[k, 0] * kinds[0]
            for b in range(1, self.shares):
                total.addcmul_(here[k, b], kinds[b])
            out.append(total)
        return out
