"""From where a fit starts: weights of an earlier run, parts that stay as they are, the scale of the features."""

import copy
import difflib
import fnmatch
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from mdzoo.descriptors.environment_matrix import EnvironmentMatrix
from mdzoo.fit.callbacks import averaged, read_checkpoint
from mdzoo.graph import Graph, within
from mdzoo.potentials import DescriptorPotential, ForceField, SumPotential
from mdzoo.potentials import checkpoint as model_file
from mdzoo.regressors import Linear

log = logging.getLogger(__name__)


def start_from(force_field: ForceField, path: str | Path) -> None:
    """Take the weights of a run directory, a checkpoint (.ckpt) or a model (.safetensors).

    Raises:
        ValueError: its parameters are not those of this model.
        FileNotFoundError: there is nothing there.
    """
    tensors = tensors_of(found(Path(path)))
    own = force_field.state_dict()
    wrong = sorted(set(own) ^ set(tensors)) or [n for n in own if own[n].shape != tensors[n].shape]
    if wrong:
        raise ValueError(
            f"`start` must hold the parameters of this model, got {path}, which differs in {wrong[:5]}; use the same "
            "descriptor, regressor, empirical terms and elements"
        )
    force_field.load_state_dict(tensors)
    log.info("start from %s", path)


def found(path: Path) -> Path:
    """Return the file that a path means."""
    if path.is_dir():
        for name in ("model.safetensors", "checkpoints/best.ckpt", "checkpoints/last.ckpt"):
            if (path / name).is_file():
                return path / name
    if not path.is_file():
        raise FileNotFoundError(f"`start` must be a run directory, a checkpoint or a model, got {path}; check the path")
    return path


def tensors_of(path: Path) -> dict[str, Tensor]:
    """Return the tensors of the force field in a file."""
    if path.suffix == ".ckpt":
        return averaged(read_checkpoint(path))
    return dict(model_file.load(path).state_dict())


def freeze(force_field: ForceField, patterns: Iterable[str]) -> None:
    """Keep the parameters whose names match, such as `potential.terms.1.*`, as they are.

    Raises:
        ValueError: a pattern matches nothing.
    """
    names = [name for name, _ in force_field.named_parameters()]
    for pattern in patterns:
        matches = fnmatch.filter(names, pattern)
        if not matches:
            near = difflib.get_close_matches(pattern.replace("*", ""), names, 3, 0.0)
            raise ValueError(f"`freeze` must match a parameter, got {pattern!r}; the nearest names are {near}")
        for name in matches:
            force_field.get_parameter(name).requires_grad_(False)


def scale_features(force_field: ForceField, dataset: Dataset) -> None:
    """Give regressors with a `scale` the mean and the deviation of the features of the training set."""
    for part in force_field.modules():
        if isinstance(part, DescriptorPotential) and hasattr(part.regressor, "scale"):
            mean, deviation = feature_moments(part, dataset)
            scale: Any = part.regressor.scale
            scale.set(mean, deviation)


def standardise(force_field: ForceField, dataset: Dataset) -> None:
    """Give descriptors that scale neighbourhoods the statistics of the training set, unless they have some."""
    for part in force_field.modules():
        if isinstance(part, EnvironmentMatrix) and not part.standardised():
            graphs = (dataset[i].graph for i in range(len(dataset)))  # type: ignore[arg-type]
            part.set_statistics(torch.stack([part.statistics(within(graph, part.cutoff)) for graph in graphs]).sum(0))


def linear_twin(force_field: ForceField) -> tuple[ForceField, DescriptorPotential]:
    """Return a copy whose one network is replaced by a linear regressor, and the term of the original that it is in.

    Raises:
        ValueError: there is no regressor with a linear term.
    """
    inner = force_field.potential
    terms: list[Any] = list(inner.terms) if isinstance(inner, SumPotential) else [inner]
    found = [t for t in terms if isinstance(t, DescriptorPotential) and hasattr(t.regressor, "set_linear")]
    if len(found) != 1:
        raise ValueError(
            f"`start` must be a path for this model, got least_squares with {len(found)} regressors that have a "
            "linear term; choose regressor=mlp"
        )
    part = found[0]
    plain = DescriptorPotential(part.descriptor, Linear(part.regressor.n_features, part.regressor.n_species))
    twins = [copy.deepcopy(plain if t is part else t) for t in terms]
    return ForceField(SumPotential(twins), force_field.atomic_numbers), part


@torch.no_grad()
def feature_moments(part: DescriptorPotential, dataset: Dataset) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of each feature over all atoms of a data set, (F,) each, in two stable passes."""
    like = next(part.regressor.parameters())
    sums, shift, count = torch.zeros(2, part.descriptor.n_features, dtype=torch.float64), None, 0
    for i in range(len(dataset)):  # type: ignore[arg-type]
        features = features_of(part, dataset[i].graph, like).to(torch.float64)
        shift = features.mean(0) if shift is None else shift
        sums += torch.stack([(features - shift).sum(0), (features - shift).square().sum(0)])
        count += features.shape[0]
    mean = sums[0] / count
    deviation = (sums[1] / count - mean.square()).clamp_min(0.0).sqrt()
    return (mean + (0.0 if shift is None else shift)).to(like.dtype), deviation.to(like.dtype)


def features_of(part: DescriptorPotential, graph: Graph, like: Tensor) -> Tensor:
    """Return the features of all atoms of a graph, (N, F)."""
    graph = within(graph, part.cutoff)
    graph = graph._replace(vectors=graph.vectors.to(like.dtype))
    features = part.descriptor.isolated(like)[graph.species]
    if graph.centers.numel() > 0:
        found_features = part.descriptor(graph)
        features[: found_features.shape[0]] = found_features
    return features


def n_trained(module: nn.Module) -> int:
    """Return the number of parameters that train."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
