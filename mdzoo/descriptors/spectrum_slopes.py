r"""Explicit derivatives of a power spectrum by the places of the neighbours, without an array of edges x density.

With `a_clm = sum_j g_cl(r_j) Y_lm(r_j)`, and with D the constant matrix that makes the gradients of `r^l Y_lm` from
`r^(l-1) Y_l-1,m'`, the slope of `p_cdl = sum_m a_clm b_dlm` by r_j is

    S_cl V_dl + T_cl W_dl + S_dl V_cl + T_dl W_cl,    S_cl = (g'_cl - l g_cl / r) n,    T_cl = g_cl / r,
    V_dl = sum_m Y_lm b_dlm,    W_dl = sum_m' Y_l-1,m' (D b_dl)_m',    n = r_j / r_j

two small products for each atom and l, then four passes over the slopes, each piece of them while it is in the cache.
"""

import weakref
from typing import NamedTuple

import torch
from torch import Tensor

from mdzoo.basis.spherical import gradient_matrix
from mdzoo.descriptors.expanded import ExpandedDescriptor
from mdzoo.descriptors.power_spectrum import PowerSpectrum, norm
from mdzoo.descriptors.slopes import fresh
from mdzoo.graph import Graph, block, edge_starts, n_centers

EDGES = 16384
"""Edges in one block of atoms."""
NUMBERS = 1 << 19
"""Slopes in one piece of a block: what they are made of stays in the cache."""


class Grid(NamedTuple):
    """Features of one c with consecutive d and all l, equal steps apart: `first + by_d (d - d0) + by_l l`."""

    c: int
    d: int  # d0
    count: int  # of d
    first: int
    by_d: int
    by_l: int
    scales: Tensor  # (L + 1,)


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


def spectrum_slopes(
    descriptor: ExpandedDescriptor, spectrum: PowerSpectrum, graph: Graph, constants: int = 0
) -> tuple[Tensor, Tensor]:
    """Return the features, (n, F), and their slopes dB_i/dr_ij in the table of neighbours, (n, F, 3, J); no graph kept.

    The table is that of `mdzoo.ops.padding`; its empty places are zero, and so are the slopes of the constant features
    that follow those of the spectrum.
    """
    n = n_centers(graph)
    starts = edge_starts(graph.centers, n)
    width = int((starts[1:] - starts[:-1]).max()) if n else 0
    features = spectrum(descriptor.empty(graph.vectors)).index_select(0, graph.species[:n])
    slopes = fresh((n, spectrum.n_features + constants, 3, width), graph.vectors)
    slopes[:, spectrum.n_features :] = 0.0
    size, firsts = max(1, EDGES // max(1, width)), starts.tolist()
    with torch.no_grad():
        for first in range(0, n, size):
            last = min(first + size, n)
            here = block(graph, first, last, firsts[first], firsts[last])
            fill(features[first:last], slopes[first:last, : spectrum.n_features], descriptor, spectrum, here)
    return features, slopes


def fill(
    features: Tensor, slopes: Tensor, descriptor: ExpandedDescriptor, spectrum: PowerSpectrum, graph: Graph
) -> None:
    """Write the features, (n, F), and slopes, (n, F, 3, J), of the atoms of a block; some may have no edges."""
    density, (around, g, steps, y) = descriptor.first_order(graph)
    n, width = around.layout.n, around.layout.width
    slopes[n:] = 0.0
    slopes[..., width:] = 0.0
    features[:n] = spectrum(density)
    turns = g / around.r
    steps = steps - torch.arange(g.shape[0], device=g.device, dtype=g.dtype).view(-1, 1, 1) * turns
    radial = [rows.view(g.shape[0], -1, n, width).permute(2, 1, 0, 3) for rows in (steps, turns)]
    units = torch.stack([around.x, around.y, around.z]).view(3, n, width).transpose(0, 1).contiguous()
    a, sizes = density.view(n, -1, y.shape[1]), torch.ones_like(density[:, 0])
    if spectrum.normalise:
        sizes = norm((spectrum.products(density).index_select(1, spectrum.kept) * spectrum.scales).square().sum(1))
    size = max(1, NUMBERS // slopes[:1].numel())
    for first in range(0, n, size):
        part = slice(first, min(first + size, n))
        s, t, b = radial[0][part], radial[1][part], a[part]
        one = other = factors(s, t, b, y[part], units[part])
        if spectrum.summed > 1:
            s, t, b = (summed(rows, spectrum.summed) for rows in (s, t, b))
            other = factors(s, t, b, y[part], units[part])
        out = slopes[part, :, :, :width]
        join(out, one, other, grids(spectrum), 1.0 / sizes[part])
        if spectrum.normalise:
            along = torch.einsum("nf,nfaj->naj", features[part], out)
            out.addcmul_(features[part, :, None, None], along.unsqueeze(1), value=-1.0)


def summed(rows: Tensor, kinds: int) -> Tensor:
    """Return the sums of the channels, (n, C, ...), over the kinds of neighbours."""
    return rows.unflatten(1, (kinds, -1)).sum(1)


def factors(steps: Tensor, turns: Tensor, b: Tensor, y: Tensor, units: Tensor) -> Tensor:
    """Return S, T, V and W, (4, n, C, L + 1, 3, J), of radial parts (n, C, L + 1, J) and a density (n, C, lm)."""
    n, n_channels, n_orders, width = steps.shape
    out = y.new_empty(4, n, n_channels, n_orders, 3, width)
    torch.mul(steps.unsqueeze(3), units.view(n, 1, 1, 3, width), out=out[0])
    out[1] = turns.unsqueeze(3)
    widths = list(range(1, 2 * n_orders, 2))
    ys = y.split(widths, 1)
    out[3, :, :, 0] = 0.0
    for order, part in enumerate(b.split(widths, 2)):
        out[2, :, :, order] = (part @ ys[order]).unsqueeze(2)
        if order > 0:
            turned = (part @ gradient_matrix(order).to(part)).view(n, -1, 2 * order - 1)
            out[3, :, :, order] = (turned @ ys[order - 1]).view(n, n_channels, 3, width)
    return out


def join(out: Tensor, one: Tensor, other: Tensor, parts: list[Grid], shares: Tensor) -> None:
    """Write the slopes of all features, times their scales and the `shares` of atoms (n,), into `out`, (n, F, 3, J)."""
    n, _, _, width = out.shape
    for grid in parts:
        scales = shares.view(-1, 1, 1, 1) * grid.scales.to(shares).view(-1, 1, 1)
        s, t, v, w = (one[:, :, grid.c] * scales).unsqueeze(2)
        s_d, t_d, v_d, w_d = other[:, :, grid.d : grid.d + grid.count]
        shape = n, grid.count, len(grid.scales), 3, width
        steps = out.stride(0), grid.by_d * out.stride(1), grid.by_l * out.stride(1), out.stride(2), 1
        view = out.as_strided(shape, steps, out.storage_offset() + grid.first * out.stride(1))
        torch.mul(s, v_d, out=view)
        view.addcmul_(t, w_d).addcmul_(s_d, v).addcmul_(t_d, w)
