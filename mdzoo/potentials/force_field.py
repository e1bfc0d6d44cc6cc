"""The only place where derivatives exist: energies, forces and virials of any potential."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mdzoo.graph import Graph, block, edge_starts, with_leaves, within
from mdzoo.ops import segment_sum
from mdzoo.potentials.base import Deviations, Potential

PIECE = 65536  # edges whose products are made at a time: new memory in each step costs more than the arithmetic


class Prediction(NamedTuple):
    """What a force field says of a Graph; energies are float64, derivatives have the dtype of the model."""

    energy: Tensor  # (S,) eV
    energies: Tensor  # (N,) eV
    forces: Tensor  # (N, 3) eV/Angstrom
    virial: Tensor  # (S, 3, 3) eV, -dE/dstrain
    atom_virial: (
        Tensor  # (N, 3, 3) eV, of each edge at its neighbour, `sum W_i v_i` is the heat flux; global terms evenly
    )
    charges: Tensor  # (N,) e


class Span(NamedTuple):
    """Atoms [first, last) of a graph and their edges."""

    first: int
    last: int
    first_edge: int
    last_edge: int


class ForceField(nn.Module):
    """`F_i = sum_j g_ij - g_ji` and `virial = -sum_ij r_ij (x) g_ij`, with `g_ij = dE/dr_ij` from one backward pass.

    Forces act through the edge vectors alone, so small periodic cells, ghosts and batches need no special case. Edges
    longer than the cutoff (an engine's skin) are dropped first. In `eval` mode a potential of reach 0 or 1 is evaluated
    in blocks of about `block_edges` edges, in the cache and in memory linear in the atoms; in `train` mode the result
    keeps its graph, so that a loss of forces can be differentiated again.

    Atoms whose `ids` are negative belong to another process of an engine; they have no edges, or, for a reach beyond 1,
    the slopes are those of the energies of the others.

    Arguments:
        potential: any Potential.
        atomic_numbers: the element table; species k is element atomic_numbers[k].
        block_edges: edges in one block.
    """

    atomic_numbers: list[int]
    cutoff: float
    reach: int
    unit: Tensor
    __jit_unused_properties__ = ["dtype"]

    def __init__(self, potential: Potential, atomic_numbers: Sequence[int], block_edges: int = 16384) -> None:
        super().__init__()
        self.potential = potential
        self.atomic_numbers = [int(z) for z in atomic_numbers]
        if len(set(self.atomic_numbers)) != len(self.atomic_numbers) or not self.atomic_numbers:
            raise ValueError(
                f"`atomic_numbers` must be one or more different elements, got {self.atomic_numbers}; list each once"
            )
        self.cutoff = potential.cutoff
        self.reach = potential.reach
        self.block_edges = int(block_edges)
        self.register_buffer("unit", torch.ones((), dtype=torch.float64), persistent=False)

    @property
    def dtype(self) -> str:
        """The name of the model's dtype, such as `float64`; reference energies stay float64."""
        return str(self.unit.dtype).removeprefix("torch.")

    def forward(self, graph: Graph) -> Prediction:
        """Return energies, forces and virials of the structures of `graph`."""
        graph = within(graph, self.cutoff)
        if self.training:
            energies, slopes, charges = self.with_charges(graph)
            return prediction(graph, energies, slopes, charges)
        if self.reach < 0 or self.reach > 1:
            energies, slopes = self.derivatives(graph)
        else:
            energies, g = self.blockwise(graph)
            slopes = [g]
        return self.gathered(graph, energies, slopes)

    def gathered(self, graph: Graph, energies: Tensor, slopes: list[Tensor]) -> Prediction:
        """Return what energies and slopes mean, with the charges."""
        charges = graph.charges
        if self.potential.has_charges:
            cast = with_leaves(graph, graph.vectors.to(self.unit.dtype), graph.positions, graph.cell)
            charges = self.potential.charges(cast).detach()
        return prediction(graph, energies, slopes, charges)

    def derivatives(self, graph: Graph) -> tuple[Tensor, list[Tensor]]:
        """Return the energies and dE/dvectors, dE/dpositions, dE/dcell at independent leaves, in one backward pass."""
        if self.training:
            energies, slopes, _ = self.with_charges(graph)
            return energies, slopes
        leaves, graph = self.at_leaves(graph)
        energies = self.potential.first_order(graph)
        return energies.detach(), self.slopes_of(self.owned(energies, graph), leaves)

    def with_charges(self, graph: Graph) -> tuple[Tensor, list[Tensor], Tensor]:
        """Return energies, slopes and charges with their history."""
        leaves, graph = self.at_leaves(graph)
        energies, charges = self.potential.energies_and_charges(graph)
        return energies, self.slopes_of(self.owned(energies, graph), leaves), charges

    def with_deviations(self, graph: Graph) -> tuple[Tensor, list[Tensor], Deviations]:
        """Return what `derivatives` does of a piece of a graph, and the deviations of its energies."""
        leaves, graph = self.at_leaves(graph)
        energies, said = self.potential.first_order_deviations(graph)
        return energies.detach(), self.slopes_of(self.owned(energies, graph), leaves), said

    def member_forces(self, graph: Graph) -> Tensor:
        """Return the forces by each member of the potential, (N, M, 3), block of atoms by block of atoms."""
        graph = within(graph, self.cutoff)
        forces = graph.vectors.new_zeros([graph.species.shape[0], self.potential.n_members, 3], dtype=self.unit.dtype)
        for span in self.spans(graph):
            piece, n = piece_of(graph, span), span.last - span.first
            slopes, at_positions = self.member_slopes(piece)
            forces[span.first : span.last] += segment_sum(slopes, piece.centers, n, ascending=True) - at_positions[:n]
            forces.index_add_(0, graph.neighbors[span.first_edge : span.last_edge], -slopes)
        return forces

    def member_slopes(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Return the slopes of the members' energies by the vectors, (E, M, 3), and by the positions, (N, M, 3)."""
        leaves, graph = self.at_leaves(graph)
        by_vectors: list[Tensor] = []
        by_positions: list[Tensor] = []
        for energies in self.potential.first_order_members(graph):
            total = self.owned(energies, graph).sum() + 0.0 * (leaves[0].sum() + leaves[1].sum())
            found = torch.autograd.grad([total], leaves[:2], retain_graph=True)
            g, at_positions = found[0], found[1]
            assert g is not None
            assert at_positions is not None
            by_vectors.append(g.detach())
            by_positions.append(at_positions.detach().to(g.dtype))
        return torch.stack(by_vectors, 1), torch.stack(by_positions, 1)

    def owned(self, energies: Tensor, graph: Graph) -> Tensor:
        """Return the energies of the atoms that are no ghosts; where ghosts have edges, they have energies too."""
        return energies[graph.ids >= 0] if self.reach > 1 else energies

    def at_leaves(self, graph: Graph) -> tuple[list[Tensor], Graph]:
        """Return new leaves for vectors, positions and cell, and the graph on them, in the dtype of the model."""
        vectors = graph.vectors.detach().to(self.unit.dtype).requires_grad_()
        positions = graph.positions.detach().requires_grad_()
        cell = graph.cell.detach().requires_grad_()
        return [vectors, positions, cell], with_leaves(graph, vectors, positions, cell)

    def slopes_of(self, energies: Tensor, leaves: list[Tensor]) -> list[Tensor]:
        """Return the derivatives of the sum of the energies at the leaves, zero where it does not depend on them."""
        unused = 0.0 * (leaves[0].sum() + leaves[1].sum() + leaves[2].sum())
        found = torch.autograd.grad([energies.sum() + unused], leaves, create_graph=self.training)
        slopes: list[Tensor] = []
        for slope, leaf in zip(found, leaves):  # noqa: B905 - TorchScript knows no `strict`
            slopes.append(torch.zeros_like(leaf) if slope is None else slope)
        return slopes

    def blockwise(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Return the energies (N,) and dE/dvectors (E, 3), block of atoms by block of atoms."""
        all_energies: list[Tensor] = []
        all_slopes: list[Tensor] = []
        for span in self.spans(graph):
            energies, slopes = self.derivatives(piece_of(graph, span))
            all_energies.append(energies[: span.last - span.first])
            all_slopes.append(slopes[0])
        return torch.cat(all_energies), torch.cat(all_slopes)

    def spans(self, graph: Graph) -> list[Span]:
        """Return the atoms and edges of blocks of about `block_edges` edges; of one where reach asks for the whole."""
        n_atoms, n_edges = graph.species.shape[0], graph.centers.shape[0]
        size = max(1, int(self.block_edges * n_atoms / max(n_edges, 1)))
        if size >= n_atoms or self.reach < 0 or self.reach > 1:
            return [Span(0, n_atoms, 0, n_edges)]
        firsts: list[int] = edge_starts(graph.centers, n_atoms).tolist()
        out: list[Span] = []
        for first in range(0, n_atoms, size):
            last = min(first + size, n_atoms)
            out.append(Span(first, last, firsts[first], firsts[last]))
        return out


def piece_of(graph: Graph, span: Span) -> Graph:
    """Return the atoms of a span with their edges, which come first in it."""
    if span.last - span.first == graph.species.shape[0]:
        return graph
    return block(graph, span.first, span.last, span.first_edge, span.last_edge)


def prediction(graph: Graph, energies: Tensor, slopes: list[Tensor], charges: Tensor) -> Prediction:
    """Gather what the slopes dE/dvectors and, of global terms, dE/dpositions and dE/dcell mean."""
    g = slopes[0]
    n_atoms, n_structures = graph.species.shape[0], graph.cell.shape[0]
    there = at_neighbors(graph, g)
    forces = segment_sum(g, graph.centers, n_atoms, ascending=True) - there[:, :3]
    atom_virial = there[:, 3:].reshape(-1, 3, 3)
    if len(slopes) > 1:
        forces = forces - slopes[1].to(g.dtype)
        atom_virial = atom_virial + global_virial(graph, slopes[1], slopes[2]).to(g.dtype)[graph.batch]
    virial = segment_sum(atom_virial, graph.batch, n_structures)
    energy = segment_sum(energies.to(torch.float64), graph.batch, n_structures)
    return Prediction(energy, energies, forces, virial, atom_virial, charges.to(torch.float64))


def at_neighbors(graph: Graph, g: Tensor, piece: int = PIECE) -> Tensor:
    """Return the sums of g and of `-vector (x) g` over the edges that end at each atom, (N, 12)."""
    out = torch.zeros_like(graph.species.unsqueeze(1).expand(-1, 12), dtype=g.dtype)
    for first in range(0, g.shape[0], piece):
        here = g[first : first + piece].t()
        products = (-graph.vectors[first : first + piece].to(g.dtype)).t().unsqueeze(1) * here  # (3, 3, e): long rows
        rows = torch.cat([here, products.flatten(0, 1)]).t()
        out = out + segment_sum(rows, graph.neighbors[first : first + piece], graph.species.shape[0])
    return out


def global_virial(graph: Graph, at_positions: Tensor, at_cell: Tensor) -> Tensor:
    """Return each atom's even part of what acts through positions and cell at once, (S, 3, 3) in eV.

    Neither `r_i dE/dr_i` nor the rest, which the cell takes, is left alone by a change of origin: only their sum is.
    """
    n_structures = graph.cell.shape[0]
    moments = graph.positions.unsqueeze(2) * at_positions.unsqueeze(1)
    whole = segment_sum(moments, graph.batch, n_structures) + graph.cell.mT @ at_cell
    return -whole / torch.bincount(graph.batch, minlength=n_structures).clamp(min=1).view(-1, 1, 1)


def stress(virial: Tensor, cell: Tensor) -> Tensor:
    """Return `-virial / |det cell|` (S, 3, 3) in eV/Angstrom^3, ASE's sign, positive under tension."""
    return -virial / torch.linalg.det(cell).abs().to(virial.dtype).view(-1, 1, 1)
