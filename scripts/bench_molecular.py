"""Time a step of alanine dipeptide in water (AMBER, 2269 atoms, Coulomb over all images) beside OpenMM's.

Energies and forces, CPU time of one thread, all in one run; virials come with mdzoo's. OpenMM's Reference platform
finds its neighbours anew in each step, its CPU platform and mdzoo keep a list, whose making is not timed here.

Example:
  python scripts/bench_molecular.py
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms

from mdzoo.data import graph_from_atoms
from mdzoo.data.parameter_files.openmm_system import Input, tables_of
from mdzoo.export.torchscript import prepare
from mdzoo.potentials import ForceField, MolecularMechanics

PEPTIDE = Path(__file__).parents[1] / "tests" / "reference" / "molecular" / "alanine_dipeptide.pdb"
WATERS = 749
CUTOFF = 9.0  # Angstrom
KJ_MOL = 96.48533212331001  # in one eV


def solvated() -> tuple[Any, Any, np.ndarray, np.ndarray]:
    """Return OpenMM's force field and topology, positions and cell (Angstrom) of the peptide in a box of water."""
    from openmm import app, unit

    force_field, pdb = app.ForceField("amber14/protein.ff14SB.xml", "amber14/tip3p.xml"), app.PDBFile(str(PEPTIDE))
    modeller = app.Modeller(pdb.topology, pdb.positions)
    modeller.addSolvent(force_field, numAdded=WATERS)
    positions = np.array(modeller.positions.value_in_unit(unit.angstrom))
    cell = np.array(modeller.topology.getPeriodicBoxVectors().value_in_unit(unit.angstrom))
    return force_field, modeller.topology, positions, cell


def system_of(force_field: Any, topology: Any, accuracy: float) -> Any:
    """Return OpenMM's system without a correction for the tail."""
    from openmm import NonbondedForce, app

    options = {"nonbondedMethod": app.PME, "nonbondedCutoff": 0.1 * CUTOFF, "ewaldErrorTolerance": accuracy}
    system = force_field.createSystem(topology, **options, constraints=None, rigidWater=False)
    for force in system.getForces():
        if isinstance(force, NonbondedForce):
            force.setUseDispersionCorrection(False)
    return system


def milliseconds(step: Callable[[int], object], repeats: int) -> float:
    """Return the CPU time of a step, the least of `repeats` after two."""
    times = []
    for k in range(repeats + 2):
        begin = time.process_time()
        step(k)
        times.append(1e3 * (time.process_time() - begin))
    return min(times[2:])


def of_openmm(system: Any, positions: np.ndarray, cell: np.ndarray, name: str) -> tuple[float, np.ndarray]:
    """Return the time of a step on a platform, and the forces, eV/Angstrom."""
    import openmm

    threads = {"Threads": "1"} if name == "CPU" else {}
    platform = openmm.Platform.getPlatformByName(name)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform, threads)
    context.setPeriodicBoxVectors(*[openmm.Vec3(*row) for row in 0.1 * cell])

    def step(k: int) -> Any:
        context.setPositions(0.1 * (positions + 1e-4 * (k % 2)))
        return context.getState(getEnergy=True, getForces=True)

    spent = milliseconds(step, 8)
    return spent, step(0).getForces(asNumpy=True)._value / (10.0 * KJ_MOL)


def main() -> None:
    """Time both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--coulomb", nargs="+", default=["pme", "ewald"], help="sums of mdzoo, ewald or pme (%(default)s)"
    )
    parser.add_argument("--accuracy", type=float, default=5e-4, help="of the sums (%(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    prepare()  # as in every process that loads an exported file
    force_field, topology, positions, cell = solvated()
    system = system_of(force_field, topology, options.accuracy)
    numbers = [atom.element.atomic_number for atom in topology.atoms()]
    tables, elements = tables_of([Input("solvated", numbers, system)]), sorted(set(numbers))
    graph = graph_from_atoms(Atoms(numbers, positions, cell=cell, pbc=True), elements, CUTOFF)
    rows = {}
    for name in ("Reference", "CPU"):
        rows[f"OpenMM {name}"], expected = of_openmm(system, positions, cell, name)
    for coulomb in options.coulomb:
        potential = MolecularMechanics(elements, tables, CUTOFF, coulomb=coulomb, accuracy=options.accuracy)
        model = ForceField(potential, elements).eval().requires_grad_(False)
        rows[f"mdzoo {coulomb}"] = milliseconds(lambda k, model=model: model(graph), 8)
        off = np.abs(model(graph).forces.numpy() - expected).max()
        largest = np.abs(expected).max()
        print(f"mdzoo {coulomb}: forces differ from OpenMM's by {off:.1e} of up to {largest:.2f} eV/Angstrom")
    print("| code | ms |", "|---|---|", *(f"| {name} | {ms:.1f} |" for name, ms in rows.items()), sep="\n")


if __name__ == "__main__":
    main()
