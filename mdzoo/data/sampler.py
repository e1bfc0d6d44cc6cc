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
    rank has its share in each, so the steps of r ranks are those of one. Training batches are one long sequence, a
    function of the seed and of `position`, the number of batches handed out so far: a run that was killed goes on where
    it was, within an epoch too, however its trainer counts.

    Arguments:
        n: number of structures.
        batch_size: structures in one step, summed over the ranks.
        seed: of the order.
        shuffle: whether the order changes from epoch to epoch; else it is that of the data, from the first on.
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
        self.position = 0

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: `position` says which epoch it is."""

    def order(self, epoch: int) -> np.ndarray:
        """Return all structures in the order of an epoch."""
        if not self.shuffle:
            return np.arange(self.n)
        return np.random.default_rng([self.seed, epoch]).permutation(self.n)

    def __iter__(self) -> Iterator[list[int]]:  # type: ignore[override]
        epoch, first = divmod(self.position, self.n_batches) if self.shuffle else (0, 0)
        for batch in np.array_split(self.order(epoch), self.n_batches)[first:]:
            yield batch[self.rank :: self.num_replicas].tolist()

    def __len__(self) -> int:
        return self.n_batches


class Loader(DataLoader):
    """A DataLoader over an EpochSampler that counts what it hands out.

    Lightning asks for an iterator before it restores its state; nothing is fetched until the first batch is wanted.
    """

    sampler: EpochSampler

    def __init__(self, dataset: Dataset, sampler: EpochSampler, **options: Any) -> None:
        super().__init__(dataset, sampler=sampler, batch_size=None, **options)

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        for batch in super().__iter__():
            self.sampler.position += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Return the number of batches that were handed out."""
        return {"position": self.sampler.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on behind the batches that were handed out."""
        self.sampler.position = state["position"]


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
