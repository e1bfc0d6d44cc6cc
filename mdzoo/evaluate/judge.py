"""All sets of a data module judged at once: what `metrics.json` says of train, validation and test."""

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from ase.data import chemical_symbols

from mdzoo.evaluate.metrics import metrics, without_twins
from mdzoo.evaluate.predict import Predictions, predict
from mdzoo.potentials.descriptor_potential import DescriptorPotential
from mdzoo.potentials.force_field import ForceField
from mdzoo.potentials.linear_ensemble import LinearEnsemble
from mdzoo.potentials.sum_potential import SumPotential

if TYPE_CHECKING:
    from mdzoo.data import DataModule

log = logging.getLogger(__name__)


class Judgement(NamedTuple):
    """Errors by set, in the layout of `metrics.json`, and the predictions they come from."""

    metrics: dict[str, Any]
    tables: dict[str, Predictions]


def judge(force_field: ForceField, data: "DataModule", seed: int = 0, progress: bool = False) -> Judgement:
    """Evaluate every set of `data`; test structures that are copies of training structures are left out once more.

    The section `test_without_twins` is there only if some, and not all, of the test structures have a twin.

    Arguments:
        force_field: the model; the element table and the cutoff of the graphs are its own.
        data: the sets.
        seed: of the bootstrap intervals.
        progress: whether to show a bar.
    """
    if force_field.cutoff > 0.0:
        data.cutoff = force_field.cutoff
    data.setup()
    if data.atomic_numbers != force_field.atomic_numbers:
        raise ValueError(
            f"`data` must be set up with the element table of the model {force_field.atomic_numbers}, got "
            f"{data.atomic_numbers}; pass atomic_numbers={force_field.atomic_numbers}"
        )
    tables = {
        name: predict(force_field, part, data.batch_size, description=f"evaluate {name}" if progress else None)
        for name, part in data.sets().items()
    }
    found: dict[str, Any] = {name: metrics(table, seed=seed) for name, table in tables.items()}
    apart = metrics_without_twins(data, tables, seed)
    if apart is not None:
        found["test_without_twins"] = apart
    return Judgement(found, tables)


def metrics_without_twins(data: "DataModule", tables: dict[str, Predictions], seed: int) -> dict[str, Any] | None:
    """Return the errors on the test structures that are no copies of training structures."""
    if not {"train", "test"} <= set(tables):
        return None
    return without_twins(tables["test"], np.flatnonzero(data.twins() >= 0).tolist(), seed=seed)


def summary(force_field: ForceField) -> dict[str, Any]:
    """Return what there is to say of a model in numbers: its terms, sizes, cutoff and elements."""
    potential = force_field.potential
    terms: list[Any] = list(potential.terms) if isinstance(potential, SumPotential) else [potential]
    inside = [getattr(term, "potential", term) for term in terms]
    learnt = [term for term in inside if isinstance(term, DescriptorPotential)]
    return {
        "name": " + ".join(term_name(term) for term in terms if term.cutoff > 0.0),
        "n_parameters": sum(p.numel() for p in force_field.parameters()),
        "n_features": sum(term.descriptor.n_features for term in learnt),
        "cutoff": force_field.cutoff,
        "elements": [chemical_symbols[z] for z in force_field.atomic_numbers],
    }


def term_name(term: Any) -> str:
    """Return the names of the members that a term is made of."""
    if isinstance(term, LinearEnsemble):
        return term_name(term.potential)
    if isinstance(term, DescriptorPotential):
        return f"{type(term.descriptor).__name__} + {type(term.regressor).__name__}"
    return type(term).__name__
