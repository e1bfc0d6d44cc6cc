"""Damped charges whose energy ends at the cutoff: Wolf's sum, in the form of LAMMPS's `pair_style coul/wolf`."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mdzoo.potentials.charges import Charges
from mdzoo.potentials.parameters import Bounds, Ties, Trainable
from mdzoo.potentials.short_coulomb import ShortCoulomb, check_alpha


class CoulombWolf(ShortCoulomb):
    """`f(r) = erfc(alpha r) / r - erfc(alpha c) / c`, and itself `-erfc(alpha c) / c - 2 alpha / sqrt(pi)`.

    Wolf, Keblinski, Phillpot and Eggebrecht (DOI 10.1063/1.478738). Forces are the derivatives of this energy, and end
    at the cutoff with a step; LAMMPS's `coul/wolf` has these energies and, as the paper proposes, other forces: those
    of `CoulombDSF`.

    Arguments:
        cutoff: c, Angstrom.
        alpha: damping, 1/Angstrom.
        charges: one for each species, e; None takes those of the data.
        n_species: number of elements.
        neutral: whether the charges of each structure are moved to its total charge.
        constants: the set of constants, see `mdzoo.units`.
        trainable, bounds, ties: of `charges`, one entry for each species; see `mdzoo.potentials.parameters`.

    Example:
        >>> round(float(CoulombWolf(10, 0.2).kernel(torch.tensor([10.0], dtype=torch.float64))), 12)
        0.0
    """

    def __init__(
        self,
        cutoff: float = 10.0,
        alpha: float = 0.2,
        charges: Sequence[float] | None = None,
        n_species: int = 1,
        neutral: bool = False,
        constants: str = "codata",
        trainable: Trainable = False,
        bounds: Bounds = None,
        ties: Ties = None,
    ) -> None:
        source = Charges(charges, n_species, neutral, trainable, bounds, ties)
        super().__init__(cutoff, 0, source, constants)
        self.alpha = check_alpha(alpha)
        self.shift = math.erfc(self.alpha * self.cutoff) / self.cutoff

    def kernel(self, r: Tensor) -> Tensor:
        """Return f of each edge, (E,) in 1/Angstrom."""
        return torch.erfc(self.alpha * r) / r - self.shift

    def self_term(self) -> float:
        """Return the energy of a charge with its own image, 1/Angstrom."""
        return -self.shift - 2.0 * self.alpha / math.sqrt(math.pi)
