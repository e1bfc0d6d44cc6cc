"""D3 as LAMMPS's pair style."""

import torch
from ase.data import chemical_symbols

from mdzoo.export.native.style import Style
from mdzoo.potentials import D3
from mdzoo.potentials.d3 import FUNCTIONALS

NAMES = {"bp": "b-p", **{name: name for name in ("hse06", "pbe", "pbe0", "pbesol", "revpbe", "tpss")}}  # LAMMPS's


def write_d3(potential: D3, atomic_numbers: list[int]) -> Style:
    """Return `dispersion/d3`, which knows some functionals by name and cuts plainly.

    Raises:
        ValueError: other parameters, or another truncation.
    """
    held = torch.cat([potential.s6(), potential.s8(), potential.a1(), potential.a2()]).detach().double()
    for ours, name in NAMES.items():
        published = torch.tensor([1.0, *FUNCTIONALS[ours]], dtype=torch.float64)
        if torch.allclose(held, published, rtol=1e-6) and not potential.switched:
            settings = f"bj {name} {potential.cutoff!r} {potential.cn_cutoff!r}"
            symbols = " ".join(chemical_symbols[z] for z in atomic_numbers)
            return Style("dispersion/d3", settings, [("* *", symbols)], {})
    raise ValueError(
        f"`d3` must have the parameters of one of {list(NAMES)} and truncation=plain, got s6, s8, a1, a2 = "
        f"{held.tolist()} and truncation={'switched' if potential.switched else 'plain'}; LAMMPS has no others: export "
        "it as TorchScript"
    )
