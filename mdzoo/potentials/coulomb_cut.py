"""Bare charges up to a cutoff, in the form of LAMMPS's `pair_style coul/cut`."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mdzoo.potentials.charges import Charges
from mdzoo.potentials.parameters import Bounds, Ties, Trainable
from mdzoo.potentials.short_coulomb import ShortCoulomb


class CoulombCut(ShortCoulomb):
    """`E = k/2 sum_ij q_i q_j / r_ij` over pairs nearer than the cutoff, where the energy jumps (LAMMPS, `coul/cut`).

    For molecules and for comparison: in a crystal this sum does not converge with the cutoff, see `CoulombDSF` or
    `CoulombEwald`.

    Arguments:
        cutoff: Angstrom.
        charges: one for each species, e; None takes those of the data.
        n_species: number of elements.
        neutral: whether the charges of each structure are moved to its total charge.
        constants: the set of constants, see `mdzoo.units`.
        trainable, bounds, ties: of `charges`, one entry for each species; see `mdzoo.potentials.parameters`.

    Example:
        >>> from mdzoo.testing.compare import cluster
        >>> ions = cluster(torch.tensor([0, 1]), torch.tensor([[0.0, 0, 0], [0, 0, 2]], dtype=torch.float64))
        >>> round(float(CoulombCut(10, [1, -1], 2)(ions).sum()), 4)
        -7.1998
    """

    def __init__(
        self,
        cutoff: float = 10.0,
        charges: Sequence[float] | None = None,
        n_species: int = 1,
        neutral: bool = False,
        constants: str = "codata",
        trainable: Trainable = False,
        bounds: Bounds = None,
        ties: Ties = None,
    ) -> None:
        source = Charges(charges, n_species, neutral, trainable, bounds, ties)
        super().__init__(cutoff, -1, source, constants)

    def kernel(self, r: Tensor) -> Tensor:
        """Return 1/r."""
        return torch.reciprocal(r)

    def self_term(self) -> float:
        """Return 0."""
        return 0.0
