"""Draws of parameters make members: terms share what does not differ, and all of it is saved with the model."""

import copy
import difflib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mdzoo.potentials import Committee, DescriptorPotential, ForceField, LinearEnsemble, Potential, SumPotential
from mdzoo.regressors import MLP

Draws = Mapping[str, Tensor]
Made = tuple[Potential, dict[str, Any] | None]


def with_members(force_field: ForceField, draws: Draws) -> ForceField:
    """Return a force field whose potential has the members that draws of its parameters make.

    Member m takes the m-th draw of every parameter, so that draws of several terms stay together. A regressor that is
    linear in what was drawn (the last layer of a network too) shares features, and its parameters become the mean of
    the draws; a network shares the descriptor; any other term is there M times.

    Arguments:
        force_field: left as it is.
        draws: by the names of `force_field.named_parameters()`, each (M, ...) with the shape of the parameter behind.

    Raises:
        ValueError: a name is no parameter (the nearest is given), or shapes or numbers of draws do not fit.

    Example:
        `with_members(force_field, {"potential.terms.1.regressor.weights": torch.randn(20, 1, 84)})`
    """
    check(force_field, draws)
    table = vars(force_field).get("table")
    inner = force_field.potential
    if not isinstance(inner, SumPotential):
        return rebuilt(force_field, term_with(inner, of_term(draws, "potential."), table))
    tables = [None] * len(inner.terms) if table is None else table["terms"]
    made = [
        term_with(term, of_term(draws, f"potential.terms.{i}."), own)
        for i, (term, own) in enumerate(zip(inner.terms, tables, strict=True))
    ]
    new = None if table is None else {**table, "terms": [own for _, own in made]}
    return rebuilt(force_field, (SumPotential([term for term, _ in made]), new))


def check(force_field: ForceField, draws: Draws) -> None:
    """Refuse names that are no parameters, and draws that do not fit."""
    names = dict(force_field.named_parameters())
    for name, values in draws.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, 1, 0.0)[0]
            raise ValueError(f"`draws` must be of parameters of the model, got {name!r}; did you mean {near}?")
        if values.shape[1:] != names[name].shape:
            raise ValueError(
                f"`draws` of {name} must have the shape (M, *{list(names[name].shape)}), got {list(values.shape)}; "
                "put the draws first"
            )
        if not bool(values.isfinite().all()):
            raise ValueError(f"`draws` of {name} must be finite, got NaN or infinity; leave these draws out")
    counts = sorted({len(values) for values in draws.values()})
    if len(counts) != 1 or counts[0] < 2:
        raise ValueError(f"`draws` must hold the same number, 2 or more, for each parameter, got {counts}; draw more")


def of_term(draws: Draws, prefix: str) -> dict[str, Tensor]:
    """Return the draws of the parameters below a prefix, without it."""
    return {name.removeprefix(prefix): values for name, values in draws.items() if name.startswith(prefix)}


def rebuilt(force_field: ForceField, made: Made) -> ForceField:
    """Return the force field around another potential, with its table."""
    potential, table = made
    out = ForceField(potential, force_field.atomic_numbers, force_field.block_edges)
    out.unit = force_field.unit
    rest = {key: value for key, value in vars(force_field).items() if key == "extra"}
    vars(out).update(rest if table is None else {**rest, "table": table})
    return out.eval()


def term_with(term: Any, draws: dict[str, Tensor], table: Any) -> Made:
    """Return a term with its members, and the table that rebuilds it."""
    if not draws:
        return copy.deepcopy(term), table
    if isinstance(term, DescriptorPotential) and all(name.startswith("regressor.") for name in draws):
        own = of_term(draws, "regressor.")
        if set(own) <= columns_of(term.regressor):
            return linear_term(term, own, table)
        if isinstance(term.regressor, MLP):
            return network_term(term, own, table)
    count = len(next(iter(draws.values())))
    copies = [loaded(term, {name: values[m] for name, values in draws.items()}) for m in range(count)]
    return Committee(copies), None if table is None else {"name": "Committee", "potentials": [table] * count}


def loaded(module: Any, values: Draws) -> Any:
    """Return a copy of a module with other values of some of its parameters."""
    out = copy.deepcopy(module)
    with torch.no_grad():
        for name, value in values.items():
            out.get_parameter(name).copy_(value)
    return out


def columns_of(regressor: Any) -> set[str]:
    """Return the names of the parameters that `phi` multiplies."""
    if regressor.is_linear:
        return {"weights", "bias", "alpha"} & {name for name, _ in regressor.named_parameters()}
    if not isinstance(regressor, MLP) or regressor.n_members > 1:
        return set()
    names = {name for name, _ in regressor.named_parameters() if ".last." in name}
    return names | ({"linear.weights"} if regressor.has_linear else set())


def linear_term(term: DescriptorPotential, draws: Draws, table: Any) -> Made:
    """Return the term with members that differ in parameters which it is linear in, around their mean."""
    count = len(next(iter(draws.values())))
    mean = {f"regressor.{name}": values.mean(0) for name, values in draws.items()}
    center = loaded(term, mean)
    thetas = [loaded(term.regressor, {n: v[m] for n, v in draws.items()}).theta() for m in range(count)]
    out = LinearEnsemble(center, count, count)
    regressor: Any = center.regressor
    deltas = (torch.stack(thetas) - regressor.theta()).detach()
    out.deltas.copy_(deltas)
    out.root.copy_(deltas.T / (count - 1) ** 0.5)
    return out, linear_table(table, count, count)


def linear_table(table: Any, members: int, rank: int, open: bool = False) -> Any:
    """Return the table of a LinearEnsemble around a term."""
    rest = {"potential": table, "members": members, "rank": rank, "open": open}
    return None if table is None else {"name": "LinearEnsemble", **rest}


def network_term(term: DescriptorPotential, draws: Draws, table: Any) -> Made:
    """Return the term with the network's members side by side."""
    count, out = len(next(iter(draws.values()))), copy.deepcopy(term)
    regressor: Any = out.regressor
    if regressor.n_members > 1:
        raise ValueError(
            f"`draws` must be of a network of one member, got one of {regressor.n_members}; infer from one with "
            "regressor.members=1, or take bayes=ensemble"
        )
    for name, parameter in regressor.named_parameters():
        wide = draws[name].squeeze(1) if name in draws else parameter.expand(count, *parameter.shape[1:])
        parameter.data = wide.detach().to(parameter).clone()
    regressor.n_members = count
    wider = None if table is None else {**table, "regressor": {**table["regressor"], "members": count}}
    return DescriptorPotential(out.descriptor, regressor), wider
