"""From the axes of a config to one table: reference energies + empirical terms + descriptor with regressor."""

from collections.abc import Mapping, Sequence
from typing import Any

from mdzoo.potentials.registry import arguments, build


def assemble(
    empirical: Mapping[str, Mapping[str, Any]] | None,
    descriptor: Mapping[str, Any] | None,
    regressor: Mapping[str, Any] | None,
    atomic_numbers: Sequence[int],
    energies: Sequence[float],
    more: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return the table of `SumPotential([AtomicEnergies] + empirical + DescriptorPotentials)`, see `registry.build`.

    What a constructor takes and the tables leave out is filled in: `atomic_numbers`, `n_species`, `energies` from the
    data, and `n_features` from the descriptor.

    Arguments:
        empirical: tables of the empirical terms by their names, in order; none or empty for none.
        descriptor: table of the descriptor, or none for a potential without a learnt term.
        regressor: table of the regressor, or none likewise.
        atomic_numbers: the element table.
        energies: reference energy of each element, eV.
        more: further learnt terms by their names, each with tables `descriptor` and `regressor`.
    """
    if bool(descriptor) != bool(regressor):
        given, missing = ("descriptor", "regressor") if descriptor else ("regressor", "descriptor")
        raise ValueError(f"`{missing}` must stand beside `{given}`, got {given} alone; give both or neither")
    known = {"atomic_numbers": list(atomic_numbers), "n_species": len(atomic_numbers), "energies": list(energies)}
    terms = [filled({"name": "AtomicEnergies"}, known)]
    terms += [filled(term, known) for term in (empirical or {}).values()]
    if descriptor and regressor:
        terms.append(learnt(descriptor, regressor, known))
    for name, term in (more or {}).items():
        if set(term) != {"descriptor", "regressor"}:
            raise ValueError(f"`more.{name}` must hold a descriptor and a regressor, got {list(term)}; give both")
        terms.append(learnt(term["descriptor"], term["regressor"], known))
    return {"name": "SumPotential", "terms": terms}


def learnt(descriptor: Mapping[str, Any], regressor: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the table of a DescriptorPotential."""
    return filled({"name": "DescriptorPotential", "descriptor": descriptor, "regressor": regressor}, known)


def filled(table: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return `table` with those of `known` that its constructor takes and it leaves out, and so for tables inside."""
    if "name" not in table:
        raise ValueError(f"`name` must stand in every table of a member, got {dict(table)}; name its class")
    takes = arguments(table["name"])
    if isinstance(table.get("descriptor"), Mapping) and "regressor" in table:
        first = filled(table["descriptor"], known)
        table, known = {**table, "descriptor": first}, {**known, "n_features": build(first).n_features}
    inner = {key: filled_inside(value, known) for key, value in table.items()}
    return {**{key: value for key, value in known.items() if key in takes}, **inner}


def filled_inside(value: Any, known: Mapping[str, Any]) -> Any:
    """Return a value of a table, filled in where it is a table of a member or a list of such."""
    if isinstance(value, Mapping) and "name" in value:
        return filled(value, known)
    if isinstance(value, list | tuple):
        return [filled_inside(item, known) for item in value]
    return value
