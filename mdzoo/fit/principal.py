"""Which combinations of features vary most over the training set: what `Projection(kind="principal")` asks for."""

import logging
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from mdzoo.descriptors import Projection
from mdzoo.fit.start import features_of
from mdzoo.potentials import ForceField

log = logging.getLogger(__name__)


def project_features(force_field: ForceField, dataset: Dataset) -> None:
    """Give every projection on principal components those of a data set, unless it has some."""
    for part in force_field.modules():
        if isinstance(part, Projection) and not part.learnt:
            part.set_principal(covariance(part, dataset))
            log.info("projection: %d of %d features", part.n_features, part.descriptor.n_features)


@torch.no_grad()
def covariance(part: Any, dataset: Dataset) -> Tensor:
    """Return the covariance (F, F) of the features of `part.descriptor` over all atoms of a data set."""
    size = part.descriptor.n_features
    shift, total = torch.zeros(2, size).to(part.matrix)
    squares, count = torch.zeros(size, size).to(part.matrix), 0
    for i in range(len(dataset)):  # type: ignore[arg-type]
        features = features_of(part, dataset[i].graph, part.matrix)
        shift = features.mean(0) if count == 0 else shift
        total += (features - shift).sum(0)
        squares += (features - shift).T @ (features - shift)
        count += features.shape[0]
    mean = total / count
    return squares / count - torch.outer(mean, mean)
