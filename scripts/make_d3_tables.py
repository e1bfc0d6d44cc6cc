"""Write the published tables of D3 into the package: `python scripts/make_d3_tables.py`, with tad-dftd3 installed.

C6 coefficients are whole multiples of 1e-4 Hartree Bohr^6 and are kept as such, so nothing is rounded.
"""

from pathlib import Path

import numpy as np
import torch
from tad_dftd3.data import R4R2
from tad_dftd3.reference import Reference
from tad_mctc.data import radii

TARGET = Path(__file__).resolve().parents[1] / "mdzoo" / "potentials" / "d3_tables.npz"


def main() -> None:
    """Keep C6 of each pair of elements Z <= Z' and of the references that both have, row by row."""
    reference = Reference(dtype=torch.double)
    cn, c6 = reference.cn.numpy(), reference.c6.numpy()
    n = len(cn)
    first, second = np.triu_indices(n)
    known = (cn[first][:, :, None] >= 0.0) & (cn[second][:, None, :] >= 0.0)
    numbers = np.rint(1e4 * c6[first, second][known]).astype(np.int32)
    assert np.abs(1e-4 * numbers - c6[first, second][known]).max() < 1e-8
    kept = {
        "cn": cn,
        "r4r2": R4R2(dtype=torch.double)[:n].numpy(),
        "radii": radii.COV_D3(dtype=torch.double)[:n].numpy(),
    }
    np.savez_compressed(TARGET, c6=numbers, **kept)


if __name__ == "__main__":
    main()
