r"""The Gauss-Newton matrix of a network's labels, whole, diagonal, or by Kronecker factors of each tensor.

With the rows J of all labels (`mdzoo.fit.network_rows`), divided by their noise, and J_r the part of row r that belongs
to a weight matrix W (in, out), as a matrix of that shape,

    full       H = sum_r vec(J_r) vec(J_r)^T          over all tensors at once
    diagonal   H_pp alone
    kronecker  H = A (x) G / tr H,    A = sum_r J_r J_r^T,    G = sum_r J_r^T J_r,    for each tensor by itself

The third has the trace of H, and is exact where J_r = x g^T with x and g independent, as in K-FAC (Martens, Grosse,
arXiv:1503.05671; Ritter, Botev, Barber, ICLR 2018), and for a tensor of one row; rows of forces are sums of such
products over atoms.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mdzoo.fit.factors import TriangularFactor

STRUCTURES = ("kronecker", "diagonal", "full")


class Block(NamedTuple):
    """The eigenvectors `left (x) right` and eigenvalues of a part of H, and the parameters there."""

    left: Tensor  # (a, a) orthonormal
    right: Tensor  # (b, b)
    values: Tensor  # (a, b)
    theta: Tensor  # (a, b), along the eigenvectors

    def best_prior(self, rounds: int = 100) -> float:
        """Return the precision of the prior of largest evidence, `gamma / |theta|^2` (MacKay's fixed point)."""
        square = float(self.theta.square().sum())
        size = float(self.values.mean())
        precision = 1e-3 * size + 1e-300
        for _ in range(rounds):
            effective = float((self.values / (self.values + precision)).sum())
            new = min(max(effective / max(square, 1e-300), 1e-9 * size), 1e9 * size) + 1e-300
            if abs(new / precision - 1.0) < 1e-6:
                break
            precision = new
        return precision

    def moved(self, z: Tensor, precision: float) -> Tensor:
        """Return draws (M, a, b) of the parameters about their mean from standard normal ones."""
        return self.left @ (z * (self.values + precision).rsqrt()) @ self.right.T

    def covariance(self, precision: float) -> Tensor:
        """Return the covariance of all entries, (a b, a b)."""
        both = torch.kron(self.left, self.right)
        return (both / (self.values + precision).flatten()) @ both.T


class Curvature:
    """Adds up rows of labels, and gives blocks.

    Arguments:
        structure: one of STRUCTURES.
        tensors: the parameters in the order of the columns, (1, a, b) each.
    """

    def __init__(self, structure: str, tensors: list[Tensor]) -> None:
        self.structure = structure
        self.tensors = [t.detach()[0].to(torch.float64) for t in tensors]
        self.sizes = [t.numel() for t in self.tensors]
        self.whole = TriangularFactor(sum(self.sizes))
        self.left = [torch.zeros(len(t), len(t), dtype=torch.float64) for t in self.tensors]
        self.right = [torch.zeros(t.shape[1], t.shape[1], dtype=torch.float64) for t in self.tensors]
        self.squares = [torch.zeros_like(t) for t in self.tensors]

    def add(self, rows: Tensor) -> None:
        """Take rows (m, P), divided by their noise."""
        if self.structure == "full":
            self.whole.add(rows)
            return
        for k, part in enumerate(self.matrices(rows)):
            if self.structure == "diagonal":
                self.squares[k] += part.square().sum(0)
            else:
                self.left[k] += torch.einsum("rab,rcb->ac", part, part)
                self.right[k] += torch.einsum("rab,rac->bc", part, part)

    def absorb(self, other: "Curvature", weight: float) -> None:
        """Add the rows of another, their squares multiplied by a weight."""
        self.whole.add(weight**0.5 * other.whole.root())
        for mine, theirs in ((self.left, other.left), (self.right, other.right), (self.squares, other.squares)):
            for one, two in zip(mine, theirs, strict=True):
                one += weight * two

    def matrices(self, rows: Tensor) -> Iterator[Tensor]:
        """Yield the part of each tensor, (m, a, b)."""
        for part, like in zip(rows.split(self.sizes, 1), self.tensors, strict=True):
            yield part.view(len(rows), *like.shape)

    def blocks(self) -> list[Block]:
        """Return the blocks: of each tensor, or the one of all."""
        if self.structure == "full":
            theta = torch.cat([t.flatten() for t in self.tensors])
            root = self.whole.root()
            values, right = torch.linalg.eigh(root.T @ root)
            one = torch.ones(1, 1, dtype=torch.float64)
            return [Block(one, right, values.clamp_min(0.0).unsqueeze(0), (theta @ right).unsqueeze(0))]
        if self.structure == "diagonal":
            return [Block(eye(len(t)), eye(t.shape[1]), v, t) for t, v in zip(self.tensors, self.squares, strict=True)]
        return [factored(*found) for found in zip(self.left, self.right, self.tensors, strict=True)]

    def split(self, draws: list[Tensor]) -> list[Tensor]:
        """Return the draws of each tensor, (M, 1, a, b), from those of each block."""
        if self.structure == "full":
            parts: Any = draws[0].flatten(1).split(self.sizes, 1)
            draws = [part.view(len(part), *t.shape) for part, t in zip(parts, self.tensors, strict=True)]
        return [draw.unsqueeze(1) for draw in draws]


def eye(n: int) -> Tensor:
    """Return the unit matrix."""
    return torch.eye(n, dtype=torch.float64)


def factored(a: Tensor, g: Tensor, theta: Tensor) -> Block:
    """Return the block of `A (x) G / tr A`."""
    (left_values, left), (right_values, right) = torch.linalg.eigh(a), torch.linalg.eigh(g)
    trace = a.trace().clamp_min(1e-300)
    values = left_values.clamp_min(0.0).unsqueeze(1) * right_values.clamp_min(0.0) / trace
    return Block(left, right, values, left.T @ theta @ right)
