"""Several potentials of one kind: their mean is the energy, their spread says how far to trust it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mdzoo.graph import Graph, within
from mdzoo.potentials.base import Potential, Uncertainty, common_reach, spread


class Committee(Potential):
    """`E_i = 1/M sum_m E_i^(m)` over any potentials, each with parameters of its own: empirical terms, descriptors.

    Members that differ in their regressors alone share the descriptor in an `Ensemble` or a `LinearEnsemble`.

    Arguments:
        potentials: the members; each sees only edges shorter than its own cutoff.
    """

    def __init__(self, potentials: Sequence[Potential]) -> None:
        if len(potentials) == 0:
            raise ValueError("`potentials` must hold one member or more, got none; give draws of the parameters")
        super().__init__(*common_reach(potentials))
        if any(potential.has_charges or potential.n_members > 1 for potential in potentials):
            raise ValueError(
                "`potentials` must have one energy each and no charges of their own, got some with members or "
                "charges; draw the parameters of other terms"
            )
        self.potentials = nn.ModuleList(potentials)
        self.n_members = len(potentials)
        self.is_uncertain = self.n_members > 1

    def members(self, graph: Graph) -> Tensor:
        """Return the energy of each atom by each member, (M, N) in eV."""
        rows: list[Tensor] = []
        for potential in self.potentials:
            rows.append(potential(within(graph, potential.cutoff) if potential.cutoff < self.cutoff else graph))
        return torch.stack(rows)

    def forward(self, graph: Graph) -> Tensor:
        """Return the mean energy of each atom, (N,) in eV."""
        return self.members(graph).mean(0)

    def uncertainty(self, graph: Graph) -> Uncertainty:
        """Return the spread of the members."""
        return spread(self.members(graph))
