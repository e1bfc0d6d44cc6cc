"""AMBER's alanine dipeptide in a periodic cell against LAMMPS: bonds, angles, torsions and lj/charmm/coul/long."""

import numpy as np
import pytest

from mdzoo.potentials import ForceField, MolecularMechanics
from tests.reference.engine import BAR, lammps_instance
from tests.reference.molecular_oracle import CELL, CUTOFF, ONSET
from tests.reference.test_molecular_mechanics import ELEMENTS, ORACLE, graph_of

POLYNOMIAL = 5e-6  # of the erfc in coul/long, see test_coulomb.py
TABLE = ORACLE["amber"]["force_field"]


def types_of(key: str, *names: str) -> list[tuple]:
    """Number of each type, from 1, and its parameters; angles in degrees."""
    columns = [np.degrees(TABLE[key][n]).tolist() if n in ("angle", "phase") else TABLE[key][n] for n in names]
    return [(k, *row) for k, row in enumerate(zip(*columns, strict=True), 1)]


def data_file() -> str:
    """Atoms, bonds, angles and torsions in LAMMPS's format."""
    topology, positions = TABLE["topologies"][0], np.array(ORACLE["amber"]["positions"])
    charges = TABLE["charges"]["charge"]
    kinds = {"bonds": "Bonds", "angles": "Angles", "torsions": "Dihedrals"}
    head = [f"{len(positions)} atoms"] + [f"{len(topology[key])} {kinds[key].lower()}" for key in kinds]
    head += [f"{len(TABLE[key]['labels'])} {kinds[key][:-1].lower()} types" for key in kinds]
    head += [f"{len(TABLE['atoms']['labels'])} atom types", "8 extra special per atom"]
    head += [f"0 {side!r} {x}lo {x}hi" for x, side in zip("xyz", np.diag(CELL).tolist(), strict=True)]
    lines = ["", *head, "", "Atoms", ""]
    for i, (kind, charge, place) in enumerate(zip(topology["types"], topology["charges"], positions, strict=True)):
        lines.append(f"{i + 1} 1 {kind + 1} {charges[charge]!r} {' '.join(map(repr, place.tolist()))}")
    for key, title in kinds.items():
        rows = [f"{n} {row[-1] + 1} {' '.join(str(i + 1) for i in row[:-1])}" for n, row in enumerate(topology[key], 1)]
        lines += ["", title, "", *rows]
    return "\n".join([*lines, ""])


def commands(path: str) -> list[str]:
    bonds = [f"bond_coeff {n} {k / 2!r} {r!r}" for n, k, r in types_of("bonds", "k", "length")]
    angles = [f"angle_coeff {n} {k / 2!r} {a!r}" for n, k, a in types_of("angles", "k", "angle")]
    torsions = types_of("torsions", "k", "periodicity", "phase")
    fourier = [f"dihedral_coeff {n} 1 {k!r} {m} {d!r}" for n, k, m, d in torsions]
    types = [f"pair_coeff {n} {n} {e!r} {s!r}" for n, e, s in types_of("atoms", "epsilon", "sigma")]
    return [
        "units metal",
        "atom_style full",
        "atom_modify map array",
        "bond_style harmonic",
        "angle_style harmonic",
        "dihedral_style fourier",
        f"pair_style lj/charmm/coul/long {ONSET!r} {CUTOFF!r} {CUTOFF!r}",
        "pair_modify mix arithmetic table 0",
        f"special_bonds lj 0 0 0.5 coul 0 0 {1 / 1.2!r}",
        f"read_data {path}",
        "mass * 1.0",
        *[*bonds, *angles, *fourier, *types],
        "kspace_style ewald 1e-10",
        "compute p all pressure NULL virial",
        "thermo_style custom pe c_p[*]",
        "run 0",
    ]


def test_energy_forces_and_virial_are_those_of_lammps(tmp_path):
    engine = lammps_instance()
    path = tmp_path / "peptide.data"
    path.write_text(data_file())
    engine.commands_list(commands(str(path)))
    forces = np.array(engine.gather_atoms("f", 1, 3)).reshape(-1, 3)
    xx, yy, zz, xy, xz, yz = (float(p) for p in engine.numpy.extract_compute("p", 0, 1))
    virial = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]) * float(np.linalg.det(CELL)) / BAR
    energy = engine.get_thermo("pe")
    engine.close()
    options = {"coulomb": "ewald", "accuracy": 1e-11, "constants": "lammps_metal"}
    potential = MolecularMechanics(ELEMENTS, TABLE, CUTOFF, ONSET, "charmm", **options)
    found = ForceField(potential, ELEMENTS).eval()(graph_of("amber", True, CUTOFF))
    assert float(found.energy) == pytest.approx(energy, rel=POLYNOMIAL)
    other = ForceField(MolecularMechanics(ELEMENTS, TABLE, CUTOFF, ONSET, **options), ELEMENTS).eval()
    assert float(other(graph_of("amber", True, CUTOFF)).energy) != pytest.approx(energy, rel=POLYNOMIAL), "switched"
    np.testing.assert_allclose(found.forces.numpy(), forces, rtol=0.0, atol=POLYNOMIAL * np.abs(forces).max())
    np.testing.assert_allclose(found.virial[0].numpy(), virial, rtol=0.0, atol=POLYNOMIAL * np.abs(virial).max())
