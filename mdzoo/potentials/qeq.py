"""Charges that equilibrate at one electronegativity for each element."""

from torch import Tensor

from mdzoo.graph import Graph
from mdzoo.potentials.equilibrated import Equilibrated, of_species
from mdzoo.potentials.parameters import Bounds, Choices, Numbers, Ties, Trainable


class QEq(Equilibrated):
    """`E = min_q sum_i (chi_i q_i + 1/2 J_i q_i^2) + 1/2 sum_ij A_ij q_i q_j`, chi one number for each species.

    Charge equilibration (Rappe and Goddard, DOI 10.1021/j100161a070) of Gaussian charges, over all images in crystals
    and slabs; the charges of each structure sum to its total charge.

    Arguments:
        electronegativity: chi, eV/e, one number or one for each species.
        hardness: J, eV/e^2, likewise; that of the Gaussian itself comes on top.
        widths: of the Gaussians, Angstrom, likewise; about the covalent radius.
        cutoff: of the pairs of charges, Angstrom.
        accuracy: of the interaction, see `LatticeSum`.
        constants: the set of constants, see `mdzoo.units`.
        dense: atoms up to which the system of a structure is solved as a matrix; beyond, by conjugate gradients.
        n_species: number of elements.
        trainable, bounds, ties: of `electronegativity`, `hardness` and `widths`, one entry for each species; see
            `mdzoo.potentials.parameters`.

    Example:
        >>> import torch
        >>> from mdzoo.testing.compare import cluster
        >>> pair = cluster(torch.tensor([0, 1]), torch.tensor([[0.0, 0, 0], [0, 0, 2.5]], dtype=torch.float64))
        >>> q = QEq([2.84, 8.56], [4.6, 9.9], 0.7, n_species=2).charges(pair)
        >>> [round(x, 3) for x in q.tolist()]
        [0.217, -0.217]
    """

    def __init__(
        self,
        electronegativity: Numbers,
        hardness: Numbers = 10.0,
        widths: Numbers = 0.7,
        cutoff: float = 8.0,
        accuracy: float = 1e-6,
        constants: str = "codata",
        dense: int = 500,
        n_species: int = 1,
        trainable: Trainable = False,
        bounds: Bounds = None,
        ties: Ties = None,
    ) -> None:
        choices = Choices(["electronegativity", "hardness", "widths"], trainable, bounds, ties)
        n = int(n_species)
        super().__init__(0.0, 2, n, hardness, widths, cutoff, accuracy, constants, dense, choices)
        start = of_species("electronegativity", electronegativity, n)
        self.electronegativity = choices.values("electronegativity", start, "real")

    def chi(self, graph: Graph) -> Tensor:
        """Return the electronegativity of each atom, (N,) in eV/e."""
        return self.electronegativity().to(graph.vectors.dtype)[graph.species]
