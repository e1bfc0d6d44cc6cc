"""What the potentials whose charges equilibrate share; a member says how electronegative each atom is."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mdzoo.graph import Graph
from mdzoo.ops import segment_sum
from mdzoo.potentials.base import Potential
from mdzoo.potentials.charge_solver import equilibrium, times
from mdzoo.potentials.charges import moved_to_total
from mdzoo.potentials.gaussian_charges import GaussianCharges, Interaction, at_rest
from mdzoo.potentials.parameters import Choices, Numbers
from mdzoo.units import coulomb_constant

ITERATIONS = 200  # at most; some 20 to 40 are usual


class Equilibrated(Potential):
    """`E = min_q sum_i (chi_i q_i + 1/2 J_i q_i^2) + 1/2 sum_ij A_ij q_i q_j` with `sum_i q_i = Q` in each structure.

    A is the interaction of Gaussian charges; a member gives `chi`. Each atom has `q_i (chi_i + 1/2 sum_j A_ij q_j)`.

    Arguments:
        reach_of_chi: cutoff of the electronegativities, Angstrom.
        smoothness: theirs.
        n_species: number of elements.
        hardness: J, eV/e^2, one number or one for each species.
        widths: of the Gaussians, Angstrom, likewise.
        cutoff: of the pairs of charges, Angstrom.
        accuracy: of the interaction, see `LatticeSum`.
        constants: see `mdzoo.units`.
        dense: atoms up to which the system of a structure is solved as a matrix; beyond, by conjugate gradients.
        choices: of the parameters.
    """

    def __init__(
        self,
        reach_of_chi: float,
        smoothness: int,
        n_species: int,
        hardness: Numbers,
        widths: Numbers,
        cutoff: float,
        accuracy: float,
        constants: str,
        dense: int,
        choices: Choices,
    ) -> None:
        super().__init__(max(float(cutoff), reach_of_chi), -1, smoothness)
        self.has_charges = True
        self.dense = int(dense)
        if self.dense < 0:
            raise ValueError(f"`dense` must be zero or more (atoms), got {dense}; 500 suits most machines")
        self.hardness = choices.values("hardness", of_species("hardness", hardness, n_species), "positive")
        self.widths = choices.values("widths", of_species("widths", widths, n_species), "positive")
        self.interaction = GaussianCharges(coulomb_constant(constants), cutoff, accuracy)
        self.interaction.check_widths(float(self.widths().detach().max()))

    def chi(self, graph: Graph) -> Tensor:
        """Return the electronegativity of each atom, (N,) in eV/e."""
        raise NotImplementedError

    def near(self, graph: Graph) -> Interaction:
        """Return the interaction of the charges, its smooth part left out."""
        check_total(graph)
        dtype = graph.vectors.dtype
        widths, hardness = self.widths().to(dtype)[graph.species], self.hardness().to(dtype)[graph.species]
        return self.interaction(graph, widths, hardness)

    def is_large(self, graph: Graph) -> bool:
        """Say whether a structure has too many atoms for a matrix."""
        return graph.batch.numel() > self.dense and int(torch.bincount(graph.batch).max()) > self.dense

    def charges(self, graph: Graph) -> Tensor:
        """Return the charge of each atom, (N,) in e."""
        return self.energies_and_charges(graph)[1]

    def energies_and_charges(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Return the energies (N,) in eV and the charges (N,) in e, from one solution."""
        near, chi = self.near(graph), self.chi(graph)
        if self.is_large(graph):
            q = self.relaxed(graph, near, chi)
            if not torch.jit.is_scripting():
                q = self.corrected(graph, near, chi, q)
            return q * (chi + 0.5 * self.interaction.times(graph, near, q)), q
        matrix = self.interaction.matrix(graph, near)
        q = equilibrium(matrix, chi, graph)
        return q * (chi + 0.5 * times(matrix, q, graph)), q

    def forward(self, graph: Graph) -> Tensor:
        """Return the energy of each atom, (N,) in eV."""
        return self.energies_and_charges(graph)[0]

    def first_order(self, graph: Graph) -> Tensor:
        """Return the same energies at fixed charges: at the minimum these have no part in the slopes."""
        near, chi = self.near(graph), self.chi(graph)
        if self.is_large(graph):
            q = self.relaxed(graph, near, chi)
            return q * (chi + 0.5 * self.interaction.times(graph, near, q))
        matrix = self.interaction.matrix(graph, near)
        q = equilibrium(matrix.detach(), chi.detach(), graph)
        return q * (chi + 0.5 * times(matrix, q, graph))

    def relaxed(self, graph: Graph, near: Interaction, chi: Tensor) -> Tensor:
        """Return the charges (N,) by conjugate gradients, without history."""
        fixed, still = at_rest(graph, near)
        start = moved_to_total(torch.zeros_like(chi).detach(), graph)
        slope = balanced(chi.detach() + self.interaction.times(fixed, still, start), graph)
        return start - self.inverse(fixed, still, slope)

    def inverse(self, graph: Graph, near: Interaction, right: Tensor, iterations: int = ITERATIONS) -> Tensor:
        """Return x, neutral in each structure, with `A x = right` up to one number in each: conjugate gradients."""
        x, residual = torch.zeros_like(right), balanced(balanced(right, graph), graph)
        direction, size = residual, per_structure(residual * residual, graph)
        goal = size * (1e-20 if right.dtype == torch.float64 else 1e-10)
        for _ in range(iterations):
            if not bool((size > goal).any()):
                break
            image = balanced(self.interaction.times(graph, near, direction), graph)
            step = ratio(size, per_structure(direction * image, graph))[graph.batch]
            x, residual = x + step * direction, balanced(residual - step * image, graph)  # rounding would add up
            before, size = size, per_structure(residual * residual, graph)
            direction = residual + ratio(size, before)[graph.batch] * direction
        return x

    @torch.jit.unused
    def corrected(self, graph: Graph, near: Interaction, chi: Tensor, q: Tensor) -> Tensor:
        """Return the same charges with the response of the minimum behind them: one step of Newton at fixed A.

        Where the slope of the energy vanishes, one step is the whole response: gradients of charges are exact, and
        those of forces too, for the second response acts on a slope that is zero.
        """
        fixed, still = at_rest(graph, near)
        slope = balanced(chi + self.interaction.times(graph, near, q), graph)
        return q - Inverse.apply(slope, lambda right: self.inverse(fixed, still, right))


class Inverse(torch.autograd.Function):
    """`x = A^-1 right` for a fixed symmetric A, which is also what it does to gradients."""

    @staticmethod
    def forward(ctx: Any, right: Tensor, inverse: Callable[[Tensor], Tensor]) -> Tensor:
        """Solve."""
        ctx.inverse = inverse
        return inverse(right.detach())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Solve again."""
        return Inverse.apply(gradients[0], ctx.inverse), None


def balanced(rows: Tensor, graph: Graph) -> Tensor:
    """Return the numbers (N,) less their mean over each structure."""
    counts = torch.bincount(graph.batch, minlength=graph.cell.shape[0]).clamp(min=1)
    return rows - (per_structure(rows, graph) / counts)[graph.batch]


def per_structure(rows: Tensor, graph: Graph) -> Tensor:
    """Return the sum over each structure, (S,)."""
    return segment_sum(rows, graph.batch, graph.cell.shape[0])


def ratio(above: Tensor, below: Tensor) -> Tensor:
    """Return the quotient, 0 where both are 0: a structure that has converged rests."""
    return above / torch.where(below > 0.0, below, torch.ones_like(below))


def check_total(graph: Graph) -> None:
    """Raise ValueError where a periodic structure is to have a charge: its energy would be infinite."""
    total = torch.where(graph.pbc.any(1), graph.total_charge.abs(), torch.zeros_like(graph.total_charge))
    if total.numel() > 0 and bool((total > 1e-6).any()):
        worst = int(total.argmax())
        raise ValueError(
            f"`total_charge` must be zero in a periodic cell, got {float(total[worst])} e (absolute) in structure "
            f"{worst} of the batch; correct atoms.info['total_charge'] or the given charges that it is the sum of"
        )


def of_species(name: str, values: Numbers, n_species: int) -> Tensor:
    """Return one value for each species, (n,).

    Raises:
        ValueError: it is neither one number nor one for each.
    """
    given = torch.as_tensor(values if isinstance(values, float | int) else list(values), dtype=torch.float64)
    if given.dim() > 0 and given.shape != (n_species,):
        raise ValueError(
            f"`{name}` must be one number or {n_species}, one for each species, got {given.tolist()}; give them in the "
            "order of the element table"
        )
    return given.expand(n_species).clone()
