"""What is kept of a structure whose descriptor does not train, and where: in memory, on disk, or nowhere."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import Dataset

from mdzoo.data.labels import Batch, Labels, collate_batch
from mdzoo.graph import Graph


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
    """A data set whose structures come with what is kept of them: `[i]` or `[[i, j]] -> KeptBatch`.

    Arguments:
        batches: the structures, one by one.
        find: gives what is kept of a structure by its place.
    """

    def __init__(self, batches: Sequence[Batch], find: Callable[[int], Kept]) -> None:
        self.batches, self.find = list(batches), find

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int | Sequence[int]) -> KeptBatch:
        chosen = [int(index)] if isinstance(index, int) else [int(i) for i in index]
        batch = collate_batch([self.batches[i] for i in chosen])
        return KeptBatch(batch.graph, batch.labels, [self.find(i) for i in chosen])


def on_disk(found: Callable[[int], Kept], count: int, folder: Path) -> Callable[[int], Kept]:
    """Write what is kept of each structure into a folder, one safetensors file each, and return what reads it.

    A file is mapped, so that the system's cache decides how much of it stays in memory.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for place in range(count):
        tensors = {name: tensor.contiguous() for name, tensor in found(place)._asdict().items()}
        save_file(tensors, folder / f"{place}.safetensors")
    return lambda place: Kept(**load_file(folder / f"{place}.safetensors"))
