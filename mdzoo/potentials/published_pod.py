"""A POD potential from the numbers of its files (`mdzoo.data.parameter_files.pod`)."""

from collections.abc import Mapping
from typing import Any

import torch

from mdzoo.descriptors.pod import POD
from mdzoo.potentials.descriptor_potential import DescriptorPotential
from mdzoo.regressors.linear import Linear


def pod_potential(table: Mapping[str, Any]) -> DescriptorPotential:
    """Return POD + Linear with the energies of the files; species are the elements of the table, in its order.

    Raises:
        ValueError: the coefficients are not as many as the parameters ask for.
    """
    keys = ("cutoff", "K", "P", "rin", "bessel_degree", "inverse_degree")
    descriptor = POD(**{key: table[key] for key in keys}, n_species=len(table["elements"]))
    numbers = torch.as_tensor(table["coefficients"])
    if numbers.shape[1] != 1 + descriptor.n_features:
        raise ValueError(
            f"`coefficients` must hold {1 + descriptor.n_features} numbers for each element, got {numbers.shape[1]}; "
            "give the coefficients that belong to these parameters"
        )
    regressor = Linear(descriptor.n_features, descriptor.n_species)
    with torch.no_grad():
        regressor.weights.copy_(numbers[:, 1:])
        regressor.bias.copy_(numbers[:, 0])
    return DescriptorPotential(descriptor, regressor)
