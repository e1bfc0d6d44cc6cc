"""Writes `.mtp` files, which MLIP-2, MLIP-3 and motep read."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from mdzoo.descriptors.moment_products import tables
from mdzoo.descriptors.mtp import MTP
from mdzoo.export.native.parts import parts_of
from mdzoo.potentials.base import Potential
from mdzoo.regressors.linear import Linear


def write_mtp(path: str | Path, potential: Potential) -> None:
    """Write MTP + Linear as an `.mtp` file, in its older form, which every reader takes.

    Arguments:
        path: the file.
        potential: MTP with Linear, alone or in a sum with reference energies; Linear must have the same weights for
            every species of centre, as the format has one set.

    Raises:
        ValueError: the format cannot hold this potential.
    """
    learnt, constants = parts_of(potential, MTP, Linear)
    descriptor: Any = learnt.descriptor
    regressor: Any = learnt.regressor
    weights = regressor.weights.detach()
    if not torch.equal(weights, weights[:1].expand_as(weights)):
        raise ValueError(
            "`weights` must be the same for every species in an .mtp file, got different ones; export it as TorchScript"
        )
    constants = constants + regressor.bias.detach().double().numpy()
    lines = ["MTP", *head(descriptor), *radial(descriptor), *products(descriptor)]
    lines += [f"species_coeffs = {braces(constants)}", f"moment_coeffs = {braces(weights[0].double().numpy())}"]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def head(descriptor: MTP) -> list[str]:
    """Return the lines of the radial basis."""
    return [
        "version = 1.1.0",
        f"potential_name = level{descriptor.level}",
        f"scaling = {descriptor.scaling:.16e}",
        f"species_count = {descriptor.n_species}",
        "potential_tag = ",
        "radial_basis_type = RBChebyshev",
        f"\tmin_dist = {descriptor.min_dist:.16e}",
        f"\tmax_dist = {descriptor.cutoff:.16e}",
        f"\tradial_basis_size = {descriptor.radial_size}",
        f"\tradial_funcs_count = {len(descriptor.ranks)}",
    ]


def radial(descriptor: MTP) -> list[str]:
    """Return the lines of the radial coefficients."""
    lines = ["\tradial_coeffs"]
    for i, rows in enumerate(descriptor.radial_coefficients.detach().double().numpy()):
        for j, block in enumerate(rows):
            lines += [f"\t\t{i}-{j}", *(f"\t\t\t{braces(row)}" for row in block)]
    return lines


def products(descriptor: MTP) -> list[str]:
    """Return the lines of the contractions."""
    plan = tables(descriptor.level, descriptor.max_factors)
    first = len(plan.legs) + len(plan.pairs)
    sums = list(enumerate([*plan.pairs, *(terms for _, terms in plan.sums)], len(plan.legs)))
    times = [[a, b, m, row] for row, terms in sums for a, b, m in terms]
    mapping = dict(plan.direct) | {scalar: first + index for index, (scalar, _) in enumerate(plan.sums)}
    basic = [[mu, *e] for (mu, _), e in plan.legs]
    return [
        f"alpha_moments_count = {first + len(plan.sums)}",
        f"alpha_index_basic_count = {len(basic)}",
        f"alpha_index_basic = {braces(basic)}",
        f"alpha_index_times_count = {len(times)}",
        f"alpha_index_times = {braces(times)}",
        f"alpha_scalar_moments = {len(plan.scalars)}",
        f"alpha_moment_mapping = {braces([mapping[i] for i in range(len(plan.scalars))])}",
    ]


def braces(values: Any) -> str:
    """Return numbers as `{a, b}`, lists of them as `{{a, b}, {c, d}}`."""
    if isinstance(values, list | np.ndarray):
        return "{" + ", ".join(braces(value) for value in values) + "}"
    return str(values) if isinstance(values, int) else f"{float(values):.16e}"
