"""What Lennard-Jones lacks for its cutoff, on average."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from mdzoo.graph import Graph
from mdzoo.ops import segment_sum
from mdzoo.potentials.molecular.pairs import Atoms
from mdzoo.potentials.molecular.switch import Switch


class Tail(nn.Module):
    """`E = 2 pi N^2 / V < integral of (1 - S(r)) phi(r) r^2 >`, the mean over pairs of atoms i <= j, in periodic cells.

    Allen and Tildesley, Computer Simulation of Liquids, 1987; averaged over pairs as OpenMM does. The cell's volume is
    all that it depends on, so it adds to the pressure alone.

    Arguments:
        switch: S, of Lennard-Jones.
    """

    def __init__(self, switch: Switch) -> None:
        super().__init__()
        onset, cutoff = switch.onset, switch.cutoff
        x, weights = (torch.from_numpy(column) for column in np.polynomial.legendre.leggauss(64))
        r = onset + 0.5 * (cutoff - onset) * (x + 1.0)
        switched = switch(r, r * r) if onset < cutoff else torch.ones_like(r)
        lost = 0.5 * (cutoff - onset) * weights * (1.0 - switched)
        self.twelfth = float((lost / r**10).sum() + 1.0 / (9.0 * cutoff**9))
        self.sixth = float((lost / r**4).sum() + 1.0 / (3.0 * cutoff**3))

    def forward(self, graph: Graph, atoms: Atoms) -> tuple[Tensor, Tensor]:
        """Return the energy of each atom, (N,) in eV, and the atoms, (N, 1)."""
        n_structures, n_types = graph.cell.shape[0], int(atoms.sigmas.shape[0] ** 0.5 + 0.5)
        sixth = 4.0 * atoms.epsilons * atoms.sigmas**6
        lost = (self.twelfth * sixth * atoms.sigmas**6 - self.sixth * sixth).view(n_types, n_types)
        kinds = torch.nn.functional.one_hot(atoms.pair, n_types).to(lost.dtype)
        count = segment_sum(kinds, graph.batch, n_structures)
        n = count.sum(1)
        mean = ((count @ lost * count).sum(1) + count @ lost.diagonal()) / (n * (n + 1.0)).clamp(min=1.0)
        a, b, c = graph.cell.unbind(1)
        volume = (a * torch.linalg.cross(b, c)).sum(1).abs()
        volume = torch.where(graph.pbc.all(1), volume, torch.full_like(volume, math.inf)).to(lost.dtype)
        share = 2.0 * math.pi * n * mean / volume
        everyone = torch.arange(graph.species.shape[0], device=graph.species.device).unsqueeze(1)
        return share.index_select(0, graph.batch), everyone
