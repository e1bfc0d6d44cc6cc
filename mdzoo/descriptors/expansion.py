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
    layout = padding(graph.centers)
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


def expand(radial: Tensor, harmonics: Tensor, layout: Padding) -> list[Tensor]:
    """Return `a_iclm = sum_j g_cl(r_ij) Y_lm(r_ij)`: for each atom the product (c x neighbours) @ (neighbours x lm).

    One product where the functions do not depend on l (radial (1, C, n * J); one block (n, C, (L + 1)^2) comes back),
    else one for each l (radial (L + 1, C, n * J); blocks (n, C, 2l + 1)). No array over edges, c and lm is formed.
    """
    n_blocks, n_channels = radial.shape[0], radial.shape[1]
    left = radial.view(n_blocks, n_channels, layout.n, layout.width).transpose(1, 2).contiguous()
    right = harmonics.t().reshape(layout.n, layout.width, harmonics.shape[0])
    if n_blocks == 1:
        return [left[0] @ right]
    widths = [2 * order + 1 for order in range(n_blocks)]
    return [g @ y for g, y in zip(left.unbind(0), right.split(widths, 2))]  # noqa: B905 - TorchScript


def expand_rows(radial: Tensor, harmonics: Tensor, layout: Padding) -> list[Tensor]:
    """Return the same sums, (n, C, 2l + 1) for each l, from radial functions with edges first, (n * J, L + 1, C)."""
    left = radial.view(layout.n, layout.width, radial.shape[1], radial.shape[2])
    right = harmonics.t().reshape(layout.n, layout.width, harmonics.shape[0])
    widths = [2 * order + 1 for order in range(radial.shape[1])]
    return [g.mT @ y for g, y in zip(left.unbind(2), right.split(widths, 2))]  # noqa: B905 - TorchScript
