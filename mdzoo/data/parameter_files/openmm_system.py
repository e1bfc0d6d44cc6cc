"""Molecular force fields as OpenMM's `System` holds them, into one table of types and topologies."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ase.data import chemical_symbols

from mdzoo.data.parameter_files.molecular_types import Types
from mdzoo.data.parameter_files.openmm_pairs import add_pairs
from mdzoo.data.parameter_files.openmm_units import NM, numbers
from mdzoo.units import KJ_MOL

IGNORED = ("CMMotionRemover", "MonteCarloBarostat", "MonteCarloAnisotropicBarostat", "AndersenThermostat")
PAIRWISE = ("NonbondedForce", "CustomNonbondedForce", "CustomBondForce")
HARMONIC = ("HarmonicBondForce", "HarmonicAngleForce")
COLUMNS = {
    "bonds": ("k", "length"),
    "urey_bradley": ("k", "length"),
    "angles": ("k", "angle"),
    "torsions": ("k", "phase", "periodicity"),
    "impropers": ("k", "angle"),
    "cmaps": ("energy",),
    "atoms": ("sigma", "epsilon"),
    "nbfix": ("pairs", "sigma", "epsilon"),
    "charges": ("charge",),
    "pairs": ("lj_scale", "charge_scale", "sigma", "epsilon"),
}


class Input(NamedTuple):
    """One molecular system."""

    name: str
    numbers: list[int]  # atomic number of each atom
    system: Any  # openmm.System


def tables_of(inputs: Sequence[Input]) -> dict[str, Any]:
    """Return the tables of types and the topologies of several systems: `force_field` of `MolecularMechanics`.

    Equal parameters between equal elements are one type, in all systems together. Units are eV, Angstrom, radian, e;
    `k` belongs to `k/2 (x - x0)^2`.

    Raises:
        ValueError: virtual sites, constraints in the place of bonds, or a force that neither AMBER nor CHARMM has.
    """
    types = {key: Types(*columns) for key, columns in COLUMNS.items()}
    topologies = [topology_of(entry, types) for entry in inputs]
    return {"topologies": topologies, **{key: found.table() for key, found in types.items() if found.labels}}


def topology_of(entry: Input, types: dict[str, Types]) -> dict[str, Any]:
    """Return the topology of one system; its types are added to `types`."""
    check_system(entry)
    topology: dict[str, Any] = {"title": entry.name, "numbers": [int(z) for z in entry.numbers]}
    by_kind: dict[str, list[Any]] = {}
    for force in entry.system.getForces():
        by_kind.setdefault(type(force).__name__, []).append(force)
    for kind in set(by_kind) - {*IGNORED, *PAIRWISE, *HARMONIC, *READERS}:
        raise ValueError(
            f"`{entry.name}` must consist of the terms of AMBER and CHARMM, got a {kind}; take it out of the system"
        )
    add_bonds(entry, by_kind.get("HarmonicBondForce", []), by_kind.get("HarmonicAngleForce", []), topology, types)
    for kind, read in READERS.items():
        for force in by_kind.get(kind, []):
            read(entry, force, topology, types)
    add_pairs(entry, [force for kind in PAIRWISE for force in by_kind.get(kind, [])], topology, types)
    return topology


def check_system(entry: Input) -> None:
    """Refuse what has no counterpart."""
    system = entry.system
    n = system.getNumParticles()
    if n != len(entry.numbers):
        raise ValueError(
            f"`{entry.name}` must have as many atoms as its parameters, got {len(entry.numbers)} atoms and {n} "
            "particles; take files that belong together"
        )
    sites = [i for i in range(n) if system.isVirtualSite(i) or entry.numbers[i] < 1]
    if sites:
        raise ValueError(
            f"`{entry.name}` must consist of atoms, got particles without an element at {sites[:5]}; take a water "
            "model without virtual sites, such as TIP3P"
        )
    if system.getNumConstraints():
        raise ValueError(
            f"`{entry.name}` must have bonds, got {system.getNumConstraints()} constraints in their place; make the "
            "system with constraints=None and rigidWater=False"
        )


def place(entry: Input, types: Types, atoms: Sequence[int], *values: Any) -> list[int]:
    """Return the row `[*atoms, type]`; the type is called after the elements, in whichever direction comes first."""
    words = [chemical_symbols[entry.numbers[i]] for i in atoms]
    return [*atoms, types.place("-".join(min(words, words[::-1])), *values)]


def add_bonds(
    entry: Input, bonds: Sequence[Any], angles: Sequence[Any], topology: dict[str, Any], types: dict[str, Types]
) -> None:
    """Add bonds, angles and Urey-Bradley distances; those of no strength are left out.

    OpenMM holds Urey-Bradley distances as bonds: they are those that span an angle between two others.
    """
    rows = [numbers(force.getBondParameters(n)) for force in bonds for n in range(force.getNumBonds())]
    turns = [numbers(force.getAngleParameters(n)) for force in angles for n in range(force.getNumAngles())]
    pairs = {frozenset(row[:2]) for row in rows}
    spans = {
        frozenset((i, k)) for i, j, k, *_ in turns if {frozenset((i, j)), frozenset((j, k)), frozenset((i, k))} <= pairs
    }
    rings = {frozenset((i, k)) for i, j, k, *_ in turns if spans & {frozenset((i, j)), frozenset((j, k))}}
    for i, j, length, k in rows:
        key = "urey_bradley" if frozenset((i, j)) in spans - rings else "bonds"
        if k != 0.0:
            row = place(entry, types[key], [i, j], k * KJ_MOL / NM**2, length * NM)
            topology.setdefault(key, []).append(row)
    for i, j, l, theta, k in turns:  # noqa: E741
        if k != 0.0:
            topology.setdefault("angles", []).append(place(entry, types["angles"], [i, j, l], k * KJ_MOL, theta))


def read_torsions(entry: Input, force: Any, topology: dict[str, Any], types: dict[str, Types]) -> None:
    """Add periodic torsions, proper and improper; those of no strength are left out."""
    for n in range(force.getNumTorsions()):
        *atoms, periodicity, phase, k = numbers(force.getTorsionParameters(n))
        if k != 0.0:
            row = place(entry, types["torsions"], atoms, k * KJ_MOL, phase, periodicity)
            topology.setdefault("torsions", []).append(row)


def read_impropers(entry: Input, force: Any, topology: dict[str, Any], types: dict[str, Types]) -> None:
    """Add harmonic impropers."""
    equation = force.getEnergyFunction().replace(" ", "")
    names = [force.getPerTorsionParameterName(n) for n in range(force.getNumPerTorsionParameters())]
    if not equation.startswith(("k*(theta-theta0)^2", "k*min(dtheta,2*pi-dtheta)^2")) or names != ["k", "theta0"]:
        raise ValueError(
            f"`{entry.name}` must have harmonic impropers k*(theta-theta0)^2, got {force.getEnergyFunction()!r}; take "
            "this term out of the system"
        )
    for n in range(force.getNumTorsions()):
        *atoms, (k, theta) = force.getTorsionParameters(n)
        if k != 0.0:
            row = place(entry, types["impropers"], atoms, 2.0 * k * KJ_MOL, theta)
            topology.setdefault("impropers", []).append(row)


def read_cmaps(entry: Input, force: Any, topology: dict[str, Any], types: dict[str, Types]) -> None:
    """Add maps; OpenMM's run over psi first and begin at 0."""
    maps = [numbers(force.getMapParameters(n)) for n in range(force.getNumMaps())]
    for n in range(force.getNumTorsions()):
        kind, *atoms = force.getTorsionParameters(n)
        size, energy = maps[kind]
        energy = numbers([energy])[0]
        grid = [[energy[a + size * b] * KJ_MOL for b in range(size)] for a in range(size)]
        topology.setdefault("cmaps", []).append([*atoms, types["cmaps"].place("map", grid)])


READERS = {
    "PeriodicTorsionForce": read_torsions,
    "CustomTorsionForce": read_impropers,
    "CMAPTorsionForce": read_cmaps,
}
