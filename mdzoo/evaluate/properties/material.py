"""One crystal under one model, and all that can be measured of it."""

from collections.abc import Callable, Sequence
from typing import Any

from ase import Atoms

from mdzoo.evaluate.properties.bulk import elastic_constants, equation_of_state, named_constants
from mdzoo.evaluate.properties.calculator import ForceFieldCalculator, relax
from mdzoo.evaluate.properties.defects import surface_energies, vacancy_energy
from mdzoo.evaluate.properties.phonons import phonons
from mdzoo.potentials.force_field import ForceField


class Material:
    """A crystal, relaxed with its cell under a model.

    Arguments:
        force_field: the model.
        structure: periodic in all directions; its cell is the one that `a`, Miller indices and C refer to.
    """

    def __init__(self, force_field: ForceField, structure: Atoms) -> None:
        if not structure.pbc.all() or structure.cell.rank < 3:
            raise ValueError(
                f"`structure` must be periodic in all directions, got pbc={structure.pbc.tolist()}; give a crystal"
            )
        start = Atoms(structure.numbers, structure.positions, cell=structure.cell, pbc=True)
        start.calc = ForceFieldCalculator(force_field)
        self.crystal = relax(start, cell=True)

    def lattice(self) -> dict[str, Any]:
        """Return the lengths of the cell (Angstrom) and the energy (eV) and volume (Angstrom^3) per atom."""
        a, b, c = self.crystal.cell.lengths()
        n = len(self.crystal)
        sizes = {"a": a} if max(abs(a - b), abs(a - c)) < 1e-4 * a else {"a": a, "b": b, "c": c}
        found = {"energy": self.crystal.get_potential_energy() / n, "atom_volume": self.crystal.cell.volume / n}
        return {key: float(value) for key, value in (sizes | found).items()}

    def eos(self) -> dict[str, Any]:
        """Return the equation of state."""
        return equation_of_state(self.crystal)

    def elastic(self) -> dict[str, Any]:
        """Return the elastic constants, with relaxed and with clamped ions where these can differ."""
        found = named_constants(elastic_constants(self.crystal))
        if len(self.crystal) > 1:
            found |= named_constants(elastic_constants(self.crystal, ions=False), "_clamped")
        return found

    def vacancy(self) -> dict[str, Any]:
        """Return the energy of a vacancy, of an element only."""
        return {"vacancy": vacancy_energy(self.crystal)} if len(set(self.crystal.numbers)) == 1 else {}

    def surfaces(self) -> dict[str, Any]:
        """Return the energies of three low surfaces, of an element only."""
        found: dict[str, Any] = {}
        for miller in ((1, 0, 0), (1, 1, 0), (1, 1, 1)) if len(set(self.crystal.numbers)) == 1 else ():
            name = "surface_" + "".join(str(h) for h in miller)
            found[f"{name}_unrelaxed"], found[name] = surface_energies(self.crystal, miller)
        return found

    def phonons(self) -> dict[str, Any]:
        """Return the phonons."""
        return phonons(self.crystal)


KINDS: dict[str, Callable[[Material], dict[str, Any]]] = {
    "lattice": Material.lattice,
    "eos": Material.eos,
    "elastic": Material.elastic,
    "vacancy": Material.vacancy,
    "surfaces": Material.surfaces,
    "phonons": Material.phonons,
}


def measure(force_field: ForceField, structure: Atoms, kinds: str | Sequence[str] = "all") -> dict[str, Any]:
    """Return the properties of a crystal by name, numbers and curves.

    Arguments:
        force_field: the model.
        structure: the crystal to start from.
        kinds: `all`, or some of `KINDS`.
    """
    chosen = list(KINDS) if kinds == "all" else [kinds] if isinstance(kinds, str) else list(kinds)
    unknown = [kind for kind in chosen if kind not in KINDS]
    if unknown:
        raise ValueError(f"`properties` must be all or some of {list(KINDS)}, got {unknown}; name these")
    material = Material(force_field, structure)
    found: dict[str, Any] = {}
    for kind in chosen:
        found |= KINDS[kind](material)
    return found
