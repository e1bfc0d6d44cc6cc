"""A moment tensor potential from the numbers of its file (`mdzoo.data.parameter_files.mtp`)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from mdzoo.descriptors.moment_products import tables
from mdzoo.descriptors.mtp import MTP
from mdzoo.potentials.descriptor_potential import DescriptorPotential
from mdzoo.regressors.linear import Linear


def mtp_potential(table: Mapping[str, Any]) -> DescriptorPotential:
    """Return MTP + Linear with the energies of the file, one set of weights for all species.

    The scalars of the file, whatever their order, are found among those of the level by their values in random
    environments; scalars that it leaves out get no weight.

    Raises:
        ValueError: the file holds a scalar that is none of MTP's.
    """
    keys = ("cutoff", "n_species", "radial_size", "min_dist", "scaling")
    descriptor = MTP(**{key: table[key] for key in keys}, level=level_of(table))
    regressor = Linear(descriptor.n_features, descriptor.n_species)
    weights = np.zeros(descriptor.n_features)
    weights[places(table, descriptor)] = table["weights"]
    with torch.no_grad():
        n_radial = descriptor.radial_coefficients.shape[2]
        descriptor.radial_coefficients.copy_(torch.as_tensor(table["radial_coefficients"][:, :, :n_radial]))
        regressor.weights.copy_(torch.as_tensor(weights))
        regressor.bias.copy_(torch.as_tensor(table["energies"]))
    return DescriptorPotential(descriptor, regressor)


def level_of(table: Mapping[str, Any]) -> int:
    """Return the highest level of the file's scalars: levels add in products."""
    levels = {index: 2 + 4 * mu + a + b + c for index, (mu, a, b, c) in enumerate(table["basic"].tolist())}
    for first, second, _, target in table["products"].tolist():
        levels[target] = levels[first] + levels[second]
    return max(levels[scalar] for scalar in table["scalars"].tolist())


def places(table: Mapping[str, Any], descriptor: MTP) -> np.ndarray:
    """Return which feature of the descriptor each scalar of the file is."""
    f, u = random_environments(len(descriptor.ranks))
    theirs = scalars_of_file(table, f, u)
    legs = tables(descriptor.level, descriptor.max_factors).legs
    components = np.stack([(f[mu] * np.prod(u ** np.array(e), -1)).sum(-1) for (mu, _), e in legs])
    mine = descriptor.scalars.of_components(torch.as_tensor(components)).numpy().T
    near = np.abs(theirs[:, None] - mine) <= 1e-9 * (np.abs(theirs[:, None]) + np.abs(mine))
    found = near.all(2)
    if not (found.sum(1) == 1).all():
        wrong = np.flatnonzero(found.sum(1) != 1).tolist()
        raise ValueError(
            f"`alpha_moment_mapping` must name contractions of up to {descriptor.max_factors} moments, got others at "
            f"{wrong}; this file is outside of what MTP knows"
        )
    return found.argmax(1)


def random_environments(n_radial: int) -> tuple[np.ndarray, np.ndarray]:
    """Return f_mu (mu, 3, 7) and unit vectors (3, 7, 3) of seven neighbours in three environments."""
    rng = np.random.default_rng(0)
    u = rng.normal(size=(3, 7, 3))
    return rng.uniform(0.5, 1.5, (n_radial, 3, 7)), u / np.linalg.norm(u, axis=-1, keepdims=True)


def scalars_of_file(table: Mapping[str, Any], f: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Return the file's scalars in these environments, (scalars, environments), product by product."""
    basic = [(f[mu] * np.prod(u ** np.array(e), -1)).sum(-1) for mu, *e in table["basic"].tolist() if mu < len(f)]
    size = max([len(table["basic"]), *(table["products"][:, 3] + 1).tolist()])
    values = np.zeros((size, u.shape[0]))
    values[[i for i, row in enumerate(table["basic"].tolist()) if row[0] < len(f)]] = np.array(basic)
    for first, second, times, target in table["products"].tolist():
        values[target] += times * values[first] * values[second]
    return values[table["scalars"]]
