"""From structures as read to labels as fitted: what is there, what is absent, what is masked, and a word about each."""

import logging
from collections.abc import Sequence

import numpy as np
from ase import Atoms

from mdzoo.data.keys import LABELS, Keys, Row, entries, extract, missing_key
from mdzoo.data.masks import StressMask, check_groups
from mdzoo.data.neighbors import check_atoms
from mdzoo.data.weights import GroupWeights, group_weights

log = logging.getLogger(__name__)


def read_rows(frames: Sequence[Atoms], keys: Keys, split: str) -> list[Row]:
    """Return the labels of structures; what some of them lack is counted in the log.

    Raises:
        ValueError: a key that no structure has, unless its label is optional; a wrong shape; NaN.
    """
    check_keys(list(frames), keys, split)
    names = [str(atoms.info.get("_source", f"{split} structure {k}")) for k, atoms in enumerate(frames)]
    for atoms, name in zip(frames, names, strict=True):
        check_atoms(atoms, name)
    rows = [extract(atoms, keys, name) for atoms, name in zip(frames, names, strict=True)]
    for label in LABELS:
        absent = sum(getattr(row, label) is None for row in rows)
        if absent and keys.of(label):
            log.warning("%s: %d of %d structures have no %s; they count without", split, absent, len(rows), label)
    changes = [abs(row.from_free_energy) / len(atoms) for row, atoms in zip(rows, frames, strict=True)]
    corrected = [change for change in changes if change > 0.0]
    if corrected:
        log.warning(
            "%s: took free_energy, to which the forces belong, instead of energy in %d structures (up to %.3g eV/atom)",
            split,
            len(corrected),
            max(corrected),
        )
    return rows


def check_keys(frames: list[Atoms], keys: Keys, split: str) -> None:
    """Raise ValueError for a key that was asked for and that no structure has."""
    there = {name for atoms in frames for name in entries(atoms)}
    for label in LABELS:
        key = keys.of(label)
        is_virial = label == "stress" and keys.virial is not None
        found = key in there or (label == "energy" and key == "energy" and "free_energy" in there and keys.free_energy)
        if key is not None and not found and not keys.may_lack(label):
            remedy = f"set it, or list {label!r} in `optional` to go without ({split})"
            raise missing_key("virial_key" if is_virial else f"{label}_key", key, frames, remedy)
    for argument in ("group", "energy_weight", "forces_weight", "stress_weight", "charges"):
        key = getattr(keys, argument)
        if key is not None and key not in there and (argument, key) != ("group", "group"):
            raise missing_key(f"{argument}_key", key, frames, f"set it right ({split})")


def apply_rules(
    frames: Sequence[Atoms],
    rows: Sequence[Row],
    table: GroupWeights | None,
    masks: Sequence[StressMask],
    groups: Sequence[str],
    split: str,
) -> list[Row]:
    """Return the rows with the weights of their groups multiplied in and the masked stresses as NaN."""
    factors = group_weights(table, groups)
    for mask in masks:
        check_groups(mask.groups or [], groups, "stress_mask")
    masked = 0
    changed = []
    for atoms, row in zip(frames, rows, strict=True):
        stress = row.stress
        for mask in masks:
            if stress is not None and mask.holds_for(atoms, row.group):
                stress = mask.apply(stress)
        masked += stress is not None and bool(np.isnan(stress).any())
        own, group = row.weights, factors[row.group]
        weights = (own[0] * group[0], own[1] * group[1], own[2] * group[2])
        changed.append(row._replace(stress=stress, weights=weights))
    if masked:
        log.info("%s: stress components are masked in %d of %d structures", split, masked, len(rows))
    return changed
