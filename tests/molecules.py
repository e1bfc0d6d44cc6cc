"""A tiny molecular force field for the structures of the zoo."""

from collections.abc import Sequence


def molecule_of(numbers: list[int], chain: Sequence[int] = ()) -> dict:
    """Every kind of term along a chain of atoms; no two atoms half a cell apart in the crystal are in one term."""
    pairs = [[i, j] for i, j in zip(chain, chain[1:], strict=False)]
    rows: dict = {"title": str(numbers), "numbers": numbers, "types": [z % 2 for z in numbers]}
    rows["charges"] = [i % 4 if i < len(numbers) // 2 * 2 else 4 for i in range(len(numbers))]
    rows |= {"bonds": [[*p, k % 2] for k, p in enumerate(pairs)], "exclusions": pairs}
    rows["angles"] = [[*chain[k : k + 3], 0] for k in range(len(chain) - 2)]
    if len(chain) == 4:
        i, j, k, m = chain
        rows |= {"torsions": [[*chain, 0], [*chain, 1]], "impropers": [[j, i, k, m, 0]], "urey_bradley": [[i, k, 0]]}
        rows |= {"cmaps": [[*chain, m, j, i, k, 0]], "pairs": [[j, m, 0]]}
    return rows


def force_field() -> dict:
    """Every kind of term, and topologies of all structures that the promises are tried with."""
    crystal, molecule, slab = [14, 42, 14, 42], [42, 14, 42, 14, 42], [14, 42, 14]
    leaving = [[14, 42, 14, 42, 14], [14, 42, 14, 42, 42]]
    topologies = [molecule_of(crystal, [1, 0, 3, 2]), molecule_of(molecule, [0, 1, 2, 3]), molecule_of(slab, [0, 2, 1])]
    topologies += [molecule_of(numbers) for numbers in [[14, 42], *leaving, [14 + 28 * (i % 2) for i in range(201)]]]
    return {
        "topologies": topologies,
        "bonds": {"labels": ["a", "b"], "k": [3, 2], "length": [2, 2.2]},
        "angles": {"labels": ["a"], "k": [1], "angle": [1.8]},
        "urey_bradley": {"labels": ["a"], "k": [1.5], "length": [3]},
        "torsions": {"labels": ["a", "b"], "k": [0.3, -0.2], "phase": [0, 0.4], "periodicity": [1, 3]},
        "impropers": {"labels": ["a"], "k": [0.7], "angle": [0.2]},
        "cmaps": {"labels": ["a"], "energy": [[[0, 0.3, -0.1], [0.2, -0.4, 0.5], [0.1, 0.2, -0.6]]]},
        "atoms": {"labels": ["a", "b"], "sigma": [2, 1.8], "epsilon": [0.1, 0.3]},
        "nbfix": {"labels": ["a-b"], "pairs": [[0, 1]], "sigma": [1.7], "epsilon": [0.2]},
        "charges": {"labels": ["a", "b", "c", "d", "e"], "charge": [0.3, -0.3, 0.5, -0.5, 0]},
        "pairs": {"labels": ["a"], "lj_scale": [0.5], "charge_scale": [0.8], "sigma": [1.5], "epsilon": [0.1]},
    }
