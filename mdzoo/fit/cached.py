"""A descriptor that does not train is evaluated once: what stays is its features and their derivatives.

    E = sum_i regressor(B_i),    dE/dr_ij = dE/dB_i . dB_i/dr_ij

so a step needs the regressor and one product with the kept dB_i/dr_ij (n, 3J, F), and no descriptor. The numbers are
those of the force field. The M members of a regressor share the features and the product: it reads the kept table once.
"""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from mdzoo.data.labels import Batch
from mdzoo.fit.blocks import BYTES, slopes_by_blocks
from mdzoo.fit.kept import Kept, KeptBatch, KeptSet, on_disk
from mdzoo.graph import Graph, within
from mdzoo.ops import Padding, padding, segment_sum
from mdzoo.potentials import DescriptorPotential, ForceField, Potential, Prediction, SumPotential

log = logging.getLogger(__name__)


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
        self.charges = inner.charges
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

    def keep(self, dataset: Dataset, where: str = "memory", folder: Path | None = None) -> KeptSet:
        """Return the data set with what is kept of each structure in `memory`, on `disk` (in folder) or made `anew`."""
        batches = [Batch(within(b.graph, self.cutoff), b.labels) for b in map(dataset.__getitem__, range(len(dataset)))]  # type: ignore[arg-type]
        if where == "disk" and folder is not None:
            return KeptSet(batches, on_disk(lambda i: self.kept(batches[i].graph), len(batches), folder))
        if where == "anew":
            return KeptSet(batches, lambda i: self.kept(batches[i].graph))
        return KeptSet(batches, [self.kept(batch.graph) for batch in batches].__getitem__)

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
        return features, slopes.view(layout.n, 3 * layout.width, descriptor.n_features)

    def __call__(self, batch: KeptBatch) -> list[Prediction]:
        """Return what each member says, with its history: energies, forces and virials; `atom_virial` is empty."""
        graph, kept = batch.graph, batch.kept
        features = torch.cat([k.features for k in kept])
        features = features.expand(self.part.regressor.n_members, -1, -1).requires_grad_()
        energies = self.part.regressor.members(features, graph.species)
        slope = torch.autograd.grad([energies.sum()], [features], create_graph=True)[0]
        gradient = torch.cat(self.edge_gradients(slope.transpose(0, 1), kept), 1)
        energies = energies.to(torch.float64) + torch.cat([k.energies for k in kept])
        if self.trained is not None:
            more, at_leaves = self.trained.derivatives(graph)
            energies, gradient = energies + more, gradient + at_leaves[0]
        charges = self.charges(graph)
        return [predicted(graph, *member)._replace(charges=charges) for member in zip(energies, gradient, strict=True)]

    def edge_gradients(self, slope: Tensor, kept: list[Kept]) -> list[Tensor]:
        """Return dE/dr_ij of the edges of each structure by each member, (M, E, 3), from dE/dB (N, M, F)."""
        out = []
        for k, mine in zip(kept, slope.split([len(k.energies) for k in kept]), strict=True):
            # rows times the transposed table: the order whose backward pass reads memory as it lies
            table = mine[: k.slopes.shape[0]] @ k.slopes.mT  # (n, M, 3J)
            rows = table.transpose(0, 1).reshape(mine.shape[1], -1, 3)
            out.append(k.gradient.expand(mine.shape[1], -1, -1).index_add(1, k.short, rows[:, k.slots]))
        return out


def predicted(graph: Graph, energies: Tensor, gradient: Tensor) -> Prediction:
    """Gather what dE/dr_ij means for atoms and structures, without the virial of each atom."""
    n_atoms, n_structures = graph.species.shape[0], graph.cell.shape[0]
    there = segment_sum(gradient, graph.neighbors, n_atoms)
    forces = segment_sum(gradient, graph.centers, n_atoms, ascending=True) - there
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


def n_members(force_field: ForceField) -> int:
    """Return the largest number of members of a regressor."""
    return max([m.regressor.n_members for m in force_field.modules() if isinstance(m, DescriptorPotential)], default=1)


def kept_sets(
    force_field: ForceField, datasets: Sequence[Dataset], cache: bool | str, limit: float, folder: Path
) -> list | None:
    """Return `[KeptForceField, KeptSet, ...]` where the switch says so, else None; the size is logged before.

    Arguments:
        force_field: what is trained.
        datasets: training set and, if any, validation set.
        cache: true (in memory), `disk`, false, or `auto`: in memory if it can be and fits.
        limit: bytes.
        folder: gets what is kept on disk.

    Raises:
        ValueError: it cannot be kept, or does not fit on the disk; members beside something else that trains.
    """
    members = n_members(force_field)
    if cache is False and members == 1:
        return None
    try:
        fast = KeptForceField(force_field)
    except ValueError as error:
        if members > 1:
            raise ValueError(
                f"`members` must be 1 for this model, got {members}; members share one descriptor that does not train"
            ) from error
        if cache in (True, "disk"):
            raise
        return None
    if members > 1 and fast.trained is not None:
        raise ValueError(f"`members` must be 1 beside empirical terms that train, got {members}; freeze these terms")
    size = sum(fast.bytes(dataset) for dataset in datasets)
    where = place(cache, size, limit, members)
    log.info("what the descriptor says takes %.2f GB (in memory at most %.2f): kept %s", size / 1e9, limit / 1e9, where)
    if where == "disk":
        check_disk(folder, size)
    if where == "nowhere":
        return None
    return [fast, *[fast.keep(dataset, where, folder / str(i)) for i, dataset in enumerate(datasets)]]


def place(cache: bool | str, size: float, limit: float, members: int) -> str:
    """Return where what the descriptor says is kept: `memory`, `disk`, `nowhere`, or `anew` for several members."""
    if cache == "disk":
        return "disk"
    if cache is True or (cache == "auto" and size <= limit):
        return "memory"
    return "anew" if members > 1 else "nowhere"


def check_disk(folder: Path, size: float) -> None:
    """Raise a ValueError unless the disk has room."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if size > 0.9 * free:
        raise ValueError(
            f"`cache` must not be disk for {size / 1e9:.1f} GB, got {free / 1e9:.1f} GB free in {folder}; free some, "
            "or set fit.cache=false"
        )
