"""How wrong, on average, and how sure of that: errors with bootstrap intervals, in all and for each group."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mdzoo.evaluate.predict import Array, Predictions, select

QUANTITIES = ("energy", "force", "stress", "charge")
SIX = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])  # ASE's order: xx yy zz yz xz xy


def metrics(table: Predictions, n_bootstrap: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Return the errors of `table` as plain numbers, in the layout of `metrics.json`.

    Energies are per atom (eV/atom), forces per component (eV/Angstrom), stresses over the six components
    (eV/Angstrom^3), charges per atom (e) where the model finds them; missing labels drop out, and a quantity without
    any label has no entry. `intervals` holds the central 95 % of `n_bootstrap` resamplings of whole structures: the
    frames are the independent draws, not the atoms.

    Arguments:
        table: predictions and labels.
        n_bootstrap: number of resamplings; 0 for none.
        seed: of the resampling.
    """
    sums = error_sums(table)
    out: dict[str, Any] = plain_errors(table, sums)
    if n_bootstrap > 0 and len(table.energy) > 1:
        out["intervals"] = intervals(sums, len(table.energy), n_bootstrap, seed)
    parts = {name: select(table, table.group == name) for name in sorted(set(table.group))}
    out["groups"] = {name: plain_errors(part, error_sums(part)) for name, part in parts.items()}
    return out


def plain_errors(table: Predictions, sums: dict[str, Array]) -> dict[str, Any]:
    """Return the errors and counts of all structures of `table`."""
    found = errors(sums, np.ones((1, len(table.energy))))
    out: dict[str, Any] = {key: float(value[0]) for key, value in found.items()}
    return out | {"n_structures": len(table.energy), "n_atoms": int(table.n_atoms.sum())}


def error_sums(table: Predictions) -> dict[str, Array]:
    """Return, for each quantity, the (S, 3) sums over each structure of: labels, absolute errors, squared errors."""
    n = len(table.energy)
    energy = (table.energy - table.energy_label) / table.n_atoms
    stress = (table.stress - table.stress_label)[:, SIX[0], SIX[1]]
    per_structure = np.arange(n)
    return {
        "energy": sum_rows(energy.reshape(-1, 1), per_structure, n),
        "force": sum_rows(table.forces - table.forces_label, table.structure, n),
        "stress": sum_rows(stress, per_structure, n),
        "charge": sum_rows((table.charges - table.charges_label).reshape(-1, 1), table.structure, n),
    }


def sum_rows(error: Array, structure: Array, n: int) -> Array:
    """Return (n, 3): how many components of `error` are known, their absolute sum and their sum of squares."""
    known = np.isfinite(error)
    value = np.where(known, error, 0.0)
    columns = [known.sum(1), np.abs(value).sum(1), np.square(value).sum(1)]
    return np.stack([np.bincount(structure, column, minlength=n) for column in columns], 1)


def errors(sums: dict[str, Array], draws: Array) -> dict[str, Array]:
    """Return MAE and RMSE of each quantity for `draws` (B, S), how often each structure counts; (B,) each."""
    out = {}
    for quantity in QUANTITIES:
        count, absolute, squared = (draws @ sums[quantity]).T
        if sums[quantity][:, 0].sum() > 0:
            with np.errstate(invalid="ignore"):
                out[f"{quantity}_mae"] = absolute / count
                out[f"{quantity}_rmse"] = np.sqrt(squared / count)
    return out


def intervals(sums: dict[str, Array], n: int, n_bootstrap: int, seed: int) -> dict[str, list[float]]:
    """Return the central 95 % of each error over resamplings of the structures with replacement."""
    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=n_bootstrap)
    found = errors(sums, draws.astype(float))
    return {key: np.nanpercentile(value, [2.5, 97.5]).tolist() for key, value in found.items()}


def without_twins(table: Predictions, twins: Sequence[int], **keys: Any) -> dict[str, Any] | None:
    """Return the metrics without the structures whose places `twins` lists, or None where none or all are listed."""
    keep = np.ones(len(table.energy), dtype=bool)
    keep[list(twins)] = False
    if keep.all() or not keep.any():
        return None
    return metrics(select(table, keep), **keys)
