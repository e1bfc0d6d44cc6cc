"""How far each deviation can be trusted: Markdown tables of the goals, a plain baseline, and each method and regressor.

For each element one pass over its training file makes the rows; ten grouped folds and the groups are then left out by
solves alone (`mdzoo.bayes.left_out`), and calibrations never see the fold or the group on which they are judged.
Networks start from the closed form, train on all structures, and their last layer is left out like a linear model:
their numbers are of that layer alone. Beside each number stands the central 99 % of a perfect model with the same
deviations. The row `oracle` knows the root mean square of the errors in each structure, which nothing can know: what it
does not reach is not in the errors to be said. What is there already in numbers.json is not done again.

Examples:
  python scripts/table_uncertainty.py --data-root FOLDER                               # Linear, all four elements
  python scripts/table_uncertainty.py --data-root FOLDER --sets Mo --regressors linear sparse_gp mlp
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mdzoo.bayes.calibration import Predicted, coverage, detection, perfect
from mdzoo.bayes.calibration import numbers as numbers_of
from mdzoo.bayes.last_layer import linear_view
from mdzoo.bayes.left_out import LeftOut, Residuals
from mdzoo.bayes.llpr import RigidLeftOut
from mdzoo.bayes.pops import PopsLeftOut
from mdzoo.bayes.recalibration import applied, found, local_powers, local_scale
from mdzoo.bayes.resampled import ResampledLeftOut
from mdzoo.cli.commands import data_module, new_model, seed_everything
from mdzoo.cli.config import compose, plain
from mdzoo.fit.fit import fit

CUTOFFS = {"Si": 5.0, "Mo": 4.6, "Li": 6.0, "Ni": 4.1}  # Angstrom
COMMON = ["data=zuo2020", "empirical=[zbl]", "empirical.zbl.inner=1.0", "empirical.zbl.outer=2.0", "descriptor=so3"]
COMMON += ["descriptor.radial=chebyshev", "descriptor.stretch=0.0", "descriptor.K=[5,3]", "descriptor.L=[3,2]"]
REGRESSORS = {
    "linear": [],
    "sparse_gp": ["regressor.n_inducing=300"],
    "mlp": ["regressor.hidden=[16]", "fit=sgd", "fit.start=least_squares", "fit.weights.energy=30.0"]
    + ["fit.epochs=10", "fit.batch_size=4", "fit.lr=2e-3"],
}
TARGETS = ("energy", "forces")


def model(element: str, regressor: str, data_root: str) -> tuple[Any, Any]:
    """Return the force field, fitted where what is not linear in its parameters must be, and its data."""
    words = [f"data.root={data_root}", f"data.element={element}", f"descriptor.cutoff={CUTOFFS[element]}"]
    settings = plain(compose("train", [*COMMON, *words, f"regressor={regressor}", *REGRESSORS[regressor]]))
    seed_everything(0)
    data = data_module(settings["data"])
    data.setup()
    force_field, _ = new_model(settings, data)
    data.cutoff = force_field.cutoff
    if regressor != "linear":
        with tempfile.TemporaryDirectory() as folder:
            fit(force_field, data, folder, settings["fit"], progress=False)
    return force_field, data


class Known:
    """Left-out errors, found once for all methods.

    Arguments:
        left: rows and fits.
    """

    def __init__(self, left: LeftOut) -> None:
        self.left, self.folds, self.groups = left, left.folds, left.groups
        self.found: dict[tuple[str, str], dict[str, Residuals]] = {}

    def errors(self, kind: str, group: str = "") -> dict[str, Residuals]:
        """Return errors without folds, groups, or one group; the first two without a group that is left out of all."""
        if (kind, group) not in self.found:
            exclude = [group] if group else []
            ways = {
                "folds": lambda: self.left.by_folds(exclude),
                "groups": lambda: self.left.by_groups(exclude),
                "one": lambda: self.left.predicted([self.groups == group]),
            }
            self.found[(kind, group)] = ways[kind]()
        return self.found[(kind, group)]


def crossed(near: dict, far: dict, left: Any, known_of: Callable[..., dict]) -> dict[str, tuple[Predicted, Any]]:
    """Return calibrated errors of each target, fold by fold, each by what the other folds teach; and the structures."""
    out: dict[str, tuple[Predicted, Any]] = {}
    for target in TARGETS:
        parts = []
        for fold in sorted(set(left.folds.tolist())):
            inside = left.folds[near[target].structure.astype(int)] == fold
            others = left.folds[far[target].structure.astype(int)] != fold
            known = known_of(rows(near[target], ~inside), rows(far[target], others), left.groups, target)
            mine = rows(near[target], inside)
            parts.append((applied(known, mine, left.groups), mine.structure))
        half = np.average([p[0].quantile for p in parts], 0, [len(p[1]) for p in parts])
        error, sigma = (np.concatenate([getattr(p[0], key) for p in parts]) for key in ("error", "sigma"))
        out[target] = Predicted(error, sigma, half), np.concatenate([p[1] for p in parts]).astype(int)
    return out


def rows(found_here: Residuals, mask: Any) -> Residuals:
    """Return some of the residuals."""
    return Residuals(*[column[mask] for column in found_here])


def constant(near: Residuals, far: Residuals, groups: Any, target: str) -> dict[str, Any]:
    """Return the calibration that says the same deviation everywhere, normal: the plain baseline."""
    level = float(np.log(np.sqrt(np.square(near.error).mean())))
    normal = Predicted(np.zeros(2), np.ones(2)).half_widths()[:, 0]
    return {"curve": {"x": [-60.0, 60.0], "y": [level, level], "flat": True}, "quantile": normal}


def raw(near: Residuals, far: Residuals, groups: Any, target: str) -> dict[str, Any]:
    """Return the calibration that changes nothing."""
    normal = Predicted(np.zeros(2), np.ones(2)).half_widths()[:, 0]
    return {"curve": {"x": [-60.0, 60.0], "y": [-60.0, 60.0], "flat": False}, "quantile": normal}


def scaled(residuals: Residuals, like: Residuals) -> Residuals:
    """Return force errors with the scale that costs no derivative."""
    return residuals._replace(sigma=local_scale(residuals, *local_powers(like)), whole=np.zeros_like(residuals.whole))


def judged(left: Any, name: str) -> dict[str, Any]:
    """Return the numbers of one method: by left-out folds, and by left-out groups."""
    near, far = left.errors("folds"), left.errors("groups")
    if name == "local":
        near, far = ({**r, "forces": scaled(r["forces"], near["forces"])} for r in (near, far))
    known_of = {"constant": constant, "parameters": raw}.get(name, found)
    out: dict[str, Any] = {}
    for target, (said, structure) in crossed(near, far, left, known_of).items():
        said = Predicted(said.error, said.sigma) if known_of is not found else said
        out[target] = {**numbers_of(said), "perfect": perfect(some(said), 24)}
        groups = left.groups[structure]
        out[target]["groups"] = {
            g: float(coverage(Predicted(said.error[groups == g], said.sigma[groups == g], said.quantile), [0.9])[0])
            for g in sorted(set(groups.tolist()))
        }
    out["left_out"] = {g: strange(left, g, known_of, name) for g in sorted(set(left.groups.tolist()))}
    return out


def oracle(left: Any) -> dict[str, Any]:
    """Return the numbers of force deviations that are the root mean square of the errors in their structure."""
    out: dict[str, Any] = {"left_out": {}}
    for target, found_here in left.errors("folds").items():
        place, square = found_here.structure.astype(int), np.square(found_here.error)
        mean = np.bincount(place, square) / np.maximum(np.bincount(place), 1)
        sigma = np.sqrt(mean[place] if target == "forces" else np.full(len(square), square.mean())) + 1e-9
        said = Predicted(found_here.error, sigma)
        out[target] = {**numbers_of(said), "perfect": perfect(some(said), 24), "groups": {}}
    return out


def some(said: Predicted, most: int = 10000) -> Predicted:
    """Return at most so many errors: bands of more labels are narrower still."""
    step = 1 + len(said.error) // most
    return Predicted(said.error[::step], said.sigma[::step], said.quantile)


def strange(left: Any, group: str, known_of: Callable[..., dict], name: str) -> dict[str, float]:
    """Return coverages on a group that neither the fit nor the calibration saw, and how well its deviation tells it."""
    near, far, new = (left.errors(kind, group) for kind in ("folds", "groups", "one"))
    if name == "local":
        new, near, far = ({**r, "forces": scaled(r["forces"], near["forces"])} for r in (new, near, far))
    out = {}
    for target in TARGETS:
        known = known_of(near[target], far[target], left.groups, target)
        out[target] = float(coverage(applied(known, new[target]), [0.9])[0])
    both = np.concatenate([new["energy"].sigma, near["energy"].sigma])
    out["auc"] = detection(both, np.arange(len(both)) < len(new["energy"].sigma))
    return out


def envelope(left: PopsLeftOut) -> dict[str, float]:
    """Return which part of the labels of left-out folds is within the box; what symmetry fixes does not count."""
    inside: dict[str, list[Any]] = {target: [] for target in TARGETS}
    for fold in sorted(set(left.folds.tolist())):
        places = np.flatnonzero(left.folds == fold)
        parts = {left.kept[i].part for i in places}
        fitted = LeftOut.without(left, parts)
        box = left.box_of(fitted, parts)
        for target in TARGETS:
            for i in places:
                block = left.kept[i].rows[target]
                block = block[left.free(block[:, :-1], target)]
                error = block[:, -1] - block[:, :-1] @ fitted.mean
                low, high = box.envelope(block[:, :-1])
                inside[target].append(((error >= low - 1e-9) & (error <= high + 1e-9)).numpy())
    return {target: float(np.concatenate(found_here).mean()) for target, found_here in inside.items()}


def element_of(element: str, regressor: str, data_root: str) -> dict[str, Any]:
    """Return the numbers of every method on one element."""
    begin = time.process_time()
    force_field, data = model(element, regressor, data_root)
    view, folds = linear_view(force_field), data.folds(10)
    left = LeftOut(view, data.train_set, folds)
    pops = PopsLeftOut.of(left)
    known = Known(left)
    out = {name: judged(known, name) for name in ("constant", "parameters", "local", "laplace")}
    out["llpr"] = judged(Known(RigidLeftOut.of(left, 1e-8)), "llpr")
    out["pops"] = {**judged(Known(pops), "pops"), "envelope": envelope(pops)}
    out["ensemble"] = judged(Known(ResampledLeftOut.of(left, "subsets")), "ensemble")
    out["oracle"] = oracle(known)
    return {**out, "seconds": time.process_time() - begin, "n_parameters": left.factors.n_columns - 1}


COLUMNS = (
    ("U1 F .90±.015", "forces", "coverage_90", 3),
    ("U1 E .90±.015", "energy", "coverage_90", 3),
    ("U2 F area ≤.02", "forces", "miscalibration_area", 3),
    ("U2 E area ≤.03", "energy", "miscalibration_area", 3),
    ("U2 F ENCE ≤.10", "forces", "ence", 2),
    ("U3 F CRPS/RMSE ≤.45", "forces", "crps_over_rmse", 3),
    ("U4 F ρ", "forces", "spearman", 2),
    ("U4 F AUC ≥.92", "forces", "auc_worst", 3),
)


def table(results: dict[str, Any]) -> str:
    """Return the Markdown of all results."""
    lines = ["| element | regressor | method | " + " | ".join(c[0] for c in COLUMNS) + " |"]
    lines += ["|" + "---|" * (3 + len(COLUMNS))]
    for key, methods in results.items():
        element, regressor = key.split("/")
        for name, said in methods.items():
            if isinstance(said, dict):
                cells = [cell(said[target], key, digits) for _, target, key, digits in COLUMNS]
                lines.append(f"| {element} | {regressor} | {name} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "| element | regressor | method | group left out: E, F coverage, AUC | cells of F |",
        "|---|---|---|---|---|",
    ]
    for key, methods in results.items():
        element, regressor = key.split("/")
        for name, said in methods.items():
            if isinstance(said, dict):
                apart = ", ".join(
                    f"{g} {v['energy']:.2f} {v['forces']:.2f} {v['auc']:.3f}" for g, v in said["left_out"].items()
                )
                cells_of = ", ".join(f"{g} {v:.3f}" for g, v in said["forces"]["groups"].items())
                lines.append(f"| {element} | {regressor} | {name} | {apart} | {cells_of} |")
    return "\n".join(lines)


def cell(numbers: dict[str, Any], key: str, digits: int) -> str:
    """Return a number with the band of a perfect model."""
    low, high = numbers["perfect"][key]
    return f"{numbers[key]:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def main() -> None:
    """Judge, and write the numbers and the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", default="../shared/data")
    parser.add_argument("--sets", nargs="+", default=list(CUTOFFS), choices=list(CUTOFFS))
    parser.add_argument("--regressors", nargs="+", default=["linear"], choices=list(REGRESSORS))
    parser.add_argument("--out", default="outputs/table_uncertainty", type=Path)
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    path = chosen.out / "numbers.json"
    results = json.loads(path.read_text()) if path.is_file() else {}
    for regressor in chosen.regressors:
        for element in chosen.sets:
            if f"{element}/{regressor}" not in results:
                results[f"{element}/{regressor}"] = element_of(element, regressor, chosen.data_root)
                path.write_text(json.dumps(results, indent=1))
                print(table({k: v for k, v in results.items() if k == f"{element}/{regressor}"}), flush=True)
    (chosen.out / "table.md").write_text(table(results) + "\n")


if __name__ == "__main__":
    main()
