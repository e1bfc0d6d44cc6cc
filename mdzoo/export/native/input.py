"""An input of LAMMPS beside an exported model: dynamics of a structure, and on from where they ended."""

from pathlib import Path

import ase.io
from ase import Atoms
from ase.data import chemical_symbols

import mdzoo

TEXT = """\
# written by mdzoo {version}; in this folder: lmp -in in.lammps
# other settings by name: -var structure FILE -var temperature 600 -var steps 100000{real}
# from where a run ended: -var restart end.restart
# types of atoms: {types}
variable structure index structure.data
variable units index metal
variable fs index 1.0 # timestep
variable temperature index 300.0
variable steps index 1000
variable every index 100 # steps between two lines and frames

units ${{units}}
atom_style charge
atom_modify map yes
if "$(is_defined(variable,restart))" then "read_restart ${{restart}}" else "read_data ${{structure}}"
{pair}
if "${{units}} == real" then "timestep ${{fs}}" else "timestep $(1e-3*v_fs)"
neighbor 1.0 bin
neigh_modify every 1 delay 0 check yes
if "$(!is_defined(variable,restart))" then "velocity all create ${{temperature}} 1 dist gaussian"
fix move all nvt temp ${{temperature}} ${{temperature}} $(100*dt)
thermo ${{every}}
thermo_style custom step temp pe etotal press vol
dump frames all custom ${{every}} trajectory.lammpstrj id type x y z
run ${{steps}}
write_restart end.restart
"""


def write_input(
    folder: str | Path, pair: list[str], atomic_numbers: list[int], structure: Atoms | None, real: bool = False
) -> Path:
    """Write `in.lammps`, and `structure.data` where there is a structure.

    Arguments:
        folder: where the files go, beside those that `pair` names.
        pair: the lines of the pair style.
        atomic_numbers: the element table; type k is species k - 1.
        structure: what is run where no other is named.
        real: whether the pair style runs in units real too.
    """
    symbols = [chemical_symbols[z] for z in atomic_numbers]
    text = TEXT.format(
        version=mdzoo.__version__,
        real=" -var units real" if real else "",
        types=", ".join(f"{k} {symbol}" for k, symbol in enumerate(symbols, 1)),
        pair="\n".join(pair),
    )
    path = Path(folder) / "in.lammps"
    path.write_text(text, encoding="utf-8")
    if structure is not None:
        data = Path(folder) / "structure.data"
        ase.io.write(data, structure, format="lammps-data", specorder=symbols, masses=True, atom_style="charge")
    return path
