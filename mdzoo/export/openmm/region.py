"""A region of a molecular system whose own terms a model takes over."""

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import Any

import openmm


def release(system: openmm.System, particles: Sequence[int]) -> None:
    """Take the terms of a force field that act among some particles alone out of a System, in place.

    Bonds, angles and torsions whose particles all belong to the region get a force constant of zero, and pairs within
    it neither charge nor dispersion nor repulsion. Everything between the region and the rest stays: the region is
    embedded mechanically, and `model_force` with the same particles completes the System. Charges of images of the
    region still see each other under periodic boundaries.

    Raises:
        ValueError: a force that is not known here, or a constraint within the region.
    """
    inside = {int(index) for index in particles}
    for index in range(system.getNumConstraints()):
        first, second, _ = system.getConstraintParameters(index)
        if {first, second} <= inside:
            raise ValueError(
                f"`system` must have no constraints within the region, got one of particles {first} and {second}; "
                "build it with constraints=None, rigidWater=False"
            )
    for force in system.getForces():
        writer = RELEASES.get(type(force).__name__)
        if writer is None:
            raise ValueError(
                f"`system` must consist of {sorted(RELEASES)}, got {type(force).__name__}; take its terms within the "
                "region out by hand"
            )
        writer(force, inside)


def bonded(kind: str, count: int, strengths: Sequence[int]) -> Callable[[Any, set[int]], None]:
    """Return what sets the strengths, the parameters at these places behind the particles, to zero."""

    def write(force: Any, inside: set[int]) -> None:
        get, put = getattr(force, f"get{kind}Parameters"), getattr(force, f"set{kind}Parameters")
        for index in range(getattr(force, f"getNum{kind}s")()):
            held = list(get(index))
            if set(held[:count]) <= inside:
                for place in strengths:
                    held[count + place] = 0.0
                put(index, *held)

    return write


def custom(kind: str) -> Callable[[Any, set[int]], None]:
    """Return the same of a custom force, whose strength is its parameter k."""

    def write(force: Any, inside: set[int]) -> None:
        names = [getattr(force, f"getPer{kind}ParameterName")(k) for k in range(strengths(force))]
        get, put = getattr(force, f"get{kind}Parameters"), getattr(force, f"set{kind}Parameters")
        for index in range(getattr(force, f"getNum{kind}s")()):
            *atoms, values = get(index)
            if set(atoms) <= inside:
                if "k" not in names:
                    raise ValueError(
                        f"`system` must have a strength k in each {type(force).__name__} within the region, got "
                        f"{names}; take its terms out by hand"
                    )
                put(index, *atoms, [0.0 if name == "k" else v for name, v in zip(names, values, strict=True)])

    def strengths(force: Any) -> int:
        return int(getattr(force, f"getNumPer{kind}Parameters")())

    return write


def maps(force: openmm.CMAPTorsionForce, inside: set[int]) -> None:
    """Give pairs of torsions of the region a map of zeros."""
    zero = None
    for index in range(force.getNumTorsions()):
        _, *atoms = force.getTorsionParameters(index)
        if set(atoms) <= inside:
            zero = force.addMap(4, [0.0] * 16) if zero is None else zero
            force.setTorsionParameters(index, zero, *atoms)


def nonbonded(force: openmm.NonbondedForce, inside: set[int]) -> None:
    """Make each pair of the region an exception that does nothing."""
    for first, second in pairs(inside):
        force.addException(first, second, 0.0, 1.0, 0.0, True)


def custom_nonbonded(force: openmm.CustomNonbondedForce, inside: set[int]) -> None:
    """Exclude each pair of the region."""
    held = [sorted(force.getExclusionParticles(index)) for index in range(force.getNumExclusions())]
    for first, second in pairs(inside):
        if [first, second] not in held:
            force.addExclusion(first, second)


def pairs(inside: set[int]) -> Iterable[tuple[int, int]]:
    """Return the pairs of the region."""
    return combinations(sorted(inside), 2)


def nothing(force: Any, inside: set[int]) -> None:
    """Leave a force that has no terms of particles."""


RELEASES: dict[str, Callable[[Any, set[int]], None]] = {
    "HarmonicBondForce": bonded("Bond", 2, [1]),
    "HarmonicAngleForce": bonded("Angle", 3, [1]),
    "PeriodicTorsionForce": bonded("Torsion", 4, [2]),
    "RBTorsionForce": bonded("Torsion", 4, range(6)),
    "CustomBondForce": custom("Bond"),
    "CustomAngleForce": custom("Angle"),
    "CustomTorsionForce": custom("Torsion"),
    "NonbondedForce": nonbonded,
    "CustomNonbondedForce": custom_nonbonded,
    "CMAPTorsionForce": maps,
    "CMMotionRemover": nothing,
    "MonteCarloBarostat": nothing,
    "PythonForce": nothing,
}
