"""Structures that calibrate must not be among those that train."""

import hashlib
from typing import Any

import numpy as np


def check_apart(train: Any, other: Any) -> None:
    """Refuse a calibration set that holds structures of the training set.

    Arguments:
        train: data set with `frames`.
        other: likewise.

    Raises:
        ValueError: some are in both.
    """
    known = {mark(atoms) for atoms in train.frames}
    both = [i for i, atoms in enumerate(other.frames) if mark(atoms) in known]
    if both:
        raise ValueError(
            f"`calibration` must be on structures that did not train, got {len(both)} of {len(other.frames)} that did "
            f"(places {both[:5]}); leave them out of one of the two sets"
        )


def mark(atoms: Any) -> str:
    """Return what tells one structure from another."""
    arrays = (atoms.numbers.astype("<i8"), atoms.positions.round(8) + 0.0, np.asarray(atoms.cell).round(8) + 0.0)
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()
