"""Charges and Lennard-Jones of OpenMM's `System`: types, pairs with their own, and what bonds scale or exclude."""

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from ase.data import chemical_symbols

from mdzoo.data.parameter_files.molecular_types import Types, rounded
from mdzoo.data.parameter_files.openmm_units import NM, numbers
from mdzoo.units import KJ_MOL

EQUAL = 1e-5  # relative, of a radius or a depth that files give with 6 to 8 digits
POWERS = {  # of acoef in the factor of r^-12, by expressions of CustomNonbondedForce
    "acoef(type1,type2)/r^12-bcoef(type1,type2)/r^6;": 1,
    "(a/r6)^2-b/r6;r6=r^6;a=acoef(type1,type2);b=bcoef(type1,type2)": 2,
    "(a/r6)^2-b/r6;r6=r2*r2*r2;r2=r^2;a=acoef(type1,type2);b=bcoef(type1,type2)": 2,
}
LJ14 = "4*epsilon*((sigma/r)^12-(sigma/r)^6)"
Pair = tuple[float, float]  # sigma (Angstrom), epsilon (eV)


class LennardJones(NamedTuple):
    """Lennard-Jones parameters by kinds of atoms."""

    kinds: list[int]  # of each atom
    values: dict[int, Pair]  # of each kind
    own: dict[tuple[int, int], Pair]  # of pairs of kinds p <= q that do not mix (NBFIX)

    def pair(self, i: int, j: int) -> Pair:
        """Return sigma and epsilon between atoms i and j."""
        p, q = sorted((self.kinds[i], self.kinds[j]))
        return self.own.get((p, q), mixed(self.values[p], self.values[q]))

    def peculiarities(self, kind: int) -> str:
        """Return what tells kinds with equal parameters apart: their own pairs."""
        mine = [(self.values[p + q - kind], pair) for (p, q), pair in self.own.items() if kind in (p, q)]
        return str(sorted(rounded([*a, *b]) for a, b in mine))


def add_pairs(entry: Any, forces: Sequence[Any], topology: dict[str, Any], types: dict[str, Types]) -> None:
    """Add all that acts between atoms without a bond; a system without it stays one of bonded terms."""
    found = {type(force).__name__: force for force in forces}
    if len(found) != len(forces) or (found and "NonbondedForce" not in found):
        raise ValueError(
            f"`{entry.name}` must have one NonbondedForce, and at most one CustomNonbondedForce and CustomBondForce, "
            f"got {[type(force).__name__ for force in forces]}; take others out of the system"
        )
    if not found:
        return
    particles = [numbers(found["NonbondedForce"].getParticleParameters(i)) for i in range(len(entry.numbers))]
    symbols = [chemical_symbols[z] for z in entry.numbers]
    lj = lennard_jones(entry, particles, found.get("CustomNonbondedForce"))
    charges = [particle[0] for particle in particles]
    topology["charges"] = [types["charges"].place(s, q) for s, q in zip(symbols, charges, strict=True)]
    place_types(symbols, lj, topology, types)
    fourteen = scaled(exceptions(entry, found["NonbondedForce"], found.get("CustomBondForce")), charges, lj, topology)
    for (i, j), numbers_of_type in fourteen.items():
        label = "scaled" if numbers_of_type[0] else "-".join(sorted((symbols[i], symbols[j])))
        topology.setdefault("pairs", []).append([i, j, types["pairs"].place(label, *numbers_of_type)])


def lennard_jones(entry: Any, particles: list[list[float]], custom: Any) -> LennardJones:
    """Return the parameters of the atoms: those of the plain force, or of the table of kinds in a custom one."""
    if custom is None:
        pairs = [(sigma * NM, epsilon * KJ_MOL) for _, sigma, epsilon in particles]
        known = {pair: kind for kind, pair in enumerate(dict.fromkeys(pairs))}
        return LennardJones([known[pair] for pair in pairs], {kind: pair for pair, kind in known.items()}, {})
    equation = custom.getEnergyFunction().replace(" ", "")
    names = [custom.getTabulatedFunctionName(i) for i in range(custom.getNumTabulatedFunctions())]
    if equation not in POWERS or any(epsilon for _, _, epsilon in particles):
        raise ValueError(
            f"`{entry.name}` must have Lennard-Jones pairs by tables of acoef and bcoef, got "
            f"{custom.getEnergyFunction()!r}; other pairs are not part of AMBER and CHARMM"
        )
    size, _, a = custom.getTabulatedFunction(names.index("acoef")).getFunctionParameters()
    b = custom.getTabulatedFunction(names.index("bcoef")).getFunctionParameters()[2]
    kinds = [int(custom.getParticleParameters(i)[0]) for i in range(len(particles))]
    used = sorted(set(kinds))
    table = {(p, q): sigma_epsilon(a[p + size * q] ** POWERS[equation], b[p + size * q]) for p in used for q in used}
    kinds_of_pairs = itertools.combinations(used, 2)
    own = {(p, q): table[p, q] for p, q in kinds_of_pairs if not alike(table[p, q], mixed(table[p, p], table[q, q]))}
    return LennardJones(kinds, {p: table[p, p] for p in used}, own)


def sigma_epsilon(a: float, b: float) -> Pair:
    """Return sigma (Angstrom) and epsilon (eV) of `a / r^12 - b / r^6` (nm, kJ/mol); 0 without attraction."""
    return ((a / b) ** (1.0 / 6.0) * NM, b * b / (4.0 * a) * KJ_MOL) if a > 0.0 and b > 0.0 else (NM, 0.0)


def mixed(one: Pair, other: Pair) -> Pair:
    """Return arithmetic and geometric means."""
    return 0.5 * (one[0] + other[0]), (one[1] * other[1]) ** 0.5


def alike(one: Pair, other: Pair) -> bool:
    """Tell whether two pairs interact alike."""
    if max(one[1], other[1]) == 0.0:
        return True
    return abs(one[0] - other[0]) <= EQUAL * one[0] and abs(one[1] - other[1]) <= EQUAL * one[1]


def place_types(symbols: Sequence[str], lj: LennardJones, topology: dict[str, Any], types: dict[str, Types]) -> None:
    """Add the type of each atom, and the pairs of types with their own parameters."""
    topology["types"] = []
    of_kind: dict[int, set[int]] = {}
    for symbol, kind in zip(symbols, lj.kinds, strict=True):
        place = types["atoms"].place(symbol, *lj.values[kind], beside=lj.peculiarities(kind))
        topology["types"].append(place)
        of_kind.setdefault(kind, set()).add(place)
    labels = types["atoms"].labels
    own = {(a, b) if a < b else (b, a): lj.own[p, q] for p, q in lj.own for a in of_kind[p] for b in of_kind[q]}
    for (one, other), pair in sorted(own.items()):
        types["nbfix"].place(f"{labels[one]}-{labels[other]}", [one, other], *pair)


def exceptions(entry: Any, plain: Any, custom: Any) -> dict[tuple[int, int], list[float]]:
    """Return `[product of charges, sigma, epsilon]` of each pair of atoms that is not a plain one."""
    found: dict[tuple[int, int], list[float]] = {}
    for n in range(plain.getNumExceptions()):
        i, j, product, sigma, epsilon = numbers(plain.getExceptionParameters(n))
        found[min(i, j), max(i, j)] = [product, sigma * NM, epsilon * KJ_MOL]
    if custom is not None:
        names = [custom.getPerBondParameterName(n) for n in range(custom.getNumPerBondParameters())]
        if custom.getEnergyFunction().replace(" ", "") != LJ14 or names != ["sigma", "epsilon"]:
            raise ValueError(
                f"`{entry.name}` must have no other custom bonds than Lennard-Jones of atoms three bonds apart, got "
                f"{custom.getEnergyFunction()!r}; take them out of the system"
            )
        for n in range(custom.getNumBonds()):
            i, j, (sigma, epsilon) = custom.getBondParameters(n)
            found[min(i, j), max(i, j)][1:] = [sigma * NM, epsilon * KJ_MOL]
    return found


def scaled(
    found: dict[tuple[int, int], list[float]], charges: Sequence[float], lj: LennardJones, topology: dict[str, Any]
) -> dict[tuple[int, int], tuple[float, float, float, float]]:
    """Return `lj_scale, charge_scale, sigma, epsilon` of pairs three bonds apart; those that do not act are excluded.

    A depth that is a part of what the atoms' types give, at the same sigma, is a scale (AMBER), else the pair has
    parameters of its own (CHARMM). Where a charge or a depth is zero, the scale is that of the other pairs.
    """
    out: dict[tuple[int, int], list[float | None]] = {}
    for (i, j), (product, sigma, epsilon) in found.items():
        if product == 0.0 and epsilon == 0.0:
            topology.setdefault("exclusions", []).append([i, j])
            continue
        common, bare = lj.pair(i, j), charges[i] * charges[j]
        charge_scale = float(f"{product / bare:.12g}") if bare else None
        if common[1] > 0.0 and epsilon > 0.0 and abs(sigma - common[0]) <= EQUAL * sigma:
            out[i, j] = [float(f"{epsilon / common[1]:.6g}"), charge_scale, 1.0, 0.0]
        elif epsilon == 0.0 and common[1] == 0.0:
            out[i, j] = [None, charge_scale, 1.0, 0.0]
        else:
            out[i, j] = [0.0, charge_scale, sigma, epsilon]
    usual = [Counter(row[k] for row in out.values() if row[k]).most_common(1) for k in (0, 1)]
    fill = [best[0][0] if best else 1.0 for best in usual]
    return {
        pair: (fill[0] if a is None else a, fill[1] if b is None else b, sigma, epsilon)  # type: ignore[misc]
        for pair, (a, b, sigma, epsilon) in out.items()
    }
