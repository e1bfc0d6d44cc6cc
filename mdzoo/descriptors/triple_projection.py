"""Two ways to project products of two functions of a rotation: on the points of a rule, or angle by angle."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mdzoo.basis.euler_transform import EulerTransform, change_of_basis
from mdzoo.basis.hypersphere import polynomials_on
from mdzoo.basis.rotation_orbits import ORBITS

CHUNK = 128
"""Atoms in one pass, at most: enough that calls do not count."""
NUMBERS = 1 << 19
"""Values of one function on a grid, at most, for large grids: what the cache holds."""


class ByPoints(nn.Module):
    """By matrices of all polynomials and points, for rules of few points: (n, Q) @ (Q, K).

    Triples with j1 + j2 + j up to three quarters of the largest take a smaller rule, which halves the work.
    """

    def __init__(self, twojmax: int) -> None:
        super().__init__()
        self.sizes, self.chunk = [(j + 1) ** 2 for j in range(twojmax + 1)], CHUNK
        self.rules, self.one_for_all = sorted({9 * twojmax // 8, 3 * twojmax // 2}), False
        by_parity = [j for odd in (0, 1) for j in range(odd, twojmax + 1, 2)]
        for rule, spin in enumerate(self.rules):
            table = polynomials_on(spin, twojmax)
            self.register_buffer(f"table{rule}", table, persistent=False)
            parts = table.split(self.sizes)
            self.register_buffer(f"sorted{rule}", torch.cat([parts[j] for j in by_parity]), persistent=False)
        self.starts = {j: sum(self.sizes[i] for i in by_parity[: by_parity.index(j)]) for j in by_parity}

    def values(self, density: Tensor, rule: int, spin: int) -> Tensor:
        """Return the values of a channel (n, K), (n, Q)."""
        return density @ getattr(self, f"table{rule}").split(self.sizes)[spin]

    def project(self, values: Tensor, rule: int, spins: list[int], room: Tensor) -> Sequence[Tensor]:
        """Return the projections of values on consecutive spins of one parity, (n, K) each, in `room`."""
        sizes = [self.sizes[spin] for spin in spins]
        start, n = self.starts[spins[0]], len(values)
        table = getattr(self, f"sorted{rule}")[start : start + sum(sizes)]
        return torch.mm(values, table.T, out=room[: n * sum(sizes)].view(n, -1)).split(sizes, 1)


class ByAngles(nn.Module):
    """By one product for each Euler angle, for large grids: atoms are the last axis of the values."""

    def __init__(self, twojmax: int) -> None:
        super().__init__()
        largest = 3 * twojmax // 2
        self.rules, self.one_for_all = sorted({-(-largest * k // 4) for k in (1, 2, 3, 4)}), True
        self.chunk = max(1, min(CHUNK, NUMBERS // ((largest + 1) ** 2 * (largest // 2 + 1))))
        for spin, matrix in enumerate(change_of_basis(twojmax)):
            self.register_buffer(f"change{spin}", matrix / (spin + 1.0), persistent=False)
        found = {
            (rule, spin): EulerTransform(self.rules[rule], spin)
            for rule in range(len(self.rules))
            for spin in range(twojmax + 1)
        }
        self.transforms, self.every = found, nn.ModuleList(found.values())

    def values(self, density: Tensor, rule: int, spin: int) -> Tensor:
        """Return the values of a channel (n, K)."""
        return self.transforms[rule, spin].values((density @ getattr(self, f"change{spin}")).T)

    def project(self, values: Tensor, rule: int, spins: list[int], room: Tensor) -> Sequence[Tensor]:
        """Return the projections of values on spins of one parity, (n, K) each; `room` stays as it is."""
        transform = self.transforms[rule, spins[-1]]
        found = transform.project(values)
        return [found[transform.rows_of(spin)].T @ getattr(self, f"change{spin}").T for spin in spins]


def projection(twojmax: int) -> ByPoints | ByAngles:
    """Return the faster way: points while the largest rule is a tabulated one."""
    return ByPoints(twojmax) if 3 * twojmax // 2 <= max(ORBITS) else ByAngles(twojmax)
