"""All that does not depend on bonds, and what they exclude or scale of it: Lennard-Jones and Coulomb."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mdzoo.graph import Graph
from mdzoo.potentials.lattice import check_neutral, check_periods, lay_out, molecule_pairs
from mdzoo.potentials.lattice_sum import LatticeSum
from mdzoo.potentials.molecular.atoms import AtomTypes, Charges, GivenCharges
from mdzoo.potentials.molecular.frame import Frame, shortest
from mdzoo.potentials.molecular.nonbonded import NonBonded, PairEdges
from mdzoo.potentials.molecular.pairs import Atoms, OneFour, PairTypes
from mdzoo.potentials.molecular.tail import Tail
from mdzoo.potentials.parameters import Choices


class Pairwise(nn.Module):
    """The interactions of pairs of atoms, and of charges with all images where there is a lattice sum.

    Arguments:
        force_field: tables `atoms`, `nbfix`, `charges`, `pairs` and `topologies`; without `charges` those of the
            structures are taken.
        choices: which parameters train.
        nonbonded: what acts between atoms within the cutoff.
        lattice_sum: for the charges beyond, if any.
        tail: for Lennard-Jones beyond, if any.
    """

    def __init__(
        self,
        force_field: Mapping[str, Any],
        choices: Choices,
        nonbonded: NonBonded,
        lattice_sum: LatticeSum | None = None,
        tail: Tail | None = None,
    ) -> None:
        super().__init__()
        topologies: Sequence[Mapping[str, Any]] = force_field["topologies"]
        self.pair_types = PairTypes(force_field["atoms"], force_field.get("nbfix"), choices)
        self.types = AtomTypes(topologies, "types", self.pair_types.n_types)
        charges, pairs = force_field.get("charges"), force_field.get("pairs")
        self.charges = Charges(charges, topologies, choices) if charges else GivenCharges()
        self.one_four = nn.ModuleList([OneFour(pairs, topologies, choices, nonbonded.coulomb)] if pairs else [])
        self.edges = PairEdges(topologies)
        self.nonbonded = nonbonded
        self.far = nn.ModuleList([FarCharges(lattice_sum, nonbonded.coulomb)] if lattice_sum else [])
        self.tail = nn.ModuleList([tail] if tail else [])

    def forward(self, graph: Graph, frame: Frame, first_order: bool) -> tuple[list[Tensor], list[Tensor]]:
        """Return energies, (n,) in eV, and the atoms that share each, (n, 1 or 2), by kind of interaction."""
        atoms = self.atoms(graph, frame)
        places = self.edges(graph, frame, self.nonbonded.cutoff)
        if first_order:
            energies = [self.nonbonded.first_order(graph, places, atoms)]
        else:
            energies = [self.nonbonded(graph, places, atoms)]
        rows = [torch.stack([graph.centers.index_select(0, places), graph.neighbors.index_select(0, places)], 1)]
        for term in self.one_four:
            energy, row = term(frame, atoms)
            energies.append(energy)
            rows.append(row)
        for term in self.far:
            energy, row = term(graph, frame, atoms, self.edges.sorted_pairs(frame))
            energies.append(energy)
            rows.append(row)
        for term in self.tail:
            energy, row = term(graph, atoms)
            energies.append(energy)
            rows.append(row)
        return energies, rows

    def atoms(self, graph: Graph, frame: Frame) -> Atoms:
        """Return what pairs ask of the atoms."""
        sigmas, epsilons = self.pair_types()
        return Atoms(self.types(frame), self.charges(graph, frame), sigmas, epsilons)


class FarCharges(nn.Module):
    """What a lattice sum adds to charges within a cutoff: those beyond it, and the excluded ones taken out again.

    The sum over the lattice holds every pair in full; each excluded one is taken out in its nearest image, of which the
    edges lack `erfc(alpha r) / r` already: `-k q_i q_j erf(alpha r) / r`. In molecules charges are bare, and pairs
    beyond the cutoff are added.

    Arguments:
        lattice_sum: of the charges.
        coulomb: k, eV Angstrom / e^2.
    """

    def __init__(self, lattice_sum: LatticeSum, coulomb: float) -> None:
        super().__init__()
        self.lattice_sum = lattice_sum
        self.coulomb = float(coulomb)

    def forward(self, graph: Graph, frame: Frame, atoms: Atoms, excluded: Tensor) -> tuple[Tensor, Tensor]:
        """Return the energy of each atom, (N,) in eV, and the atoms, (N, 1).

        Arguments:
            graph: with its edges.
            frame: of its atoms.
            atoms: with their charges.
            excluded: pairs of atoms, (n, 2).
        """
        check_periods(graph.pbc)
        check_neutral(atoms.charges, graph)
        q = atoms.charges
        potential = self.lattice_sum.far(graph, lay_out(graph, self.lattice_sum.cutoff), q)
        i, j, kernel = self.corrections(graph, frame, excluded, q.dtype)
        potential = potential.index_add(0, i, q.index_select(0, j) * kernel)
        potential = potential.index_add(0, j, q.index_select(0, i) * kernel)
        everyone = torch.arange(q.shape[0], device=q.device).unsqueeze(1)
        return 0.5 * self.coulomb * q * potential, everyone

    def corrections(
        self, graph: Graph, frame: Frame, excluded: Tensor, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return pairs, each once, and the kernel (1/Angstrom) that the sum of their charges lacks."""
        periodic = graph.pbc.any(1)
        i, j = excluded[:, 0], excluded[:, 1]
        inside = periodic.index_select(0, graph.batch.index_select(0, i)).nonzero().squeeze(1)
        i, j = i.index_select(0, inside), j.index_select(0, inside)
        r = torch.linalg.vector_norm(shortest(frame, i, j).to(dtype), dim=1)
        kernel = -torch.erf(self.lattice_sum.alpha * r) / r
        if bool(periodic.all()):
            return i, j, kernel
        one, other = molecule_pairs(graph)
        apart = graph.positions.index_select(0, other) - graph.positions.index_select(0, one)
        square = apart.detach().square().sum(1)
        far = ((one < other) & (square >= self.lattice_sum.cutoff**2)).nonzero().squeeze(1)
        one, other = one.index_select(0, far), other.index_select(0, far)
        bare = torch.reciprocal(torch.linalg.vector_norm(apart.index_select(0, far).to(dtype), dim=1))
        return torch.cat([i, one]), torch.cat([j, other]), torch.cat([kernel, bare])
