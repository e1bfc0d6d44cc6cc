"""Adam, L-BFGS and Levenberg-Marquardt on one small network, from the same start: loss reached against CPU seconds.

The model is ZBL + SO3 + a network of one hidden layer, without a linear term, on the silicon data that come with mdzoo;
what the descriptor says is kept in memory, so that the seconds are those of the optimiser. Each row is one `fit`.

Examples:
  python scripts/bench_optimizers.py
  python scripts/bench_optimizers.py --hidden 16 --K 4 --L 3
"""

import argparse
import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from mdzoo.cli.commands import data_module, new_model
from mdzoo.cli.config import compose, plain
from mdzoo.fit import fit

CHOICES: list[tuple[str, dict[str, Any]]] = [
    *[(f"Adam, {n} epochs", {"name": "sgd", "epochs": n, "lr": 1e-2, "batch_size": 4}) for n in (50, 200)],
    *[(f"L-BFGS, {n} x 20", {"name": "lbfgs", "epochs": n}) for n in (5, 20)],
    *[(f"Levenberg-Marquardt, {n}", {"name": "levenberg_marquardt", "steps": n, "patience": 0}) for n in (5, 20)],
]
LIMITS = {"weights": {"energy": 10.0, "forces": 1.0, "stress": 0.0}, "cache": True}


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=8, help="units of the hidden layer (%(default)s)")
    parser.add_argument("--K", type=int, default=3, help="of SO3 (%(default)s)")
    parser.add_argument("--L", type=int, default=2, help="of SO3 (%(default)s)")
    return parser.parse_args()


def main() -> None:
    """Fit by each choice and print the table."""
    options = parse()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    words = ["data=silicon", "data.val_fraction=0.1", "regressor=mlp", f"regressor.hidden=[{options.hidden}]"]
    words += [f"descriptor.K={options.K}", f"descriptor.L={options.L}", "regressor.linear=false"]
    settings = plain(compose("train", words))
    data = data_module(settings["data"])
    data.setup()
    print("| fit | CPU s | training loss | validation: energy, meV/atom | force, eV/Angstrom |\n|---|---|---|---|---|")
    for name, choice in CHOICES:
        torch.manual_seed(0)
        force_field, _ = new_model(settings, data)
        with tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            metrics = fit(force_field, data, Path(folder), LIMITS | choice, progress=False).metrics
            seconds = time.process_time() - start
        errors = f"{1e3 * metrics['val/energy_mae']:.2f} | {metrics['val/force_mae']:.4f}"
        print(f"| {name} | {seconds:.0f} | {metrics['train/loss']:.4f} | {errors} |", flush=True)


if __name__ == "__main__":
    main()
