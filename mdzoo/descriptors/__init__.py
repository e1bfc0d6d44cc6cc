"""What surrounds an atom, in numbers."""

from mdzoo.descriptors.base import Descriptor
from mdzoo.descriptors.so3 import SO3

__all__ = ["SO3", "Descriptor"]
