"""Least squares in memory O(P^2): rows stream into triangular factors, one for each part, target and group of the data.

`R` with `R^T R = [Phi | y]^T [Phi | y]` is updated by QR, never through the normal equations, which square the
condition number. The last column is the target, so a factor knows the residual of any parameters,
`|Phi theta - y| = |R (theta, -1)|`.
"""

import itertools
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from scipy.linalg import lapack
from torch import Tensor

TARGETS = ("energy", "forces", "stress")


class TriangularFactor:
    """The triangular factor of all rows that were added; it holds P + 1 rows and one block of 4P at most.

    Arguments:
        n_columns: P + 1, the parameters and the target.
    """

    def __init__(self, n_columns: int) -> None:
        self.n_columns = int(n_columns)
        self.block = 4 * self.n_columns
        self.count = 0
        self.structures = 0
        self.waiting = 0
        self.pieces: list[Tensor] = []

    def add(self, rows: Tensor) -> None:
        """Take the rows (m, P + 1) of a structure, and fold the waiting ones in as soon as they make a block."""
        if rows.shape[0] == 0:
            return
        self.pieces.append(rows.to(torch.float64))
        self.structures += 1
        self.count += rows.shape[0]
        self.waiting += rows.shape[0]
        if self.waiting >= self.block:
            self.flush()

    def flush(self) -> None:
        """Fold the waiting rows into the triangle."""
        if self.waiting > 0:
            self.pieces = [triangle(self.pieces, self.n_columns)]
            self.waiting = 0

    def root(self) -> Tensor:
        """Return R, (min(m, P + 1), P + 1)."""
        self.flush()
        return self.pieces[0] if self.pieces else torch.zeros(0, self.n_columns, dtype=torch.float64)


def triangle(pieces: list[Tensor], n_columns: int) -> Tensor:
    """Return the triangular factor of stacked rows; few rows are kept as they are.

    A triangle in the first place is updated by the others with `2 m n^2` operations for m rows, by a third of that for
    triangles (LAPACK's tpqrt).
    """
    if sum(len(piece) for piece in pieces) <= n_columns:
        return torch.cat([*pieces, torch.zeros(0, n_columns, dtype=torch.float64)])
    first, rest = pieces[0], pieces[1:]
    if len(first) < n_columns or not is_triangle(first):
        first, rest = torch.zeros(n_columns, n_columns, dtype=torch.float64), pieces
    top = np.array(first.numpy(), order="F")
    for body, upper in bodies(rest):
        folded = lapack.dtpqrt(upper, min(64, n_columns), top, body, overwrite_a=True, overwrite_b=True)
        top = folded[0]
    return torch.from_numpy(top)


def bodies(pieces: list[Tensor]) -> Iterator[tuple[np.ndarray, int]]:
    """Return triangles one by one and other rows in blocks, column by column, and how many end upper triangular."""
    waiting: list[Tensor] = []
    for piece in pieces:
        if is_triangle(piece):
            yield np.array(piece.numpy(), order="F"), len(piece)
            continue
        for rows in piece.split(piece.shape[1]):
            waiting.append(rows)
            if sum(map(len, waiting)) >= piece.shape[1]:
                yield np.asfortranarray(torch.cat(waiting).numpy()), 0
                waiting = []
    if waiting:
        yield np.asfortranarray(torch.cat(waiting).numpy()), 0


def is_triangle(piece: Tensor) -> bool:
    """Return whether rows (m, n), m <= n, are zero below the diagonal."""
    upper = 0 < len(piece) <= piece.shape[1] and bool(piece[-1, 0] == 0.0)
    return upper and not bool(piece.tril(-1).any())


class Factors:
    """Triangular factors by (part, target, group): leaving a part out or weighing a group costs no second pass.

    The rows that wait for their blocks are 6P, or as many as take 64 MB: what each costs does not depend on the block.

    Arguments:
        n_parameters: P.
        n_parts: number of folds, or of groups that are left out in turn.
        n_groups: number of groups that are weighed.

    Attributes: `emphasis`, by (target, group): what the rows of a group are multiplied by beside the target's weight.
    """

    def __init__(self, n_parameters: int, n_parts: int = 1, n_groups: int = 1) -> None:
        self.n_columns = int(n_parameters) + 1
        self.n_parts, self.n_groups = int(n_parts), int(n_groups)
        self.most_waiting = max(6 * self.n_columns, int(8e6 / self.n_columns))
        self.table: dict[tuple[int, str, int], TriangularFactor] = {}
        self.emphasis: dict[tuple[str, int], float] = {}

    def add(self, part: int, target: str, rows: Tensor, group: int = 0) -> None:
        """Take the rows (m, P + 1) of a structure, already divided by what their targets are divided by."""
        self.table.setdefault((part, target, group), TriangularFactor(self.n_columns)).add(rows)
        if sum(factor.waiting for factor in self.table.values()) > self.most_waiting:
            max(self.table.values(), key=lambda factor: factor.waiting).flush()

    def those(self, target: str, part: int | None = None, group: int | None = None) -> list[TriangularFactor]:
        """Return the factors of a target, in one part or all, and of one group or all."""
        wanted = [(p, t, g) for p, t, g in sorted(self.table) if t == target and part in (None, p)]
        return [self.table[key] for key in wanted if group in (None, key[2])]

    def count(self, target: str, part: int | None = None) -> int:
        """Return the number of rows of a target, in one part or in all."""
        return sum(factor.count for factor in self.those(target, part))

    def root(self, part: int | None, target: str, group: int | None = None) -> Tensor:
        """Return the factor of a target in one part or all; it has no rows where nothing was added."""
        return triangle([f.root() for f in self.those(target, part, group)], self.n_columns)

    def stack(self, weights: Mapping[str, float], without: int | None = None) -> Tensor:
        """Return the factor of all parts (except one), with each target multiplied by its weight and emphasis."""
        whole = torch.zeros(0, self.n_columns, dtype=torch.float64)
        for (part, target, group), factor in sorted(self.table.items(), key=lambda item: item[0]):
            weight = weights.get(target, 0.0) * self.emphasis.get((target, group), 1.0)
            if part != without and weight > 0.0:
                whole = triangle([whole, weight * factor.root()], self.n_columns)
        return whole

    def error(self, theta: Tensor, target: str, part: int | None = None) -> float:
        """Return the root mean square of `Phi theta - y` over the rows of a target, in one part or in all."""
        column = torch.cat([theta, theta.new_full((1,), -1.0)])
        total = sum(float((factor.root() @ column).square().sum()) for factor in self.those(target, part))
        return (total / max(1, self.count(target, part))) ** 0.5

    def merge(self) -> None:
        """Join the factors of all ranks; each ends with the same. Does nothing on one rank."""
        distributed = torch.distributed
        if not (distributed.is_available() and distributed.is_initialized()):
            return
        for part, target, group in itertools.product(range(self.n_parts), TARGETS, range(self.n_groups)):
            own = self.table.pop((part, target, group), TriangularFactor(self.n_columns))
            joined = merged(own)
            if joined.count > 0:
                self.table[(part, target, group)] = joined


def merged(own: TriangularFactor) -> TriangularFactor:
    """Fold one factor of every rank, padded with zero rows to a square, into one, in the order of the ranks."""
    mine, n = own.root(), own.n_columns
    device = torch.device("cuda") if torch.distributed.get_backend() == "nccl" else torch.device("cpu")
    counts = torch.tensor([own.count, own.structures], device=device)
    torch.distributed.all_reduce(counts)
    factor = TriangularFactor(n)
    factor.count, factor.structures = (int(c) for c in counts)
    for rank in range(torch.distributed.get_world_size() if factor.count > 0 else 0):
        square = torch.zeros(n, n, dtype=torch.float64, device=device)
        if rank == torch.distributed.get_rank():
            square[: mine.shape[0]] = mine.to(device)
        torch.distributed.broadcast(square, rank)
        factor.pieces = [triangle([*factor.pieces, square.cpu()], n)]
    return factor
