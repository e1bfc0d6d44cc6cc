"""What descriptors share whose density is a sum of radial functions times spherical harmonics."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mdzoo.basis.spherical import SphericalHarmonics, gradient_table
from mdzoo.descriptors.base import Descriptor
from mdzoo.descriptors.expansion import Expansion, by_atoms, expand, pull, surroundings
from mdzoo.descriptors.slopes import star
from mdzoo.graph import Graph
from mdzoo.ops import Padding

CHUNK = 256
"""Edges whose slopes are in flight together: few enough for the cache."""


class ExpandedDescriptor(Descriptor):
    """The base of those that give `functions`, the radial functions of each neighbour, and their derivatives.

    It knows the slopes of the density, forwards (`edge_slopes`) and in reverse (`pull`). A member whose density is not
    a_clm as it stands, lm inner, gives `collected` and its inverse `by_coefficients`.
    """

    if TYPE_CHECKING:  # TorchScript would read an annotation as an attribute that is no module
        harmonics: SphericalHarmonics
        gradients: Tensor

    def set_degree(self, l_max: int) -> None:
        """Take the largest l of the harmonics."""
        self.has_pull, self.harmonics = True, SphericalHarmonics(int(l_max))
        self.register_buffer("gradients", gradient_table(int(l_max)), persistent=False)

    def functions(self, r: Tensor, graph: Graph, layout: Padding) -> Tensor:
        """Return the radial functions of the neighbours, (blocks, C, n * J)."""
        raise NotImplementedError

    def functions_with_slopes(self, r: Tensor, graph: Graph, layout: Padding) -> tuple[Tensor, Tensor]:
        """Return the radial functions of the neighbours and their derivatives by r, (blocks, C, n * J) each."""
        raise NotImplementedError

    def collected(self, a: Tensor) -> Tensor:
        """Return the density, (n, C), of the coefficients a_clm, (n, c, lm)."""
        return a.flatten(1)

    def with_centres(self, density: Tensor, graph: Graph) -> Tensor:
        """Return the density of the neighbours, (n, C), with that of the atoms themselves."""
        return density

    def by_coefficients(self, slopes: Tensor) -> Tensor:
        """Return the slopes by the coefficients a_clm, (n, c, lm), from those by the density, (n, C)."""
        return slopes.view(slopes.shape[0], -1, self.gradients.shape[0])

    def density(self, graph: Graph) -> Tensor:
        """Return the density, (n, C): for each atom the product (c x neighbours) @ (neighbours x lm), one for all."""
        around = surroundings(graph, 2.0 * self.cutoff)
        harmonics = by_atoms(self.harmonics.rows(around.x, around.y, around.z), around.layout)
        a = expand(self.functions(around.r, graph, around.layout), harmonics, around.layout)
        return self.with_centres(self.collected(a), graph)

    def first_order(self, graph: Graph) -> tuple[Tensor, Expansion]:
        """Return the density, (n, C), without history, and what `pull` needs."""
        with torch.no_grad():
            around = surroundings(graph, 2.0 * self.cutoff)
            harmonics = by_atoms(self.harmonics.rows(around.x, around.y, around.z), around.layout)
            radial, steps = self.functions_with_slopes(around.r, graph, around.layout)
            density = self.collected(expand(radial, harmonics, around.layout))
            return self.with_centres(density, graph), Expansion(around, radial, steps, harmonics)

    def pull(self, expansion: Expansion, slopes: Tensor) -> Tensor:
        """Return `dE/dr_ij` for each edge, (E, 3), of an E with the slopes (n, C) by the density."""
        with torch.no_grad():
            return pull(expansion, self.by_coefficients(slopes), self.gradients)

    @torch.jit.unused
    def edge_slopes(self, graph: Graph) -> Tensor:
        """Return dA_i/dr_ij for each edge, (E, 3, C): the formula of `pull`, for one neighbour."""
        alone = star(graph)
        around = surroundings(alone, 2.0 * self.cutoff)
        y = self.harmonics(around.x, around.y, around.z).t().contiguous()  # (E, lm)
        radial, steps = self.functions_with_slopes(around.r, alone, around.layout)
        unit = torch.stack([around.x, around.y, around.z], 1).unsqueeze(2)
        orders = torch.tensor([order for order in range(self.harmonics.l_max + 1) for _ in range(2 * order + 1)])
        lower = self.gradients.view(y.shape[1], 3, -1).permute(2, 1, 0).flatten(1)  # (lm of l - 1, 3 lm)
        turned = (y[:, : len(lower)] @ lower).view(len(y), 3, -1) - unit * (orders * y).unsqueeze(1)
        every = torch.zeros_like(orders) if len(radial) == 1 else orders
        g, slopes = (b[every].permute(2, 1, 0).unsqueeze(1) for b in (radial / around.r, steps))  # (E, 1, c, lm)
        rows = [slopes, (unit * y.unsqueeze(1)).unsqueeze(2), g, turned.unsqueeze(2)]
        parts: list[Tensor] = []
        for along, straight, turns, turn in zip(*[row.split(CHUNK) for row in rows], strict=True):
            a = (along * straight).addcmul_(turns, turn)
            parts.append(self.collected(a.flatten(0, 1)))
        return torch.cat(parts).view(len(y), 3, -1)
