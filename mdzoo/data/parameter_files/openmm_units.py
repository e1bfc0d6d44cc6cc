"""OpenMM's units: nm, kJ/mol, radian, e."""

from collections.abc import Iterable
from typing import Any

NM = 10.0  # Angstrom


def numbers(quantities: Iterable[Any]) -> list[Any]:
    """Return what OpenMM gives without its units."""
    from openmm.unit import md_unit_system

    return [q.value_in_unit_system(md_unit_system) if hasattr(q, "unit") else q for q in quantities]
