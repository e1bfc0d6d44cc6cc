"""Parameter files of moment tensor potentials, `.mtp` of MLIP-2, MLIP-3 and motep."""

import re
from pathlib import Path
from typing import Any

import numpy as np

NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
OLD_NAMES = {"min_dist": "min", "min_val": "min", "max_dist": "max", "max_val": "max"}
OLD_NAMES |= {"radial_basis_size": "size", "basis_size": "size"}


def read_mtp(path: str | Path) -> dict[str, Any]:
    """Return the numbers of an `.mtp` file, those of an untrained file with zeros where it has no coefficients.

    Keys: `cutoff`, `min_dist` (Angstrom), `scaling`, `n_species`, `radial_size`, `basic` (components, 4): mu and the
    exponents of x, y, z; `products` (terms, 4): two factors, a multiplicity and the moment that it is added to;
    `scalars`: the moments that are features; `radial_coefficients` (n_species, n_species, mu, beta), `weights` of the
    scalars and `energies` of the species, in eV where the potential was fitted to eV.

    Raises:
        ValueError: the file is not an `.mtp` file, or its radial basis is not RBChebyshev.
    """
    text = Path(path).read_text(encoding="utf-8")
    entries = {OLD_NAMES.get(key, key): value.strip() for key, value in re.findall(r"(?m)^\s*(\w+)\s*=(.*)$", text)}
    if not text.lstrip().startswith("MTP"):
        raise ValueError(f"`path` must begin with the word MTP, got {str(path)!r}; give an .mtp file")
    kind = entries.get("radial_basis_type")
    if kind != "RBChebyshev" or "magnetic_basis_type" in entries:
        raise ValueError(
            f"`radial_basis_type` must be RBChebyshev without a magnetic basis, got {kind} in {str(path)!r}; refit it"
        )
    table: dict[str, Any] = {
        "cutoff": float(entries["max"]),
        "min_dist": float(entries["min"]),
        "scaling": float(entries.get("scaling", 1.0)),
        "n_species": int(entries["species_count"]),
        "radial_size": int(entries["size"]),
        "basic": numbers(entries["alpha_index_basic"]).astype(int).reshape(-1, 4),
        "products": numbers(entries["alpha_index_times"]).astype(int).reshape(-1, 4),
        "scalars": numbers(entries["alpha_moment_mapping"]).astype(int),
    }
    table["radial_coefficients"] = radial(text, table)
    table["weights"] = filled(entries, "moment_coeffs", len(table["scalars"]))
    table["energies"] = filled(entries, "species_coeffs", table["n_species"])
    return table


def numbers(text: str) -> np.ndarray:
    """Return all numbers of a text."""
    return np.array([float(word) for word in NUMBER.findall(text)])


def filled(entries: dict[str, str], key: str, size: int) -> np.ndarray:
    """Return the numbers of one entry, or zeros where an untrained file has none."""
    return numbers(entries[key]) if key in entries else np.zeros(size)


def radial(text: str, table: dict[str, Any]) -> np.ndarray:
    """Return the radial coefficients, (n_species, n_species, mu, beta); zeros where there are none."""
    shape = (table["n_species"],) * 2 + (int(table["basic"][:, 0].max()) + 1, table["radial_size"])
    blocks = re.findall(r"(?m)^\s*(\d+)-(\d+)\s*$((?:\s*\{[^}]*\})+)", text)
    out = np.zeros(shape)
    for first, second, body in blocks:
        out[int(first), int(second)] = numbers(body).reshape(-1, shape[3])[: shape[2]]
    return out
