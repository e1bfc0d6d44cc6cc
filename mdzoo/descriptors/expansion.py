"""How the neighbours of an atom are summed into the coefficients of a density: shared by all that expand one."""

from typing import NamedTuple

import torch
from torch import Tensor

from mdzoo.graph import Graph
from mdzoo.ops import Padding, pad, padding


class Surroundings(NamedTuple):
    """Distances and directions of the neighbours in the (n, J) table of `layout`, flattened; empty places are far."""

    layout: Padding
    r: Tensor  # (n * J,) Angstrom
    x: Tensor  # (n * J,) components of the unit vectors
    y: Tensor
    z: Tensor


def surroundings(graph: Graph, far: float) -> Surroundings:
    """Lay the neighbours of each atom into a table; empty places stand at `sqrt(3) * far`, beyond every cutoff."""
    return laid(graph, far, padding(graph.centers))


def laid(graph: Graph, far: float, layout: Padding) -> Surroundings:
    """Return the same in a given table."""
    empty = torch.full([3], far, dtype=graph.vectors.dtype, device=graph.vectors.device)
    x, y, z = pad(graph.vectors, layout, empty).t().contiguous().unbind(0)
    r = torch.sqrt(x * x + y * y + z * z)  # several times faster than a norm over the short axis
    return Surroundings(layout, r, x / r, y / r, z / r)


def by_species(radial: Tensor, graph: Graph, layout: Padding, n_species: int) -> Tensor:
    """Return the radial functions (blocks, K, n * J) once for each species of neighbour, (blocks, S * K, n * J)."""
    if n_species == 1:
        return radial
    species = pad(graph.species[graph.neighbors], layout, torch.zeros_like(graph.centers[0]))
    kinds = torch.arange(n_species, device=species.device).view(-1, 1)
    kind = (species == kinds).to(radial.dtype)
    return (radial.unsqueeze(1) * kind.unsqueeze(1)).flatten(1, 2)


class Expansion(NamedTuple):
    """The functions of each neighbour whose products are summed, with what `pull` needs of them."""

    around: Surroundings
    radial: Tensor  # (blocks, C, n * J), one block for all l or one for each
    steps: Tensor  # their derivatives by r
    harmonics: Tensor  # (n, (L + 1)^2, J)


def by_atoms(harmonics: list[Tensor], layout: Padding) -> Tensor:
    """Return the harmonics, rows (n * J,), atom by atom, (n, lm, J): products over one atom then read near memory."""
    return torch.stack([row.view(layout.n, layout.width) for row in harmonics], 1)


def expand(radial: Tensor, harmonics: Tensor, layout: Padding) -> Tensor:
    """Return `a_iclm = sum_j g_cl(r_ij) Y_lm(r_ij)`: for each atom the product (c x neighbours) @ (neighbours x lm).

    One product where the functions do not depend on l (radial (1, C, n * J)), else one for each l (radial (L + 1, C,
    n * J)). No array over edges, c and lm is formed. Harmonics (n, lm, J); the sums are (n, C, lm).
    """
    n_blocks = radial.shape[0]
    left = radial.view(n_blocks, radial.shape[1], layout.n, layout.width).transpose(1, 2)
    right = harmonics.mT
    if n_blocks == 1:
        return left[0] @ right
    widths = [2 * order + 1 for order in range(n_blocks)]
    return torch.cat([g @ y for g, y in zip(left.unbind(0), right.split(widths, 2))], 2)  # noqa: B905 - TorchScript


def pull(expansion: Expansion, slopes: Tensor, gradients: Tensor) -> Tensor:
    """Return `dE/dr_ij` for each edge, (E, 3), from the slopes (n, C, lm) of E by the coefficients a_clm.

    With Y_lm as harmonic polynomials, whose gradients are combinations of those of degree l - 1 (`gradients`),

        dE/dr = n sum_clm (dE/da_clm) g'_cl Y_lm + t - n (n . t)
        t     = 1/r sum_clm (dE/da_clm) g_cl grad(r^l Y_lm) / r^(l-1)
    """
    around, y, n_blocks = expansion.around, expansion.harmonics, expansion.radial.shape[0]
    n, width, n_channels = around.layout.n, around.layout.width, slopes.shape[1]
    g = expansion.radial.view(n_blocks, n_channels, n, width).transpose(1, 2)
    steps = expansion.steps.view(n_blocks, n_channels, n, width).transpose(1, 2)
    flat, table = slopes.reshape(-1, slopes.shape[2]), gradients.view(slopes.shape[2], 3, -1)
    if n_blocks == 1:
        along = (slopes @ y).mul_(steps[0]).sum(1)
        turned = (flat @ gradients).view(n, 3 * n_channels, -1)
        rows = (turned @ y[:, : turned.shape[2]]).view(n, n_channels, 3, width)
        across = rows.mul_(g[0].unsqueeze(2)).sum(1)
    else:
        along, across = torch.zeros_like(y[:, 0]), torch.zeros_like(y[:, :1]).repeat(1, 3, 1)
        by_order = [table[:, :, order * order : (order + 1) * (order + 1)].flatten(1) for order in range(n_blocks - 1)]
        turned = (flat @ torch.cat(by_order, 1)).view(n, n_channels, -1)  # (l, direction, m)
        for order in range(n_blocks):
            first, last = order * order, (order + 1) * (order + 1)
            along += (slopes[:, :, first:last] @ y[:, first:last]).mul_(steps[order]).sum(1)
            if order > 0:
                below = (order - 1) * (order - 1)
                rows = (turned[:, :, 3 * below : 3 * first].mT @ g[order]).view(n, 3, -1, width)
                across += rows.mul_(y[:, below:first].unsqueeze(1)).sum(2)
    unit = torch.stack([around.x, around.y, around.z])
    turn = across.transpose(0, 1).reshape(3, -1) / around.r
    out = turn + unit * (along.flatten() - (unit * turn).sum(0))
    slots = around.layout.slots
    return (out if slots.shape[0] == out.shape[1] else out.index_select(1, slots)).t()
