"""Charges that equilibrate at electronegativities which the surroundings of each atom decide."""

from torch import Tensor

from mdzoo.descriptors.base import Descriptor
from mdzoo.graph import Graph, within
from mdzoo.potentials.descriptor_potential import DescriptorPotential
from mdzoo.potentials.equilibrated import Equilibrated
from mdzoo.potentials.parameters import Bounds, Choices, Numbers, Ties, Trainable
from mdzoo.regressors.base import Regressor


class ChargeEquilibration(Equilibrated):
    """`E = min_q sum_i (chi_i q_i + 1/2 J_i q_i^2) + 1/2 sum_ij A_ij q_i q_j`, `chi_i = regressor(descriptor)_i`.

    Charges of the fourth generation of networks (Ko, Finkler, Goedecker and Behler, DOI 10.1038/s41467-020-20427-2):
    any descriptor and any regressor give the electronegativities, and charges move as far as they must. The energy is
    that of the equilibrium, so forces need no response of the charges; put it beside a learnt term of short range, and
    give the loss a weight for `charges` where the data have them.

    Arguments:
        descriptor: what surrounds an atom.
        regressor: its electronegativity, eV/e.
        hardness: J, eV/e^2, one number or one for each species; that of the Gaussian itself comes on top.
        widths: of the Gaussians, Angstrom, likewise; about the covalent radius.
        cutoff: of the pairs of charges, Angstrom.
        accuracy: of the interaction, see `LatticeSum`.
        constants: the set of constants, see `mdzoo.units`.
        dense: atoms up to which the system of a structure is solved as a matrix; beyond, by conjugate gradients.
        trainable, bounds, ties: of `hardness` and `widths`, one entry for each species; see
            `mdzoo.potentials.parameters`.
    """

    def __init__(
        self,
        descriptor: Descriptor,
        regressor: Regressor,
        hardness: Numbers = 10.0,
        widths: Numbers = 0.7,
        cutoff: float = 8.0,
        accuracy: float = 1e-6,
        constants: str = "codata",
        dense: int = 500,
        trainable: Trainable = False,
        bounds: Bounds = None,
        ties: Ties = None,
    ) -> None:
        choices = Choices(["hardness", "widths"], trainable, bounds, ties)
        n, near = descriptor.n_species, descriptor.cutoff
        super().__init__(near, descriptor.smoothness, n, hardness, widths, cutoff, accuracy, constants, dense, choices)
        self.electronegativity = DescriptorPotential(descriptor, regressor)

    def chi(self, graph: Graph) -> Tensor:
        """Return the electronegativity of each atom, (N,) in eV/e."""
        return self.electronegativity(within(graph, self.electronegativity.cutoff))
