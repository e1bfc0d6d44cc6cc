"""Reference values of the properties, with where they come from."""

from collections.abc import Mapping
from typing import Any

# PBE. Ground states and, from the stress labels, elastic constants: Ni's of ions at rest by symmetry, Si's clamped.
REFERENCES: dict[str, dict[str, dict[str, float]]] = {
    "zuo2020": {  # labels of DOI 10.1021/acs.jpca.9b08723
        "Ni": {"a": 3.508, "energy": -5.78023, "C11": 292.0, "C12": 170.0, "C44": 139.0},
        "Li": {"a": 3.427, "energy": -1.89892},
        "Mo": {"a": 3.168, "energy": -10.85018},
        "Si": {"a": 5.469, "energy": -5.42532, "C11_clamped": 150.0, "C12_clamped": 53.0, "C44_clamped": 99.0},
    },
    "silicon": {"Si": {"a": 5.47}},  # the data set that comes with mdzoo; its card
}


def reference_values(reference: str | Mapping[str, float] | None, formula: str) -> dict[str, float]:
    """Return the reference values of a material: those of a named set, or the given ones.

    Arguments:
        reference: the name of a set, values by property, or none.
        formula: chemical formula of the material, such as `Si`.

    Raises:
        ValueError: the set does not exist, or does not hold the material.
    """
    if reference is None:
        return {}
    if isinstance(reference, Mapping):
        return {str(name): float(value) for name, value in reference.items()}
    if reference not in REFERENCES or formula not in REFERENCES[reference]:
        known = {name: list(materials) for name, materials in REFERENCES.items()}
        raise ValueError(
            f"`reference` must be one of {known}, got {reference} for {formula}; give values, such as "
            "reference={a: 5.43}"
        )
    return dict(REFERENCES[reference][formula])


def plain_numbers(found: Mapping[str, Any]) -> dict[str, float]:
    """Return the properties that are one number."""
    return {name: float(value) for name, value in found.items() if isinstance(value, float | int)}
