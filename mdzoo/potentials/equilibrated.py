"""What the potentials whose charges equilibrate share; a member says how electronegative each atom is."""

import torch
from torch import Tensor

from mdzoo.graph import Graph
from mdzoo.potentials.base import Potential
from mdzoo.potentials.charge_solver import equilibrium, times
from mdzoo.potentials.gaussian_charges import GaussianCharges
from mdzoo.potentials.parameters import Choices, Numbers
from mdzoo.units import coulomb_constant


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
        choices: Choices,
    ) -> None:
        super().__init__(max(float(cutoff), reach_of_chi), -1, smoothness)
        self.has_charges = True
        self.hardness = choices.values("hardness", of_species("hardness", hardness, n_species), "positive")
        self.widths = choices.values("widths", of_species("widths", widths, n_species), "positive")
        self.interaction = GaussianCharges(coulomb_constant(constants), cutoff, accuracy)
        self.interaction.check_widths(float(self.widths().detach().max()))

    def chi(self, graph: Graph) -> Tensor:
        """Return the electronegativity of each atom, (N,) in eV/e."""
        raise NotImplementedError

    def matrix(self, graph: Graph) -> Tensor:
        """Return A of each structure, (S, n, n) in eV/e^2, with the hardness on its diagonal."""
        check_total(graph)
        dtype = graph.vectors.dtype
        widths, hardness = self.widths().to(dtype)[graph.species], self.hardness().to(dtype)[graph.species]
        return self.interaction(graph, widths, hardness)

    def charges(self, graph: Graph) -> Tensor:
        """Return the charge of each atom, (N,) in e."""
        return equilibrium(self.matrix(graph), self.chi(graph), graph)

    def energies_and_charges(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Return the energies (N,) in eV and the charges (N,) in e, from one solution."""
        matrix, chi = self.matrix(graph), self.chi(graph)
        q = equilibrium(matrix, chi, graph)
        return q * (chi + 0.5 * times(matrix, q, graph)), q

    def forward(self, graph: Graph) -> Tensor:
        """Return the energy of each atom, (N,) in eV."""
        return self.energies_and_charges(graph)[0]

    def first_order(self, graph: Graph) -> Tensor:
        """Return the same energies at fixed charges: at the minimum these have no part in the slopes."""
        matrix, chi = self.matrix(graph), self.chi(graph)
        q = equilibrium(matrix.detach(), chi.detach(), graph)
        return q * (chi + 0.5 * times(matrix, q, graph))


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
