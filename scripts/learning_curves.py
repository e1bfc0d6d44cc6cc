"""Does a baseline help? E_ML alone against E_empirical + E_ML, on parts of the Si and Mo data of Zuo et al. (2020).

Nested random subsets of the training file (10, 20 and 50 %, five seeds; the whole file once), SO3 + Linear of about
130 features in closed form, ridge and weight of energies by grouped cross-validation inside each subset, errors on the
test file. Baselines stand as published or, in the columns called joint, their parameters are found together with the
linear weights (variable projection by Gauss-Newton steps: the rows of the linear part do not depend on them). The
constant of an atom alone is the mean of what a baseline leaves. Each structure's rows are made once and serve all fits.
Then a pair of atoms from 0.5 Angstrom, and 5 ps at 3000 K (Langevin) of a crystal, on fits to 10 % and to all.

Written to --out: learning_curves.png, a JSON file for each element and the exported files; the tables are printed. An
element whose JSON file is there is not done again.

Examples:
  python scripts/learning_curves.py --data-root FOLDER
  python scripts/learning_curves.py --data-root FOLDER --elements Mo --seeds 1 --steps 0 --baselines none zbl
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import ase.build
import ase.io
import matplotlib
import numpy as np
import torch
from ase.data import chemical_symbols
from ase.neighborlist import neighbor_list
from matplotlib.figure import Figure
from scipy.optimize import least_squares
from torch import Tensor

from mdzoo.cli.commands import data_module
from mdzoo.cli.config import compose, plain
from mdzoo.data import graph_from_atoms
from mdzoo.data.labels import Batch, collate_batch
from mdzoo.data.splits import grouped_folds
from mdzoo.data.twins import twin_classes
from mdzoo.evaluate.plots import COLORS, STYLE
from mdzoo.export.md import run
from mdzoo.export.torchscript import export
from mdzoo.fit.design import design, set_theta
from mdzoo.fit.least_squares import LeastSquares
from mdzoo.fit.rows import compared, detached
from mdzoo.fit.select import decompose
from mdzoo.graph import within
from mdzoo.potentials import ForceField, Prediction, build
from mdzoo.potentials.assemble import assemble

FRACTIONS = (0.1, 0.2, 0.5, 1.0)
TARGETS = ["energy", "forces"]
WEIGHTS = {"energy": [10.0, 30.0, 100.0, 300.0], "forces": 1.0}
DESCRIPTOR = {"name": "SO3", "K": [5, 3], "L": [3, 2], "radial": "chebyshev", "stretch": 0.0}
CUTOFFS = {"Si": 5.0, "Mo": 4.6}
CRYSTALS = {"Si": ("diamond", 5.431, 2), "Mo": ("bcc", 3.147, 3)}
SCAN = np.arange(0.5, 4.001, 0.02)
ZBL = {"name": "ZBL", "inner": 1.0, "outer": 2.0}
SW = {"name": "StillingerWeber", "trainable": ["epsilon", "sigma", "a", "gamma", "A", "B", "lambda3", "cos0"]}
TERSOFF = {
    "name": "Tersoff",
    "trainable": ["A", "lambda1", "B", "lambda2", "n", "beta", "lambda3", "gamma", "c", "d", "cos0"],
}
FS = {"name": "FinnisSinclair", "trainable": ["A", "d", "beta", "c", "c0", "c1", "c2"]}
BASELINES: dict[str, dict[str, dict[str, Any]]] = {
    "Si": {"none": {}, "zbl": {"zbl": ZBL}, "stillinger_weber": {"sw": SW}, "tersoff": {"tersoff": TERSOFF}},
    "Mo": {
        "none": {},
        "zbl": {"zbl": ZBL},
        "finnis_sinclair": {"fs": FS},
        "finnis_sinclair + zbl": {"fs": FS, "zbl": ZBL},
    },
}


class Fitted(NamedTuple):
    """A closed form that has been solved."""

    theta: Tensor
    constant: float  # eV, of an atom alone
    module: LeastSquares


class Study:
    """The structures of one element with their labels, and the rows of the linear part, made once."""

    def __init__(self, element: str, root: str) -> None:
        words = ["data=zuo2020", f"data.element={element}", f"data.root={root}"]
        self.data = data_module(plain(compose("train", words))["data"])
        self.data.setup()
        self.element, self.numbers = element, self.data.atomic_numbers
        self.descriptor = {**DESCRIPTOR, "cutoff": CUTOFFS[element]}
        self.model = self.force_field({}, 0.0)
        self.data.cutoff = max(self.model.cutoff, *(self.baseline(name).cutoff for name in BASELINES[element]))
        self.kinds = twin_classes(self.data.train_set.frames, self.data.train_set.energies)
        parts = {"train": self.data.train_set, "test": self.data.test_set}
        self.batches = {name: [part[i] for i in range(len(part))] for name, part in parts.items()}
        self.rows = {name: [design(self.model, b.graph) for b in batches] for name, batches in self.batches.items()}

    def force_field(self, terms: dict[str, Any], constant: float) -> ForceField:
        """Return reference energies, empirical terms and the linear term, weights at zero."""
        table = assemble(terms, self.descriptor, {"name": "Linear"}, self.numbers, [constant])
        return ForceField(build(table), self.numbers).eval()

    def baseline(self, name: str) -> ForceField:
        """Return the empirical terms alone; nothing has no energy."""
        terms = BASELINES[self.element][name]
        return ForceField(build(assemble(terms, None, None, self.numbers, [0.0])), self.numbers).eval()

    def subset(self, fraction: float, seed: int) -> list[int]:
        """Return the structures of a part of the training file; the smaller parts of a seed lie in the larger."""
        n = len(self.batches["train"])
        return sorted(np.random.default_rng(seed).permutation(n)[: round(fraction * n)].tolist())

    def fit(self, chosen: list[int], base: list[Prediction], seed: int) -> Fitted:
        """Solve the closed form for these training structures, beside what the baseline says of each of them."""
        frames, groups = self.data.train_set.frames, self.data.train_set.groups
        picked = [frames[i] for i in chosen], [groups[i] for i in chosen]
        folds = grouped_folds(*picked, self.kinds[chosen], 5, seed)
        batches = [self.batches["train"][i] for i in chosen]
        left = [(b.labels.energy - p.energy) / len(b.graph.species) for b, p in zip(batches, base, strict=True)]
        constant = float(torch.cat(left).mean())
        module = LeastSquares(self.model, WEIGHTS, "cross_validation", torch.as_tensor(folds))
        for fold, i, batch, said in zip(folds.tolist(), chosen, batches, base, strict=True):
            for target, rows in compared(self.rows["train"][i], shifted(said, batch, constant), batch, TARGETS).items():
                module.train_factors.add(fold, target, rows)
        return Fitted(module.solve().mean, constant, module)

    def errors(self, fitted: Fitted, base: list[Prediction]) -> dict[str, float]:
        """Return the mean absolute errors on the test file, meV/atom and eV/Angstrom."""
        found: dict[str, list[Tensor]] = {target: [] for target in TARGETS}
        for rows, batch, said in zip(self.rows["test"], self.batches["test"], base, strict=True):
            for target, block in compared(rows, shifted(said, batch, fitted.constant), batch, TARGETS).items():
                found[target].append((block[:, :-1] @ fitted.theta - block[:, -1]).abs())
        mean = {target: float(torch.cat(blocks).mean()) for target, blocks in found.items()}
        return {**mean, "energy": 1e3 * mean["energy"]}

    def joint(self, baseline: ForceField, chosen: list[int], start: Fitted, steps: int) -> None:
        """Leave in the baseline the parameters that are best together with the linear weights.

        With the weights and the ridge of `start`, the weighted residuals outside the span of the linear part's columns
        are a function of the baseline's parameters alone (Golub and Pereyra, DOI 10.1137/0710036).
        """
        batches = [self.batches["train"][i] for i in chosen]
        nothing = said_of(self.baseline("none"), batches)
        cases = zip(chosen, batches, nothing, strict=True)
        blocks = [compared(self.rows["train"][i], said, batch, TARGETS) for i, batch, said in cases]
        weights = start.module.chosen
        stacked = torch.cat([weights[t] * block[t] for block in blocks for t in TARGETS])
        spectrum = decompose(start.module.train_factors, weights, start.module.shape, None)
        prior = start.module.strength**0.5 * torch.diag(spectrum.prior)
        span = torch.linalg.qr(torch.cat([stacked[:, :-1], prior]))[0]
        labels, n = stacked[:, -1], len(stacked)
        short = [Batch(within(b.graph, baseline.cutoff), b.labels) for b in batches]
        near = [collate_batch(short[k : k + 16]) for k in range(0, len(short), 16)]
        energies = torch.cat([torch.arange(len(block["energy"]) + len(block["forces"])) == 0 for block in blocks])
        parameters = [p for p in baseline.parameters() if p.requires_grad]

        def residuals(theta: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                torch.nn.utils.vector_to_parameters(torch.as_tensor(theta), parameters)
            said = torch.cat([flat(baseline(batch.graph), batch, weights) for batch in near])
            left = labels - said.nan_to_num(1e3, 1e3, -1e3)
            left = torch.where(energies, left - left[energies].mean(), left)
            along = span[:n].T @ left
            return torch.cat([left - span[:n] @ along, -span[n:] @ along]).numpy()

        begin = torch.nn.utils.parameters_to_vector(parameters).detach().numpy()
        found = least_squares(residuals, begin, x_scale="jac", xtol=1e-4, ftol=1e-4, max_nfev=steps)
        residuals(found.x)

    def whole(self, name: str, fitted: Fitted, baseline: ForceField) -> ForceField:
        """Return the sum as one force field."""
        force_field = self.force_field(BASELINES[self.element][name], fitted.constant)
        set_theta(force_field, fitted.theta)
        terms = list(force_field.potential.terms)[1:-1]
        for own, found in zip(terms, list(baseline.potential.terms)[1:], strict=True):
            own.load_state_dict(found.state_dict())
        return force_field


def shifted(said: Prediction, batch: Batch, constant: float) -> Prediction:
    """Return a prediction with an energy more for each atom."""
    return said._replace(energy=said.energy + constant * len(batch.graph.species))


def flat(said: Prediction, batch: Batch, weights: dict[str, float]) -> Tensor:
    """Return the weighted energies per atom and forces of a batch, structure behind structure."""
    counts = torch.bincount(batch.graph.batch)
    energies = (weights["energy"] * said.energy / counts).detach().split(1)
    forces = (weights["forces"] * said.forces).detach().split(counts.tolist())
    return torch.cat([torch.cat([e, f.flatten()]) for e, f in zip(energies, forces, strict=True)])


def said_of(baseline: ForceField, batches: list[Batch]) -> list[Prediction]:
    """Return what a baseline says of each structure."""
    return [detached(baseline(batch.graph)) for batch in batches]


def curves(study: Study, names: list[str], seeds: int, steps: int) -> tuple[list[dict[str, Any]], dict]:
    """Return the errors of every fit, and the models of the first seed by (baseline, fraction)."""
    records, models = [], {}
    for name in names:
        baseline = study.baseline(name)
        said = {part: said_of(baseline, batches) for part, batches in study.batches.items()}
        cases = [(f, seed) for f in FRACTIONS for seed in range(1 if f == 1.0 else seeds)]
        for fraction, seed in cases:
            begin, chosen = time.process_time(), study.subset(fraction, seed)
            fitted = study.fit(chosen, [said["train"][i] for i in chosen], seed)
            record = {"element": study.element, "baseline": name, "fraction": fraction, "seed": seed}
            record |= {"frozen": study.errors(fitted, said["test"])}
            if seed == 0:
                models[name, fraction] = study.whole(name, fitted, baseline)
            trained = study.baseline(name)
            if steps > 0 and any(p.requires_grad for p in trained.parameters()):
                study.joint(trained, chosen, fitted, steps)
                both = said_of(trained, [study.batches["train"][i] for i in chosen])
                fitted = study.fit(chosen, both, seed)
                record |= {"joint": study.errors(fitted, said_of(trained, study.batches["test"]))}
                if seed == 0:
                    models[f"{name}, joint", fraction] = study.whole(name, fitted, trained)
            records.append({**record, "seconds": time.process_time() - begin})
            print(records[-1], flush=True)
    return records, models


def dimer(force_field: ForceField) -> np.ndarray:
    """Return the energy of a pair of atoms at the distances of SCAN over that of the same atoms alone, eV."""
    return np.array([pair_energy(force_field, r) for r in SCAN]) - pair_energy(force_field, 9.0)


def pair_energy(force_field: ForceField, r: float) -> float:
    """Return the energy of two atoms at a distance, eV."""
    atoms = ase.Atoms(force_field.atomic_numbers * 2, [[0.0, 0.0, 0.0], [0.0, 0.0, r]])
    graph = graph_from_atoms(atoms, force_field.atomic_numbers, force_field.cutoff)
    return float(force_field(graph).energy.detach())


def told(energies: np.ndarray) -> str:
    """Return a scan in words."""
    at = ", ".join(f"{r} A {np.interp(r, SCAN, energies):.0f}" for r in (0.5, 1.0, 1.5))
    pulls = SCAN[:-1][(np.diff(energies) > 0.0) & (SCAN[:-1] < 1.6)]
    return f"{at} eV; " + (f"attracts from {pulls[0]:.2f} to {pulls[-1]:.2f}" if len(pulls) else "repels below 1.6 A")


def hot_run(force_field: ForceField, frames: list[ase.Atoms], folder: Path, steps: int) -> dict[str, Any]:
    """Return how far a crystal at 3000 K came, and the shortest distance on the way."""
    export(force_field, folder / "model.pt", references=[atoms for atoms in frames if len(atoms) > 1][:3])
    symbol = chemical_symbols[force_field.atomic_numbers[0]]
    structure, a, n = CRYSTALS[symbol]
    atoms, path = ase.build.bulk(symbol, structure, a=a, cubic=True).repeat(n), folder / "hot.extxyz"
    keys: dict[str, Any] = {"ensemble": "langevin", "temperature": 3000.0, "interval": 10, "progress": False}
    end = "whole"
    try:
        run(folder / "model.pt", atoms, steps=steps, trajectory=path, **keys)
    except RuntimeError as error:
        end = str(error)
    seen = ase.io.read(path, ":")
    return {"ps": 0.01 * (len(seen) - 1), "end": end, "shortest": min(map(shortest, seen))}


def shortest(atoms: ase.Atoms) -> float:
    """Return the shortest distance between two atoms, Angstrom, 2.6 if none is shorter."""
    return float(neighbor_list("d", atoms, 2.6).min(initial=2.6))


def spreads(records: list[dict[str, Any]], element: str, name: str, column: str) -> list[tuple[float, ...]]:
    """Return for each part of the data: per cent, mean and deviation over seeds of energy and force errors."""
    rows: list[tuple[float, ...]] = []
    for fraction in FRACTIONS:
        key = (element, name, fraction)
        mine = [r[column] for r in records if (r["element"], r["baseline"], r["fraction"]) == key and column in r]
        if mine:
            errors = [[m[target] for m in mine] for target in TARGETS]
            rows.append((100 * fraction, *(float(f(e)) for e in errors for f in (np.mean, np.std))))
    return rows


def table(records: list[dict[str, Any]], element: str, names: list[str]) -> str:
    """Return the learning curves as Markdown."""
    head = " | ".join(f"{100 * f:.0f} %" for f in FRACTIONS)
    lines = [f"| {element}: meV/atom; eV/Angstrom | {head} |", "|---|" + "---|" * len(FRACTIONS)]
    for name in names:
        for column in ("frozen", "joint"):
            cells = [
                f"{e:.1f} ± {de:.1f}; {f:.3f} ± {df:.3f}" for _, e, de, f, df in spreads(records, element, name, column)
            ]
            if cells:
                lines.append(f"| {name if name == 'none' else f'{name}, {column}'} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(reports: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw learning curves with error bars over seeds, and the pairs of atoms beside them."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 2.8 * len(reports)), dpi=100, layout="constrained")
        grid = figure.subplots(len(reports), 3, squeeze=False)
        for axes, (element, report) in zip(grid, reports.items(), strict=True):
            found = report["pairs"]
            for color, name in zip(COLORS, report["names"], strict=False):
                for column, line in (("frozen", "-"), ("joint", ":")):
                    look: Any = {"color": color, "linestyle": line, "linewidth": 1}
                    rows = spreads(report["curves"], element, name, column)
                    for k, place in enumerate(axes[:2] if rows else []):
                        x, *columns = np.array(rows).T
                        place.errorbar(x, *columns[2 * k : 2 * k + 2], capsize=2, marker=".", **look)
                axes[2].plot(SCAN, found[name], color=color, linewidth=1, label=name)
                if f"{name}, joint" in found:
                    axes[2].plot(SCAN, found[f"{name}, joint"], color=color, linestyle=":", linewidth=1)
            axes[2].plot(SCAN, found["ZBL alone"], color="#333333", linestyle="--", linewidth=1, label="ZBL alone")
            percent: Any = {"xlabel": "% of the training file", "xscale": "log", "xticks": [10, 20, 50, 100]}
            axes[0].set(title=f"{element}: energy", ylabel="meV/atom", **percent)
            axes[1].set(title="forces (dotted: joint)", ylabel="eV/Å", **percent)
            for place in axes[:2]:
                place.set_xticks([10, 20, 50, 100], ["10", "20", "50", "100"])
                place.minorticks_off()
            axes[2].set(title="a pair of atoms", ylabel="eV", xlabel="r, Å", xlim=(0.5, 3.0))
            axes[2].set_yscale("symlog", linthresh=10.0)
            axes[2].legend(fontsize=7)
        figure.savefig(path)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True, help="folder that holds zuo2020/")
    parser.add_argument("--elements", nargs="+", default=list(BASELINES), choices=list(BASELINES))
    parser.add_argument("--baselines", nargs="+", help="some of them, by default all")
    parser.add_argument("--seeds", type=int, default=5, help="random subsets of each size (%(default)s)")
    parser.add_argument("--joint-steps", type=int, default=20, help="Gauss-Newton steps, 0 for none (%(default)s)")
    parser.add_argument("--steps", type=int, default=5000, help="of 1 fs at 3000 K, 0 for none (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("outputs/learning_curves"))
    return parser.parse_args()


def report_of(element: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return the errors of all fits, the pairs of atoms and the hot runs of one element."""
    study = Study(element, options.data_root)
    names = [name for name in BASELINES[element] if name in (options.baselines or BASELINES[element])]
    records, models = curves(study, names, options.seeds, options.joint_steps)
    zbl = ForceField(build({"name": "ZBL", "atomic_numbers": study.numbers}), study.numbers)
    pairs = {name: dimer(model) for (name, fraction), model in models.items() if fraction == 1.0}
    frames = study.data.train_set.frames
    hot = {}
    for (name, fraction), model in models.items():
        best = (f"{name}, joint", fraction) not in models  # a baseline that trains runs hot as it was trained
        if options.steps and best and fraction in (FRACTIONS[0], 1.0):
            case = f"{name} {100 * fraction:.0f} %"
            hot[case] = hot_run(model, frames, options.out / element / case, options.steps)
            print(element, case, hot[case], flush=True)
    scans = {name: scan.tolist() for name, scan in {**pairs, "ZBL alone": dimer(zbl)}.items()}
    nearest = min(map(shortest, frames))
    return {"names": names, "curves": records, "pairs": scans, "hot": hot, "shortest in the training file": nearest}


def main() -> None:
    """Fit, look at pairs, run hot, and report; an element whose file is there is not done again."""
    options = parse()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    reports = {}
    for element in options.elements:
        path = options.out / f"{element}.json"
        if not path.is_file():
            path.write_text(json.dumps(report_of(element, options), indent=1))
        reports[element] = json.loads(path.read_text())
    for element, report in reports.items():
        print(f"\n{table(report['curves'], element, report['names'])}\n")
        print("shortest distance in the training file:", round(report["shortest in the training file"], 3))
        print(*[f"pair, {name}: {told(np.array(scan))}" for name, scan in report["pairs"].items()], sep="\n")
        print(*[f"3000 K, {name}: {found}" for name, found in report["hot"].items()], sep="\n")
    draw(reports, options.out / "learning_curves.png")
    print(f"{time.process_time():.0f} s of CPU; written: {options.out}")


if __name__ == "__main__":
    main()
