"""From a problem of inference to a density and coordinates for it: factors where all that is drawn is linear."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from mdzoo.bayes.coordinates import Coordinates, by_hessian, conjugate, natural
from mdzoo.bayes.infer import Problem
from mdzoo.bayes.lift import Density, GraphTerm, Lifted, Predictor
from mdzoo.bayes.likelihood import Likelihood, powers_of
from mdzoo.bayes.prior import sites_of, units_of
from mdzoo.bayes.sufficient import Columns, FactorTerm, RowTerm, streamed
from mdzoo.fit.cached import kept_sets
from mdzoo.fit.design import linear_parts
from mdzoo.fit.noise import FEW
from mdzoo.potentials import ForceField
from mdzoo.potentials.parameters import Values

log = logging.getLogger(__name__)
MOST = 400
"""Parameters up to which a Hessian is made, by as many backward passes."""


class Posed(NamedTuple):
    """A posterior."""

    density: Density
    coordinates: Coordinates
    whitened: bool  # whether the posterior is about a standard normal in these


class Labels(NamedTuple):
    """How labels are scored, besides the axis `likelihood`.

    `targets` count; `noise` is learnt by `target` or `group`, or `{target: {scale: s, width: w}}`; `powers` are
    `structures` (see `powers_of`), `independent`, or numbers by target.
    """

    targets: Sequence[str] = ("energy", "forces")
    noise: Any = "target"
    powers: Any = "structures"


def default_prior(force_field: ForceField) -> dict[str, dict[str, Any]]:
    """Return one learnt width for each tensor of weights, and the literature for empirical parameters."""
    table = {"*": {"name": "hierarchical"}}
    values = [name for name, module in force_field.named_modules() if isinstance(module, Values)]
    trained = dict(force_field.named_parameters())
    return table | {name: {"name": "literature"} for name in values if trained[f"{name}.raw"].requires_grad}


def likelihood_of(problem: Problem, labels: Labels) -> Likelihood:
    """Return the likelihood of a problem.

    Raises:
        ValueError: there are too few labels for what is to be learnt.
    """
    data = problem.data.train_set
    rows, structures = counts(data, labels.targets)
    given = labels.noise if isinstance(labels.noise, Mapping) else {}
    for target in labels.targets:
        known = float(given.get(target, {}).get("width", 2.0)) == 0.0
        if structures[target] < (1 if known else FEW):
            raise ValueError(
                f"`data` must hold {FEW} structures or more with labels of {target} to learn its noise, got "
                f"{structures[target]}; give the noise with width 0, or leave {target} out of the targets"
            )
    powers = labels.powers
    if powers == "structures":
        powers = powers_of(rows, structures)
    elif not isinstance(powers, Mapping) and powers != "independent":
        raise ValueError(f"`powers` must be structures, independent or numbers by target, got {powers!r}; choose one")
    groups = list(problem.data.groups) if labels.noise == "group" else []
    table = dict(problem.likelihood or {})
    return Likelihood(
        labels.targets, groups, powers=powers if isinstance(powers, Mapping) else None, noise=given, **table
    )


def counts(dataset: Any, targets: Sequence[str]) -> tuple[dict[str, int], dict[str, int]]:
    """Return the numbers of labels and of structures that have some, by target."""
    rows, structures = dict.fromkeys(targets, 0), dict.fromkeys(targets, 0)
    for i in range(len(dataset)):
        labels = dataset[i].labels
        for target in targets:
            weight = float(getattr(labels, "force_weight" if target == "forces" else f"{target}_weight")[0])
            there = int((~torch.isnan(getattr(labels, target))).sum()) if weight > 0.0 else 0
            rows[target] += there
            structures[target] += there > 0
    return rows, structures


def lifted_of(problem: Problem, labels: Labels) -> Lifted:
    """Return the model of the parameters of a problem."""
    field, data = problem.force_field, problem.data.train_set
    table = problem.prior if problem.prior is not None else default_prior(field)
    return Lifted(sites_of(field, table, units_of(field, data)), likelihood_of(problem, labels))


def columns_of(problem: Problem, lifted: Lifted) -> Columns | None:
    """Return the columns of a model all of whose drawn parameters it is linear in, else None."""
    try:
        linear_parts(problem.force_field)
        columns = Columns(problem.force_field)
    except ValueError:
        return None
    return columns if columns.hold(lifted.sites) else None


def posed(problem: Problem, labels: Labels) -> Posed:
    """Return the posterior of a problem, and coordinates."""
    lifted, data = lifted_of(problem, labels), problem.data.train_set
    columns = columns_of(problem, lifted)
    if columns is None:
        return predicted(problem, lifted)
    student = lifted.likelihood.name == "student_t"
    batches = (data[[i]] for i in range(len(data)))
    factors, rows = streamed(problem.force_field, batches, lifted.likelihood, student)
    term = FactorTerm(factors, columns, lifted.likelihood)
    density = Density(lifted, RowTerm(rows, columns, lifted.likelihood) if student else term)
    coordinates = conjugate(density, term.blocks, columns)
    log.info("%d numbers are drawn; factors of %s rows", density.dimension, [b.rows for b in term.blocks])
    return Posed(density, coordinates, True)


def predicted(problem: Problem, lifted: Lifted) -> Posed:
    """Return the posterior of a potential that is predicted at each step."""
    field, data = problem.force_field.train(), problem.data.train_set
    kept = kept_sets(field, [data], "auto", 4e9, problem.run_dir or Path())
    predictor = Predictor(field, kept[0] if kept else None)
    whole = kept[1] if kept else data
    batches = [whole[list(range(i, min(i + 32, len(data))))] for i in range(0, len(data), 32)]
    density = Density(lifted, GraphTerm(predictor, lifted.likelihood, batches))
    log.info("%d numbers are drawn; each step predicts %d structures", density.dimension, len(data))
    first = linear_first(problem, density)
    if density.dimension > MOST:
        return Posed(density, first, False)
    return Posed(density, by_hessian(density, first), True)


def linear_first(problem: Problem, density: Density) -> Coordinates:
    """Return coordinates in which those parameters that the energy is linear in are whitened, others at their start."""
    field, data, likelihood = problem.force_field, problem.data.train_set, density.lifted.likelihood
    try:
        columns = Columns(field) if linear_parts(field) else None
    except ValueError:
        columns = None
    if columns is None or not set(columns.names) & set(density.lifted.sites):
        return natural(density)
    factors = streamed(field, (data[[i]] for i in range(len(data))), likelihood, False)[0]
    return conjugate(density, FactorTerm(factors, columns, likelihood).blocks, columns)
