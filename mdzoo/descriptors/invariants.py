"""Invariants of an expanded density: what orders 3, 4 and 5 of `SO3` make of a_klm.

Each part takes the flat density (n, species * K * (L + 1)^2), lm inner, uses its own share of k and lm (C channels of species
and k), and gives `forward -> (n, F)` or, with weights, `fold -> (n,)`, where the weights act before features exist.
"""

import numpy as np
import torch
from torch import Tensor, nn

from mdzoo.basis.coupling import even_triples, real_coupling


class Share(nn.Module):
    """The part of the density that one body order uses, (n, C, (l_max + 1)^2)."""

    def __init__(self, n_species: int, k_all: int, l_all: int, k_max: int, l_max: int) -> None:
        super().__init__()
        self.n_species, self.k_all, self.k_max, self.l_max = n_species, k_all, k_max, l_max
        self.lm_all, self.lm = (l_all + 1) ** 2, (l_max + 1) ** 2
        self.n_channels = n_species * k_max

    def forward(self, density: Tensor) -> Tensor:
        """Return the share, (n, C, (l_max + 1)^2)."""
        table = density.view(-1, self.n_species, self.k_all, self.lm_all)[:, :, : self.k_max, : self.lm]
        return table.reshape(-1, self.n_channels, self.lm)

    def names(self) -> list[str]:
        """Return the name of each channel: k, or species.k with several species."""
        several = self.n_species > 1
        return [f"{s}.{k}" if several else f"{k}" for s in range(self.n_species) for k in range(1, self.k_max + 1)]


class Equivariants(nn.Module):
    """`y_{p t m} = sum C^{l1 l2 l}_{m1 m2 m} a_{p1 l1 m1} a_{p2 l2 m2}` for pairs p of channels and triples t = (l, l1, l2).

    One product for each pair (l1 m1, l2 m2), then one matrix with all couplings; columns are sorted by l, then t, then m.
    """

    def __init__(self, l_max: int, first: list[int], second: list[int]) -> None:
        super().__init__()
        self.triples = even_triples(l_max)
        self.counts = [sum(t[0] == order for t in self.triples) for order in range(l_max + 1)]
        same = first == second
        pairs: dict[tuple[int, int], int] = {}
        entries: list[tuple[int, int, float]] = []
        column = 0
        for order, l1, l2 in self.triples:
            table = real_coupling(l1, l2, order)
            for i, j, m in np.argwhere(np.abs(table) > 1e-14):
                mu, nu = l1 * l1 + int(i), l2 * l2 + int(j)
                pair = (min(mu, nu), max(mu, nu)) if same else (mu, nu)
                entries.append((pairs.setdefault(pair, len(pairs)), column + int(m), float(table[i, j, m])))
            column += 2 * order + 1
        matrix = torch.zeros(len(pairs), column, dtype=torch.float64)
        for row, col, value in entries:
            matrix[row, col] += value
        self.register_buffer("matrix", matrix, persistent=False)
        self.register_buffer("lm1", torch.tensor([p[0] for p in pairs]), persistent=False)
        self.register_buffer("lm2", torch.tensor([p[1] for p in pairs]), persistent=False)
        self.register_buffer("first", torch.tensor(first), persistent=False)
        self.register_buffer("second", torch.tensor(second), persistent=False)
        self.same = same

    def forward(self, a: Tensor) -> list[Tensor]:
        """Return for each l the equivariants of a (n, C, lm) as (n, 2l + 1, pairs * triples of l)."""
        left = a if self.same else a[:, self.first]
        right = a if self.same else a[:, self.second]
        products = left.index_select(2, self.lm1) * right.index_select(2, self.lm2)
        y = products @ self.matrix
        out: list[Tensor] = []
        column = 0
        for order, count in enumerate(self.counts):
            width = (2 * order + 1) * count
            block = y[:, :, column : column + width].reshape(-1, y.shape[1] * count, 2 * order + 1)
            out.append(block.mT)
            column += width
        return out


class Power(nn.Module):
    """Order 3: `p_{c c' l} = sum_m a_{c l m} a_{c' l m}`, c <= c'."""

    def __init__(self, n_species: int, k_all: int, l_all: int, k_max: int, l_max: int) -> None:
        super().__init__()
        self.share = Share(n_species, k_all, l_all, k_max, l_max)
        size = self.share.n_channels
        self.size = size
        self.l_max = l_max
        rows, columns = np.triu_indices(size)
        self.register_buffer("upper", torch.tensor(rows * size + columns), persistent=False)
        self.n_features = len(rows) * (l_max + 1)

    def forward(self, density: Tensor) -> Tensor:
        """Return the features, (n, F)."""
        a = self.share(density)
        parts: list[Tensor] = []
        for order in range(self.l_max + 1):
            block = a[:, :, order * order : (order + 1) * (order + 1)]
            parts.append((block @ block.mT).flatten(1)[:, self.upper])
        return torch.cat(parts, 1)

    def fold(self, density: Tensor, theta: Tensor) -> Tensor:
        """Return the features times theta (F,), (n,)."""
        a = self.share(density)
        out = torch.zeros_like(density[:, 0])
        for order, weights in enumerate(theta.view(self.l_max + 1, -1)):
            matrix = torch.zeros([self.size * self.size], dtype=theta.dtype, device=theta.device)
            matrix = matrix.index_copy(0, self.upper, weights).view(self.size, self.size)
            block = a[:, :, order * order : (order + 1) * (order + 1)].mT
            out = out + (block * (block @ matrix)).flatten(1).sum(1)
        return out

    def labels(self) -> list[str]:
        """Return the name of each feature."""
        names = self.share.names()
        pairs = np.transpose(np.triu_indices(self.size))
        return [f"p[k={names[i]},k'={names[j]},l={n}]" for n in range(self.l_max + 1) for i, j in pairs]


class Bispectrum(nn.Module):
    """Order 4: `b = sum_m a_{c l m} y_{p t m}`, with p one channel (slides) or any two (full, each invariant once)."""

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
        return [(order, c, t[1], p[0], t[2], p[1]) for c in channels for p in self.pairs for t in triples]

    def forward(self, density: Tensor) -> Tensor:
        """Return the features, (n, F)."""
        a = self.share(density)
        parts: list[Tensor] = []
        for order, y in enumerate(self.couple(a)):
            block = a[:, :, order * order : (order + 1) * (order + 1)]
            products = (block @ y).flatten(1)
            parts.append(products[:, self.kept[self.starts[order] : self.starts[order + 1]]])
        return torch.cat(parts, 1)

    def fold(self, density: Tensor, theta: Tensor) -> Tensor:
        """Return the features times theta (F,), (n,)."""
        a = self.share(density)
        channels = a.shape[1]
        out = torch.zeros_like(density[:, 0])
        for order, y in enumerate(self.couple(a)):
            first, last = self.starts[order], self.starts[order + 1]
            matrix = torch.zeros([channels * self.rows[order]], dtype=theta.dtype, device=theta.device)
            matrix = matrix.index_copy(0, self.kept[first:last], theta[first:last]).view(channels, -1)
            block = a[:, :, order * order : (order + 1) * (order + 1)].mT
            out = out + (block * (y @ matrix.t())).flatten(1).sum(1)
        return out

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
    """Tell whether (l, c) <= (l1, c1) <= (l2, c2): one of the permutations, which give the same invariant up to scale."""
    return (order, c) <= (l1, c1) <= (l2, c2)


class FiveBody(nn.Module):
    """Order 5: `c = sum_m y_{c t m} y_{c' t' m}` for triples t, t' of the same l, each pair once."""

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
            parts.append((y.mT @ y).flatten(1)[:, self.upper[self.starts[order] : self.starts[order + 1]]])
        return torch.cat(parts, 1)

    def fold(self, density: Tensor, theta: Tensor) -> Tensor:
        """Return the features times theta (F,), (n,)."""
        out = torch.zeros_like(density[:, 0])
        for order, y in enumerate(self.couple(self.share(density))):
            first, last, size = self.starts[order], self.starts[order + 1], self.sizes[order]
            matrix = torch.zeros([size * size], dtype=theta.dtype, device=theta.device)
            matrix = matrix.index_copy(0, self.upper[first:last], theta[first:last]).view(size, size)
            out = out + (y * (y @ matrix)).flatten(1).sum(1)
        return out

    def labels(self) -> list[str]:
        """Return the name of each feature."""
        k = self.share.names()
        out: list[str] = []
        for order, size in enumerate(self.sizes):
            triples = [t for t in self.couple.triples if t[0] == order]
            names = [(k[c], t[1], t[2]) for c in range(len(k)) for t in triples]
            for i, j in np.transpose(np.triu_indices(size)):
                (k1, l1, l2), (k2, l3, l4) = names[i], names[j]
                out.append(f"c[k={k1},k'={k2},l={order},l1={l1},l2={l2},l3={l3},l4={l4}]")
        return out
