"""Parameter files of other codes, written from a potential that they can express."""

from pathlib import Path

from ase.data import chemical_symbols

from mdzoo.export.native.input import write_input as write_input
from mdzoo.export.native.lammps import INPUT, MODEL, write_hybrid, write_lammps
from mdzoo.export.native.mtp import write_mtp
from mdzoo.export.native.n2p2 import write_n2p2
from mdzoo.export.native.yace import write_yace
from mdzoo.potentials import ForceField


def write(form: str, folder: str | Path, force_field: ForceField) -> ForceField | None:
    """Write a model in a form of other codes into a folder; return what is left to be exported as model.pt, if any.

    Arguments:
        form: `mtp` (model.mtp), `yace` (model.yace), `n2p2` (input.nn, scaling.data and weights.NNN.data),
            `lammps_native` (pair.in and the files that it names) or `lammps_hybrid` (the same of the terms that LAMMPS
            has, beside a model.pt of the rest).
        folder: where the files go.
        force_field: the model.

    Raises:
        ValueError: there is no such form, or it cannot express the model.
    """
    if form == "mtp":
        write_mtp(Path(folder) / "model.mtp", force_field.potential)
    elif form == "yace":
        write_yace(Path(folder) / "model.yace", force_field)
    elif form == "n2p2":
        write_n2p2(folder, force_field)
    elif form == "lammps_native":
        write_lammps(folder, force_field)
    elif form == "lammps_hybrid":
        return write_hybrid(folder, force_field)
    else:
        raise ValueError(
            "`format` must be torchscript, aoti, metatomic, mtp, n2p2, yace, lammps_native or lammps_hybrid, got "
            f"{form}; say format=torchscript"
        )
    return None


def pair_lines(form: str, atomic_numbers: list[int], cutoff: float = 0.0) -> list[str]:
    """Return the lines by which an input of LAMMPS takes what was written in a form, none where LAMMPS does not."""
    symbols = " ".join(chemical_symbols[z] for z in atomic_numbers)
    known = {
        "torchscript": ["pair_style mdzoo", f"pair_coeff * * {MODEL} {symbols}"],
        "aoti": ["pair_style mdzoo", f"pair_coeff * * {MODEL}2 {symbols}"],
        "n2p2": [f'pair_style hdnnp {cutoff + 0.01!r} dir "./" cflength 1.0 cfenergy 1.0', f"pair_coeff * * {symbols}"],
        "yace": ["pair_style pace", f"pair_coeff * * model.yace {symbols}"],
        "lammps_native": [f"include {INPUT}"],
        "lammps_hybrid": [f"include {INPUT}"],
    }
    return known.get(form, [])
