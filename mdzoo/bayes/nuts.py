"""The no-U-turn sampler as a method of inference."""

import json
import logging
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from mdzoo.bayes.diagnostics import Diagnosis, Draws, diagnose, plots, verdict
from mdzoo.bayes.infer import Problem
from mdzoo.bayes.mcmc import nuts
from mdzoo.bayes.members import with_members
from mdzoo.bayes.pose import Labels, posed
from mdzoo.potentials import ForceField

log = logging.getLogger(__name__)


class Nuts:
    """Draws of the posterior by Hamiltonian Monte Carlo, see `mdzoo.bayes.mcmc`.

    Leaves `draws.safetensors`, `diagnostics.json`, `trace.png` and `ranks.png` in the run directory. A run that fails
    its diagnostics is marked: its model says so whenever it is loaded.

    Arguments:
        members: M, draws that the model keeps, evenly out of all chains.
        chains: independent ones; below 4 the diagnostics fail.
        draws: of each.
        warmup: draws that adapt the step, and the masses where the posterior could not be whitened.
        accept: acceptance to aim at; larger where draws diverge.
        depth: most doublings of a trajectory.
        targets: whose labels count.
        noise: learnt by `target` or by `group`, or `{forces: {scale: 0.1, width: 0}}`, see `mdzoo.bayes.likelihood`.
        powers: `structures`, `independent`, or numbers by target, see `powers_of`.
    """

    def __init__(
        self,
        members: int = 50,
        chains: int = 4,
        draws: int = 1000,
        warmup: int = 500,
        accept: float = 0.8,
        depth: int = 10,
        targets: Any = ("energy", "forces"),
        noise: Any = "target",
        powers: Any = "structures",
    ) -> None:
        for name, value in {"members": members, "draws": draws, "warmup": warmup, "chains": chains}.items():
            if int(value) < (2 if name == "members" else 1):
                raise ValueError(f"`{name}` must be positive (members at least 2), got {value}; draw more")
        if not 0.0 < float(accept) < 1.0:
            raise ValueError(f"`accept` must be between 0 and 1, got {accept}; 0.8 is a start")
        self.members = int(members)
        self.settings = {"chains": int(chains), "draws": int(draws), "warmup": int(warmup)}
        self.settings |= {"accept": float(accept), "depth": int(depth)}  # type: ignore[dict-item]
        self.labels = Labels(list(targets), noise, powers)

    def __call__(self, problem: Problem) -> ForceField:
        """Return the force field with draws of its posterior as members."""
        found = posed(problem, self.labels)
        options: dict[str, Any] = {**self.settings, "masses": not found.whitened, "seed": problem.seed}
        draws = nuts(found.density, found.coordinates, **options)
        diagnosis = diagnose(draws)
        verdict(diagnosis, "nuts")
        if problem.run_dir is not None:
            write(draws, diagnosis, problem.run_dir)
        return marked(
            with_members(problem.force_field, thinned(draws.parameters, self.members)), "nuts", diagnosis.table()
        )


def thinned(parameters: dict[str, Tensor], members: int) -> dict[str, Tensor]:
    """Return draws that are evenly apart, (M, ...), from those of all chains."""
    flat = {name: x.flatten(0, 1) for name, x in parameters.items()}
    count = len(next(iter(flat.values())))
    if count < 2:
        raise ValueError(
            f"`draws` must leave two or more that are good, got {count}; lower the step or look at the data"
        )
    places = torch.linspace(0, count - 1, min(members, count)).round().to(torch.int64)
    return {name: x[places] for name, x in flat.items()}


def marked(force_field: ForceField, method: str, table: dict[str, Any]) -> ForceField:
    """Return the force field with a diagnosis in what is saved with it."""
    extra = dict(vars(force_field).get("extra", {}))
    vars(force_field)["extra"] = {**extra, "inference": {"method": method, **table}}
    return force_field


def write(draws: Draws, diagnosis: Diagnosis, folder: Path) -> None:
    """Write draws, diagnosis and plots into the run directory."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {**draws.parameters, **draws.others, "energy": draws.energy, "divergent": draws.divergent}
    table = {key: value for key, value in diagnosis.table().items()}
    save_file(
        {n: x.contiguous() for n, x in tensors.items()}, folder / "draws.safetensors", {"inference": json.dumps(table)}
    )
    (folder / "diagnostics.json").write_text(json.dumps(table, indent=2))
    plots(draws, folder)
