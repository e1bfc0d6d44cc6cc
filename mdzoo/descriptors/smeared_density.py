"""The density of smeared atoms in radial functions x spherical harmonics, central atom included."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from mdzoo.basis.cutoff import cosine_cutoff, cosine_cutoff_slope, smoothstep, smoothstep_slope
from mdzoo.basis.radial_table import RadialTable
from mdzoo.graph import Graph
from mdzoo.ops import Padding, pad

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
        own = torch.as_tensor(function(np.zeros(1))[0, 0] / np.sqrt(4.0 * np.pi))
        alone = torch.tensor(central, dtype=torch.float64).unsqueeze(2) * own
        self.lm, self.n_channels = self.radial.blocks**2, alone[0].numel() * self.radial.blocks**2
        self.register_buffer("shares", torch.tensor(shares, dtype=torch.float64), persistent=False)
        self.register_buffer("alone", alone, persistent=False)  # the l = 0 coefficients, (n_species, densities, n_max)

    def forward(self, r: Tensor, graph: Graph, layout: Padding) -> Tensor:
        """Return the radial functions in each density, (L + 1, densities * n_max, n * J)."""
        return self.shared(self.radial(r, self.weight(r)), graph, layout)

    def with_slopes(self, r: Tensor, graph: Graph, layout: Padding) -> tuple[Tensor, Tensor]:
        """Return the same and their derivatives by r."""
        values, steps = self.radial.with_slopes(r, self.weight(r), self.weight_slope(r))
        return self.shared(values, graph, layout), self.shared(steps, graph, layout)

    def shared(self, radial: Tensor, graph: Graph, layout: Padding) -> Tensor:
        """Return the radial functions (L + 1, n_max, n * J) in each density, (L + 1, densities * n_max, n * J)."""
        if self.shares.numel() == 1:
            return radial
        species = pad(graph.species[graph.neighbors], layout, torch.zeros_like(graph.centers[0]))
        share = self.shares.index_select(1, species)
        return (radial.unsqueeze(1) * share.unsqueeze(1)).flatten(1, 2)

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

    def weight_slope(self, r: Tensor) -> Tensor:
        """Return the derivative of the taper by r."""
        x = (self.cutoff - r) / self.width
        if self.taper == "none":
            return torch.zeros_like(r)
        if self.taper == "polynomial":
            return -smoothstep_slope(x, self.smoothness) / self.width
        return cosine_cutoff_slope(torch.clamp(1.0 - x, min=0.0)) / self.width
