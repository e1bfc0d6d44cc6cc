"""Which structures train, which test: by fraction, by group, and folds for choosing hyperparameters."""

from collections.abc import Sequence

import numpy as np
from ase import Atoms

Twins = Sequence[int] | np.ndarray


def by_fraction(groups: Sequence[str], fraction: float, seed: int) -> np.ndarray:
    """Return the indices of a random part of the structures, `fraction` of each group (stratified), ascending.

    Each group gives its share rounded down; those with the largest remainders give one more until the whole is met.
    """
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"`fraction` must lie between 0 and 1, got {fraction}; give the part that is held out")
    rng = np.random.default_rng([seed, 1])
    names = sorted(set(groups))
    members = [np.flatnonzero(np.asarray(groups) == name) for name in names]
    shares = np.array([len(m) * fraction for m in members])
    counts = np.floor(shares).astype(int)
    more = int(round(shares.sum())) - counts.sum()
    counts[np.argsort(counts - shares, kind="stable")[:more]] += 1
    return np.sort(np.concatenate([rng.permutation(m)[:c] for m, c in zip(members, counts, strict=True)]))


def by_group(groups: Sequence[str], left_out: Sequence[str]) -> np.ndarray:
    """Return the indices of the structures of the groups that are left out."""
    for name in left_out:
        if name not in groups:
            raise ValueError(f"`left_out` must name groups of the data {sorted(set(groups))}, got {name!r}; correct it")
    return np.flatnonzero(np.isin(np.asarray(groups), list(left_out)))


def trajectory_of(atoms: Atoms) -> str:
    """Return the description of a structure without its numbers, which count snapshots, strains or temperatures."""
    text = str(atoms.info.get("description", atoms.info.get("config_type", "")))
    return "".join(c for c in text if not (c.isdigit() or c in ".+-"))


def blocks(frames: Sequence[Atoms], groups: Sequence[str], twins: Twins, length: int) -> np.ndarray:
    """Return to which block each structure belongs; the structures of a block are alike.

    Structures of the same group, composition and description (numbers taken out) form a family. In the order of the
    file a family is cut into runs of `length`, for neighbours in a trajectory are alike. A family half of
    which are twins is a list of strains, no trajectory: its blocks are single structures. Blocks that hold twins of one
    another are joined.
    """
    families: dict[tuple[str, str, str], list[int]] = {}
    for k, atoms in enumerate(frames):
        family = (groups[k], atoms.get_chemical_formula(), trajectory_of(atoms))
        families.setdefault(family, []).append(k)
    block = np.zeros(len(frames), dtype=np.int64)
    count = 0
    kinds = np.asarray(twins)
    for members in families.values():
        _, class_of, sizes = np.unique(kinds[members], return_inverse=True, return_counts=True)
        step = length if (sizes[class_of] > 1).mean() < 0.5 else 1
        for start in range(0, len(members), step):
            block[members[start : start + step]] = count
            count += 1
    return _join_twins(block, kinds)


def _join_twins(block: np.ndarray, twins: np.ndarray) -> np.ndarray:
    """Return the blocks with those joined that hold structures of one class of twins."""
    parent = np.arange(block.max(initial=0) + 1)

    def root(k: int) -> int:
        while parent[k] != k:
            k = parent[k]
        return k

    for kind in np.unique(twins):
        mine = block[twins == kind]
        for other in mine[1:]:
            parent[root(other)] = root(mine[0])
    return np.array([root(k) for k in block])


def grouped_folds(frames: Sequence[Atoms], groups: Sequence[str], twins: Twins, n: int, seed: int) -> np.ndarray:
    """Return the fold (0 ... n-1) of each structure, for cross-validation on training data.

    Frames that follow one another in a trajectory, and frames that are copies of one another by symmetry, are not
    independent: a fold takes whole blocks (see `blocks`; runs of 4 structures). Within each group the blocks, in random
    order, go to the fold that has fewest of that group's atoms so far, so that each fold looks like the whole.
    """
    if not 2 <= n <= len(frames):
        raise ValueError(f"`n` must be between 2 and the number of structures {len(frames)}, got {n}; choose folds")
    block = blocks(frames, groups, twins, 4)
    sizes = np.array([len(atoms) for atoms in frames])
    fold = np.zeros(len(frames), dtype=np.int64)
    rng = np.random.default_rng([seed, 2])
    total = np.zeros(n)
    for name in sorted(set(groups)):
        filled = np.zeros(n)
        for b in rng.permutation(np.unique(block[np.asarray(groups) == name])):
            mine = block == b
            if groups[int(np.flatnonzero(mine)[0])] != name:
                continue
            k = int(np.lexsort((total, filled))[0])
            fold[mine] = k
            filled[k] += sizes[mine].sum()
            total[k] += sizes[mine].sum()
    return fold
