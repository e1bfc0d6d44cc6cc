"""What a form of other codes holds that has one learnt term: the term, and the reference energies beside it."""

from typing import Any

import numpy as np

from mdzoo.potentials.atomic_energies import AtomicEnergies
from mdzoo.potentials.base import Potential
from mdzoo.potentials.descriptor_potential import DescriptorPotential
from mdzoo.potentials.sum_potential import SumPotential
from mdzoo.regressors.base import Regressor


def parts_of(potential: Potential, descriptor: type, regressor: type) -> tuple[DescriptorPotential, np.ndarray]:
    """Return the learnt term and the reference energies of the species, eV.

    Raises:
        ValueError: another descriptor or regressor, or further terms.
    """
    terms: list[Any] = list(potential.terms) if isinstance(potential, SumPotential) else [potential]
    learnt = [term for term in terms if isinstance(term, DescriptorPotential)]
    learnt = [t for t in learnt if isinstance(t.descriptor, descriptor) and isinstance(t.regressor, regressor)]
    constant = [term for term in terms if isinstance(term, AtomicEnergies)]
    if len(learnt) != 1 or len(terms) != 1 + len(constant):
        names = [type(term).__name__ for term in potential.modules() if isinstance(term, Potential | Regressor)]
        raise ValueError(
            f"`potential` must be {descriptor.__name__} with {regressor.__name__}, alone or beside AtomicEnergies, got "
            f"{names}; export it as TorchScript"
        )
    energies = [term.energies.detach().numpy() for term in constant]
    return learnt[0], np.sum([np.zeros(learnt[0].descriptor.n_species), *energies], 0)
