"""Everything adds: reference energies, empirical terms and machine-learnt terms are one potential."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mdzoo.graph import Graph, within
from mdzoo.potentials.base import Potential, Uncertainty


class SumPotential(Potential):
    """`E_i = sum_t E_i^(t)`; each term sees only edges shorter than its own cutoff.

    Arguments:
        terms: the potentials to add; a term of float64 (reference energies) makes the sum float64.
    """

    def __init__(self, terms: Sequence[Potential]) -> None:
        if len(terms) == 0:
            raise ValueError("`terms` must hold at least one potential, got none; name an empirical or a learnt term")
        reaches = [term.reach for term in terms]
        super().__init__(
            max(term.cutoff for term in terms),
            -1 if min(reaches) < 0 else max(reaches),
            min(term.smoothness for term in terms),
        )
        self.terms = nn.ModuleList(terms)
        self.has_charges = any(term.has_charges for term in terms)

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

    @torch.jit.unused
    def uncertainty(self, graph: Graph) -> Uncertainty:
        """Return the deviations of the terms that know theirs, added as independent; grades by the largest.

        Raises:
            ValueError: no term knows its own.
        """
        terms = [term for term in self.terms if hasattr(term, "uncertainty")]
        if not terms:
            raise ValueError("`terms` must hold one that knows its uncertainty, got none; train an ensemble")
        parts = torch.stack([torch.stack(term.uncertainty(within(graph, term.cutoff))) for term in terms])
        parameter, noise, model = parts[:, :3].square().sum(0).sqrt()
        return Uncertainty(parameter, noise, model, parts[:, 3].amax(0))
