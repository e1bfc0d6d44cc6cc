"""What surrounds an atom, in numbers."""

from mdzoo.descriptors.base import Descriptor

__all__ = ["Descriptor"]
