r"""Members that were fitted apart: from other random starts, or to other parts of the data.

Networks differ by their start (Lakshminarayanan, Pritzel, Blundell, arXiv:1612.01474), and may differ by their data
too. A model that is linear in its parameters has one optimum; its members are fits to blocks of structures drawn with
replacement, or without one block each (`mdzoo.bayes.resampled`).
"""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mdzoo.bayes.calibrated import by_members, check_calibration
from mdzoo.bayes.infer import Problem
from mdzoo.bayes.laplace import folds_of, with_root
from mdzoo.bayes.last_layer import linear_view
from mdzoo.bayes.left_out import LeftOut
from mdzoo.bayes.members import with_members
from mdzoo.bayes.resampled import ResampledLeftOut, counts
from mdzoo.fit import fit
from mdzoo.potentials import DescriptorPotential, ForceField, build
from mdzoo.regressors import MLP

KINDS = ("seeds", "bootstrap", "subsets")


class Ensemble:
    """Members fitted apart.

    Arguments:
        members: M; of `subsets` there are as many as folds.
        kind: `seeds` for networks; `bootstrap` or `subsets` of blocks, for networks from other starts as well.
        calibration: see `mdzoo.bayes.calibrated`; networks are judged by the validation set, if there is one.
        folds: number of blocks.
    """

    def __init__(
        self, members: int = 8, kind: str = "seeds", calibration: str = "cross_validation", folds: int = 20
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"`kind` must be one of {list(KINDS)}, got {kind!r}; seeds are for networks")
        if int(members) < 2:
            raise ValueError(f"`members` must be 2 or more, got {members}; 8 give a spread to go by")
        check_calibration(calibration)
        self.members, self.kind, self.calibration, self.folds = int(members), kind, calibration, int(folds)

    def __call__(self, problem: Problem) -> ForceField:
        """Return the force field with its members."""
        network = any(
            isinstance(m, DescriptorPotential) and isinstance(m.regressor, MLP) for m in problem.force_field.modules()
        )
        if not network and self.kind == "seeds":
            raise ValueError(
                "`kind` must be bootstrap or subsets for what is linear in its parameters, got seeds; set bayes.kind"
            )
        return self.refitted(problem) if network else self.resampled(problem)

    def resampled(self, problem: Problem) -> ForceField:
        """Return members from blocks of the data, by solves."""
        view, folds = linear_view(problem.force_field), folds_of(problem.data, self.folds)
        left = ResampledLeftOut.of(LeftOut(view, problem.data.train_set, folds), self.kind, self.members, problem.seed)
        root = left.without(()).root
        draws = root.T * (root.shape[1] - 1) ** 0.5
        return with_root(problem, root, draws, left, self.calibration)

    def parts(self, problem: Problem) -> list[Any]:
        """Return the data of each member."""
        if self.kind == "seeds":
            return [problem.data] * self.members
        folds = np.asarray(folds_of(problem.data, self.folds))
        places = [np.flatnonzero(folds == fold) for fold in sorted(set(folds.tolist()))]
        drawn = counts(self.kind, self.members, len(places), problem.seed)
        return [with_places(problem.data, places, row) for row in drawn.tolist()]

    def refitted(self, problem: Problem) -> ForceField:
        """Return members from other random starts, each a fit of its own to its data."""
        table = vars(problem.force_field).get("table")
        if table is None or problem.fit is None or problem.run_dir is None:
            raise ValueError(
                "`fit` must be given for an ensemble of networks, with a loaded model and a run directory, got none; "
                "say mdzoo train ... bayes=ensemble, or mdzoo infer model=RUN bayes=ensemble"
            )
        draws: dict[str, list[Tensor]] = {}
        for m, data in enumerate(self.parts(problem)):
            torch.manual_seed(problem.seed + m)
            one = ForceField(build(table), problem.force_field.atomic_numbers)
            settings = {**problem.fit, "seed": problem.seed + m}
            fit(one, data, Path(problem.run_dir) / f"member_{m}", settings, progress=False)
            if m == 0:
                problem.force_field.load_state_dict(one.state_dict())  # scales and statistics are of the data
            on_scale_of(problem.force_field, one)
            for name, parameter in one.named_parameters():
                draws.setdefault(name, []).append(parameter.detach().to(torch.float64))
        stacked = {name: torch.stack(values) for name, values in draws.items()}
        differ = {name: values for name, values in stacked.items() if bool((values != values[0]).any())}
        return by_members(with_members(problem.force_field, differ), problem.data, self.calibration)


def on_scale_of(first: ForceField, one: ForceField) -> None:
    """Bring the networks of a member to the scale of the features that the first has.

    Raises:
        ValueError: something else in them follows from the data.
    """
    for mine, other in zip(one.modules(), first.modules(), strict=True):
        if isinstance(mine, MLP) and isinstance(other, MLP):
            mine.rescale(other.scale.mean, other.scale.std)
    pairs = zip(one.named_buffers(), first.named_buffers(), strict=True)
    differ = [name for (name, mine), (_, other) in pairs if not torch.equal(mine, other.to(mine))]
    if differ:
        raise ValueError(
            f"`kind` must be seeds for a model whose {differ} follow from the data, got other data for each member; "
            "set bayes.kind=seeds"
        )


def with_places(data: Any, places: list[np.ndarray], counts: list[int]) -> Any:
    """Return the data module with blocks of its training structures as often as they count."""
    out = copy.copy(data)
    out.train_set = data.train_set.chosen(np.concatenate([np.tile(p, n) for p, n in zip(places, counts, strict=True)]))
    return out
