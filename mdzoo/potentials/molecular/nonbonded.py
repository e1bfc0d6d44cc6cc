"""Lennard-Jones and Coulomb between all atoms within the cutoff, but for those that bonds exclude."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mdzoo.graph import Graph
from mdzoo.potentials.molecular.frame import Frame, shortest
from mdzoo.potentials.molecular.pairs import Atoms, pair_place
from mdzoo.potentials.molecular.switch import Switch
from mdzoo.potentials.molecular.topologies import Instances

NEAR = 1e-2  # Angstrom, within which an edge is the nearest image of an excluded pair
CHUNK = 262144  # pairs in one piece: in the cache of a core, and not so few that calls cost more than arithmetic


class PairEdges(nn.Module):
    """Picks one edge of each pair of atoms (and of each image), without the excluded pairs' nearest images.

    Arguments:
        topologies: rows `[i, j]` under `exclusions` (one and two bonds apart), `[i, j, type]` under `pairs` (three).
    """

    def __init__(self, topologies: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        rows = []
        for topology in topologies:
            pairs = [*topology.get("exclusions", []), *(row[:2] for row in topology.get("pairs", []))]
            rows.append({**topology, "exclusions": [[*row, 0] for row in pairs]})
        self.excluded = Instances(rows, "exclusions", 2, 1)
        self.near = NEAR

    def forward(self, graph: Graph, frame: Frame, cutoff: float) -> Tensor:
        """Return the places of these edges among those of the Graph, (P,)."""
        once = graph.centers < graph.neighbors
        itself = graph.centers == graph.neighbors
        if bool(itself.any()):
            x, y, z = graph.shifts.unbind(1)
            once = once | (itself & ((x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z > 0))))))
        places = once.nonzero().squeeze(1)
        square = squares(graph.vectors.detach().index_select(0, places))
        pairs = self.sorted_pairs(frame)
        if pairs.shape[0] > 0:
            vectors = shortest(frame, pairs[:, 0], pairs[:, 1]).detach()
            reach = min(float(vectors.square().sum(1).max()) ** 0.5 + self.near, cutoff)
            near = (square < reach * reach).nonzero().squeeze(1)
            bonded = self.bonded(graph, places.index_select(0, near), pairs, vectors)
            square = square.index_fill(0, near.index_select(0, bonded.nonzero().squeeze(1)), 2.0 * cutoff * cutoff)
        return places.index_select(0, (square < cutoff * cutoff).nonzero().squeeze(1))

    def sorted_pairs(self, frame: Frame) -> Tensor:
        """Return the excluded pairs of the Graph, the lower atom first, in ascending order, (n, 2)."""
        atoms, _ = self.excluded(frame)
        atoms = torch.sort(atoms, dim=1)[0]
        return atoms.index_select(0, torch.argsort(atoms[:, 0] * frame.order.shape[0] + atoms[:, 1]))

    def bonded(self, graph: Graph, places: Tensor, pairs: Tensor, vectors: Tensor) -> Tensor:
        """Tell which edges are the nearest images of excluded pairs, (n,) bool."""
        size = graph.species.shape[0]
        keys = pairs[:, 0] * size + pairs[:, 1]
        wanted = graph.centers.index_select(0, places) * size + graph.neighbors.index_select(0, places)
        found = torch.searchsorted(keys, wanted).clamp(max=keys.shape[0] - 1)
        off = graph.vectors.detach().index_select(0, places).to(vectors.dtype) - vectors.index_select(0, found)
        return (keys.index_select(0, found) == wanted) & (off.abs().amax(1) < self.near)


class NonBonded(nn.Module):
    """`phi = 4 epsilon [(sigma / r)^12 - (sigma / r)^6] S(r) + k q_i q_j erfc(alpha r) / r` below the cutoff.

    S is a `Switch`; alpha is 0 in structures that are not periodic. The terms jump at the cutoff where they are not
    switched or damped.

    Arguments:
        cutoff: Angstrom.
        switch: of Lennard-Jones.
        coulomb: k, eV Angstrom / e^2.
        alpha: of periodic structures, 1/Angstrom.
    """

    def __init__(self, cutoff: float, switch: Switch, coulomb: float, alpha: float) -> None:
        super().__init__()
        self.cutoff, self.switch = float(cutoff), switch
        self.switched = switch.onset < self.cutoff
        self.coulomb, self.alpha = float(coulomb), float(alpha)
        self.chunk = CHUNK

    def phi(self, square: Tensor, a: Tensor, b: Tensor, product: Tensor, alpha: Tensor) -> Tensor:
        """Return phi of each pair, (P,) in eV, from r^2, `4 epsilon sigma^12` and `^6`, `k q_i q_j` and alpha."""
        inverse = torch.reciprocal(square)
        sixth = inverse * inverse * inverse
        lj = (a * sixth - b) * sixth
        r = torch.sqrt(square)
        if self.switched:
            lj = lj * self.switch(r, square)
        charge = product * inverse * r
        return lj + (charge * torch.erfc(alpha * r) if self.alpha > 0.0 else charge)

    def forward(self, graph: Graph, places: Tensor, atoms: Atoms) -> Tensor:
        """Return phi of each edge that `places` names, (P,) in eV."""
        return self.between(squares(graph.vectors.index_select(0, places)), graph, places, atoms)

    def first_order(self, graph: Graph, places: Tensor, atoms: Atoms) -> Tensor:
        """Return the same with the slopes by the vectors alone behind it, as one sum, made piece by piece."""
        atoms = Atoms(atoms.pair, atoms.charges.detach(), atoms.sigmas.detach(), atoms.epsilons.detach())
        slopes = torch.zeros_like(graph.vectors)
        energies = [torch.zeros_like(atoms.sigmas[:0])]
        for part in places.split(self.chunk):
            vectors = graph.vectors.detach().index_select(0, part)
            square = squares(vectors).requires_grad_()
            phi = self.between(square, graph, part, atoms)
            slope = torch.autograd.grad([phi.sum()], [square])[0]
            assert slope is not None
            energies.append(phi.detach())
            slopes.index_copy_(0, part, 2.0 * slope.unsqueeze(1) * vectors)
        change = (graph.vectors * slopes).sum()
        return torch.cat(energies) + (change - change.detach()) / max(1, places.shape[0])

    def between(self, square: Tensor, graph: Graph, places: Tensor, atoms: Atoms) -> Tensor:
        """Return phi of edges whose squared lengths are known, (P,) in eV."""
        i, j = graph.centers.index_select(0, places), graph.neighbors.index_select(0, places)
        place = pair_place(atoms.pair, i, j, atoms.sigmas)
        b = 4.0 * atoms.epsilons * atoms.sigmas**6
        a = b * atoms.sigmas**6
        product = self.coulomb * atoms.charges.index_select(0, i) * atoms.charges.index_select(0, j)
        return self.phi(square, a.index_select(0, place), b.index_select(0, place), product, self.damping(graph, i))

    def damping(self, graph: Graph, i: Tensor) -> Tensor:
        """Return alpha of the structures of atoms i, (P,) or, where it is one for all, ()."""
        alpha = self.alpha * graph.pbc.any(1).to(graph.vectors.dtype)
        return alpha[0] if alpha.shape[0] == 1 else alpha.index_select(0, graph.batch.index_select(0, i))


def squares(vectors: Tensor) -> Tensor:
    """Return the squared lengths of vectors, (n,); several times faster than a sum over so short an axis."""
    x, y, z = vectors.unbind(1)
    return x * x + y * y + z * z
