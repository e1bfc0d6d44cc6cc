"""Everything adds: reference energies, empirical terms and machine-learnt terms are one potential."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mdzoo.graph import Graph, within
from mdzoo.potentials.base import Deviations, Potential, Uncertainty, common_members, common_reach, of_members


class SumPotential(Potential):
    """`E_i = sum_t E_i^(t)`; each term sees only edges shorter than its own cutoff.

    Arguments:
        terms: the potentials to add; a term of float64 (reference energies) makes the sum float64.
    """

    def __init__(self, terms: Sequence[Potential]) -> None:
        if len(terms) == 0:
            raise ValueError("`terms` must hold at least one potential, got none; name an empirical or a learnt term")
        super().__init__(*common_reach(terms))
        self.terms = nn.ModuleList(terms)
        self.has_charges = any(term.has_charges for term in terms)
        self.n_members = common_members(terms)
        self.is_uncertain = any(term.is_uncertain for term in terms)
        self.n_joint = sum(term.n_members > 1 for term in terms)

    def forward(self, graph: Graph) -> Tensor:
        """Return the energy of each atom, (N,) in eV."""
        energy = torch.zeros_like(graph.positions[:, 0])
        for term in self.terms:
            energy = energy + term(within(graph, term.cutoff) if term.cutoff < self.cutoff else graph)
        return energy

    def first_order(self, graph: Graph) -> Tensor:
        """Return the same energies, from the same of the terms."""
        energy = torch.zeros_like(graph.positions[:, 0])
        for term in self.terms:
            energy = energy + term.first_order(within(graph, term.cutoff) if term.cutoff < self.cutoff else graph)
        return energy

    def charges(self, graph: Graph) -> Tensor:
        """Return the charges of the last term that has its own, else those given, (N,) in e."""
        charges = graph.charges
        for term in self.terms:
            if term.has_charges:
                charges = term.charges(within(graph, term.cutoff) if term.cutoff < self.cutoff else graph)
        return charges

    def energies_and_charges(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Return the energies of `forward` and the charges of the last term that has its own, else those given."""
        energy, charges = torch.zeros_like(graph.positions[:, 0]), graph.charges
        for term in self.terms:
            near = within(graph, term.cutoff) if term.cutoff < self.cutoff else graph
            if term.has_charges:
                more, charges = term.energies_and_charges(near)
                energy = energy + more
            else:
                energy = energy + term(near)
        return energy, charges

    def members(self, graph: Graph) -> Tensor:
        """Return the energy of each atom by each member, (M, N) in eV: member m is the sum of the terms' members m."""
        energy = torch.zeros_like(graph.positions[:, 0]).unsqueeze(0)
        for term in self.terms:
            energy = energy + term.members(within(graph, term.cutoff) if term.cutoff < self.cutoff else graph)
        return energy

    def uncertainty(self, graph: Graph) -> Uncertainty:
        """Return the deviations of the terms, added as independent; grades by the largest.

        Where two terms or more have members, their parameters were drawn at once, and the spread of the sum counts.

        Raises:
            ValueError: no term knows its own.
        """
        if not self.is_uncertain:
            raise ValueError("`terms` must hold one that knows its uncertainty, got none; run mdzoo infer")
        zero = torch.zeros_like(graph.positions[:, 0])
        parameter, noise, model, grade = zero, zero, zero, zero
        for term in self.terms:
            found = term.uncertainty(within(graph, term.cutoff) if term.cutoff < self.cutoff else graph)
            parameter, noise = parameter + found.parameter.square(), noise + found.noise.square()
            model, grade = model + found.model.square(), torch.maximum(grade, found.grade.to(grade.dtype))
        together = self.members(graph).std(0) if self.n_joint > 1 else parameter.sqrt()
        return Uncertainty(together, noise.sqrt(), model.sqrt(), grade)

    def first_order_members(self, graph: Graph) -> list[Tensor]:
        """Return the same sums, each from the same of the terms."""
        energies = [torch.zeros_like(graph.positions[:, 0]) for _ in range(self.n_members)]
        for term in self.terms:
            near = within(graph, term.cutoff) if term.cutoff < self.cutoff else graph
            found = term.first_order_members(near)
            energies = [energy + found[m % len(found)] for m, energy in enumerate(energies)]
        return energies

    def deviations(self, graph: Graph) -> Deviations:
        """Return those of the terms, added as independent unless two terms or more have members."""
        if self.n_joint > 1:
            return of_members(self.members(graph))
        found: list[Deviations] = []
        for term in self.terms:
            found.append(term.deviations(within(graph, term.cutoff) if term.cutoff < self.cutoff else graph))
        return independent(found)

    def first_order_deviations(self, graph: Graph) -> tuple[Tensor, Deviations]:
        """Return the same energies and deviations, from the same of the terms."""
        if self.n_joint > 1:
            return self.first_order(graph), self.deviations(graph)
        energy, found = torch.zeros_like(graph.positions[:, 0]), empty()
        for term in self.terms:
            near = within(graph, term.cutoff) if term.cutoff < self.cutoff else graph
            more, said = term.first_order_deviations(near)
            energy = energy + more
            found.append(said)
        return energy, independent(found)


def empty() -> list[Deviations]:
    """Return an empty list of deviations; TorchScript wants its type."""
    return []


def independent(found: list[Deviations]) -> Deviations:
    """Return the deviations of a sum of terms that share no parameters."""
    rest, grade, members = found[0].rest, found[0].grade, found[0].members
    for said in found[1:]:
        rest, grade = rest + said.rest, torch.maximum(grade, said.grade.to(grade.dtype))
        members = members + said.members
    return Deviations(torch.cat([said.rows for said in found], 1), rest, grade, members)
