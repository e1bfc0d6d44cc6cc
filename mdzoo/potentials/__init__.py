"""Which energy has each atom?"""

from mdzoo.descriptors import SO3
from mdzoo.potentials.atomic_energies import AtomicEnergies
from mdzoo.potentials.base import PairPotential, Potential
from mdzoo.potentials.descriptor_potential import DescriptorPotential
from mdzoo.potentials.ensemble import Ensemble
from mdzoo.potentials.force_field import ForceField, Prediction
from mdzoo.potentials.registry import build, register
from mdzoo.potentials.sum_potential import SumPotential
from mdzoo.regressors import Linear

__all__ = [
    "AtomicEnergies",
    "DescriptorPotential",
    "Ensemble",
    "ForceField",
    "PairPotential",
    "Potential",
    "Prediction",
    "SumPotential",
    "build",
    "register",
]

register(AtomicEnergies, DescriptorPotential, Ensemble, SumPotential, SO3, Linear)
