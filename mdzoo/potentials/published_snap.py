"""A SNAP potential from the numbers of its files (`mdzoo.data.parameter_files.snap`)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from mdzoo.descriptors.so4 import SO4
from mdzoo.potentials.descriptor_potential import DescriptorPotential
from mdzoo.regressors.linear import Linear
from mdzoo.regressors.quadratic import Quadratic


def snap_potential(table: Mapping[str, Any], elements: Sequence[str] | None = None) -> DescriptorPotential:
    """Return SO4 + Linear or Quadratic with the energies of the files, without other terms of a `pair_style hybrid`.

    Arguments:
        table: what `read_snap` gives.
        elements: symbol of each species, in order; those of the table without it.

    Raises:
        ValueError: an element that the table lacks, or coefficients that are not as many as its options ask for.
    """
    elements = list(elements or table["elements"])
    unknown = [e for e in elements if e not in table["elements"]]
    if unknown:
        raise ValueError(f"`elements` must be out of {table['elements']}, got {unknown}; the file knows no others")
    rows = [table["elements"].index(e) for e in elements]
    radii = [table["radii"][row] for row in rows]
    options = {key: table[key] for key in ("twojmax", "rfac0", "rmin0", "switch", "bzero", "bnorm", "chem", "wselfall")}
    for key in ("sinner", "dinner"):
        options[key] = None if table[key] is None else [table[key][row] for row in rows]
    weights = [table["weights"][row] for row in rows]
    descriptor = SO4(2.0 * table["rcutfac"] * max(radii), len(elements), radii=radii, weights=weights, **options)
    kind = Quadratic if table["quadratic"] else Linear
    regressor = kind(descriptor.n_features, len(elements))
    numbers = torch.as_tensor(table["coefficients"])[rows]
    if numbers.shape[1] != 1 + regressor.weights.shape[1]:
        raise ValueError(
            f"`coefficients` must hold {1 + regressor.weights.shape[1]} numbers for each element, as {kind.__name__} "
            f"and twojmax {table['twojmax']} ask for {len(elements)} elements, got {numbers.shape[1]}; check the flags"
        )
    with torch.no_grad():
        regressor.bias.copy_(numbers[:, 0])
        regressor.weights.copy_(numbers[:, 1:])
    return DescriptorPotential(descriptor, regressor)
