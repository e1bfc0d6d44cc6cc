"""What surrounds an atom, in numbers."""

from mdzoo.descriptors.ace import ACE
from mdzoo.descriptors.acsf import ACSF
from mdzoo.descriptors.base import Descriptor
from mdzoo.descriptors.so3 import SO3

__all__ = ["ACE", "ACSF", "SO3", "Descriptor"]
