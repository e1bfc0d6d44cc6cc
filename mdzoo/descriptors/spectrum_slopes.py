r"""Explicit derivatives of a power spectrum by the places of the neighbours, without an array of edges x density.

With `a_clm = sum_j g_cl(r_j) Y_lm(r_j)`, and with D the constant matrix that makes the gradients of `r^l Y_lm` from
`r^(l-1) Y_l-1,m'`, the slope of `p_cdl = sum_m a_clm b_dlm` by r_j is

    Q_cdl + Q_dcl,    Q_cdl = (g'_cl - l g_cl / r) n V_dl + (g_cl / r) W_dl,    V_dl = sum_m Y_lm b_dlm,
                      W_dl = sum_m' Y_l-1,m' (D b_dl)_m',    n = r_j / r_j

two small products for each atom and l, then outer products of c and d.
"""

import math

import numpy as np
import torch
from torch import Tensor

from mdzoo.basis.spherical import gradient_matrix
from mdzoo.descriptors.expanded import ExpandedDescriptor
from mdzoo.descriptors.power_spectrum import PowerSpectrum, norm
from mdzoo.graph import Graph, block, edge_starts, n_centers

EDGES = 16384
"""Edges in one block of atoms."""
NUMBERS = 1 << 18
"""Slopes in one piece of a block: what they are made of stays in the cache."""


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


def fresh(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Return an array without values; on the CPU by NumPy, which asks for large pages: two to three times faster."""
    if like.device.type != "cpu":
        return like.new_empty(shape)
    return torch.from_numpy(np.empty(shape, dtype=str(like.dtype).removeprefix("torch.")))


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
    tables = [part.view(g.shape[0], -1, n, width).permute(2, 0, 1, 3).contiguous() for part in (steps, turns)]
    units = torch.stack([around.x, around.y, around.z]).view(3, n, width).transpose(0, 1).unsqueeze(1).contiguous()
    a = density.view(n, -1, y.shape[1])
    factors = [[*tables, *sums(summed(a, 1, spectrum.summed), y, units)]]
    if spectrum.summed > 1:
        factors.append([*[summed(part, 2, spectrum.summed) for part in tables], *sums(a, y, units)])
    scales = spectrum.scales.expand(n, -1)
    if spectrum.normalise:
        products = spectrum.products(density).index_select(1, spectrum.kept) * spectrum.scales
        scales = scales / norm(products.square().sum(1)).unsqueeze(1)
    size = max(1, NUMBERS // slopes[:1].numel())
    for first in range(0, n, size):
        part = slice(first, min(first + size, n))
        halves = [half(*[table[part] for table in factor]) for factor in factors]
        out = slopes[part, :, :, :width]
        join(out, halves, spectrum, scales[part])
        if spectrum.normalise:
            along = torch.einsum("nf,nfaj->naj", features[part], out)
            out.addcmul_(features[part, :, None, None], along.unsqueeze(1), value=-1.0)


def summed(rows: Tensor, axis: int, kinds: int) -> Tensor:
    """Return the channels along `axis`, or their sums over the kinds of neighbours."""
    return rows if kinds == 1 else rows.unflatten(axis, (kinds, -1)).sum(axis)


def sums(b: Tensor, y: Tensor, units: Tensor) -> list[Tensor]:
    """Return n V and W of the density b (n, D, lm), each (n, L + 1, D, 3, J)."""
    n, width = y.shape[0], y.shape[2]
    widths = list(range(1, 2 * math.isqrt(b.shape[2]), 2))
    ys = y.split(widths, 1)
    along, across = [], [torch.zeros_like(units).expand(-1, b.shape[1], -1, -1)]
    for order, part in enumerate(b.split(widths, 2)):
        along.append((part @ ys[order]).unsqueeze(2) * units)
        if order > 0:
            turned = (part @ gradient_matrix(order).to(part)).view(n, -1, 2 * order - 1)
            across.append((turned @ ys[order - 1]).view(n, -1, 3, width))
    return [torch.stack(along, 1), torch.stack(across, 1)]


def half(steps: Tensor, turns: Tensor, v: Tensor, w: Tensor) -> Tensor:
    """Return Q_cdl, (n, (L + 1) * C * D, 3, J), of the radial parts (n, L + 1, C, J) and sums (n, L + 1, D, 3, J)."""
    rows = steps[:, :, :, None, None] * v.unsqueeze(2)
    return rows.addcmul_(turns[:, :, :, None, None], w.unsqueeze(2)).flatten(1, 3)


def join(out: Tensor, halves: list[Tensor], spectrum: PowerSpectrum, scales: Tensor) -> None:
    """Write `scale (Q_cdl + Q_dcl)` of each feature, scales (n, F), into `out`, (n, F, 3, J)."""
    second = halves[-1].index_select(1, spectrum.mirrored())
    torch.add(halves[0].index_select(1, spectrum.kept), second, out=out)
    out.mul_(scales[:, :, None, None])
