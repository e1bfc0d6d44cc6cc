"""In which order structures are seen: a function of the seed and the epoch alone."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from mdzoo.data.labels import Batch


class EpochSampler(DistributedSampler):
    """Yields lists of indices: the share of this rank in each batch of an epoch.

    Each structure is seen exactly once in an epoch, by one rank; batches differ by one structure at most, and every
    rank has its share in each, so the steps of r ranks are those of one. The order depends on (seed, epoch) only, so a
    run that was killed goes on with the same batches.

    Arguments:
        n: number of structures.
        batch_size: structures in one step, summed over the ranks.
        seed: of the order.
        shuffle: whether the order changes from epoch to epoch; else it is that of the data.
        rank: this process.
        ranks: number of processes.
    """

    def __init__(self, n: int, batch_size: int, seed: int, shuffle: bool, rank: int = 0, ranks: int = 1) -> None:
        if int(batch_size) < 1:
            raise ValueError(f"`batch_size` must be at least 1, got {batch_size}; give the structures in one step")
        if n < ranks:
            raise ValueError(f"`ranks` must be at most the number of structures {n}, got {ranks}; use fewer processes")
        super().__init__(range(n), num_replicas=ranks, rank=rank, shuffle=shuffle, seed=seed)  # type: ignore[arg-type]
        self.n = int(n)
        self.n_batches = max(1, -(-self.n // int(batch_size)))
        while self.n_batches > 1 and self.n // self.n_batches < ranks:
            self.n_batches -= 1
        self.first = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; another one than that of a loaded state starts at its first batch."""
        if epoch != self.epoch:
            self.first = 0
        self.epoch = epoch

    def order(self) -> np.ndarray:
        """Return all structures in the order of this epoch."""
        if not self.shuffle:
            return np.arange(self.n)
        return np.random.default_rng([self.seed, self.epoch]).permutation(self.n)

    def __iter__(self) -> Iterator[list[int]]:  # type: ignore[override]
        batches = np.array_split(self.order(), self.n_batches)
        first, self.first = self.first, 0
        for batch in batches[first:]:
            yield batch[self.rank :: self.num_replicas].tolist()

    def __len__(self) -> int:
        return self.n_batches


class Loader(DataLoader):
    """A DataLoader over an EpochSampler that knows where it stands, so that training resumes within an epoch.

    Lightning asks for an iterator before it tells the epoch; nothing is fetched until the first batch is wanted.
    """

    def __init__(self, dataset: Dataset, sampler: EpochSampler, **options: Any) -> None:
        super().__init__(dataset, sampler=sampler, batch_size=None, **options)
        self.done = 0

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        self.done = self.sampler.first  # type: ignore[attr-defined]
        for batch in super().__iter__():
            self.done += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Return the epoch and the number of its batches that were handed out."""
        return {"epoch": self.sampler.epoch, "done": self.done}  # type: ignore[attr-defined]

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on behind the batches that were handed out."""
        self.sampler.epoch = state["epoch"]  # type: ignore[attr-defined]
        self.sampler.first = state["done"] % len(self.sampler)  # type: ignore[arg-type, attr-defined]


def ranks() -> tuple[int, int]:
    """Return (rank, number of ranks) of this process."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def worker_options(workers: int) -> dict[str, Any]:
    """Return the options of a DataLoader with `workers` processes, each on one thread."""
    if workers == 0:
        return {"num_workers": 0}
    start: Callable[[int], None] = _one_thread
    return {"num_workers": workers, "persistent_workers": True, "worker_init_fn": start}


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
