r"""Explicit derivatives of a power spectrum by the places of the neighbours, without an array of edges x density.

With `a_clm = sum_j g_cl(r_j) Y_lm(r_j)`, and with D the constant matrix that makes the gradients of `r^l Y_lm` from
`r^(l-1) Y_l-1,m'`, the slope of `p_cdl = sum_m a_clm b_dlm` by r_j is

    n (S_cl V_dl + S_dl V_cl) + T_cl W_dl + T_dl W_cl,    S_cl = g'_cl - l g_cl / r,    T_cl = g_cl / r,
    V_dl = sum_m Y_lm b_dlm,    W_dl = sum_m' Y_l-1,m' (D b_dl)_m',    n = r_j / r_j

two small products for each atom and l, then three passes over the slopes. Edges are the last axis of everything, so
that passes run over long rows, tile of edges by tile of edges, each in the cache.
"""

import weakref
from typing import NamedTuple

import torch
from torch import Tensor

from mdzoo.basis.spherical import gradient_matrix
from mdzoo.descriptors.expanded import ExpandedDescriptor
from mdzoo.descriptors.expansion import Expansion
from mdzoo.descriptors.power_spectrum import PowerSpectrum
from mdzoo.descriptors.slopes import fresh
from mdzoo.graph import Graph
from mdzoo.ops import pad

TILE = 4096
"""Edges in one tile: with fewer the calls cost more than the arithmetic, with more the cache is too small."""


class Grid(NamedTuple):
    """Features of one c with consecutive d and all l, equal steps apart: `first + by_d (d - d0) + by_l l`."""

    c: int
    d: int  # d0
    count: int  # of d
    first: int
    by_d: int
    by_l: int
    scales: Tensor  # (L + 1,)

    def of(self, rows: Tensor) -> Tensor:
        """Return a view of the rows (F, ...) of these features, (count, L + 1, ...)."""
        first, *rest = rows.stride()
        shape, strides = (self.count, len(self.scales), *rows.shape[1:]), (self.by_d * first, self.by_l * first, *rest)
        return rows.as_strided(shape, strides, rows.storage_offset() + self.first * first)


known_grids: "weakref.WeakKeyDictionary[PowerSpectrum, list[Grid]]" = weakref.WeakKeyDictionary()


def grids(spectrum: PowerSpectrum) -> list[Grid]:
    """Return the features as grids: the fewest that follow one another."""
    if spectrum not in known_grids:
        known_grids[spectrum] = found_grids(spectrum)
    return known_grids[spectrum]


def found_grids(spectrum: PowerSpectrum) -> list[Grid]:
    """Return them anew."""
    place = {row: f for f, row in enumerate(spectrum.rows())}
    orders, scales = range(len(spectrum.widths)), spectrum.scales.tolist()
    out: list[Grid] = []
    for _, c, d in (row for row in place if row[0] == 0):
        columns = [place[order, c, d] for order in orders]
        last = out[-1] if out else None
        own = torch.tensor([scales[f] for f in columns], dtype=torch.float64)
        step = columns[1] - columns[0] if len(columns) > 1 else 1
        if last and (last.c, last.d + last.count, last.by_l) == (c, d, step) and torch.equal(last.scales, own):
            by_d = (columns[0] - last.first) // last.count
            if last.count == 1 or by_d == last.by_d:
                out[-1] = last._replace(count=last.count + 1, by_d=by_d)
                continue
        out.append(Grid(c, d, 1, columns[0], 1, step, own))
    return out


class Factors(NamedTuple):
    """What slopes are made of, for each channel, l and place in the table."""

    s: Tensor  # (C, L + 1, n * J)
    t: Tensor  # (C, L + 1, n * J)
    v: Tensor  # (C, L + 1, n * J)
    w: Tensor  # (C, L + 1, 3, n * J)

    def part(self, edges: slice) -> "Factors":
        """Return a tile of them."""
        return Factors(*[rows[..., edges] for rows in self])


def spectrum_slopes(
    descriptor: ExpandedDescriptor, spectrum: PowerSpectrum, graph: Graph, constants: int = 0
) -> tuple[Tensor, Tensor]:
    """Return the features, (n, F), and their slopes dB_i/dr_ij in the table of neighbours, (F, 3, n, J); no graph kept.

    The table is that of `mdzoo.ops.padding`; its empty places are zero, and so are the slopes of the constant features
    that follow those of the spectrum.
    """
    with torch.no_grad():
        density, expansion = descriptor.first_order(graph)
        n, width = expansion.around.layout.n, expansion.around.layout.width
        features = spectrum(density)
        slopes = fresh((spectrum.n_features + constants, 3, n, width), density)
        slopes[spectrum.n_features :] = 0.0
        own, sizes = slopes[: spectrum.n_features], spectrum.sizes(density).unsqueeze(1)
        one, other = both(density / sizes, spectrum, expansion)
        unit = torch.stack([expansion.around.x, expansion.around.y, expansion.around.z])
        along = lengthening(descriptor, spectrum, density, features / sizes, expansion)
        step = max(1, TILE // max(1, width))
        for first in range(0, n, step):
            here, edges = slice(first, first + step), slice(first * width, (first + step) * width)
            longer = (features[here].t(), along[:, here]) if spectrum.normalise else None
            join(own[:, :, here], one.part(edges), other.part(edges), unit[:, edges], grids(spectrum), longer)
    return features, slopes


def lengthening(
    descriptor: ExpandedDescriptor, spectrum: PowerSpectrum, density: Tensor, weights: Tensor, expansion: Expansion
) -> Tensor:
    """Return the slopes of the products times weights (n, F), (3, n, J): how the row of features grows longer."""
    layout = expansion.around.layout
    along = descriptor.pull(expansion, spectrum.pulled(density, spectrum.placed(weights * spectrum.scales)))
    return pad(along, layout, torch.zeros_like(along[0])).t().reshape(3, layout.n, layout.width)


def both(density: Tensor, spectrum: PowerSpectrum, expansion: Expansion) -> tuple[Factors, Factors]:
    """Return the factors of the two densities of a power spectrum; the second is the first or its sum over kinds."""
    turns = expansion.radial / expansion.around.r
    orders = torch.arange(turns.shape[0]).to(turns).view(-1, 1, 1)
    s, t = torch.addcmul(expansion.steps, orders, turns, value=-1.0).transpose(0, 1), turns.transpose(0, 1)
    b = density.view(-1, spectrum.n_channels, spectrum.lm)
    one = factors(s, t, b, expansion.harmonics)
    if spectrum.summed == 1:
        return one, one
    s, t = (rows.unflatten(0, (spectrum.summed, -1)).sum(0) for rows in (s, t))
    return one, factors(s, t, spectrum.second(b), expansion.harmonics)


def factors(s: Tensor, t: Tensor, b: Tensor, y: Tensor) -> Factors:
    """Return S and T with V and W of a density (n, C, lm) and harmonics (n, lm, J)."""
    (n_channels, n_orders), (n, _, width) = s.shape[:2], y.shape
    v, w = y.new_empty(n_channels, n_orders, n, width), y.new_zeros(n_channels, n_orders, 3, n, width)
    widths = list(range(1, 2 * n_orders, 2))
    ys = y.split(widths, 1)
    for order, part in enumerate(b.split(widths, 2)):
        v[:, order] = (part @ ys[order]).transpose(0, 1)
        if order > 0:
            turned = (part @ gradient_matrix(order).to(part)).view(n, -1, 2 * order - 1)
            w[:, order] = (turned @ ys[order - 1]).view(n, n_channels, 3, width).permute(1, 2, 0, 3)
    return Factors(s, t, v.flatten(2), w.flatten(3))


def join(
    out: Tensor,
    one: Factors,
    other: Factors,
    unit: Tensor,
    parts: list[Grid],
    longer: tuple[Tensor, Tensor] | None,
) -> None:
    """Write the slopes of all features of some atoms, times their scales, into `out`, (F, 3, n, J).

    Less the products of `longer`, the features (F, n) and the slopes of their norm (3, n, J), where they are normal.
    """
    for grid in parts:
        scales, table = grid.scales.to(out).unsqueeze(1), grid.of(out)
        s, t, v = (rows[grid.c] * scales for rows in one[:3])
        w = one.w[grid.c] * scales.unsqueeze(2)
        s_d, t_d, v_d, w_d = (rows[grid.d : grid.d + grid.count] for rows in other)
        view = table.flatten(3)
        torch.mul((s * v_d).addcmul_(s_d, v).unsqueeze(2), unit, out=view)
        view.addcmul_(t.unsqueeze(1), w_d).addcmul_(t_d.unsqueeze(2), w)
        if longer is not None:
            table.addcmul_(grid.of(longer[0])[:, :, None, :, None], longer[1], value=-1.0)
