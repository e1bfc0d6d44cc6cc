"""What a material is like under a model: lattice, elasticity, defects, surfaces and phonons, beside reference values.

A property is a number with a name: `a`, `b`, `c` (Angstrom, of the given cell, relaxed), `energy` (eV/atom), `B` and
`B'` (GPa and a number, from the equation of state), `C11` ... (GPa, ions relaxed; `C11_clamped` without), `vacancy`
(eV), `surface_100` ... (J/m^2, `surface_100_unrelaxed` as cut), `gamma_max` and `path_min` (THz; below zero: unstable).
"""

from mdzoo.evaluate.properties.material import KINDS, Material, measure
from mdzoo.evaluate.properties.reference import reference_values
from mdzoo.evaluate.properties.show import draw, properties_table

__all__ = ["KINDS", "Material", "draw", "measure", "properties_table", "reference_values"]
