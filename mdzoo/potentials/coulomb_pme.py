"""Charges of crystals, slabs and molecules, summed over all images on a mesh."""

from collections.abc import Sequence

from mdzoo.potentials.charges import Charges
from mdzoo.potentials.global_coulomb import GlobalCoulomb
from mdzoo.potentials.mesh_sum import MeshSum
from mdzoo.potentials.parameters import Bounds, Ties, Trainable


class CoulombPME(GlobalCoulomb):
    """`E = k/2 sum_ij q_i q_j / r_ij` over all atoms and images, by smooth particle-mesh Ewald (DOI 10.1063/1.470117).

    The same energy as `CoulombEwald`, at a cost of N log N. The sum of the forces vanishes to the accuracy of the mesh.

    Arguments:
        cutoff: of the pairs, Angstrom.
        accuracy: of the potential, see `LatticeSum`.
        order: of the B-splines: 4, 6, 8 or 10.
        spacing: of the mesh at most, Angstrom; None takes what `accuracy` needs.
        charges: one for each species, e; None takes those of the data.
        n_species: number of elements.
        neutral: whether the charges of each structure are moved to its total charge.
        constants: the set of constants, see `mdzoo.units`.
        trainable, bounds, ties: of `charges`, one entry for each species; see `mdzoo.potentials.parameters`.

    Example:
        >>> from ase.build import bulk
        >>> from mdzoo.data.graphs import graph_from_atoms
        >>> salt = graph_from_atoms(bulk("NaCl", "rocksalt", a=5.64), [11, 17], 6.0)
        >>> energy = CoulombPME(6.0, 1e-6, charges=[1, -1], n_species=2)(salt).sum()
        >>> round(float(energy) * -2.82 / 14.3996454784, 4)  # Madelung's constant
        1.7476
    """

    def __init__(
        self,
        cutoff: float = 8.0,
        accuracy: float = 1e-6,
        order: int = 6,
        spacing: float | None = None,
        charges: Sequence[float] | None = None,
        n_species: int = 1,
        neutral: bool = False,
        constants: str = "codata",
        trainable: Trainable = False,
        bounds: Bounds = None,
        ties: Ties = None,
    ) -> None:
        lattice_sum = MeshSum(cutoff, accuracy, order, spacing)
        source = Charges(charges, n_species, neutral, trainable, bounds, ties)
        super().__init__(lattice_sum, source, constants)
