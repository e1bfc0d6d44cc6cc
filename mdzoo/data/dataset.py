"""Structures with labels as a map-style data set: `[i] -> Batch` of one structure, `[[i, j]] -> Batch` of several."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from torch import Tensor
from torch.utils.data import Dataset

from mdzoo.data.cache import cached_edges
from mdzoo.data.graphs import charges_of, graph_from_edges
from mdzoo.data.keys import Row
from mdzoo.data.labels import Batch, Labels, collate_batch
from mdzoo.data.neighbors import Edges, find_edges

SHARD = 512  # structures whose neighbour lists share a file


@dataclass
class Storage:
    """Where and how neighbour lists and graphs are kept.

    Arguments:
        directory: folder of the neighbour lists on disk, None for none.
        limit: bytes that this folder may hold.
        memory: bytes of graphs and lists that are kept in memory.
        workers: threads that build lists.
    """

    directory: Path | None = None
    limit: float = 5e9
    memory: float = 2e9
    workers: int = 1


class StructureSet(Dataset):
    """Structures and their labels; graphs are made when asked for and kept while memory allows.

    Arguments:
        frames: structures.
        rows: their labels.
        atomic_numbers: the element table.
        group_names: the groups of the whole data; labels hold indices into it.
        cutoff: radius (Angstrom) of the graphs; set it again to change it.
        storage: where neighbour lists are kept.
        charges_key: array of charges, if any.

    Attributes: `frames`, `rows`, `groups` and `energies` of each structure, `names` (file and place of each structure).
    """

    def __init__(
        self,
        frames: Sequence[Atoms],
        rows: Sequence[Row],
        atomic_numbers: Sequence[int],
        group_names: Sequence[str],
        cutoff: float,
        storage: Storage | None = None,
        charges_key: str | None = None,
    ) -> None:
        self.frames = list(frames)
        self.rows = list(rows)
        self.groups = [row.group for row in rows]
        self.energies = [row.energy for row in rows]
        self.names = [str(atoms.info.get("_source", f"structure {k}")) for k, atoms in enumerate(self.frames)]
        self.atomic_numbers = list(atomic_numbers)
        self.storage = storage or Storage()
        self.charges_key = charges_key
        self._group_index = {name: k for k, name in enumerate(group_names)}
        self.cutoff = cutoff

    @property
    def cutoff(self) -> float:
        """Radius of the graphs, Angstrom."""
        return self._cutoff

    @cutoff.setter
    def cutoff(self, cutoff: float) -> None:
        self._cutoff = float(cutoff)
        self._shards: dict[int, list[Edges]] = {}
        self._kept: dict[int, Batch] = {}
        self._bytes = 0.0

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int | Sequence[int]) -> Batch:
        if isinstance(index, int | np.integer):
            return self.one(int(index))
        return collate_batch([self.one(int(i)) for i in index])

    def one(self, index: int) -> Batch:
        """Return graph and labels of one structure."""
        index = range(len(self.frames))[index]
        if index in self._kept:
            return self._kept[index]
        graph = graph_from_edges(
            self.frames[index], self.atomic_numbers, self.edges(index), self.charges_key, self.names[index]
        )
        batch = Batch(graph, self.labels(index))
        size = sum(tensor.numel() * tensor.element_size() for tensor in graph)
        if self._bytes + size <= self.storage.memory:
            self._kept[index] = batch
            self._bytes += size
        return batch

    def chosen(self, places: Sequence[int]) -> "StructureSet":
        """Return the structures at these places, any of them several times."""
        out = copy.copy(self)
        for name in ("frames", "rows", "groups", "energies", "names"):
            setattr(out, name, [getattr(self, name)[int(k)] for k in places])
        out.cutoff = self.cutoff  # nothing is kept yet
        return out

    def charged_frames(self) -> list[Atoms]:
        """Return the structures with the charges of `charges_key` where ASE and engines look for them."""
        if self.charges_key is None:
            return self.frames
        frames = [atoms.copy() for atoms in self.frames]
        for charged, atoms, name in zip(frames, self.frames, self.names, strict=True):
            charged.set_initial_charges(charges_of(atoms, self.charges_key, name))
        return frames

    def edges(self, index: int) -> Edges:
        """Return the neighbours of one structure: found for a whole shard at once while memory allows, else alone."""
        shard, place = divmod(index, SHARD)
        if shard not in self._shards and self._bytes > self.storage.memory:
            return find_edges(self.frames[index], self._cutoff, self.names[index])
        if shard not in self._shards:
            self._shards[shard] = self._find(shard)
            self._bytes += sum(array.nbytes for edges in self._shards[shard] for array in edges)
        return self._shards[shard][place]

    def _find(self, shard: int) -> list[Edges]:
        """Return the neighbours of the structures of a shard, from the disk if they are there."""
        part, store = slice(shard * SHARD, (shard + 1) * SHARD), self.storage
        return cached_edges(
            self.frames[part], self._cutoff, self.names[part], store.directory, store.workers, store.limit
        )

    def prepare(self) -> None:
        """Find all neighbours now, before worker processes start."""
        for shard in range(0, len(self.frames), SHARD):
            self.edges(shard)

    def labels(self, index: int) -> Labels:
        """Return the labels of one structure, NaN where absent or masked; its graph is not needed."""
        row, n = self.rows[index], len(self.frames[index])
        energy, forces, stress = row.weights
        return Labels(
            energy=_float([np.nan if row.energy is None else row.energy]),
            forces=_float(np.full((n, 3), np.nan) if row.forces is None else row.forces),
            stress=_float(np.full((3, 3), np.nan) if row.stress is None else row.stress).unsqueeze(0),
            energy_weight=_float([energy]),
            force_weight=_float([forces]),
            stress_weight=_float([stress]),
            group=torch.tensor([self._group_index[row.group]]),
            index=torch.tensor([index]),
        )


def _float(values: object) -> Tensor:
    return torch.as_tensor(np.array(values, dtype=np.float64))
