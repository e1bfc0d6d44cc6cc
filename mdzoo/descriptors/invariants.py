"""Invariants of an expanded density: what orders 3, 4 and 5 of `SO3` make of a_klm.

Each part uses its own share of k and lm: C channels (species and k), (l_max + 1)^2 harmonics. Inside, atoms are the
last axis, so that every product is over long rows. A part gives `forward -> (n, F)` or, with weights, `fold -> (n,)`,
where the weights act on the equivariants and features never exist.
"""

import numpy as np
import torch
from torch import Tensor, nn

from mdzoo.basis.coupling import even_triples, real_coupling


class Share(nn.Module):
    """The part of the density that one body order uses: (n, species * K * lm) -> (lm, C, n)."""

    def __init__(self, n_species: int, k_all: int, l_all: int, k_max: int, l_max: int) -> None:
        super().__init__()
        self.n_species, self.k_all, self.k_max, self.l_max = n_species, k_all, k_max, l_max
        self.lm_all, self.lm = (l_all + 1) ** 2, (l_max + 1) ** 2
        self.n_channels = n_species * k_max
        self.widths = [2 * order + 1 for order in range(l_max + 1)]

    def forward(self, density: Tensor) -> Tensor:
        """Return the share, ((l_max + 1)^2, C, n)."""
        table = density.view(-1, self.n_species, self.k_all, self.lm_all)
        table = table.split([self.lm, self.lm_all - self.lm], 3)[0]  # its gradient is contiguous, a slice's need not be
        return table[:, :, : self.k_max].permute(3, 1, 2, 0).reshape(self.lm, self.n_channels, -1)

    def channels(self) -> Tensor:
        """Return which channels of the density these are, in the order (C, lm)."""
        every = torch.arange(self.n_species * self.k_all * self.lm_all).view(self.n_species, self.k_all, self.lm_all)
        return every[:, : self.k_max, : self.lm].flatten()

    def names(self) -> list[str]:
        """Return the name of each channel: k, or species.k with several species."""
        several = self.n_species > 1
        return [f"{s}.{k}" if several else f"{k}" for s in range(self.n_species) for k in range(1, self.k_max + 1)]


class Equivariants(nn.Module):
    """`y_{t p m} = sum C^{l1 l2 l}_{m1 m2 m} a_{p1 l1 m1} a_{p2 l2 m2}`; p pairs channels, t is a triple (l, l1, l2).

    One product for each pair (l1 m1, l2 m2), then one matrix with all couplings; its rows go by l, then m, then t.
    """

    def __init__(self, l_max: int, first: list[int], second: list[int]) -> None:
        super().__init__()
        self.triples = even_triples(l_max)
        self.counts = [sum(t[0] == order for t in self.triples) for order in range(l_max + 1)]
        self.widths = [(2 * order + 1) * count for order, count in enumerate(self.counts)]
        self.same = first == second
        pairs: dict[tuple[int, int], int] = {}
        entries: list[tuple[int, int, float]] = []
        starts = np.cumsum([0, *self.widths])
        for number, (order, l1, l2) in enumerate(self.triples):
            t = number - sum(self.counts[:order])
            table = real_coupling(l1, l2, order)
            for i, j, m in np.argwhere(np.abs(table) > 1e-14):
                mu, nu = l1 * l1 + int(i), l2 * l2 + int(j)
                pair = (min(mu, nu), max(mu, nu)) if self.same else (mu, nu)
                row = int(starts[order]) + int(m) * self.counts[order] + t
                entries.append((row, pairs.setdefault(pair, len(pairs)), float(table[i, j, m])))
        matrix = torch.zeros(sum(self.widths), len(pairs), dtype=torch.float64)
        for row, column, value in entries:
            matrix[row, column] += value
        self.register_buffer("matrix", matrix, persistent=False)
        self.register_buffer("lm1", torch.tensor([p[0] for p in pairs]), persistent=False)
        self.register_buffer("lm2", torch.tensor([p[1] for p in pairs]), persistent=False)
        self.register_buffer("first", torch.tensor(first), persistent=False)
        self.register_buffer("second", torch.tensor(second), persistent=False)

    def forward(self, a: Tensor) -> list[Tensor]:
        """Return for each l the equivariants of a (lm, C, n) as (2l + 1, triples of l * pairs, n)."""
        left = a if self.same else a[:, self.first]
        right = a if self.same else a[:, self.second]
        products = left.index_select(0, self.lm1) * right.index_select(0, self.lm2)
        y = (self.matrix @ products.flatten(1)).view(-1, products.shape[2])
        heights = [width * products.shape[1] for width in self.widths]
        out: list[Tensor] = []
        for order, block in enumerate(y.split(heights)):
            out.append(block.view(2 * order + 1, -1, block.shape[1]))
        return out


def half_slopes(couple: Equivariants, a: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Return for each l the slopes of y along its first and its second factor, (2l + 1, t, p, lm, n)."""
    table = torch.zeros(couple.matrix.shape[0], a.shape[0], a.shape[0], dtype=a.dtype, device=a.device)
    table[:, couple.lm1, couple.lm2] = couple.matrix
    first = torch.einsum("ruv,vpn->rpun", table, a[:, couple.second])
    second = torch.einsum("ruv,upn->rpvn", table, a[:, couple.first])
    shapes = [(2 * order + 1, count, *first.shape[1:]) for order, count in enumerate(couple.counts)]
    parts = (y.split(couple.widths) for y in (first, second))
    left, right = ([block.view(shape) for block, shape in zip(part, shapes, strict=True)] for part in parts)
    return left, right


def quadratic(left: Tensor, matrix: Tensor, right: Tensor) -> Tensor:
    """Return `sum_mrc left_mrn matrix_rc right_mcn`, (n,)."""
    return (left * (matrix @ right)).flatten(0, 1).sum(0)


def place(theta: Tensor, index: Tensor, rows: int, columns: int) -> Tensor:
    """Return the (rows, columns) matrix that holds theta at the flat `index` and 0 elsewhere."""
    flat = torch.zeros([rows * columns], dtype=theta.dtype, device=theta.device)
    return flat.index_copy(0, index, theta).view(rows, columns)


class Power(nn.Module):
    """Order 3: `p_{c c' l} = sum_m a_{c l m} a_{c' l m}`, c <= c'."""

    def __init__(self, n_species: int, k_all: int, l_all: int, k_max: int, l_max: int) -> None:
        super().__init__()
        self.share = Share(n_species, k_all, l_all, k_max, l_max)
        rows, columns = np.triu_indices(self.share.n_channels)
        self.register_buffer("rows", torch.tensor(rows), persistent=False)
        self.register_buffer("columns", torch.tensor(columns), persistent=False)
        self.n_features = len(rows) * (l_max + 1)

    def forward(self, density: Tensor) -> Tensor:
        """Return the features, (n, F)."""
        parts: list[Tensor] = []
        for block in self.share(density).split(self.share.widths):
            parts.append((block[:, self.rows] * block[:, self.columns]).sum(0))
        return torch.cat(parts).t()

    def fold(self, density: Tensor, theta: Tensor) -> Tensor:
        """Return the features times theta (F,), (n,)."""
        size = self.share.n_channels
        out = torch.zeros_like(density[:, 0])
        weights = theta.view(-1, self.rows.shape[0])
        for order, block in enumerate(self.share(density).split(self.share.widths)):
            out = out + quadratic(block, place(weights[order], self.rows * size + self.columns, size, size), block)
        return out

    def slopes(self, density: Tensor) -> Tensor:
        """Return the derivatives of the features by the channels of the share, (n, C * lm, F)."""
        a = self.share(density)
        pairs, f = len(self.rows), 0
        out = a.new_zeros(a.shape[2], a.shape[1], a.shape[0], self.n_features)
        for order, block in enumerate(a.split(self.share.widths)):
            m = slice(order * order, (order + 1) * (order + 1))
            for pair, (i, j) in enumerate(zip(self.rows.tolist(), self.columns.tolist(), strict=True), f):
                out[:, i, m, pair] += block[:, j].t()
                out[:, j, m, pair] += block[:, i].t()
            f += pairs
        return out.flatten(1, 2)

    def labels(self) -> list[str]:
        """Return the name of each feature."""
        k = self.share.names()
        pairs = np.transpose(np.triu_indices(len(k)))
        return [f"p[k={k[i]},k'={k[j]},l={order}]" for order in range(self.share.l_max + 1) for i, j in pairs]


class Bispectrum(nn.Module):
    """Order 4: `b = sum_m a_{c l m} y_{t p m}`, with p one channel (slides) or any two (full, each invariant once)."""

    def __init__(self, n_species: int, k_all: int, l_all: int, k_max: int, l_max: int, full: bool) -> None:
        super().__init__()
        self.share = Share(n_species, k_all, l_all, k_max, l_max)
        channels = range(self.share.n_channels)
        self.pairs = [(c1, c2) for c1 in channels for c2 in channels] if full else [(c, c) for c in channels]
        self.couple = Equivariants(l_max, [p[0] for p in self.pairs], [p[1] for p in self.pairs])
        self.full = full
        self.rows = [len(self.pairs) * count for count in self.couple.counts]
        self.starts = [0]
        kept: list[int] = []
        for order in range(l_max + 1):
            kept.extend(i for i, name in enumerate(self.members(order)) if not full or canonical(*name))
            self.starts.append(len(kept))
        self.register_buffer("kept", torch.tensor(kept), persistent=False)
        self.n_features = len(kept)

    def members(self, order: int) -> list[tuple[int, int, int, int, int, int]]:
        """Return (l, c, l1, c1, l2, c2) of every product a * y of one l, in the order of the flattened product."""
        triples = [t for t in self.couple.triples if t[0] == order]
        channels = range(self.share.n_channels)
        return [(order, c, t[1], p[0], t[2], p[1]) for c in channels for t in triples for p in self.pairs]

    def forward(self, density: Tensor) -> Tensor:
        """Return the features, (n, F)."""
        a = self.share(density)
        blocks = a.split(self.share.widths)
        parts: list[Tensor] = []
        for order, y in enumerate(self.couple(a)):
            products = torch.einsum("mcn,mrn->ncr", blocks[order], y).flatten(1)
            kept = self.kept[self.starts[order] : self.starts[order + 1]]
            parts.append(products[:, kept] if self.full else products)
        return torch.cat(parts, 1)

    def fold(self, density: Tensor, theta: Tensor) -> Tensor:
        """Return the features times theta (F,), (n,)."""
        a = self.share(density)
        blocks = a.split(self.share.widths)
        out = torch.zeros_like(density[:, 0])
        for order, y in enumerate(self.couple(a)):
            first, last = self.starts[order], self.starts[order + 1]
            weights = place(theta[first:last], self.kept[first:last], a.shape[1], self.rows[order])
            out = out + quadratic(blocks[order], weights, y)
        return out

    def slopes(self, density: Tensor) -> Tensor:
        """Return the derivatives of the features by the channels of the share, (n, C * lm, F)."""
        a = self.share(density)
        blocks = a.split(self.share.widths)
        halves = half_slopes(self.couple, a)
        parts: list[Tensor] = []
        for order, y in enumerate(self.couple(a)):
            count = self.couple.counts[order]
            out = a.new_zeros(a.shape[2], a.shape[1], a.shape[0], a.shape[1], count, len(self.pairs))
            m = slice(order * order, (order + 1) * (order + 1))
            along = y.view(y.shape[0], count, -1, y.shape[2]).permute(3, 0, 1, 2).unsqueeze(-1)
            out[:, :, m].diagonal(0, 1, 3).add_(along)
            for place, half in enumerate(halves):
                product = torch.einsum("mcn,mtpun->nuctp", blocks[order], half[order])
                for p, pair in enumerate(self.pairs):
                    out[:, pair[place], ..., p] += product[..., p]
            kept = self.kept[self.starts[order] : self.starts[order + 1]]
            found = out.flatten(3).flatten(1, 2)
            parts.append(found[..., kept] if self.full else found)
        return torch.cat(parts, 2)

    def labels(self) -> list[str]:
        """Return the name of each feature."""
        k = self.share.names()
        every = [self.members(order) for order in range(len(self.rows))]
        kept = self.kept.tolist()
        names = [every[n][i] for n in range(len(every)) for i in kept[self.starts[n] : self.starts[n + 1]]]
        if self.full:
            return [f"b[k={k[c]},k1={k[c1]},k2={k[c2]},l={n},l1={l1},l2={l2}]" for n, c, l1, c1, l2, c2 in names]
        return [f"b[k={k[c]},k'={k[c1]},l={n},l1={l1},l2={l2}]" for n, c, l1, c1, l2, _ in names]


def canonical(order: int, c: int, l1: int, c1: int, l2: int, c2: int) -> bool:
    """Tell whether (l, c) <= (l1, c1) <= (l2, c2): of the permutations, which give one invariant up to scale, one."""
    return (order, c) <= (l1, c1) <= (l2, c2)


class FiveBody(nn.Module):
    """Order 5: `c = sum_m y_{t c m} y_{t' c' m}` for triples t, t' of the same l, each pair once."""

    def __init__(self, n_species: int, k_all: int, l_all: int, k_max: int, l_max: int) -> None:
        super().__init__()
        self.share = Share(n_species, k_all, l_all, k_max, l_max)
        channels = list(range(self.share.n_channels))
        self.couple = Equivariants(l_max, channels, channels)
        self.sizes = [len(channels) * count for count in self.couple.counts]
        self.starts = [0]
        upper: list[int] = []
        for size in self.sizes:
            rows, columns = np.triu_indices(size)
            upper.extend((rows * size + columns).tolist())
            self.starts.append(len(upper))
        self.register_buffer("upper", torch.tensor(upper), persistent=False)
        self.n_features = len(upper)

    def forward(self, density: Tensor) -> Tensor:
        """Return the features, (n, F)."""
        parts: list[Tensor] = []
        for order, y in enumerate(self.couple(self.share(density))):
            products = torch.einsum("mrn,msn->nrs", y, y).flatten(1)
            parts.append(products[:, self.upper[self.starts[order] : self.starts[order + 1]]])
        return torch.cat(parts, 1)

    def fold(self, density: Tensor, theta: Tensor) -> Tensor:
        """Return the features times theta (F,), (n,)."""
        out = torch.zeros_like(density[:, 0])
        for order, y in enumerate(self.couple(self.share(density))):
            first, last, size = self.starts[order], self.starts[order + 1], self.sizes[order]
            out = out + quadratic(y, place(theta[first:last], self.upper[first:last], size, size), y)
        return out

    def labels(self) -> list[str]:
        """Return the name of each feature."""
        k = self.share.names()
        out: list[str] = []
        for order, size in enumerate(self.sizes):
            triples = [t for t in self.couple.triples if t[0] == order]
            names = [(k[c], t[1], t[2]) for t in triples for c in range(len(k))]
            for i, j in np.transpose(np.triu_indices(size)):
                (k1, l1, l2), (k2, l3, l4) = names[i], names[j]
                out.append(f"c[k={k1},k'={k2},l={order},l1={l1},l2={l2},l3={l3},l4={l4}]")
        return out
