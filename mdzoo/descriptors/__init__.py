"""What surrounds an atom, in numbers."""

from mdzoo.descriptors.ace import ACE
from mdzoo.descriptors.acsf import ACSF
from mdzoo.descriptors.base import Descriptor
from mdzoo.descriptors.concatenate import Concatenate
from mdzoo.descriptors.deepmd import DeepMD
from mdzoo.descriptors.mliap_so3 import MliapSO3
from mdzoo.descriptors.mtp import MTP
from mdzoo.descriptors.pod import POD
from mdzoo.descriptors.projection import Projection
from mdzoo.descriptors.se_e3 import SeE3
from mdzoo.descriptors.select import Select
from mdzoo.descriptors.so3 import SO3
from mdzoo.descriptors.so4 import SO4
from mdzoo.descriptors.soap import Soap
from mdzoo.descriptors.soap_quip import SoapQuip
from mdzoo.descriptors.uf3 import UF3

__all__ = [
    "ACE",
    "ACSF",
    "MTP",
    "POD",
    "SO3",
    "SO4",
    "UF3",
    "Concatenate",
    "DeepMD",
    "Descriptor",
    "MliapSO3",
    "Projection",
    "SeE3",
    "Select",
    "Soap",
    "SoapQuip",
]
