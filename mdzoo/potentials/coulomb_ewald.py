"""Charges of crystals, slabs and molecules, summed over all images by Ewald's method."""

from collections.abc import Sequence

from mdzoo.potentials.charges import Charges
from mdzoo.potentials.ewald_sum import EwaldSum
from mdzoo.potentials.global_coulomb import GlobalCoulomb
from mdzoo.potentials.parameters import Bounds, Ties, Trainable


class CoulombEwald(GlobalCoulomb):
    """`E = k/2 sum_ij q_i q_j / r_ij` over all atoms and images (Ewald, DOI 10.1002/andp.19213690304).

    Crystals and slabs must be neutral; crystals are surrounded by a conductor, slabs and molecules by nothing. The cost
    grows with the square of the number of atoms at a given cutoff: beyond some thousand take `CoulombPME`.

    Arguments:
        cutoff: of the pairs, Angstrom; a longer one leaves less to the waves, the energy is the same.
        accuracy: of the potential, see `LatticeSum`.
        charges: one for each species, e; None takes those of the data.
        n_species: number of elements.
        neutral: whether the charges of each structure are moved to its total charge.
        constants: the set of constants, see `mdzoo.units`.
        trainable, bounds, ties: of `charges`, one entry for each species; see `mdzoo.potentials.parameters`.

    Example:
        >>> from ase.build import bulk
        >>> from mdzoo.data.graphs import graph_from_atoms
        >>> salt = graph_from_atoms(bulk("NaCl", "rocksalt", a=5.64), [11, 17], 6.0)
        >>> energy = CoulombEwald(6.0, 1e-8, [1, -1], 2)(salt).sum()  # -k M / d, Madelung's constant M
        >>> round(float(energy) * -2.82 / 14.3996454784, 6)
        1.747565
    """

    def __init__(
        self,
        cutoff: float = 8.0,
        accuracy: float = 1e-6,
        charges: Sequence[float] | None = None,
        n_species: int = 1,
        neutral: bool = False,
        constants: str = "codata",
        trainable: Trainable = False,
        bounds: Bounds = None,
        ties: Ties = None,
    ) -> None:
        source = Charges(charges, n_species, neutral, trainable, bounds, ties)
        super().__init__(EwaldSum(cutoff, accuracy), source, constants)
