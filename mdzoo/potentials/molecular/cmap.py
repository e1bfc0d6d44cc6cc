"""Corrections of pairs of torsions by a table, CMAP."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor, nn

from mdzoo.potentials.molecular.frame import Frame
from mdzoo.potentials.molecular.harmonic import column, torsion
from mdzoo.potentials.molecular.topologies import Instances
from mdzoo.potentials.parameters import Choices


class CMAP(nn.Module):
    """`E = f(phi, psi)`, the periodic cubic spline through an energy at each point of a square grid.

    Mackerell, Feig and Brooks, DOI 10.1021/ja036959e. The values of the grid train; slopes at its points are linear in
    them.

    Arguments:
        table: `energy` (types, n, n) in eV, at phi = 2 pi a / n, psi = 2 pi b / n in row a, column b; `labels`.
        topologies: rows `[i, j, k, l, i', j', k', l', type]` under `cmaps`, first the atoms of phi.
        choices: whether `cmap` trains.
    """

    slopes: Tensor  # (n, n) from values to slopes along a line of the grid, per step

    def __init__(self, table: Mapping[str, Any], topologies: Sequence[Mapping[str, Any]], choices: Choices) -> None:
        super().__init__()
        self.instances = Instances(topologies, "cmaps", 8, len(table["labels"]))
        energy = column(table, "energy")
        self.size = int(energy.shape[-1])
        labels = [f"{label}:{a}-{b}" for label in table["labels"] for a in range(self.size) for b in range(self.size)]
        self.energy = choices.values("cmap", energy, "real", labels)
        self.register_buffer("slopes", slopes_of_spline(self.size), persistent=False)

    def forward(self, frame: Frame) -> tuple[Tensor, Tensor]:
        """Return the energy of each instance, (n,) in eV, and its atoms, (n, 8)."""
        atoms, types = self.instances(frame)
        grid = self.energy()
        step = self.size / (2.0 * math.pi)
        phi = torsion(frame, atoms[:, :4], grid.dtype) * step
        psi = torsion(frame, atoms[:, 4:], grid.dtype) * step
        a, b = torch.floor(phi.detach()), torch.floor(psi.detach())
        along = torch.matmul(self.slopes, grid)  # d/dphi
        tables = torch.stack([grid, along, grid @ self.slopes.T, along @ self.slopes.T], 3)
        corners = self.corners(tables, types, a.long(), b.long())  # (n, 2, 2, 4)
        u, v = hermite(phi - a), hermite(psi - b)  # (n, 2 ends, value or slope)
        weights = u[:, :, None, None, :] * v[:, None, :, :, None]  # slopes along psi, then along phi
        return (corners * weights.flatten(3)).flatten(1).sum(1), atoms

    def corners(self, tables: Tensor, types: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """Return value, slopes and mixed slope at the four corners of a cell of the grid, (n, 2, 2, 4)."""
        n = self.size
        next_a, next_b = (a + 1) % n, (b + 1) % n
        rows = (types.unsqueeze(1) * n + torch.stack([a % n, next_a], 1)) * n
        places = rows.unsqueeze(2) + torch.stack([b % n, next_b], 1).unsqueeze(1)
        return tables.reshape(-1, 4).index_select(0, places.flatten()).view(-1, 2, 2, 4)


def hermite(t: Tensor) -> Tensor:
    """Return the cubics that carry value and slope at 0 and at 1, (n, 2, 2)."""
    s = 1.0 - t
    ends = [(1.0 + 2.0 * t) * s * s, t * s * s, (3.0 - 2.0 * t) * t * t, -s * t * t]
    return torch.stack(ends, 1).view(-1, 2, 2)


def slopes_of_spline(n: int) -> Tensor:
    """Return the slopes of a periodic cubic spline at its n equidistant knots as a matrix on its values, (n, n)."""
    values = np.eye(n)[np.arange(n + 1) % n]
    spline = CubicSpline(np.arange(n + 1), values, bc_type="periodic")
    return torch.from_numpy(spline.derivative()(np.arange(n)))
