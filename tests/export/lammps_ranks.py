"""Run under mpirun: LAMMPS's answers to a list of cases, written by the first rank.

    mpirun -n 2 python -m tests.export.lammps_ranks cases.json answers.json

A case is {"structure": [species, positions, cell, pbc], "commands": [...], "n_species": n, "charges": null}.
"""

import json
import sys
import traceback

import numpy as np
from mpi4py import MPI

from tests.reference.engine import ask_lammps
from tests.structures import Structure


def main(cases: str, answers: str) -> None:
    found = []
    with open(cases) as file:
        for case in json.load(file):
            species, positions, cell, pbc = case["structure"]
            structure = Structure(species, np.array(positions), np.array(cell), tuple(pbc))
            answer = ask_lammps(structure, case["commands"], case["n_species"], case["charges"])
            found.append([answer.energy, answer.forces.tolist(), answer.virial.tolist()])
    if MPI.COMM_WORLD.rank == 0:
        with open(answers, "w") as file:
            json.dump(found, file)


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2])
    except Exception:
        traceback.print_exc()
        MPI.COMM_WORLD.Abort(1)  # the other ranks would wait for this one
