"""Make a model of `checkpoints/` from a finished run: `python scripts/make_checkpoint.py RUN_DIR NAME EXPERIMENT`.

The run is one of `mdzoo train experiment=...`. Its weights, exported file, config, metrics and picture are copied, and
the model card is written from them; the seconds of the run go into the card, for no other machine reproduces them.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch

import mdzoo
from mdzoo.units import GPA

FILES = ("model.safetensors", "model.pt", "parity.png")

CARD = """# {name}

{model}, made with mdzoo {version}.

| set | structures | atoms | energy MAE / RMSE, meV/atom | force MAE / RMSE, eV/Angstrom | stress MAE / RMSE, GPa |
|---|---|---|---|---|---|
{rows}

95 % intervals of the test errors over resampled structures: energy MAE {energy}, force MAE {force}.

- Elements: {elements}. Cutoff: {cutoff} Angstrom. Parameters: {parameters}, features: {features}.
- Made by `mdzoo train experiment={experiment}`, then `python scripts/make_checkpoint.py RUN_DIR {name} {experiment}`;
  reading, fit and evaluation took {seconds} s on {threads} thread(s).
- Use: `mdzoo.load("{name}")`, `mdzoo evaluate model={name}`, `mdzoo md model={name}`; `model.pt` runs without mdzoo.
- Data: content hash `{content}`. The potential knows what its training set shows and nothing else; see the data card.

![parity](parity.png)
"""


def make(run_dir: Path, name: str, experiment: str) -> Path:
    """Copy the files of a run into `checkpoints/<name>` and write its card."""
    target = mdzoo.folder("checkpoints") / name
    target.mkdir(parents=True, exist_ok=True)
    for file in FILES:
        shutil.copyfile(run_dir / file, target / file)
    config = (run_dir / "config.yaml").read_text().replace(str(run_dir), f"outputs/train/{name}")
    (target / "config.yaml").write_text(config)
    metrics = json.loads((run_dir / "metrics.json").read_text())
    (target / "README.md").write_text(card(name, metrics, experiment))
    del metrics["seconds"]
    (target / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    return target


def card(name: str, metrics: dict[str, Any], experiment: str) -> str:
    """Return the model card."""
    model, test = metrics["model"], metrics["test"]
    sections = [key for key in ("train", "val", "test", "test_without_twins") if key in metrics]
    return CARD.format(
        name=name,
        model=model["name"],
        version=mdzoo.__version__,
        rows="\n".join(row(key, metrics[key]) for key in sections),
        energy=interval(test, "energy_mae", 1e3, "meV/atom"),
        force=interval(test, "force_mae", 1.0, "eV/Angstrom"),
        elements=" ".join(model["elements"]),
        cutoff=model["cutoff"],
        parameters=model["n_parameters"],
        features=model["n_features"],
        experiment=experiment,
        seconds=" + ".join(f"{value:.1f}" for value in metrics["seconds"].values()),
        threads=torch.get_num_threads(),
        content=metrics["data"][:16],
    )


def row(name: str, part: dict[str, Any]) -> str:
    """Return the line of one set."""
    cells = [name.replace("_", " "), str(part["n_structures"]), str(part["n_atoms"])]
    for quantity, factor, digits in (("energy", 1e3, 2), ("force", 1.0, 4), ("stress", GPA, 3)):
        pair = [part.get(f"{quantity}_{kind}") for kind in ("mae", "rmse")]
        cells.append(" / ".join("" if value is None else f"{factor * value:.{digits}f}" for value in pair))
    return f"| {' | '.join(cells)} |"


def interval(part: dict[str, Any], key: str, factor: float, unit: str) -> str:
    """Return an interval with its unit."""
    low, high = (factor * value for value in part["intervals"][key])
    return f"{low:.3g} to {high:.3g} {unit}"


if __name__ == "__main__":
    print(f"written: {make(Path(sys.argv[1]), *sys.argv[2:4])}")
