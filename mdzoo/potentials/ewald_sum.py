"""Ewald's sum over wave vectors, as two matrix products for all structures of a batch."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mdzoo.graph import Graph
from mdzoo.potentials.lattice import Layout, kernel_weights, table_of
from mdzoo.potentials.lattice_sum import LatticeSum


class Waves(NamedTuple):
    """Phases of the atoms, and the weight of each wave; k and -k are one."""

    xy: Tensor  # (L, n, 2 P) cosines, then sines, of the first two directions together
    z: Tensor  # (L, n, 2 Z) cosines, then sines, of the third
    weights: Tensor  # (L, P, Z)


class EwaldSum(LatticeSum):
    """`phi_i = sum_k w_k Re[conj(S_k) exp(i k.r_i)]`, `S_k = sum_j q_j exp(i k.r_j)`, over the lattice's waves.

    `exp(i k.r)` is a product of one phase for each direction, so S is a matrix product of (first two directions x
    atoms) with (atoms x third), and phi is the same read backwards.

    Arguments:
        cutoff, accuracy: see `LatticeSum`.

    Example:
        >>> round(EwaldSum(6.0, 1e-6).alpha, 4)
        0.6195
    """

    def smooth_part(self, graph: Graph, layout: Layout, q: Tensor) -> Tensor:
        """Return the potential of the smooth charges, (L, n)."""
        return self.synthesis(self.waves(graph, layout, q.dtype), q)

    def waves(self, graph: Graph, layout: Layout, dtype: torch.dtype) -> Waves:
        """Return the phases of the atoms and the weights of the waves."""
        lengths = torch.linalg.vector_norm(layout.cells.detach(), dim=2).amax(0)
        m: list[int] = torch.ceil(lengths * (self.longest / (2.0 * math.pi))).long().tolist()
        turns = 2.0 * math.pi * table_of(graph.positions, layout) @ torch.linalg.inv(layout.cells)
        n_x = torch.arange(0, m[0] + 1, device=turns.device, dtype=turns.dtype)
        n_y = torch.arange(-m[1], m[1] + 1, device=turns.device, dtype=turns.dtype)
        n_z = torch.arange(-m[2], m[2] + 1, device=turns.device, dtype=turns.dtype)
        whole = torch.cartesian_prod(n_x, n_y, n_z)
        weights = kernel_weights(whole, layout, self.alpha, self.longest) * (1.0 + (whole[:, 0] > 0.0))
        x, y, z = turns[:, :, :1] * n_x, turns[:, :, 1:2] * n_y, turns[:, :, 2:] * n_z
        cos_x, sin_x = x.cos().to(dtype).unsqueeze(3), x.sin().to(dtype).unsqueeze(3)
        cos_y, sin_y = y.cos().to(dtype).unsqueeze(2), y.sin().to(dtype).unsqueeze(2)
        xy = torch.cat([(cos_x * cos_y - sin_x * sin_y).flatten(2), (sin_x * cos_y + cos_x * sin_y).flatten(2)], dim=2)
        shape = [xy.shape[0], xy.shape[2] // 2, n_z.shape[0]]
        return Waves(xy, torch.cat([z.cos(), z.sin()], 2).to(dtype), weights.to(dtype).view(shape))

    def synthesis(self, waves: Waves, q: Tensor) -> Tensor:
        """Return phi (L, n) of q (L, n)."""
        n_p, n_z = waves.weights.shape[1], waves.weights.shape[2]
        s = waves.xy.mT @ (waves.z * q.unsqueeze(2))  # (L, 2 P, 2 Z)
        real = waves.weights * (s[:, :n_p, :n_z] - s[:, n_p:, n_z:])
        imaginary = waves.weights * (s[:, n_p:, :n_z] + s[:, :n_p, n_z:])
        back = torch.cat([torch.cat([real, imaginary], 2), torch.cat([imaginary, -real], 2)], 1)
        return (waves.xy @ back * waves.z).sum(2)

    def pair_matrix(self, graph: Graph, layout: Layout, dtype: torch.dtype) -> Tensor:
        """Return `erf(alpha r) / r` of all pairs and images, without the mean and without i on itself, (L, n, n)."""
        waves = self.waves(graph, layout, dtype)
        n_p, n_z = waves.weights.shape[1], waves.weights.shape[2]
        xy_cos, xy_sin = waves.xy[:, :, :n_p].unsqueeze(3), waves.xy[:, :, n_p:].unsqueeze(3)
        z_cos, z_sin = waves.z[:, :, :n_z].unsqueeze(2), waves.z[:, :, n_z:].unsqueeze(2)
        real = (xy_cos * z_cos - xy_sin * z_sin).flatten(2)  # (L, n, P Z)
        imaginary = (xy_sin * z_cos + xy_cos * z_sin).flatten(2)
        weights = waves.weights.flatten(1).unsqueeze(1)
        both = (real * weights) @ real.mT + (imaginary * weights) @ imaginary.mT
        itself = table_of(torch.ones_like(graph.positions[:, 0]), layout).to(dtype)  # 0 where there is no atom
        both = both * itself.unsqueeze(1) * itself.unsqueeze(2)
        return both - 2.0 * self.alpha / math.sqrt(math.pi) * torch.diag_embed(itself)
