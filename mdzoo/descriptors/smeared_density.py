"""The density of smeared atoms in radial functions x spherical harmonics, central atom included."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from mdzoo.basis.cutoff import cosine_cutoff, smoothstep
from mdzoo.basis.radial_table import RadialTable
from mdzoo.basis.spherical import SphericalHarmonics
from mdzoo.descriptors.expansion import Surroundings, expand_rows, surroundings
from mdzoo.graph import Graph
from mdzoo.ops import pad

TAPERS = ("none", "polynomial", "cosine")


class SmearedDensity(nn.Module):
    """`A_{i c n lm} = sum_j q_{c s_j} w(r_ij) g_nl(r_ij) Y_lm(r_ij) + central_{s_i c} g_n0(0) Y_00 delta_l0`.

    Arguments:
        function: radial functions, distances (m,) -> (m, L + 1, n_max).
        cutoff: Angstrom.
        width: of the taper w, which falls from 1 at `cutoff - width` to 0 at the cutoff (Angstrom).
        taper: `none` (w is 1 up to the cutoff), `polynomial` with `smoothness` continuous derivatives, or `cosine`.
        smoothness: of the polynomial.
        shares: q, what a neighbour of each species adds to each density c, (densities, n_species).
        central: what an atom of each species adds to each density of its own, (n_species, densities).

    Shapes: (n, densities * n_max * (L + 1)^2), lm inner.
    """

    def __init__(
        self,
        function: Callable[[np.ndarray], np.ndarray],
        cutoff: float,
        width: float,
        taper: str,
        smoothness: int,
        shares: Sequence[Sequence[float]],
        central: Sequence[Sequence[float]],
    ) -> None:
        super().__init__()
        self.cutoff, self.width, self.taper = float(cutoff), float(width), str(taper)
        self.smoothness = int(smoothness)
        factor = shares[0][0] if len(shares) == len(shares[0]) == 1 else 1.0
        self.radial = RadialTable(lambda r: factor * function(r), self.cutoff)
        self.harmonics = SphericalHarmonics(self.radial.blocks - 1)
        own = torch.as_tensor(function(np.zeros(1))[0, 0] / np.sqrt(4.0 * np.pi))
        alone = torch.tensor(central, dtype=torch.float64).unsqueeze(2) * own
        self.lm, self.n_channels = self.radial.blocks**2, alone[0].numel() * self.radial.blocks**2
        self.register_buffer("shares", torch.tensor(shares, dtype=torch.float64).t().contiguous(), persistent=False)
        self.register_buffer("alone", alone, persistent=False)  # the l = 0 coefficients, (n_species, densities, n_max)

    def forward(self, graph: Graph) -> Tensor:
        """Return the density of the atoms up to the last centre, (n, C)."""
        around = surroundings(graph, 2.0 * self.cutoff)
        radial = self.shared(self.radial(around.r, self.weight(around.r)), graph, around)
        harmonics = self.harmonics(around.x, around.y, around.z)
        return self.joined(expand_rows(radial, harmonics, around.layout), graph.species)

    def shared(self, radial: Tensor, graph: Graph, around: Surroundings) -> Tensor:
        """Return the radial functions (n * J, L + 1, n_max) in each density, (n * J, L + 1, densities * n_max)."""
        if self.shares.numel() == 1:
            return radial
        species = pad(graph.species[graph.neighbors], around.layout, torch.zeros_like(graph.centers[0]))
        share = self.shares.index_select(0, species)
        return (radial.unsqueeze(2) * share[:, None, :, None]).flatten(2)

    def joined(self, blocks: list[Tensor], species: Tensor) -> Tensor:
        """Return the density, (n, C), of the sums for each l and the central atoms."""
        n = blocks[0].shape[0]
        blocks[0] = blocks[0] + self.alone.index_select(0, species[:n]).view(n, -1, 1)
        return torch.cat(blocks, 2).flatten(1)

    @torch.jit.unused
    def radial_slopes(self, graph: Graph, around: Surroundings) -> tuple[Tensor, Tensor]:
        """Return the radial functions in each density and their derivatives by r, (n * J, L + 1, C)."""
        weight, slope = self.weight(around.r), torch.zeros_like(around.r)
        if self.taper != "none":
            with torch.enable_grad():
                r = around.r.detach().requires_grad_()
                (slope,) = torch.autograd.grad(self.weight(r).sum(), r)
        g, steps = self.radial.with_slopes(around.r, weight, slope)
        return self.shared(g, graph, around), self.shared(steps, graph, around)

    def isolated(self, like: Tensor) -> Tensor:
        """Return the density of an atom without neighbours, (n_species, C), in the dtype of `like`."""
        alone = self.alone.to(like.dtype).unsqueeze(3)
        return torch.nn.functional.pad(alone, [0, self.lm - 1]).flatten(1)

    def weight(self, r: Tensor) -> Tensor:
        """Return the taper w(r), of the shape of r."""
        if self.taper == "none":
            return (r < self.cutoff).to(r.dtype)
        x = (self.cutoff - r) / self.width
        if self.taper == "polynomial":
            return smoothstep(x, self.smoothness)
        return cosine_cutoff(torch.clamp(1.0 - x, min=0.0))
