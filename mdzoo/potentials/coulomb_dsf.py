"""Damped charges whose energy and force end at the cutoff, in the form of LAMMPS's `pair_style coul/dsf`."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mdzoo.potentials.charges import Charges
from mdzoo.potentials.parameters import Bounds, Ties, Trainable
from mdzoo.potentials.short_coulomb import ShortCoulomb, check_alpha


class CoulombDSF(ShortCoulomb):
    """`f(r) = g(r) - g(c) - g'(c) (r - c)`, `g(r) = erfc(a r) / r`; itself `-g(c) + c g'(c) - 2 a / sqrt(pi)`.

    The damped shifted force of Fennell and Gezelter (DOI 10.1063/1.2206581), with the self term of LAMMPS: a sum of
    short range that comes near to Ewald's where charges screen one another.

    Arguments:
        cutoff: c, Angstrom.
        alpha: damping a, 1/Angstrom.
        charges: one for each species, e; None takes those of the data.
        n_species: number of elements.
        neutral: whether the charges of each structure are moved to its total charge.
        constants: the set of constants, see `mdzoo.units`.
        trainable, bounds, ties: of `charges`, one entry for each species; see `mdzoo.potentials.parameters`.

    Example:
        >>> r = torch.tensor([10.0], dtype=torch.float64, requires_grad=True)
        >>> f = CoulombDSF(10, 0.2).kernel(r)
        >>> round(float(f.detach()), 12), round(float(torch.autograd.grad(f, r)[0]), 12)
        (0.0, 0.0)
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
        super().__init__(cutoff, 1, source, constants)
        self.alpha = check_alpha(alpha)
        x = self.alpha * self.cutoff
        self.shift = math.erfc(x) / self.cutoff
        self.slope = -(self.shift + 2.0 * self.alpha / math.sqrt(math.pi) * math.exp(-x * x)) / self.cutoff

    def kernel(self, r: Tensor) -> Tensor:
        """Return f of each edge, (E,) in 1/Angstrom."""
        return torch.erfc(self.alpha * r) / r - self.shift - self.slope * (r - self.cutoff)

    def self_term(self) -> float:
        """Return the energy of a charge with its own image, 1/Angstrom."""
        return -self.shift + self.slope * self.cutoff - 2.0 * self.alpha / math.sqrt(math.pi)
