"""What a calculation says of a structure: the labels that a fit compares with, and the weights of the comparison."""

from typing import NamedTuple

import torch
from torch import Tensor

from mdzoo.graph import Graph, collate


class Labels(NamedTuple):
    """Labels of S structures and their N atoms; NaN marks what is absent or masked."""

    energy: Tensor  # (S,) eV
    forces: Tensor  # (N, 3) eV/Angstrom
    stress: Tensor  # (S, 3, 3) eV/Angstrom^3, ASE's sign
    energy_weight: Tensor  # (S,) factor on alpha_j, 1 by default
    force_weight: Tensor  # (S,) factor on beta_j
    stress_weight: Tensor  # (S,) factor on gamma_j
    group: Tensor  # (S,) int64, index into the data set's list of groups
    index: Tensor  # type: ignore[assignment]  # (S,) int64, place of the structure in its data set


class Batch(NamedTuple):
    """Structures and their labels, in the same order."""

    graph: Graph
    labels: Labels


def collate_batch(batches: list[Batch]) -> Batch:
    """Join batches into one, in order."""
    graph = collate([batch.graph for batch in batches])
    columns = zip(*[batch.labels for batch in batches], strict=True)
    return Batch(graph, Labels(*[torch.cat(column) for column in columns]))
