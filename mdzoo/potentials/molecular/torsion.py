"""Periodic torsions: proper dihedrals of AMBER and CHARMM, and AMBER's impropers."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mdzoo.potentials.molecular.frame import Frame
from mdzoo.potentials.molecular.harmonic import column, torsion
from mdzoo.potentials.molecular.topologies import Instances
from mdzoo.potentials.parameters import Choices


class PeriodicTorsion(nn.Module):
    """`E = k (1 + cos(n phi - delta))`; a Fourier series is several of them on the same atoms.

    Arguments:
        table: `k` (eV), `phase` delta (radian), `periodicity` n (a whole number) and `labels` of each type.
        topologies: rows `[i, j, k, l, type]` under `torsions`.
        choices: which parameters train, `torsion_k` and `torsion_phase`.
    """

    periodicity: Tensor  # (types,)

    def __init__(self, table: Mapping[str, Any], topologies: Sequence[Mapping[str, Any]], choices: Choices) -> None:
        super().__init__()
        self.instances = Instances(topologies, "torsions", 4, len(table["labels"]))
        self.k = choices.values("torsion_k", column(table, "k"), "real", table["labels"])
        self.phase = choices.values("torsion_phase", column(table, "phase"), "real", table["labels"])
        self.register_buffer("periodicity", column(table, "periodicity"), persistent=False)

    def forward(self, frame: Frame) -> tuple[Tensor, Tensor]:
        """Return the energy of each instance, (n,) in eV, and its atoms, (n, 4)."""
        atoms, types = self.instances(frame)
        k = self.k()
        turns = self.periodicity.index_select(0, types) * torsion(frame, atoms, k.dtype)
        return k.index_select(0, types) * (1.0 + torch.cos(turns - self.phase().index_select(0, types))), atoms
