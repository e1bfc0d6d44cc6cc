"""What a force field says of labelled structures, beside what the labels say."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from mdzoo.data.labels import Batch, collate_batch
from mdzoo.graph import Graph, within
from mdzoo.ops import segment_sum
from mdzoo.potentials.force_field import ForceField, stress

Array = np.ndarray
PER_ATOM = ("forces", "forces_label", "charges", "charges_label", "structure")


class Predictions(NamedTuple):
    """Predictions for S structures and their N atoms beside the labels; NaN where there is no label or no full cell."""

    energy: Array  # (S,) eV
    energy_label: Array  # (S,) eV
    reference: Array  # (S,) eV, the part of the energy that depends on the composition alone
    forces: Array  # (N, 3) eV/Angstrom
    forces_label: Array  # (N, 3)
    stress: Array  # (S, 3, 3) eV/Angstrom^3, ASE's sign
    stress_label: Array  # (S, 3, 3)
    charges: Array  # (N,) e, where the model finds charges
    charges_label: Array  # (N,) e, where the data have charges
    n_atoms: Array  # (S,)
    structure: Array  # (N,) structure of each atom
    group: Array  # (S,) name of the group of each structure


def predict(
    force_field: ForceField,
    dataset: Any,
    batch_size: int = 8,
    groups: Sequence[str] | None = None,
    description: str | None = None,
) -> Predictions:
    """Evaluate every structure of `dataset` in batches, in order.

    Arguments:
        force_field: the model; evaluated in `eval` mode and left in the mode it was in.
        dataset: map-style, `dataset[i]` is the Batch of one structure; `dataset.groups` names the group of each.
        batch_size: structures evaluated together.
        groups: the group of each structure, instead of `dataset.groups`.
        description: text of the progress bar; no bar without it.
    """
    if int(batch_size) < 1:
        raise ValueError(f"`batch_size` must be at least 1, got {batch_size}; give the structures of one batch")
    if len(dataset) == 0:
        raise ValueError("`dataset` must hold at least one structure, got none; check data.test and its split")
    was_training = force_field.training
    force_field.eval()
    starts = range(0, len(dataset), int(batch_size))
    parts = []
    for start in track(
        starts, description or "", disable=description is None or not Console().is_terminal, transient=True
    ):
        items = [dataset[i] for i in range(start, min(start + int(batch_size), len(dataset)))]
        parts.append(predict_batch(force_field, collate_batch(items)))
    force_field.train(was_training)
    return join(parts, dataset.groups if groups is None else groups)


def predict_batch(force_field: ForceField, batch: Batch) -> list[Array]:
    """Return the numeric columns of Predictions for one batch, in their order, on the CPU."""
    graph, labels = batch
    said = force_field(graph)
    columns = [said.energy, labels.energy, composition_energy(force_field, graph), said.forces, labels.forces]
    columns += [defined_stress(said.virial, graph), labels.stress]
    handed_on = torch.equal(said.charges, graph.charges)
    columns += [torch.full_like(said.charges, torch.nan) if handed_on else said.charges]
    columns += [known_charges(graph), torch.bincount(graph.batch), graph.batch]
    return [column.detach().cpu().to(torch.float64).numpy() for column in columns]


def composition_energy(force_field: ForceField, graph: Graph) -> Tensor:
    """Return the energy of the terms that see no edges (reference energies), (S,) in eV."""
    terms = getattr(force_field.potential, "terms", [])
    energy = torch.zeros_like(graph.positions[:, 0])
    for term in terms:
        if term.cutoff == 0.0:
            energy = energy + term(within(graph, 0.0)).detach()
    return segment_sum(energy, graph.batch, graph.cell.shape[0])


def known_charges(graph: Graph) -> Tensor:
    """Return the charges of the data (N,), NaN in structures whose charges are all zero."""
    known = segment_sum(graph.charges.abs(), graph.batch, graph.cell.shape[0])[graph.batch] > 0.0
    return torch.where(known, graph.charges, torch.nan)


def defined_stress(virial: Tensor, graph: Graph) -> Tensor:
    """Return the stress (S, 3, 3), NaN where a structure is not periodic in all directions."""
    has_cell = graph.pbc.all(-1) & (torch.linalg.det(graph.cell).abs() > 0.0)
    cell = torch.where(has_cell.view(-1, 1, 1), graph.cell, torch.eye(3).to(graph.cell))
    return torch.where(has_cell.view(-1, 1, 1), stress(virial, cell), torch.nan)


def join(parts: list[list[Array]], groups: Sequence[str]) -> Predictions:
    """Put the batches behind each other; structures are numbered through."""
    counts = np.cumsum([0] + [len(part[0]) for part in parts])
    columns: list[Any] = [np.concatenate(column) for column in zip(*parts, strict=True)]
    structure = np.concatenate([part[-1] + first for part, first in zip(parts, counts, strict=False)])
    columns[-2:] = [columns[-2].astype(np.int64), structure.astype(np.int64), np.asarray(list(groups), dtype=object)]
    return Predictions(*columns)


def select(table: Predictions, keep: Array) -> Predictions:
    """Return the rows of the structures that the mask `keep` (S,) names."""
    keep = np.asarray(keep, dtype=bool)
    atoms = keep[table.structure]
    columns = {name: column[atoms if name in PER_ATOM else keep] for name, column in table._asdict().items()}
    columns["structure"] = (np.cumsum(keep) - 1)[table.structure[atoms]]
    return Predictions(**columns)
