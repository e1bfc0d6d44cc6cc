"""One call for every way of inference: from the parameters that a fit left to those that are plausible."""

import copy
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mdzoo.bayes.registry import made
from mdzoo.potentials import ForceField

log = logging.getLogger(__name__)


class Problem(NamedTuple):
    """What a method of inference is given."""

    force_field: ForceField  # that a fit left, a copy; its parameters are where a method starts
    data: Any  # `mdzoo.data.DataModule`, set up, with the cutoff of the force field
    prior: Any  # of the parameters, see `mdzoo.bayes.prior`; None for that of the method
    likelihood: Any  # of the labels, a table of conf/likelihood; None for that of the method
    run_dir: Path | None  # for what a method leaves beside the model: chains, logs
    fit: Mapping[str, Any] | None  # the settings of the fit, for methods that fit again
    seed: int


Method = Callable[[Problem], ForceField]


def infer(
    force_field: ForceField,
    data: Any,
    method: Method | Mapping[str, Any],
    prior: Any = None,
    likelihood: Any = None,
    *,
    run_dir: str | Path | None = None,
    fit: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> ForceField:
    """Return a force field that knows its uncertainty: its potential has `members(graph)` and `uncertainty(graph)`.

    The given one is left as it is. Where it has a `table` (one that was loaded, or that a run assembled), so has what
    is returned: `checkpoint.save` writes it, draws and all, and `mdzoo.load` rebuilds it.

    Arguments:
        force_field: that a fit left.
        data: `mdzoo.data.DataModule`; its cutoff is set to that of the force field.
        method: an object of `mdzoo.bayes`, or its table: `{"name": "laplace", "members": 20}`.
        prior: of the parameters, see `mdzoo.bayes.prior`; by default that of the method.
        likelihood: of the labels, a table of conf/likelihood; by default that of the method.
        run_dir: gets what a method leaves beside the model.
        fit: settings of the fit (conf/fit), for methods that fit again.
        seed: of all draws.

    Example:
        `sure = infer(force_field, data, {"name": "laplace"}); sure.potential.uncertainty(graph).parameter`
    """
    begin = time.monotonic()
    chosen: Any = made(method)
    data.cutoff = max(force_field.cutoff, 1e-6)
    data.setup("fit")
    folder = None if run_dir is None else Path(run_dir)
    out = chosen(Problem(copied(force_field), data, prior, likelihood, folder, fit, int(seed)))
    log.info("%s took %.1f s", type(chosen).__name__, time.monotonic() - begin)
    return out.eval()


def copied(force_field: ForceField) -> ForceField:
    """Return a copy in eval mode that shares nothing."""
    return copy.deepcopy(force_field).eval()
