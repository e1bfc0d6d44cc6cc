"""OpenMM as an oracle of molecular force fields: energies term by term and forces, as it gives them.

`python -m tests.reference.molecular_oracle` writes tests/reference/molecular/oracle.json anew: what OpenMM says of
three systems, and the tables that mdzoo read from it, so that the tests bite where OpenMM is not installed.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

FOLDER = Path(__file__).parent / "molecular"
STORED = FOLDER / "oracle.json"
KJ_MOL = 1.602176634e-19 * 6.02214076e23 * 1e-3  # kJ/mol in one eV
CELL = np.diag([14.0, 14.5, 13.5])  # Angstrom
CUTOFF, ONSET = 6.0, 5.0  # Angstrom
SOURCES: dict[str, dict[str, Any]] = {
    "amber": {"pdb": "alanine_dipeptide.pdb", "xml": ["amber14/protein.ff14SB.xml"]},
    "charmm": {"pdb": "gly_met.pdb", "xml": ["charmm36.xml"]},
    "nbfix": {"pdb": "salt_water.pdb", "xml": ["charmm36.xml", "charmm36/water.xml"]},
}
KEYS = {  # tables of mdzoo, by forces of OpenMM
    "HarmonicBondForce": ["bonds", "urey_bradley"],
    "HarmonicAngleForce": ["angles"],
    "PeriodicTorsionForce": ["torsions"],
    "CustomTorsionForce": ["impropers"],
    "CMAPTorsionForce": ["cmaps"],
    "pairs": ["atoms", "charges", "pairs", "nbfix", "types", "exclusions"],
}


class Said(NamedTuple):
    energies: dict[str, float]  # eV, by forces of OpenMM and in `total`
    forces: np.ndarray  # (N, 3) eV/Angstrom


def ask_openmm(system: Any, positions: np.ndarray, cell: np.ndarray | None = None) -> Said:
    """Energies by kinds of forces; those between pairs of atoms, of which CHARMM has three kinds, together."""
    import openmm

    for group, force in enumerate(system.getForces()):
        force.setForceGroup(group)
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    if cell is not None:
        context.setPeriodicBoxVectors(*[openmm.Vec3(*row) for row in 0.1 * cell])
    context.setPositions(0.1 * positions)
    energies: dict[str, float] = {}
    for group, force in enumerate(system.getForces()):
        kind = type(force).__name__
        kind = kind if kind in KEYS else "pairs"
        energy = context.getState(getEnergy=True, groups={group}).getPotentialEnergy()._value / KJ_MOL
        energies[kind] = energies.get(kind, 0.0) + energy
    state = context.getState(getEnergy=True, getForces=True)
    energies["total"] = state.getPotentialEnergy()._value / KJ_MOL
    return Said(energies, state.getForces(asNumpy=True)._value / (10.0 * KJ_MOL))


def source(name: str) -> dict[str, Any]:
    """Files of one system, for `read_molecular`."""
    return {**SOURCES[name], "name": name, "pdb": str(FOLDER / SOURCES[name]["pdb"])}


def atoms_of(name: str) -> tuple[Any, np.ndarray]:
    """OpenMM's topology, and positions off the minimum."""
    from openmm import app, unit

    pdb = app.PDBFile(source(name)["pdb"])
    positions = np.array(pdb.positions.value_in_unit(unit.angstrom))
    return pdb.topology, (positions + np.random.default_rng(0).normal(0.0, 0.05, positions.shape)).round(4)


def system_of(name: str, periodic: bool, **options: Any) -> Any:
    """OpenMM's system: all pairs, or Ewald's sum in `CELL` with a switch."""
    from openmm import app

    topology, _ = atoms_of(name)
    here: dict[str, Any] = {"nonbondedMethod": app.NoCutoff}
    if periodic:
        topology.setPeriodicBoxVectors(0.1 * CELL)
        here = {"nonbondedMethod": app.Ewald, "nonbondedCutoff": 0.1 * CUTOFF, "switchDistance": 0.1 * ONSET}
        here |= {"ewaldErrorTolerance": 1e-10, "useDispersionCorrection": False}
    flexible = {"constraints": None, "rigidWater": False, "removeCMMotion": False}
    return app.ForceField(*SOURCES[name]["xml"]).createSystem(topology, **flexible, **here, **options)


def case(name: str) -> dict[str, Any]:
    """What the file holds of one system."""
    from mdzoo.data.parameter_files.molecular import read_molecular

    _, positions = atoms_of(name)
    free = ask_openmm(system_of(name, False), positions)
    periodic = ask_openmm(system_of(name, True), positions, CELL)
    return {
        "force_field": read_molecular([source(name)]),
        "positions": positions.tolist(),
        "free": {"energies": free.energies, "forces": free.forces.round(12).tolist()},
        "periodic": {"energies": periodic.energies, "forces": periodic.forces.round(12).tolist()},
    }


def stored() -> dict[str, Any]:
    return json.loads(STORED.read_text())


if __name__ == "__main__":
    import openmm

    whole = {"openmm": openmm.__version__, **{name: case(name) for name in SOURCES}}
    STORED.write_text(json.dumps(whole, separators=(",", ":")))
