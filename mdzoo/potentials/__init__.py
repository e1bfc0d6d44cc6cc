"""Which energy has each atom?"""

from mdzoo.descriptors import (
    ACE,
    ACSF,
    MTP,
    POD,
    SO3,
    SO4,
    UF3,
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
from mdzoo.potentials.born_mayer_huggins import BornMayerHuggins
from mdzoo.potentials.buckingham import Buckingham
from mdzoo.potentials.charge_equilibration import ChargeEquilibration
from mdzoo.potentials.committee import Committee
from mdzoo.potentials.coulomb_cut import CoulombCut
from mdzoo.potentials.coulomb_dsf import CoulombDSF
from mdzoo.potentials.coulomb_ewald import CoulombEwald
from mdzoo.potentials.coulomb_pme import CoulombPME
from mdzoo.potentials.coulomb_wolf import CoulombWolf
from mdzoo.potentials.d3 import D3
from mdzoo.potentials.descriptor_potential import DescriptorPotential
from mdzoo.potentials.eam import EAM
from mdzoo.potentials.edip import EDIP
from mdzoo.potentials.ensemble import Ensemble
from mdzoo.potentials.finnis_sinclair import FinnisSinclair
from mdzoo.potentials.force_field import ForceField, Prediction
from mdzoo.potentials.lennard_jones import LennardJones
from mdzoo.potentials.linear_ensemble import LinearEnsemble
from mdzoo.potentials.mie import Mie
from mdzoo.potentials.molecular_mechanics import MolecularMechanics
from mdzoo.potentials.morse import Morse
from mdzoo.potentials.pair_table import PairTable
from mdzoo.potentials.qeq import QEq
from mdzoo.potentials.registry import build, register
from mdzoo.potentials.stillinger_weber import StillingerWeber
from mdzoo.potentials.sum_potential import SumPotential
from mdzoo.potentials.tersoff import Tersoff
from mdzoo.potentials.tersoff_mod import TersoffMod
from mdzoo.potentials.triplet_potential import TripletPotential
from mdzoo.potentials.yukawa import Yukawa
from mdzoo.potentials.zbl import ZBL
from mdzoo.regressors import (
    MLP,
    DotProduct,
    Linear,
    MappedGP,
    Matern,
    Polynomial,
    Product,
    Quadratic,
    SparseGP,
    SquaredExponential,
    Sum,
)

__all__ = [
    "D3",
    "EAM",
    "EDIP",
    "ZBL",
    "AtomicEnergies",
    "BornMayerHuggins",
    "Buckingham",
    "ChargeEquilibration",
    "Committee",
    "CoulombCut",
    "CoulombDSF",
    "CoulombEwald",
    "CoulombPME",
    "CoulombWolf",
    "DescriptorPotential",
    "Ensemble",
    "FinnisSinclair",
    "ForceField",
    "LennardJones",
    "LinearEnsemble",
    "Mie",
    "MolecularMechanics",
    "Morse",
    "PairPotential",
    "PairTable",
    "Potential",
    "Prediction",
    "QEq",
    "StillingerWeber",
    "SumPotential",
    "Tersoff",
    "TersoffMod",
    "TripletPotential",
    "Yukawa",
    "build",
    "register",
]

register(
    D3,
    SoapQuip,
    Soap,
    ACSF,
    ACE,
    AtomicEnergies,
    BornMayerHuggins,
    Buckingham,
    ChargeEquilibration,
    Committee,
    Concatenate,
    CoulombCut,
    CoulombDSF,
    CoulombEwald,
    CoulombPME,
    CoulombWolf,
    DeepMD,
    DescriptorPotential,
    EAM,
    EDIP,
    Ensemble,
    FinnisSinclair,
    LennardJones,
    LinearEnsemble,
    Mie,
    MliapSO3,
    MolecularMechanics,
    Morse,
    PairTable,
    Projection,
    QEq,
    SeE3,
    Select,
    StillingerWeber,
    SumPotential,
    Tersoff,
    TersoffMod,
    UF3,
    Yukawa,
    ZBL,
    SO3,
    SO4,
    Linear,
    MLP,
    MTP,
    POD,
    Polynomial,
    Quadratic,
    SparseGP,
    MappedGP,
    DotProduct,
    Matern,
    SquaredExponential,
    Product,
    Sum,
)
