"""What an atom alone is worth: reference energies of the elements."""

import logging
from collections.abc import Sequence

import numpy as np
from ase import Atoms

log = logging.getLogger(__name__)


def composition(frames: Sequence[Atoms], atomic_numbers: Sequence[int]) -> np.ndarray:
    """Return how many atoms of each element each structure has, (S, elements)."""
    return np.array([[int((atoms.numbers == z).sum()) for z in atomic_numbers] for atoms in frames], dtype=np.float64)


def isolated(frames: Sequence[Atoms], closest_image: float = 8.0) -> np.ndarray:
    """Say which structures are one atom alone: not periodic, or in a box whose images are `closest_image` (A) away."""
    alone = [len(a) == 1 and (not a.pbc.any() or _nearest_image(a) >= closest_image) for a in frames]
    return np.array(alone, dtype=bool)


def _nearest_image(atoms: Atoms) -> float:
    """Return the length (Angstrom) of the shortest sum of up to one periodic vector of each direction."""
    steps = np.array(np.meshgrid(*[[-1, 0, 1] if p else [0] for p in atoms.pbc])).reshape(3, -1).T
    lengths = np.linalg.norm(steps[np.abs(steps).sum(1) > 0] @ atoms.cell.array, axis=1)
    return float(lengths.min())


def isolated_energies(
    frames: Sequence[Atoms], energies: Sequence[float], atomic_numbers: Sequence[int]
) -> list[float] | None:
    """Return the energies of isolated atoms, None unless each element has one; the lowest counts."""
    alone = isolated(frames) & np.isfinite(energies)
    found: dict[int, float] = {}
    for k in np.flatnonzero(alone).tolist():
        z = int(frames[k].numbers[0])
        found[z] = min(found.get(z, np.inf), float(energies[k]))
    if not set(atomic_numbers) <= set(found):
        return None
    return [found[z] for z in atomic_numbers]


def least_squares_energies(
    frames: Sequence[Atoms], energies: Sequence[float], atomic_numbers: Sequence[int]
) -> list[float]:
    """Return the energies e_z that minimise `sum_j (E_j / N_j - sum_z n_jz e_z / N_j)^2`.

    Where compositions do not fix them all (a compound of one composition), the smallest solution is taken.
    """
    energy = np.asarray(energies, dtype=np.float64)
    use = np.isfinite(energy)
    if not use.any():
        raise ValueError("`energies` must hold at least one number for least squares, got none; give them")
    counts = composition(frames, atomic_numbers)[use]
    atoms = counts.sum(1, keepdims=True)
    solution, _, rank, _ = np.linalg.lstsq(counts / atoms, energy[use] / atoms[:, 0], rcond=1e-10)
    if rank < len(atomic_numbers):
        log.warning("compositions fix %d of %d reference energies: the smallest are taken", rank, len(atomic_numbers))
    return [float(e) for e in solution]


def reference_energies(
    source: str | Sequence[float],
    frames: Sequence[Atoms],
    energies: Sequence[float],
    atomic_numbers: Sequence[int],
) -> list[float]:
    """Return one energy (eV) for each element of the table.

    Arguments:
        source: `isolated` (from isolated atoms), `least_squares`, `auto` (the first if there are such for all elements,
            else the second), `zero`, or the numbers in the order of the table.
        frames: structures.
        energies: their energies, NaN where absent.
        atomic_numbers: the element table.
    """
    if not isinstance(source, str):
        if len(source) != len(atomic_numbers):
            raise ValueError(
                f"`source` must hold one energy for each of the {len(atomic_numbers)} elements, got {len(source)}; "
                f"give them in the order {list(atomic_numbers)}"
            )
        return [float(e) for e in source]
    if source not in ("auto", "isolated", "least_squares", "zero"):
        raise ValueError(
            f"`source` must be auto, isolated, least_squares, zero or a list of energies, got {source!r}; choose one"
        )
    if source == "zero":
        return [0.0 for _ in atomic_numbers]
    alone = isolated_energies(frames, energies, atomic_numbers) if source != "least_squares" else None
    if alone is None and source == "isolated":
        raise ValueError(
            f"`source` must be met by an isolated atom of each element {list(atomic_numbers)}, got 'isolated' and not "
            "all of them; add the atoms or use least_squares"
        )
    log.info("reference energies from %s", "isolated atoms" if alone is not None else "least squares over compositions")
    return alone if alone is not None else least_squares_energies(frames, energies, atomic_numbers)
