"""The smooth part of a lattice sum on a mesh: particle-mesh Ewald with B-splines."""

import math

import torch
from torch import Tensor

from mdzoo.graph import Graph
from mdzoo.potentials.lattice import Layout, kernel_weights, table_of
from mdzoo.potentials.lattice_sum import LatticeSum

ORDERS = (4, 6, 8, 10)
FINENESS = 1.4  # spacing of the mesh times alpha, by accuracy^(1 / order), where the mesh is as good as the rest


class MeshSum(LatticeSum):
    """Smooth particle-mesh Ewald (Essmann et al., DOI 10.1063/1.470117), one mesh for each structure.

    Charges are spread over `order^3` points of a mesh by B-splines, the mesh is convolved with the smooth interaction
    by two Fourier transforms, and the same splines read the potential at the atoms: cost of N log N.

    Arguments:
        cutoff, accuracy: see `LatticeSum`.
        order: of the splines, even; forces are continuous, as are `order - 2` derivatives of the energy.
        spacing: of the mesh at most, Angstrom; None takes what `accuracy` needs.
    """

    splines: Tensor  # (p, p) coefficients of t^k in the weight of the j-th point

    def __init__(self, cutoff: float, accuracy: float, order: int = 6, spacing: float | None = None) -> None:
        super().__init__(cutoff, accuracy)
        self.order = int(order)
        if self.order not in ORDERS:
            raise ValueError(f"`order` must be one of {ORDERS}, got {order}; 6 suits accuracies of 1e-4 to 1e-7")
        needed = FINENESS * self.accuracy ** (1.0 / self.order) / self.alpha
        self.spacing = needed if spacing is None else float(spacing)
        if not 0.0 < self.spacing < float("inf"):
            raise ValueError(f"`spacing` must be positive and finite (Angstrom), got {spacing}; leave it to `accuracy`")
        self.register_buffer("splines", spline_coefficients(self.order), persistent=False)

    def smooth_part(self, graph: Graph, layout: Layout, q: Tensor) -> Tensor:
        """Return the potential of the smooth charges, (L, n)."""
        turns = table_of(graph.positions, layout) @ torch.linalg.inv(layout.cells)
        rows: list[Tensor] = []
        for one in range(q.shape[0]):
            rows.append(self.on_mesh(turns[one], q[one], one_of(layout, one)))
        return torch.stack(rows)

    def on_mesh(self, turns: Tensor, q: Tensor, layout: Layout) -> Tensor:
        """Return the potential (n,) at the fractions (n, 3) of one structure's cell."""
        size = self.mesh_size(layout.cells[0])
        points, weights = self.spread(turns, size, q.dtype)
        mesh = torch.zeros(size[0] * size[1] * size[2], dtype=q.dtype, device=q.device)
        mesh = mesh.index_add(0, points.flatten(), (weights * q.unsqueeze(1)).flatten())
        waves = torch.fft.rfftn(mesh.view(size)) * self.influence(layout, size).to(q.dtype)
        potential = torch.fft.irfftn(waves, s=size, norm="forward").flatten()
        return (potential.index_select(0, points.flatten()).view(points.shape) * weights).sum(1)

    def mesh_size(self, cell: Tensor) -> list[int]:
        """Return the points along each vector of a cell, products of 2, 3 and 5."""
        lengths: list[float] = torch.linalg.vector_norm(cell.detach(), dim=1).tolist()
        return [good_size(math.ceil(length / self.spacing)) for length in lengths]

    def spread(self, turns: Tensor, size: list[int], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return the mesh points that each atom touches and their weights, (n, order^3) each."""
        n = torch.tensor(size, device=turns.device)
        u = turns * n
        first = torch.floor(u.detach())
        t = (u - first).to(dtype)
        powers = [torch.ones_like(t)]
        for _ in range(self.order - 1):
            powers.append(powers[-1] * t)
        w = torch.stack(powers, 2) @ self.splines.to(dtype)  # (n, 3, order)
        steps = torch.arange(self.order, device=turns.device)
        p = (first.long().unsqueeze(2) - steps) % n.unsqueeze(1)
        points = ((p[:, 0].unsqueeze(2) * size[1] + p[:, 1].unsqueeze(1)).unsqueeze(3) * size[2]) + p[:, 2].view(
            -1, 1, 1, self.order
        )
        weights = (w[:, 0].unsqueeze(2) * w[:, 1].unsqueeze(1)).unsqueeze(3) * w[:, 2].view(-1, 1, 1, self.order)
        return points.flatten(1), weights.flatten(1)

    def influence(self, layout: Layout, size: list[int]) -> Tensor:
        """Return what multiplies each wave of the mesh, (n_x, n_y, n_z / 2 + 1) float64."""
        k_x, k_y, k_z = whole_numbers(size[0]), whole_numbers(size[1]), torch.arange(size[2] // 2 + 1)
        k = torch.cartesian_prod(k_x, k_y, k_z).to(layout.cells)
        weights = kernel_weights(k, layout, self.alpha, float("inf"))[0].view(size[0], size[1], size[2] // 2 + 1)
        x, y = self.sharpness(size[0]).to(weights), self.sharpness(size[1]).to(weights)
        return weights * x.view(-1, 1, 1) * y.view(-1, 1) * self.sharpness(size[2]).to(weights)[: size[2] // 2 + 1]

    def sharpness(self, n: int) -> Tensor:
        """Return `1 / |sum_j M(j) exp(2 pi i m j / n)|^2` of the splines M at whole numbers, (n,)."""
        at_points = self.splines[0]  # the weights of an atom that stands on a point
        turns = torch.arange(n, device=at_points.device).unsqueeze(1) * torch.arange(
            self.order, device=at_points.device
        )
        angles = turns.to(at_points) * (2.0 * math.pi / n)
        real, imaginary = angles.cos() @ at_points, angles.sin() @ at_points
        return 1.0 / (real.square() + imaginary.square())


def one_of(layout: Layout, one: int) -> Layout:
    """Return the layout of one structure, without its atoms."""
    part = slice(one, one + 1)
    return Layout(layout.atoms, layout.slots, 0, layout.structures[part], layout.cells[part], layout.half[part])


def whole_numbers(n: int) -> Tensor:
    """Return 0, 1, ..., -2, -1: the waves of n points."""
    m = torch.arange(n)
    return torch.where(m > n // 2, m - n, m)


def good_size(n: int) -> int:
    """Return the smallest product of 2, 3 and 5 that is at least n."""
    while other_factors(n) != 1:
        n += 1
    return n


def other_factors(n: int) -> int:
    """Return n without its factors 2, 3 and 5."""
    for factor in (2, 3, 5):
        while n % factor == 0:
            n = n // factor
    return n


def spline_coefficients(order: int) -> Tensor:
    """Return C, (p, p): the weight of the point j behind an atom is `sum_k C[k, j] t^k`, t from 0 to 1 past a point.

    From `M_p(u) = (u M_(p-1)(u) + (p - u) M_(p-1)(u - 1)) / (p - 1)` with u = t + j; M_1 is 1 from 0 to 1.
    """
    pieces = torch.zeros(order, order, dtype=torch.float64)
    pieces[0, 0] = 1.0
    for p in range(2, order + 1):
        before, pieces = pieces, torch.zeros_like(pieces)
        for j in range(p):
            left, right = before[:, j], before[:, j - 1] if j > 0 else torch.zeros(order, dtype=torch.float64)
            pieces[:, j] = j * left + (p - j) * right
            pieces[1:, j] += left[:-1] - right[:-1]
        pieces = pieces / (p - 1)
    return pieces
