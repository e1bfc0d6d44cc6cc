"""A descriptor that does not train is evaluated once: what stays is its features and their derivatives.

    E = sum_i regressor(B_i),    dE/dr_ij = dE/dB_i . dB_i/dr_ij

so a step needs the regressor and one product with the kept dB_i/dr_ij (n, 3J, F), and no descriptor. The numbers are
those of the force field.
"""

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from mdzoo.data.labels import Batch, Labels, collate_batch
from mdzoo.fit.blocks import BYTES, slopes_by_blocks
from mdzoo.graph import Graph, within
from mdzoo.ops import Padding, padding, segment_sum
from mdzoo.potentials import DescriptorPotential, ForceField, Potential, Prediction, SumPotential

log = logging.getLogger(__name__)


class Kept(NamedTuple):
    """What is kept of one structure; `e` counts the edges within the descriptor's cutoff, J the most at one atom."""

    features: Tensor  # (N, F)
    slopes: Tensor  # (n, 3 J, F) dB_i/dr_ij, zero where an atom has fewer than J neighbours
    slots: Tensor  # (e,) place of each edge in the (n J) table
    short: Tensor  # (e,) which of the structure's edges these are
    energies: Tensor  # (N,) float64, of the terms that do not train
    gradient: Tensor  # (E, 3) their dE/dr_ij


class KeptBatch(NamedTuple):
    """A batch with what is kept of each of its structures."""

    graph: Graph
    labels: Labels
    kept: list[Kept]


class KeptSet(Dataset):
    """A data set whose structures come with what is kept of them: `[i]` or `[[i, j]] -> KeptBatch`."""

    def __init__(self, batches: Sequence[Batch], kept: Sequence[Kept]) -> None:
        self.batches, self.kept = list(batches), list(kept)

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int | Sequence[int]) -> KeptBatch:
        chosen = [int(index)] if isinstance(index, int) else [int(i) for i in index]
        batch = collate_batch([self.batches[i] for i in chosen])
        return KeptBatch(batch.graph, batch.labels, [self.kept[i] for i in chosen])


class KeptForceField:
    """Predicts from what is kept; shares every parameter with the force field that it stands for.

    Arguments:
        force_field: holds one DescriptorPotential whose descriptor has no parameter that trains.
    """

    def __init__(self, force_field: ForceField) -> None:
        self.part = descriptor_part(force_field)
        inner = force_field.potential
        terms: list[Any] = [t for t in inner.terms if t is not self.part] if isinstance(inner, SumPotential) else []
        trained = [t for t in terms if any(p.requires_grad for p in t.parameters())]
        fixed = [t for t in terms if all(t is not other for other in trained)]
        self.cutoff = force_field.cutoff
        self.dtype: torch.dtype = getattr(torch, force_field.dtype)
        self.fixed = self.force_field_of(fixed, force_field)
        self.trained = self.force_field_of(trained, force_field)

    def force_field_of(self, terms: list[Potential], like: ForceField) -> ForceField | None:
        """Return a force field of some of the terms, in train mode; None if there are none."""
        if not terms:
            return None
        part = ForceField(SumPotential(terms), like.atomic_numbers).train()
        part.unit = like.unit
        return part

    def bytes(self, dataset: Dataset) -> int:
        """Return how much memory the structures of a data set would take."""
        per_number = torch.empty(0, dtype=self.dtype).element_size()
        total = 0
        for i in range(len(dataset)):  # type: ignore[arg-type]
            layout = padding(within(dataset[i].graph, self.part.cutoff).centers)
            total += layout.n * (3 * layout.width + 1) * self.part.descriptor.n_features * per_number
        return total

    def keep(self, dataset: Dataset) -> KeptSet:
        """Return the data set with what is kept of each structure."""
        batches = [Batch(within(b.graph, self.cutoff), b.labels) for b in map(dataset.__getitem__, range(len(dataset)))]  # type: ignore[arg-type]
        return KeptSet(batches, [self.kept(batch.graph) for batch in batches])

    @torch.no_grad()
    def kept(self, graph: Graph) -> Kept:
        """Return what is kept of one structure."""
        near = graph.vectors.square().sum(-1) < self.part.cutoff**2
        short = near.nonzero().squeeze(-1)
        inside = within(graph, self.part.cutoff)
        inside = inside._replace(vectors=inside.vectors.to(self.dtype))
        layout = padding(inside.centers)
        features, slopes = self.features_and_slopes(inside, layout)
        energies = torch.zeros_like(graph.positions[:, 0])
        gradient = graph.vectors.new_zeros(graph.vectors.shape, dtype=self.dtype)
        if self.fixed is not None:
            with torch.enable_grad():
                found, at_leaves = self.fixed.derivatives(graph)
            energies, gradient = found.detach().to(torch.float64), at_leaves[0].detach()
        return Kept(features, slopes, layout.slots, short, energies, gradient)

    def features_and_slopes(self, graph: Graph, layout: Padding) -> tuple[Tensor, Tensor]:
        """Return the features of all atoms (N, F), and their derivatives (n, 3 J, F)."""
        descriptor = self.part.descriptor
        features = descriptor.isolated(graph.vectors)[graph.species]
        slopes = features.new_zeros(layout.n, layout.width, 3, descriptor.n_features)
        for first, _, _, found, table in slopes_by_blocks(descriptor, graph, 0, BYTES):
            features[first : first + len(found)] = found
            slopes[first : first + len(found), : table.shape[1]] = table
        return features, slopes.view(layout.n, 3 * layout.width, -1)

    def __call__(self, batch: KeptBatch) -> Prediction:
        """Return energies, forces and virials with their history; `atom_virial` is empty."""
        graph, kept = batch.graph, batch.kept
        features = torch.cat([k.features for k in kept]).requires_grad_()
        energies = self.part.regressor(features, graph.species)
        slope = torch.autograd.grad([energies.sum()], [features], create_graph=True)[0]
        gradient = torch.cat(self.edge_gradients(slope, kept))
        energies = energies.to(torch.float64) + torch.cat([k.energies for k in kept])
        if self.trained is not None:
            more, at_leaves = self.trained.derivatives(graph)
            energies, gradient = energies + more, gradient + at_leaves[0]
        return predicted(graph, energies, gradient)

    def edge_gradients(self, slope: Tensor, kept: list[Kept]) -> list[Tensor]:
        """Return dE/dr_ij of the edges of each structure, (E, 3), from dE/dB (N, F)."""
        out = []
        for k, mine in zip(kept, slope.split([len(k.energies) for k in kept]), strict=True):
            # a row times the transposed table: the order whose backward pass reads memory as it lies
            table = (mine[: k.slopes.shape[0]].unsqueeze(1) @ k.slopes.mT).view(-1, 3)
            out.append(k.gradient.index_add(0, k.short, table[k.slots]))
        return out


def predicted(graph: Graph, energies: Tensor, gradient: Tensor) -> Prediction:
    """Gather what dE/dr_ij means for atoms and structures, without the virial of each atom."""
    n_atoms, n_structures = graph.species.shape[0], graph.cell.shape[0]
    forces = segment_sum(gradient, graph.centers, n_atoms) - segment_sum(gradient, graph.neighbors, n_atoms)
    products = graph.vectors.to(gradient.dtype).unsqueeze(2) * gradient.unsqueeze(1)
    virial = -segment_sum(products, graph.batch[graph.centers], n_structures)
    energy = segment_sum(energies, graph.batch, n_structures)
    return Prediction(energy, energies, forces, virial, products[:0], graph.charges)


def descriptor_part(force_field: ForceField) -> DescriptorPotential:
    """Return the one term whose descriptor can be kept.

    Raises:
        ValueError: there is none.
    """
    inner = force_field.potential
    terms = list(inner.terms) if isinstance(inner, SumPotential) else [inner]
    found = [t for t in terms if isinstance(t, DescriptorPotential)]
    fixed = [t for t in found if not any(p.requires_grad for p in t.descriptor.parameters())]
    if len(found) != 1 or len(fixed) != 1 or force_field.reach not in (0, 1):
        raise ValueError(
            "`cache` must be false or auto for this model, got true; only one descriptor, without parameters that "
            "train and beside terms of reach 0 or 1, can be kept"
        )
    return fixed[0]


def kept_sets(force_field: ForceField, datasets: Sequence[Dataset], cache: bool | str, limit: float) -> list | None:
    """Return `[KeptForceField, KeptSet, ...]` where the switch says so, else None; the size is logged before.

    Arguments:
        force_field: what is trained.
        datasets: training set and, if any, validation set.
        cache: true, false, or `auto`: if it can be and fits.
        limit: bytes.
    """
    if cache is False:
        return None
    try:
        fast = KeptForceField(force_field)
    except ValueError:
        if cache is True:
            raise
        return None
    size = sum(fast.bytes(dataset) for dataset in datasets)
    use = cache is True or size <= limit
    log.info("what the descriptor says would take %.2f GB (at most %.2f): kept = %s", size / 1e9, limit / 1e9, use)
    return [fast, *[fast.keep(dataset) for dataset in datasets]] if use else None
