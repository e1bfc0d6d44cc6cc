"""Parameter files of POD, `_param.pod` and `_coeff.pod` of LAMMPS (of 2024 and later)."""

from pathlib import Path
from typing import Any

import numpy as np

ORDERS = ("twobody", "threebody", "fourbody", "fivebody", "sixbody", "sevenbody")
RADIAL = {f"{order}_number_radial_basis_functions": n for order, n in zip(ORDERS, (8, 6, 4, 0, 0, 0), strict=True)}
ANGULAR = {f"{order}_angular_degree": p for order, p in zip(ORDERS[1:], (4, 3, 0, 0, 0), strict=True)}
NUMBERS = {"rin": 0.5, "rcut": 5.0, "bessel_polynomial_degree": 4, "inverse_polynomial_degree": 8}
FIXED = {"number_of_environment_clusters": 1, "onebody": 1}  # what the linear potential takes
IGNORED = ("pbc", "number_of_principal_components")


def read_pod(parameters: str | Path, coefficients: str | Path | None = None) -> dict[str, Any]:
    """Return the numbers of a POD potential, LAMMPS's defaults where a file leaves them out.

    Keys: `elements`, `rin` and `cutoff` (Angstrom), `bessel_degree`, `inverse_degree`, `K` (body orders 2 to 7), `P`
    (body orders 3 to 7); with coefficients also `coefficients` (elements, 1 + columns), the constant of each first.

    Raises:
        ValueError: a file breaks off, holds a key that LAMMPS does not know, or asks for clusters of environments.
    """
    given = {
        words[0]: words[1:] for line in lines_of(parameters) if (words := line.split()) and words[0] not in IGNORED
    }
    known = ["species", *RADIAL, *ANGULAR, *NUMBERS, *FIXED]
    for key, values in given.items():
        if key not in known:
            raise ValueError(
                f"`parameters` must hold keys out of {known}, got {key!r} in {str(parameters)!r}; correct it"
            )
        if key in FIXED and int(values[0]) != FIXED[key]:
            raise ValueError(
                f"`{key}` must be {FIXED[key]}, got {values[0]} in {str(parameters)!r}; others are not linear"
            )
    if "species" not in given:
        raise ValueError(f"`parameters` must hold `species`, got {sorted(given)} in {str(parameters)!r}; add the line")
    number = {key: float(given[key][0]) if key in given else default for key, default in NUMBERS.items()}
    table: dict[str, Any] = {
        "elements": given["species"],
        "rin": number["rin"],
        "cutoff": number["rcut"],
        "bessel_degree": int(number["bessel_polynomial_degree"]),
        "inverse_degree": int(number["inverse_polynomial_degree"]),
        "K": [int(given[key][0]) if key in given else default for key, default in RADIAL.items()],
        "P": [int(given[key][0]) if key in given else default for key, default in ANGULAR.items()],
    }
    return table if coefficients is None else {**table, "coefficients": read_coefficients(coefficients, table)}


def lines_of(path: str | Path) -> list[str]:
    """Return the lines without comments, those left empty dropped."""
    lines = [line.split("#")[0].strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line]


def read_coefficients(path: str | Path, table: dict[str, Any]) -> np.ndarray:
    """Return the coefficients of each element, (elements, 1 + columns)."""
    first, *lines = lines_of(path)
    n_elements, count = len(table["elements"]), int(first.split()[1])
    if len(lines) < count or count % n_elements:
        raise ValueError(
            f"`coefficients` must hold as many numbers for each of {table['elements']} as its first line says ({count} "
            f"in all), got {len(lines)} in {str(path)!r}; the file breaks off or belongs to other parameters"
        )
    return np.array([float(line) for line in lines[:count]]).reshape(n_elements, -1)
