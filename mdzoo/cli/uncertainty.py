"""How well calibrated is a model that knows its uncertainty: numbers for `metrics.json`, and a page."""

from pathlib import Path
from typing import Any

import numpy as np

from mdzoo.bayes.calibration import Predicted, summary
from mdzoo.bayes.recalibration import factors
from mdzoo.data import DataModule
from mdzoo.evaluate.uncertainty import sure_errors
from mdzoo.evaluate.uncertainty_page import write_page
from mdzoo.potentials import ForceField
from mdzoo.potentials.sure_force_field import calibration_of, of_model


def judge_uncertainty(force_field: ForceField, data: DataModule, run_dir: Path, title: str) -> dict[str, Any]:
    """Return the numbers of the test set (validation, or training, where there is none); write `uncertainty.html`.

    Deviations of a group that calibrated carry its factor, see `mdzoo.bayes.recalibration`.

    Arguments:
        force_field: that knows its uncertainty.
        data: set up, with the cutoff of the force field.
        run_dir: gets the page.
        title: of the page.
    """
    sets = data.sets()
    name = next(split for split in ("test", "val", "train") if split in sets)
    sure = of_model(force_field, "members")
    known = calibration_of(force_field)
    found = {key: part for key, part in sure_errors(sure, sets[name]).items() if len(part.error) > 1}
    numbers = {}
    for target, part in list(found.items()):
        quantile = known.get(target, {}).get("quantile")
        part = part._replace(sigma=part.sigma * factors(known.get(target, {}).get("groups", {}), part.group))
        found[target] = part
        said = Predicted(part.error, part.sigma, None if quantile is None else np.asarray(quantile))
        numbers[target] = summary(said, {"groups": part.group, "elements": part.element}, draws=50)
    write_page(run_dir / "uncertainty.html", f"{title} ({name} set)", numbers, found)
    return {name: numbers}
