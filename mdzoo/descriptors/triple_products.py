"""Averages of products of three functions of a rotation: what `SO4` makes of its density."""

from itertools import product

import torch
from torch import Tensor, nn

from mdzoo.basis.hypersphere import polynomials_on
from mdzoo.ops import blocks

CHUNK = 32
"""Atoms in one pass."""

PIECE = 4
"""Atoms whose products of pairs the cache holds."""


def triples(twojmax: int) -> list[tuple[int, int, int]]:
    """Return all (2 j1, 2 j2, 2 j), j >= j1 >= j2, with the triangle rule and a whole sum, in the order of LAMMPS."""
    return [
        (j1, j2, j)
        for j1 in range(twojmax + 1)
        for j2 in range(j1 + 1)
        for j in range(j1 - j2, min(twojmax, j1 + j2) + 1, 2)
        if j >= j1
    ]


class TripleProducts(nn.Module):
    """`B = n_j <rho_{e1 j1} rho_{e2 j2} rho_{e3 j}>`, the average over all rotations, by a rule exact for it.

    At the points q of the rule `rho_{e j}(q) = sum_k a_{e j k} Phi_{j k}(q) / (2j + 1)`, a product with a constant
    matrix. A channel is (e, j), even or odd by 2j. As j1 + j2 + j is whole, none or two of a triple are odd: pairs of
    like channels have an even third, mixed pairs an odd one.

    Arguments:
        n_densities: number of e.
        twojmax: largest 2j.
        normalised: n_j = 1 instead of 2j + 1.
    """

    scale: Tensor

    def __init__(self, n_densities: int, twojmax: int, normalised: bool) -> None:
        super().__init__()
        self.sizes = [(twoj + 1) ** 2 for twoj in range(twojmax + 1)]
        table = polynomials_on(3 * twojmax // 2, twojmax)
        self.register_buffer("table", table, persistent=False)
        self.chunk, self.piece = CHUNK, PIECE
        self.n_densities, self.n_points = n_densities, table.shape[1]
        self.features = list(product(product(range(n_densities), repeat=3), triples(twojmax)))
        self.n_features = len(self.features)
        scale = [1.0 if normalised else js[2] + 1.0 for _, js in self.features]
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64), persistent=False)
        self.number(twojmax)

    def number(self, twojmax: int) -> None:
        """Number even and odd channels and their pairs, and note where the features stand among the products."""
        even, odd = ([(e, j) for e in range(self.n_densities) for j in range(k, twojmax + 1, 2)] for k in (0, 1))
        same = [(a, b) for group in (even, odd) for i, a in enumerate(group) for b in group[i:]]
        mixed = list(product(even, odd))
        place = {pair: k for pairs in (same, mixed) for k, pair in enumerate(pairs)}
        own = {c: k for group in (even, odd) for k, c in enumerate(group)}
        self.n_even, self.n_odd, self.n_same, self.n_mixed = len(even), len(odd), len(same), len(mixed)
        found: dict[str, list[int]] = {"value": [], "even_place": [], "even_from": [], "odd_place": [], "odd_from": []}
        for feature, (e, js) in enumerate(self.features):
            members = list(zip(e, js, strict=True))
            for k, third in enumerate(members):
                pair = sorted(members[:k] + members[k + 1 :], key=lambda c: (c[1] % 2, c))
                kind, width = ("odd", len(mixed)) if third[1] % 2 else ("even", len(same))
                found[f"{kind}_place"].append(own[third] * width + place[tuple(pair)])
                found[f"{kind}_from"].append(feature)
                if kind == "even" and len(found["value"]) == feature:
                    found["value"].append(place[tuple(pair)] * len(even) + own[third])
        for name, numbers in found.items():
            self.register_buffer(name, torch.tensor(numbers, dtype=torch.int64), persistent=False)

    def on_points(self, density: Tensor) -> tuple[Tensor, Tensor]:
        """Return the even (channels, n, Q) and odd channels at the points, of the density (n, C)."""
        tables = self.table.split(self.sizes)
        even: list[Tensor] = []
        odd: list[Tensor] = []
        for rho in density.split(self.table.shape[0], 1):
            for twoj, block in enumerate(rho.split(self.sizes, 1)):
                if twoj % 2 == 0:
                    even.append(block @ tables[twoj])
                else:
                    odd.append(block @ tables[twoj])
        nothing = density.new_zeros([0, density.shape[0], self.n_points])
        return torch.stack(even), torch.stack(odd) if len(odd) > 0 else nothing

    def forward(self, density: Tensor) -> Tensor:
        """Return the features, (n, F)."""
        parts: list[Tensor] = []
        for chunk in blocks(density, self.chunk):
            even, odd = self.on_points(chunk)
            thirds = even.permute(1, 2, 0)
            found: list[Tensor] = []
            for rows in (even, odd):
                for k in range(rows.shape[0]):  # each channel with itself and those behind it
                    found.append((rows[k : k + 1] * rows[k:]).transpose(0, 1) @ thirds)
            parts.append(torch.cat(found, 1).flatten(1).index_select(1, self.value))
        return torch.cat(parts) * self.scale

    def fold(self, density: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return `B(density) @ theta`, (n,), and its slopes by the density, (n, C), for weights (1, F) or (n, F).

        There is no graph behind either. As B is cubic, a third of slopes times density is the first. Atoms go in
        chunks, and within a chunk products in pieces that stay in the cache.
        """
        slopes = torch.empty_like(density)
        with torch.no_grad():
            for_even = added(theta * self.scale, self.even_from, self.even_place, self.n_even, self.n_same)
            for_odd = added(theta * self.scale, self.odd_from, self.odd_place, self.n_odd, self.n_mixed)
            n_chunk = min(self.chunk, density.shape[0])
            even = density.new_empty([self.n_even, n_chunk, self.n_points])
            odd = density.new_empty([self.n_odd, n_chunk, self.n_points])
            same = density.new_empty([self.n_same, self.piece, self.n_points])
            mixed = density.new_empty([self.n_even, self.n_odd, self.piece, self.n_points])
            for first in range(0, density.shape[0], n_chunk):
                n = min(n_chunk, density.shape[0] - first)
                self.to_points(density[first : first + n], even, odd)
                for start in range(0, n, self.piece):
                    stop = min(start + self.piece, n)
                    x, y = even[:, start:stop], odd[:, start:stop]
                    products(x, y, same[:, : stop - start], mixed[:, :, : stop - start])
                    apply(for_even, first + start, same[:, : stop - start], x)
                    apply(for_odd, first + start, mixed.flatten(0, 1)[:, : stop - start], y)
                self.from_points(even, odd, slopes[first : first + n])
            return (density * slopes).sum(1) / 3.0, slopes

    def to_points(self, density: Tensor, even: Tensor, odd: Tensor) -> None:
        """Write the channels of the density (n, C) at the points to the first n atoms of `even` and `odd`."""
        tables = self.table.split(self.sizes)
        n_even = n_odd = 0
        for rho in density.split(self.table.shape[0], 1):
            for twoj, block in enumerate(rho.split(self.sizes, 1)):
                if twoj % 2 == 0:
                    torch.mm(block, tables[twoj], out=even[n_even, : density.shape[0]])
                    n_even += 1
                else:
                    torch.mm(block, tables[twoj], out=odd[n_odd, : density.shape[0]])
                    n_odd += 1

    def from_points(self, even: Tensor, odd: Tensor, slopes: Tensor) -> None:
        """Write the slopes by the density (n, C) that the slopes by the channels of the first n atoms mean."""
        tables = self.table.split(self.sizes)
        n_even = n_odd = 0
        for block in slopes.split(self.table.shape[0], 1):
            for twoj, part in enumerate(block.split(self.sizes, 1)):
                if twoj % 2 == 0:
                    part.copy_(even[n_even, : slopes.shape[0]] @ tables[twoj].t())
                    n_even += 1
                else:
                    part.copy_(odd[n_odd, : slopes.shape[0]] @ tables[twoj].t())
                    n_odd += 1


def products(even: Tensor, odd: Tensor, same: Tensor, mixed: Tensor) -> None:
    """Write the products of like channels, each with itself and those behind it, and those of even with odd ones."""
    n = 0
    for rows in (even, odd):
        for k in range(rows.shape[0]):
            width = rows.shape[0] - k
            torch.mul(rows[k : k + 1], rows[k:], out=same[n : n + width])
            n += width
    torch.mul(even.unsqueeze(1), odd.unsqueeze(0), out=mixed)


def apply(weights: Tensor, first: int, rows: Tensor, out: Tensor) -> None:
    """Write `weights` (1 or N, channels, pairs) of the atoms from `first` on times `rows` (pairs, n, Q) to `out`."""
    if weights.shape[0] == 1:
        out.copy_((weights[0] @ rows.flatten(1)).view_as(out))
    else:
        own = weights[first : first + rows.shape[1]]
        out.copy_((own @ rows.transpose(0, 1)).transpose(0, 1))


def added(theta: Tensor, origin: Tensor, places: Tensor, rows: int, columns: int) -> Tensor:
    """Return matrices (n, rows, columns) to whose flat `places` the weights theta (n, F) from `origin` are added."""
    flat = theta.new_zeros([theta.shape[0], rows * columns])
    return flat.index_add(1, places, theta.index_select(1, origin)).view(-1, rows, columns)
