"""A small fit on some number of ranks; run as a script, it starts the other ranks itself.

python tests/fit/ranks.py FOLDER KIND RANKS
"""

import os
import sys
from pathlib import Path

import torch

from mdzoo.fit import fit
from mdzoo.regressors import Linear
from tests.fit.cases import Plain, data, force_field, frames, network

SGD = {"name": "sgd", "weights": {"energy": 1.0, "forces": 1.0}, "epochs": 2, "batch_size": 4}
LEAST_SQUARES = {"name": "least_squares", "weights": {"energy": [1.0, 10.0], "forces": 1.0}, "folds": 3}


def run(folder: Path, kind: str, devices: int) -> dict:
    """Fit nine structures of 1, 2 and 4 atoms in steps of four, and return the weights and the metrics."""
    three = force_field(Linear(3, 1), Plain())  # well determined, so that rounding stays small
    model, settings = (network(trainable=True), SGD) if kind == "sgd" else (three, LEAST_SQUARES)
    module = data(frames(9), val=frames(3, seed=4))
    result = fit(model, module, folder, settings | {"devices": devices}, progress=False)
    return {"state": model.state_dict(), "metrics": result.metrics}


if __name__ == "__main__":
    torch.set_num_threads(1)
    end = run(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    if int(os.environ.get("LOCAL_RANK", "0")) == 0:
        torch.save(end, Path(sys.argv[1]) / "end.pt")
