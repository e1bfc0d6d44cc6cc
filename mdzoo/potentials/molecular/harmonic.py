"""Harmonic terms: bonds and Urey-Bradley distances, angles, impropers."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mdzoo.potentials.molecular.frame import Frame, angle, dihedral, shortest
from mdzoo.potentials.molecular.topologies import Instances
from mdzoo.potentials.parameters import Choices


def column(table: Mapping[str, Any], key: str) -> Tensor:
    """Return a column of a table of types, float64; there must be a number, or a grid of one size, for each label."""
    values, labels = table.get(key, []), table.get("labels", [])
    shapes = {np.shape(value) for value in values}
    if len(values) != len(labels) or len(shapes) > 1:
        raise ValueError(
            f"`{key}` must be given for each of the types {list(labels)}, grids of one size, got {len(values)} of "
            f"shapes {sorted(shapes)}; complete the table"
        )
    return torch.tensor(values, dtype=torch.float64)


class HarmonicBond(nn.Module):
    """`E = k/2 (r - r0)^2` for each bond, or for the outer atoms of each angle (Urey-Bradley).

    Arguments:
        table: `k` (eV/Angstrom^2), `length` (Angstrom) and `labels` of each type.
        topologies: rows `[i, j, type]` under `key`.
        choices: which parameters train, `bond_k` and `bond_length`, or those of `name`.
        key: of the rows.
        name: of the parameters.
    """

    def __init__(
        self,
        table: Mapping[str, Any],
        topologies: Sequence[Mapping[str, Any]],
        choices: Choices,
        key: str = "bonds",
        name: str = "bond",
    ) -> None:
        super().__init__()
        self.instances = Instances(topologies, key, 2, len(table["labels"]))
        self.k = choices.values(f"{name}_k", column(table, "k"), "positive", table["labels"])
        self.length = choices.values(f"{name}_length", column(table, "length"), "positive", table["labels"])

    def forward(self, frame: Frame) -> tuple[Tensor, Tensor]:
        """Return the energy of each instance, (n,) in eV, and its atoms, (n, 2)."""
        atoms, types = self.instances(frame)
        k, length = self.k(), self.length()
        r = torch.linalg.vector_norm(shortest(frame, atoms[:, 0], atoms[:, 1]).to(k.dtype), dim=1)
        return 0.5 * k.index_select(0, types) * (r - length.index_select(0, types)).square(), atoms


class HarmonicAngle(nn.Module):
    """`E = k/2 (theta - theta0)^2` for each angle at its middle atom.

    Arguments:
        table: `k` (eV/radian^2), `angle` (radian) and `labels` of each type.
        topologies: rows `[i, j, k, type]` under `angles`.
        choices: which parameters train, `angle_k` and `angle`.
    """

    def __init__(self, table: Mapping[str, Any], topologies: Sequence[Mapping[str, Any]], choices: Choices) -> None:
        super().__init__()
        self.instances = Instances(topologies, "angles", 3, len(table["labels"]))
        self.k = choices.values("angle_k", column(table, "k"), "positive", table["labels"])
        self.angle = choices.values("angle", column(table, "angle"), "positive", table["labels"])

    def forward(self, frame: Frame) -> tuple[Tensor, Tensor]:
        """Return the energy of each instance, (n,) in eV, and its atoms, (n, 3)."""
        atoms, types = self.instances(frame)
        k, middle = self.k(), atoms[:, 1]
        a = shortest(frame, middle, atoms[:, 0]).to(k.dtype)
        b = shortest(frame, middle, atoms[:, 2]).to(k.dtype)
        return 0.5 * k.index_select(0, types) * (angle(a, b) - self.angle().index_select(0, types)).square(), atoms


class HarmonicTorsion(nn.Module):
    """`E = k/2 (phi - phi0)^2` for each improper of CHARMM, the difference taken between -pi and pi.

    Arguments:
        table: `k` (eV/radian^2), `angle` (radian) and `labels` of each type.
        topologies: rows `[i, j, k, l, type]` under `impropers`.
        choices: which parameters train, `improper_k` and `improper_angle`.
    """

    def __init__(self, table: Mapping[str, Any], topologies: Sequence[Mapping[str, Any]], choices: Choices) -> None:
        super().__init__()
        self.instances = Instances(topologies, "impropers", 4, len(table["labels"]))
        self.k = choices.values("improper_k", column(table, "k"), "positive", table["labels"])
        self.angle = choices.values("improper_angle", column(table, "angle"), "real", table["labels"])

    def forward(self, frame: Frame) -> tuple[Tensor, Tensor]:
        """Return the energy of each instance, (n,) in eV, and its atoms, (n, 4)."""
        atoms, types = self.instances(frame)
        k = self.k()
        off = torsion(frame, atoms, k.dtype) - self.angle().index_select(0, types)
        off = off - 2.0 * math.pi * torch.round(off.detach() / (2.0 * math.pi))
        return 0.5 * k.index_select(0, types) * off.square(), atoms


def torsion(frame: Frame, atoms: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the dihedral angle of four atoms in a row, (n,) in radian."""
    a = shortest(frame, atoms[:, 0], atoms[:, 1]).to(dtype)
    b = shortest(frame, atoms[:, 1], atoms[:, 2]).to(dtype)
    c = shortest(frame, atoms[:, 2], atoms[:, 3]).to(dtype)
    return dihedral(a, b, c)
