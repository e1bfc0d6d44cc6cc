"""Exported models in OpenMM: alone, as a region of a molecular system, and in `mdzoo md engine=openmm`."""

import ase.build
import numpy as np
import pytest
import torch
from ase import Atoms, units

from mdzoo.export.ase import Calculator
from mdzoo.export.md import run
from mdzoo.export.torchscript import export
from mdzoo.potentials import ForceField, build
from tests.export.models import silicon, structures
from tests.zoo import LINEAR, TWO, learnt

openmm = pytest.importorskip("openmm", reason="pip install 'mdzoo[molecular]'")
from openmm import app  # noqa: E402 - where openmm is

from mdzoo.export.openmm.force import model_force  # noqa: E402
from mdzoo.export.openmm.region import release  # noqa: E402

KILOJOULE = units.kJ / units.mol


@pytest.fixture(scope="module")
def waters(tmp_path_factory):
    """An exported model of oxygen and hydrogen."""
    potential = build(learnt(TWO, LINEAR))
    with torch.no_grad():
        potential.regressor.weights.copy_(torch.linspace(-0.2, 0.3, potential.regressor.weights.numel()).view(2, -1))
    path = tmp_path_factory.mktemp("openmm") / "model.pt"
    return export(ForceField(potential, [8, 1]).eval(), path, references=[ase.build.molecule("H2O")])


def asked(system, positions):
    """Energy (eV) and forces (eV/Angstrom) of a System at positions in Angstrom, in double precision."""
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(np.asarray(positions) / 10.0)
    state = context.getState(energy=True, forces=True)
    energy = state.getPotentialEnergy()._value * KILOJOULE
    return energy, np.array(state.getForces(asNumpy=True)._value) * KILOJOULE / 10.0


def test_a_whole_system(exported):
    """Ten lines: a crystal in a tilted box."""
    atoms = silicon()
    atoms.set_cell(atoms.cell.array @ [[1.0, 0.0, 0.0], [0.1, 1.0, 0.0], [0.05, -0.1, 1.0]], scale_atoms=True)
    system = openmm.System()
    for mass in atoms.get_masses():
        system.addParticle(mass)
    system.setDefaultPeriodicBoxVectors(*(atoms.cell.array / 10.0).tolist())
    system.addForce(model_force(exported, atoms, periodic=True))
    energy, forces = asked(system, atoms.positions)
    atoms.calc = Calculator(exported)
    assert energy == pytest.approx(atoms.get_potential_energy(), rel=1e-12)
    np.testing.assert_allclose(forces, atoms.get_forces(), rtol=0.0, atol=1e-10)


@pytest.mark.parametrize("files", [["amber14/tip3p.xml"], ["charmm36/water.xml"]])
def test_a_region_in_a_molecular_system(waters, files):
    """Ten lines: the first of three waters is the model's, what acts between it and the others the force field's."""
    one = ase.build.molecule("H2O")
    positions = np.concatenate([one.positions + shift for shift in ([0, 0, 0], [3.1, 0.2, 0.1], [0.3, 3.3, 0.4])])
    topology = app.Topology()
    for _ in range(3):
        residue = topology.addResidue("HOH", topology.addChain())
        o, *hs = (topology.addAtom(n, app.Element.getBySymbol(n[0]), residue) for n in ("O", "H1", "H2"))
        for h in hs:
            topology.addBond(o, h)
    field = app.ForceField(*files)
    system = field.createSystem(topology, constraints=None, rigidWater=False)
    whole, whole_forces = asked(system, positions)
    release(system, [0, 1, 2])
    system.addForce(model_force(waters, one, particles=[0, 1, 2]))
    found, forces = asked(system, positions)

    lone = app.Modeller(topology, positions / 10.0)
    lone.delete(list(topology.residues())[1:])
    alone, alone_forces = asked(field.createSystem(lone.topology, constraints=None, rigidWater=False), one.positions)
    one.calc = Calculator(waters)
    assert found == pytest.approx(whole - alone + one.get_potential_energy(), abs=1e-9)
    whole_forces[:3] += one.get_forces() - alone_forces
    np.testing.assert_allclose(forces, whole_forces, rtol=0.0, atol=1e-9)
    assert abs(whole - alone) > 0.01, "the waters see each other"


def handmade(inner: bool):
    """A System of six particles with every kind of term, those among the first four only where `inner` says so."""
    system, inside = openmm.System(), {0, 1, 2, 3}
    for _ in range(6):
        system.addParticle(1.0)
    chains = [atoms for atoms in ((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5)) if inner or not set(atoms) <= inside]
    triples = [atoms for atoms in ((0, 1, 2), (2, 3, 4)) if inner or not set(atoms) <= inside]
    couples = [atoms for atoms in ((0, 1), (3, 4)) if inner or not set(atoms) <= inside]
    bonds, bends, turns, rb = (
        openmm.HarmonicBondForce(),
        openmm.HarmonicAngleForce(),
        openmm.PeriodicTorsionForce(),
        openmm.RBTorsionForce(),
    )
    custom = [
        openmm.CustomBondForce("k*r^4"),
        openmm.CustomAngleForce("k*theta^2"),
        openmm.CustomTorsionForce("k*theta^2"),
    ]
    custom[0].addPerBondParameter("k"), custom[1].addPerAngleParameter("k"), custom[2].addPerTorsionParameter("k")
    for atoms in couples:
        bonds.addBond(*atoms, 0.1, 1000.0)
        custom[0].addBond(*atoms, [70.0])
    for atoms in triples:
        bends.addAngle(*atoms, 1.9, 300.0)
        custom[1].addAngle(*atoms, [20.0])
    for atoms in chains:
        turns.addTorsion(*atoms, 2, 0.4, 10.0)
        rb.addTorsion(*atoms, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
        custom[2].addTorsion(*atoms, [3.0])
    maps = openmm.CMAPTorsionForce()
    maps.addMap(4, np.cos(np.arange(16.0)).tolist())
    for first, second in (((0, 1, 2, 3), (0, 1, 2, 3)), ((2, 3, 4, 5), (1, 2, 3, 4))):
        if inner or not {*first, *second} <= inside:
            maps.addTorsion(0, *first, *second)
    charges, others = openmm.NonbondedForce(), openmm.CustomNonbondedForce("r^2")
    for index in range(6):
        charges.addParticle(0.1 * (-1) ** index, 0.3, 0.5)
        others.addParticle([])
    charges.addException(0, 1, 0.02 if inner else 0.0, 0.3, 0.1 if inner else 0.0)
    others.addExclusion(1, 0)
    if not inner:
        for first, second in ((0, 2), (0, 3), (1, 2), (1, 3), (2, 3)):
            charges.addException(first, second, 0.0, 1.0, 0.0)
            others.addExclusion(first, second)
    for force in (bonds, bends, turns, rb, *custom, maps, charges, others, openmm.CMMotionRemover()):
        system.addForce(force)
    return system


def test_every_kind_of_term_is_released(rng):
    positions = np.arange(6)[:, None] * [1.1, 0.4, 0.0] + rng.uniform(0.0, 1.0, (6, 3))
    system, expected = handmade(True), asked(handmade(False), positions)
    assert abs(asked(system, positions)[0] - expected[0]) > 1e-3
    release(system, [0, 1, 2, 3])
    energy, forces = asked(system, positions)
    assert energy == pytest.approx(expected[0], rel=1e-12)
    np.testing.assert_allclose(forces, expected[1], rtol=0.0, atol=1e-10)


@pytest.mark.parametrize("index", [1, 2, 3, 4])
def test_dynamics_are_those_of_ase(exported, index):
    """Velocity Verlet in both, from one seed, in skewed and left-handed cells, a slab and a molecule."""
    moved = []
    for engine in ("ase", "openmm"):
        atoms = structures()[index]
        found = run(exported, atoms, engine=engine, steps=20, timestep=0.5, interval=10, progress=False)
        moved.append((atoms, found))
    (one, a), (other, b) = moved
    np.testing.assert_allclose(other.positions, one.positions, rtol=0.0, atol=1e-8)
    np.testing.assert_allclose(other.get_velocities(), one.get_velocities(), rtol=0.0, atol=1e-8)
    np.testing.assert_allclose(other.get_forces(), one.get_forces(), rtol=0.0, atol=1e-7)
    if one.pbc.all():
        np.testing.assert_allclose(other.get_stress(), one.get_stress(), rtol=0.0, atol=1e-9)
        np.testing.assert_allclose(other.cell.array, one.cell.array, rtol=0.0, atol=1e-12)
    assert b.drift == pytest.approx(a.drift, abs=1e-3)
    assert b.neighbor_lists >= 1


def test_baths(exported):
    """As in test_md.py, with half the samples: 24 degrees of freedom, four deviations; and a cell that changes."""
    atoms = silicon(rattle=0.05)
    settings = {"engine": "openmm", "timestep": 2.0, "temperature": 600.0, "friction": 0.05}
    found = run(exported, atoms, ensemble="langevin", steps=300, progress=False, **settings)
    assert found.temperature == pytest.approx(600.0, abs=185.0)
    assert np.isnan(found.drift)
    before, volume = atoms.cell.array.copy(), atoms.cell.volume
    found = run(exported, atoms, ensemble="npt", steps=60, pressure=1.0, progress=False, **settings)
    assert atoms.cell.volume != volume
    np.testing.assert_allclose(atoms.cell.array / atoms.cell.volume ** (1 / 3), before / volume ** (1 / 3), rtol=1e-12)
    assert np.isfinite(found.pressure)
    assert np.isnan(found.drift)


def test_bad_input_is_named(exported):
    with pytest.raises(
        ValueError, match=r"`atoms` must hold elements of the model \[14\], got \[8\]; train a model on"
    ):
        model_force(exported, Atoms("SiO"))
    with pytest.raises(ValueError, match=r"`particles` must name the 1 atoms, got 2 of them; name each once"):
        model_force(exported, Atoms("Si"), particles=[0, 1])
    system = handmade(True)
    system.addConstraint(1, 2, 0.1)
    with pytest.raises(
        ValueError, match=r"`system` must have no constraints within the region, got one of particles 1"
    ):
        release(system, [0, 1, 2])
    system = handmade(True)
    system.addForce(openmm.GBSAOBCForce())
    with pytest.raises(ValueError, match=r"`system` must consist of \[.*'NonbondedForce'.*\], got GBSAOBCForce; take"):
        release(system, [0, 1, 2])
    force = openmm.CustomBondForce("stiff*r^2")
    force.addPerBondParameter("stiff")
    force.addBond(0, 1, [1.0])
    system = openmm.System()
    system.addForce(force)
    with pytest.raises(
        ValueError, match=r"`system` must have a strength k in each CustomBondForce within the region, g"
    ):
        release(system, [0, 1])
