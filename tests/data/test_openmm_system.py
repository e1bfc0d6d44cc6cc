"""What OpenMM's systems may hold that AMBER and CHARMM do not: each gets a clear error."""

import pytest

from mdzoo.data.parameter_files.openmm_system import Input, tables_of

openmm = pytest.importorskip("openmm", reason="OpenMM is not installed (pip install openmm)")


def plain(n: int = 4):
    system = openmm.System()
    for _ in range(n):
        system.addParticle(1.0)
    return system


def with_force(*forces, n: int = 4):
    system = plain(n)
    for force in forces:
        system.addForce(force)
    return system


def charges(n: int = 4):
    force = openmm.NonbondedForce()
    for _ in range(n):
        force.addParticle(0.0, 0.3, 0.0)
    return force


def custom(kind, equation: str, *names: str):
    force = kind(equation)
    for name in names:
        getattr(force, "addPerTorsionParameter", getattr(force, "addPerBondParameter", None))(name)
    return force


def constrained():
    system = plain()
    system.addConstraint(0, 1, 0.1)
    return system


def with_site():
    system = plain(3)
    system.addParticle(0.0)
    system.setVirtualSite(3, openmm.TwoParticleAverageSite(0, 1, 0.5, 0.5))
    return system


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: plain(3), "`it` must have as many atoms as its parameters, got 4 atoms and 3 particles; take files"),
        (
            with_site,
            r"`it` must consist of atoms, got particles without an element at \[3\]; take a water",
        ),
        (constrained, "`it` must have bonds, got 1 constraints in their place; make the system with constraints=None"),
        (
            lambda: with_force(openmm.GBSAOBCForce()),
            "`it` must consist of the terms of AMBER and CHARMM, got a GBSAOBCForce; take it out",
        ),
        (
            lambda: with_force(custom(openmm.CustomTorsionForce, "k*cos(theta-theta0)", "k", "theta0")),
            r"`it` must have harmonic impropers k\*\(theta-theta0\)\^2, got 'k\*cos\(theta-theta0\)'; take",
        ),
        (
            lambda: with_force(charges(), charges()),
            r"`it` must have one NonbondedForce, and at most one CustomNonbondedForce and CustomBondForce, got \['Nonb",
        ),
        (
            lambda: with_force(charges(), openmm.CustomNonbondedForce("exp(-r)")),
            r"`it` must have Lennard-Jones pairs by tables of acoef and bcoef, got 'exp\(-r\)'; other pairs are not",
        ),
        (
            lambda: with_force(charges(), custom(openmm.CustomBondForce, "k*r", "k")),
            r"`it` must have no other custom bonds than Lennard-Jones of atoms three bonds apart, got 'k\*r'",
        ),
    ],
)
def test_what_has_no_counterpart_gets_a_clear_error(make, message):
    with pytest.raises(ValueError, match=message):
        tables_of([Input("it", [6, 1, 1, 8], make())])


def test_equal_parameters_are_one_type_in_all_systems_and_bonds_of_no_strength_are_left_out():
    bonds = openmm.HarmonicBondForce()
    for i, j, k in ((0, 1, 3e5), (0, 2, 3e5), (0, 3, 0.0), (1, 2, 1e4)):
        bonds.addBond(i, j, 0.1, k)
    angles = openmm.HarmonicAngleForce()
    angles.addAngle(1, 0, 2, 1.9, 400.0)
    system = with_force(bonds, angles, openmm.CMMotionRemover())
    found = tables_of([Input("a", [6, 1, 1, 8], system), Input("b", [6, 1, 1, 7], system)])
    assert found["bonds"]["labels"] == ["C-H"]
    assert found["bonds"]["k"] == pytest.approx([3e5 / 96.48533212331 / 100])
    assert [t["bonds"] for t in found["topologies"]] == [[[0, 1, 0], [0, 2, 0]]] * 2
    assert found["urey_bradley"]["labels"] == ["H-H"]
    assert [t["title"] for t in found["topologies"]] == ["a", "b"]


def test_a_ring_of_three_has_bonds_and_no_urey_bradley():
    bonds, angles = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce()
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        bonds.addBond(i, j, 0.15, 2e5)
        angles.addAngle(i, j, k, 1.0, 400.0)
    found = tables_of([Input("ring", [6, 6, 6], with_force(bonds, angles, n=3))])
    assert len(found["topologies"][0]["bonds"]) == 3
    assert "urey_bradley" not in found
