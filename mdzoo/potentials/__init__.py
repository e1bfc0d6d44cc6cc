"""Which energy has each atom?"""

from mdzoo.descriptors import (
    ACE,
    ACSF,
    MTP,
    POD,
    SO3,
    SO4,
    Concatenate,
    DeepMD,
    MliapSO3,
    Projection,
    SeE3,
    Select,
    Soap,
    SoapQuip,
)
from mdzoo.potentials.atomic_energies import AtomicEnergies
from mdzoo.potentials.base import PairPotential, Potential
from mdzoo.potentials.coulomb_cut import CoulombCut
from mdzoo.potentials.coulomb_dsf import CoulombDSF
from mdzoo.potentials.coulomb_ewald import CoulombEwald
from mdzoo.potentials.coulomb_wolf import CoulombWolf
from mdzoo.potentials.descriptor_potential import DescriptorPotential
from mdzoo.potentials.ensemble import Ensemble
from mdzoo.potentials.force_field import ForceField, Prediction
from mdzoo.potentials.lennard_jones import LennardJones
from mdzoo.potentials.molecular_mechanics import MolecularMechanics
from mdzoo.potentials.registry import build, register
from mdzoo.potentials.sum_potential import SumPotential
from mdzoo.potentials.zbl import ZBL
from mdzoo.regressors import MLP, Linear, Polynomial, Quadratic

__all__ = [
    "ZBL",
    "AtomicEnergies",
    "CoulombCut",
    "CoulombDSF",
    "CoulombEwald",
    "CoulombWolf",
    "DescriptorPotential",
    "Ensemble",
    "ForceField",
    "LennardJones",
    "MolecularMechanics",
    "PairPotential",
    "Potential",
    "Prediction",
    "SumPotential",
    "build",
    "register",
]

register(
    SoapQuip,
    Soap,
    ACSF,
    ACE,
    AtomicEnergies,
    Concatenate,
    CoulombCut,
    CoulombDSF,
    CoulombEwald,
    CoulombWolf,
    DeepMD,
    DescriptorPotential,
    Ensemble,
    LennardJones,
    MliapSO3,
    MolecularMechanics,
    Projection,
    SeE3,
    Select,
    SumPotential,
    ZBL,
    SO3,
    SO4,
    Linear,
    MLP,
    MTP,
    POD,
    Polynomial,
    Quadratic,
)
