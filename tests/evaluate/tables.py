"""Made-up predictions with known errors."""

import numpy as np

from mdzoo.evaluate import Predictions


def table(rng, n_atoms, noise=0.1):
    n_atoms = np.asarray(n_atoms)
    n, structure = len(n_atoms), np.repeat(np.arange(len(n_atoms)), n_atoms)
    none = np.full(len(structure), np.nan)
    energy, forces, stress = rng.normal(size=n), rng.normal(size=(len(structure), 3)), rng.normal(size=(n, 3, 3))
    return Predictions(
        energy + noise * rng.normal(size=n),
        energy,
        np.zeros(n),
        forces + noise * rng.normal(size=forces.shape),
        forces,
        stress + noise * rng.normal(size=stress.shape),
        stress,
        none,
        none,
        n_atoms,
        structure,
        np.asarray([("bulk", "slab")[i % 2] for i in range(n)], dtype=object),
    )
