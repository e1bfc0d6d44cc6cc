"""The data of a run: what is read, split, weighted and handed out in batches."""

import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from ase import Atoms

import mdzoo
from mdzoo.data.cache import hash_structures
from mdzoo.data.dataset import Storage, StructureSet
from mdzoo.data.keys import Keys, Row, entries
from mdzoo.data.masks import stress_masks
from mdzoo.data.readers import Source, named_datasets, read
from mdzoo.data.reference_energies import reference_energies
from mdzoo.data.rows import apply_rules, read_rows
from mdzoo.data.sampler import EpochSampler, Loader, ranks, worker_options
from mdzoo.data.splits import by_fraction, by_group, grouped_folds
from mdzoo.data.twins import twin_classes, twins
from mdzoo.data.weights import GroupWeights

log = logging.getLogger(__name__)
SPLITS = ("train", "val", "test")


class DataModule(pl.LightningDataModule):
    """Structures with energies, forces and stresses, read by ASE and handed out as batches of graphs.

    Arguments:
        train: file, folder, glob, name of a data set of mdzoo (`silicon`), ASE structures, or a list of these; None
            where a model is only evaluated.
        val: the same, for validation; or see `val_fraction`, `val_groups`.
        test: the same, for testing; a named data set brings its own test file.
        energy_key: total energy, eV. With the default, ASE's `free_energy` is taken where it is given (see `Keys`).
        forces_key: eV/Angstrom. None does without.
        stress_key: eV/Angstrom^3, ASE's sign and order.
        virial_key: instead of stress_key, eV, `-dE/dstrain` (LAMMPS's sign); `stress = -virial / volume`.
        group_key: name of the structure's group.
        energy_weight_key: factor on the structure's squared error; likewise `forces_weight_key`, `stress_weight_key`.
        charges_key: array of given charges, e.
        optional: labels among energy, forces, stress that may be absent everywhere or NaN.
        free_energy: whether `free_energy` comes before `energy`.
        group_weights: `{group: {energy: 10, forces: 1, stress: 0}}`, factors on squared errors.
        stress_mask: rules that leave stress components out (see `stress_masks`).
        val_fraction: part of the training structures that validates, stratified by group and seeded.
        test_fraction: part that tests.
        val_groups: groups left out of training for validation.
        test_groups: groups left out for testing.
        atomic_numbers: element table; by default the sorted elements of the training data.
        energies: reference energies: auto, isolated, least_squares, zero or numbers (see `reference_energies`).
        cutoff: radius of the graphs, Angstrom; may be set later.
        batch_size: structures in one step, summed over ranks.
        seed: of the splits and of the order of training.
        workers: processes of each loader.
        cache: whether neighbour lists are kept on disk.
        cache_directory: where; by default `$MDZOO_CACHE_DIR` or the user's cache folder.
        cache_limit: bytes that it may hold.
        memory_limit: bytes of graphs that are kept in memory.
    """

    def __init__(
        self,
        train: Source | None,
        val: Source | None = None,
        test: Source | None = None,
        *,
        energy_key: str | None = "energy",
        forces_key: str | None = "forces",
        stress_key: str | None = "stress",
        virial_key: str | None = None,
        group_key: str = "group",
        energy_weight_key: str | None = None,
        forces_weight_key: str | None = None,
        stress_weight_key: str | None = None,
        charges_key: str | None = None,
        optional: Sequence[str] = (),
        free_energy: bool = True,
        group_weights: GroupWeights | None = None,
        stress_mask: Any = None,
        val_fraction: float = 0.0,
        test_fraction: float = 0.0,
        val_groups: Sequence[str] = (),
        test_groups: Sequence[str] = (),
        atomic_numbers: Sequence[int] | None = None,
        energies: str | Sequence[float] = "auto",
        cutoff: float = 5.0,
        batch_size: int = 8,
        seed: int = 0,
        workers: int = 0,
        cache: bool = True,
        cache_directory: str | Path | None = None,
        cache_limit: float = 5e9,
        memory_limit: float = 2e9,
    ) -> None:
        super().__init__()
        self.sources: dict[str, Source | None] = {"train": train, "val": val, "test": test}
        if all(source is None for source in self.sources.values()):
            raise ValueError("`train` must name data, got None for train, val and test; set data.train=PATH")
        self.keys = Keys(
            energy=energy_key,
            forces=forces_key,
            stress=stress_key,
            virial=virial_key,
            group=group_key,
            energy_weight=energy_weight_key,
            forces_weight=forces_weight_key,
            stress_weight=stress_weight_key,
            charges=charges_key,
            free_energy=free_energy,
            optional=tuple(optional),
        )
        self.group_weights = group_weights
        self.stress_masks = stress_masks(stress_mask)
        self.held_out = {"test": (test_fraction, list(test_groups)), "val": (val_fraction, list(val_groups))}
        self.atomic_numbers: list[int] = list(atomic_numbers or [])
        self.energies = energies
        self._cutoff = float(cutoff)
        self.batch_size = int(batch_size)
        self.seed = int(seed)
        self.workers = int(workers)
        directory = Path(cache_directory) if cache_directory else mdzoo.cache_directory()
        self.storage = Storage(directory if cache else None, cache_limit, memory_limit, os.cpu_count() or 1)
        self.groups: list[str] = []
        self.content_hash = ""
        self._training: Loader | None = None
        self._position = 0
        self.train_set: StructureSet | None = None
        self.val_set: StructureSet | None = None
        self.test_set: StructureSet | None = None

    @property
    def cutoff(self) -> float:
        """Radius of the graphs, Angstrom."""
        return self._cutoff

    @cutoff.setter
    def cutoff(self, cutoff: float) -> None:
        self._cutoff = float(cutoff)
        for part in self.sets().values():
            part.cutoff = self._cutoff

    def sets(self) -> dict[str, StructureSet]:
        """Return the sets that there are, by split."""
        found = {split: getattr(self, f"{split}_set") for split in SPLITS}
        return {split: part for split, part in found.items() if part is not None}

    def setup(self, stage: str | None = None) -> None:
        """Read, split and label all structures, once; without validation data a trainer does not validate."""
        if not self.sets():
            self._load()
        if self.val_set is None and self.trainer is not None:
            self.trainer.limit_val_batches = 0

    def _load(self) -> None:
        """Read, split and label all structures."""
        frames = self._split(self._read())
        rows = {split: read_rows(part, self.keys, split) for split, part in frames.items()}
        self.groups = sorted({row.group for part in rows.values() for row in part})
        if not self.atomic_numbers:
            first = frames.get("train") or [atoms for part in frames.values() for atoms in part]
            self.atomic_numbers = sorted({int(z) for atoms in first for z in atoms.numbers})
        for split, part in frames.items():
            table = self.group_weights if split == "train" else None
            labelled = apply_rules(part, rows[split], table, self.stress_masks, self.groups, split)
            setattr(self, f"{split}_set", self._set(part, labelled))
        self.content_hash = self._hash()
        log.info("data: %s", ", ".join(f"{split} {len(part)} structures" for split, part in self.sets().items()))

    def _read(self) -> dict[str, list[Atoms]]:
        """Return the structures of each source; a named data set brings its own test file."""
        sources = dict(self.sources)
        train = sources["train"]
        cut = self.held_out["test"]
        if sources["test"] is None and isinstance(train, str) and not cut[0] and not cut[1]:
            sources["test"] = train if "test" in named_datasets().get(train, {}) else None
        return {split: read(source, split) for split, source in sources.items() if source is not None}

    def _split(self, frames: dict[str, list[Atoms]]) -> dict[str, list[Atoms]]:
        """Take the test structures, then those for validation, out of the training structures."""
        for split, (fraction, left_out) in self.held_out.items():
            if not fraction and not left_out:
                continue
            if split in frames or "train" not in frames:
                raise ValueError(
                    f"`{split}` must come from one place, got a file and {split}_fraction or {split}_groups; choose one"
                )
            groups = [str(entries(atoms).get(self.keys.group, "all")) for atoms in frames["train"]]
            out = by_group(groups, left_out) if left_out else by_fraction(groups, fraction, self.seed)
            chosen = set(out.tolist())
            frames[split] = [frames["train"][k] for k in sorted(chosen)]
            frames["train"] = [atoms for k, atoms in enumerate(frames["train"]) if k not in chosen]
        for split, part in frames.items():
            if not part:
                raise ValueError(f"`{split}` must hold at least one structure, got 0; change the split")
        return frames

    def _set(self, frames: list[Atoms], rows: list[Row]) -> StructureSet:
        return StructureSet(
            frames, rows, self.atomic_numbers, self.groups, self._cutoff, self.storage, self.keys.charges
        )

    def _hash(self) -> str:
        """Return the SHA-256 of structures, labels and weights, for logs and model files."""
        digest = hashlib.sha256()
        for split, part in self.sets().items():
            digest.update(hash_structures(part.frames, split).encode())
            for atoms, row in zip(part.frames, part.rows, strict=True):
                digest.update(np.ascontiguousarray(atoms.numbers, dtype="<i8").tobytes())
                for value in (row.energy, row.forces, row.stress, row.weights):
                    digest.update(np.asarray(np.nan if value is None else value, dtype="<f8").tobytes())
                digest.update(row.group.encode())
        return digest.hexdigest()

    def atomic_energies(self, source: str | Sequence[float] | None = None) -> list[float]:
        """Return one reference energy (eV) for each element, from the training data (see `reference_energies`)."""
        part = self._needed("train")
        energies = [np.nan if energy is None else energy for energy in part.energies]
        return reference_energies(
            self.energies if source is None else source, part.frames, energies, self.atomic_numbers
        )

    def folds(self, n: int, seed: int | None = None) -> np.ndarray:
        """Return the fold of each training structure, for grouped cross-validation (see `grouped_folds`)."""
        part = self._needed("train")
        kinds = twin_classes(part.frames, part.energies)
        return grouped_folds(part.frames, part.groups, kinds, n, self.seed if seed is None else seed)

    def twins(self) -> np.ndarray:
        """Return for each test structure the training structure that is its copy by symmetry, else -1."""
        train, test = self._needed("train"), self._needed("test")
        return twins(train.frames, test.frames, train.energies, test.energies)

    def loader(self, part: StructureSet, shuffle: bool = False, batch_size: int | None = None) -> Loader:
        """Return a loader that hands out each structure once in an epoch; this rank's share of each batch."""
        rank, size = ranks()
        sampler = EpochSampler(len(part), batch_size or self.batch_size, self.seed, shuffle, rank, size)
        if self.workers:
            part.prepare()
        return Loader(part, sampler, **worker_options(self.workers))

    def train_dataloader(self) -> Loader:
        """Return the training batches, in an order that depends on the seed and the batches handed out so far."""
        self._training = self.loader(self._needed("train"), shuffle=True)
        self._training.load_state_dict({"position": self._position})
        self._position = 0
        return self._training

    def state_dict(self) -> dict[str, int]:
        """Return how many training batches were handed out; Lightning keeps it in its checkpoints."""
        return {"position": self._position} if self._training is None else self._training.state_dict()

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Let the next training loader go on behind these batches."""
        self._position = state_dict["position"]

    def val_dataloader(self) -> Loader | list:
        """Return the validation batches, none without validation data."""
        return [] if self.val_set is None else self.loader(self.val_set)

    def test_dataloader(self) -> Loader:
        """Return the test batches."""
        return self.loader(self._needed("test"))

    def _needed(self, split: str) -> StructureSet:
        """Return a set, or say that it is missing."""
        self.setup()
        part = self.sets().get(split)
        if part is None:
            raise ValueError(f"`{split}` must name data, got None; set data.{split}=PATH or data.{split}_fraction")
        return part
