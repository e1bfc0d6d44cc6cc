"""Learnt potentials that LAMMPS has itself: SO4 with Linear or Quadratic is its `snap`, SO4 with MLP its `mliap`.

POD with Linear is its `pod`, UF3 with Linear its `uf3`.
"""

from collections.abc import Callable
from typing import Any

import torch
from ase.data import chemical_symbols
from torch import Tensor

from mdzoo.descriptors import POD, SO4, UF3
from mdzoo.export.native.networks import sna_options, write_network
from mdzoo.export.native.style import Style, numbers
from mdzoo.export.native.uf3 import write_uf3
from mdzoo.potentials import DescriptorPotential
from mdzoo.regressors import MLP, Linear, Quadratic

ORDERS = ("twobody", "threebody", "fourbody", "fivebody", "sixbody", "sevenbody")


def write_learnt(potential: DescriptorPotential, atomic_numbers: list[int]) -> Style:
    """Return what LAMMPS needs for a descriptor and a regressor; energies of isolated atoms are in its files.

    Raises:
        ValueError: LAMMPS does not have the pair.
    """
    pair = (type(potential.descriptor), type(potential.regressor))
    if pair not in LEARNT:
        known = ", ".join(f"{d.__name__} + {r.__name__}" for d, r in LEARNT)
        raise ValueError(
            f"`potential` must be one of {known} to be native in LAMMPS, got {pair[0].__name__} + "
            f"{pair[1].__name__}; export it as TorchScript"
        )
    symbols = [chemical_symbols[z] for z in atomic_numbers]
    return LEARNT[pair](potential.descriptor, potential.regressor, symbols)


def coefficients(regressor: Any) -> list[list[float]]:
    """Return the constant and the weights of each species."""
    rows: Tensor = regressor.weights.detach().double()
    constants: list[float] = regressor.bias.detach().double().tolist()
    return [[constant, *row] for constant, row in zip(constants, rows.tolist(), strict=True)]


def write_snap(descriptor: SO4, regressor: Linear | Quadratic, symbols: list[str]) -> Style:
    """Return `pair_style snap`; with `rcutfac` 1 the radius of an element is half its own cutoff."""
    tables: Any = descriptor
    n, twice, weights = descriptor.n_species, tables.reach.diagonal().tolist(), tables.weights.tolist()
    rows = [alike(descriptor, row) for row in coefficients(regressor)]
    lines = [f"{n} {len(rows[0])}"]
    for symbol, reach, weight, row in zip(symbols, twice, weights, rows, strict=True):
        lines += [f"{symbol} {reach / 2.0!r} {weight!r}", *map(repr, row)]
    options = flags(descriptor)
    options.append(f"quadraticflag {int(len(rows[0]) > 1 + descriptor.n_features)}")
    if descriptor.inner:
        options += [f"{key} {numbers(getattr(descriptor, key).diagonal().tolist())}" for key in ("sinner", "dinner")]
    files = {"@.snapcoeff": "\n".join(lines) + "\n", "@.snapparam": "\n".join(options) + "\n"}
    return Style("snap", "", [("* *", f"@.snapcoeff @.snapparam {' '.join(symbols)}")], files)


def flags(descriptor: SO4) -> list[str]:
    """Return the options that `snap` and `mliap` call alike."""
    chem = descriptor.n_densities > 1
    values = {
        "rcutfac": 1.0,
        "twojmax": descriptor.twojmax,
        "rfac0": descriptor.rfac0,
        "rmin0": descriptor.rmin0,
        "switchflag": int(descriptor.switch),
        "bzeroflag": int(descriptor.bzero),
        "bnormflag": int(descriptor.bnorm),
        "chemflag": int(chem),
        "wselfallflag": int(chem and not descriptor.tells_kind),
        "switchinnerflag": int(descriptor.inner),
    }
    return [f"{key} {value}" for key, value in values.items()]


def alike(descriptor: SO4, row: list[float]) -> list[float]:
    """Return a constant and weights of the same energy, alike for features that are equal whatever the atoms.

    With several densities a feature does not change where equal j change their elements. LAMMPS takes the weight of
    one for all of them in its forces, which are the derivatives of its energy only if the weights are alike.
    """
    share, n, values = shares(descriptor), descriptor.n_features, torch.tensor(row, dtype=torch.float64)
    linear = share @ values[1 : n + 1]
    if len(row) == n + 1:
        return [row[0], *linear.tolist()]
    square, upper = values.new_zeros(n, n), torch.triu_indices(n, n)
    square[upper[0], upper[1]] = values[n + 1 :]
    square = share @ (square + square.triu(1).T) @ share
    return [row[0], *linear.tolist(), *square[upper[0], upper[1]].tolist()]


def shares(descriptor: SO4) -> Tensor:
    """Return the mean over features that are equal whatever the atoms, (F, F)."""
    keys = [tuple(sorted(zip(js, e, strict=True))) for e, js in descriptor.products.features]
    group = torch.tensor([keys.index(key) for key in keys])
    share = (group.unsqueeze(1) == group).double()
    return share / share.sum(1, keepdim=True)


def write_mliap(descriptor: SO4, regressor: MLP, symbols: list[str]) -> Style:
    """Return `pair_style mliap` of a network without a linear term."""
    options = sna_options(descriptor, flags(descriptor), symbols)
    return write_network(descriptor, regressor, shares(descriptor), options, symbols)


def write_pod(descriptor: POD, regressor: Linear, symbols: list[str]) -> Style:
    """Return `pair_style pod`, which leaves out body orders of atoms with few neighbours, see `POD`."""
    radial = descriptor.radial
    options = [
        f"species {' '.join(symbols)}",
        f"rin {radial.rin!r}",
        f"rcut {radial.rcut!r}",
        f"bessel_polynomial_degree {radial.bessel_degree}",
        f"inverse_polynomial_degree {radial.inverse_degree}",
        "onebody 1",
        *[f"{order}_number_radial_basis_functions {k}" for order, k in zip(ORDERS, descriptor.K, strict=True)],
        *[f"{order}_angular_degree {p}" for order, p in zip(ORDERS[1:], descriptor.P, strict=True)],
    ]
    values = [value for row in coefficients(regressor) for value in row]
    lines = [f"model_coefficients: {len(values)} 0 0", *map(repr, values)]
    files = {"@_param.pod": "\n".join(options) + "\n", "@_coeff.pod": "\n".join(lines) + "\n"}
    return Style("pod", "", [("* *", f"@_param.pod @_coeff.pod {' '.join(symbols)}")], files)


LEARNT: dict[tuple[type, type], Callable[[Any, Any, list[str]], Style]] = {
    (SO4, Linear): write_snap,
    (SO4, MLP): write_mliap,
    (SO4, Quadratic): write_snap,
    (POD, Linear): write_pod,
    (UF3, Linear): write_uf3,
}
