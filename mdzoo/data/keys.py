"""Which entry of a structure is which label: keys, shapes, units and signs."""

import difflib
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress

LABELS = ("energy", "forces", "stress")
OWN = {"numbers", "positions", "_source"}


@dataclass(frozen=True)
class Keys:
    """The names under which structures carry their labels; None leaves a label out.

    Arguments:
        energy: total energy, eV. Where a calculation gives `free_energy` beside the default key `energy` (smearing),
            the free energy is taken, for the forces belong to it, unless `free_energy` is False.
        forces: eV/Angstrom, (N, 3).
        stress: eV/Angstrom^3 in ASE's sign, positive under tension; (3, 3), or 9 numbers by rows, or 6 in ASE's order
            xx yy zz yz xz xy.
        virial: instead of a stress, eV, `-dE/dstrain = sum r (x) f`, positive under compression (the sign of LAMMPS and
            QUIP); `stress = -virial / volume`.
        group: name of the group that a structure belongs to.
        energy_weight: factor on the structure's squared error of the energy; `forces_weight`, `stress_weight` likewise.
        charges: array of given charges, e.
        optional: labels (energy, forces, stress) that may be absent everywhere or NaN.
    """

    energy: str | None = "energy"
    forces: str | None = "forces"
    stress: str | None = "stress"
    virial: str | None = None
    group: str = "group"
    energy_weight: str | None = None
    forces_weight: str | None = None
    stress_weight: str | None = None
    charges: str | None = None
    free_energy: bool = True
    optional: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        for label in self.optional:
            if label not in LABELS:
                raise ValueError(f"`optional` must be some of {list(LABELS)}, got {label!r}; name labels, not keys")

    def of(self, label: str) -> str | None:
        """Return the key of a label; a virial stands for the stress."""
        return self.virial if label == "stress" and self.virial else getattr(self, label)

    def may_lack(self, label: str) -> bool:
        """Say whether the label may be absent from all structures: stress may, unless its key was chosen."""
        return self.of(label) is None or label in self.optional or (label == "stress" and self.of(label) == "stress")


class Row(NamedTuple):
    """The labels of one structure, None where absent."""

    energy: float | None  # eV
    forces: np.ndarray | None  # (N, 3) eV/Angstrom
    stress: np.ndarray | None  # (3, 3) eV/Angstrom^3
    group: str
    weights: tuple[float, float, float]  # energy, forces, stress
    from_free_energy: float  # free energy minus energy, eV, 0 where there is no difference


def entries(atoms: Atoms) -> dict[str, Any]:
    """Return all that a structure carries; ASE moves some keys of a file into a calculator."""
    results = {} if atoms.calc is None else atoms.calc.results
    found = {**atoms.arrays, **atoms.info, **{k: v for k, v in results.items() if v is not None}}
    return {key: value for key, value in found.items() if key not in OWN}


def missing_key(argument: str, key: str, frames: list[Atoms], remedy: str) -> ValueError:
    """Return the error for a key that no structure has: it lists those there are, and the nearest."""
    there = sorted({name for atoms in frames for name in entries(atoms)})
    near = difflib.get_close_matches(key, there, 1, 0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return ValueError(f"`{argument}` must be a key of the data ({there}), got {key!r}; {hint}{remedy}")


def extract(atoms: Atoms, keys: Keys, name: str) -> Row:
    """Return the labels of one structure; ValueError on a wrong shape, on what is no number, and on NaN."""
    there = entries(atoms)
    energy, correction = _energy(there, keys)
    energy = _checked(energy, "energy", (), keys, name)
    forces = _checked(there.get(keys.forces or ""), "forces", (len(atoms), 3), keys, name)
    weights = tuple(_weight(there, getattr(keys, f"{label}_weight"), label, name) for label in LABELS)
    return Row(
        None if energy is None else float(energy),
        forces,
        _stress(atoms, there, keys, name),
        str(there.get(keys.group, "all")),
        weights,  # type: ignore[arg-type]
        correction if energy is not None else 0.0,
    )


def _energy(there: dict[str, Any], keys: Keys) -> tuple[Any, float]:
    """Return the energy that the forces belong to, and by how much it differs from ASE's `energy`."""
    energy = there.get(keys.energy or "")
    free = there.get("free_energy") if keys.free_energy and keys.energy == "energy" else None
    if free is None:
        return energy, 0.0
    return free, 0.0 if energy is None else float(free) - float(energy)


def _checked(value: Any, label: str, shape: tuple[int, ...], keys: Keys, name: str) -> np.ndarray | None:
    """Return the label as an array of `shape`, None where it is absent or, if optional, NaN."""
    if value is None:
        return None
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{label}` must be numbers, got {value!r} in {name}; check {label}_key") from error
    if shape == () and array.size == 1:
        array = array.reshape(())
    if array.shape != shape:
        raise ValueError(f"`{label}` must have the shape {shape}, got {array.shape} in {name}; check {label}_key")
    if np.isfinite(array).all():
        return array
    if label in keys.optional:
        return None
    raise ValueError(
        f"`{label}` must be finite, got NaN or infinity in {name}; drop the structure, or list {label!r} in `optional`"
    )


def _stress(atoms: Atoms, there: dict[str, Any], keys: Keys, name: str) -> np.ndarray | None:
    """Return the stress (3, 3) in eV/Angstrom^3; None where there is none, or no cell."""
    value = there.get(keys.of("stress") or "")
    if value is None or atoms.cell.rank < 3:
        return None
    array = np.asarray(value, dtype=np.float64)
    if array.shape == (6,):
        array = voigt_6_to_full_3x3_stress(array)
    if array.shape == (9,):
        array = array.reshape(3, 3)
    checked = _checked(array, "stress", (3, 3), keys, name)
    if checked is None:
        return None
    if np.abs(checked - checked.T).max() > 1e-5 + 1e-3 * np.abs(checked).max():
        raise ValueError(f"`stress` must be symmetric, got {checked.tolist()} in {name}; check the order of components")
    symmetric = 0.5 * (checked + checked.T)
    return -symmetric / atoms.get_volume() if keys.virial else symmetric


def _weight(there: dict[str, Any], key: str | None, label: str, name: str) -> float:
    """Return the structure's own weight of a label, 1 where it has none."""
    value = float(there.get(key, 1.0)) if key else 1.0
    if not (value >= 0.0 and np.isfinite(value)):
        raise ValueError(f"`{label}_weight` must be at least 0, got {value} in {name}; correct the weight")
    return value
