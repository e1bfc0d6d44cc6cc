r"""How labels scatter about predictions: noise scales of targets and groups, learnt with the parameters.

With the errors e of a target (eV/atom, eV/Angstrom, eV/atom of virial; `mdzoo.fit.loss`) and weights w of structures,

    log p = sum_targets t sum_rows log f(sqrt(w) e / s) - log s,    log s ~ N(log scale, width^2)

f is the standard normal, or Student's t (Lange et al., DOI 10.1080/01621459.1989.10478852). The power t is one for
independent rows; errors of the force components of a structure are not, as what a model cannot say is alike for all
atoms of it, and their posterior would be too narrow: see `powers_of`. A temperature T divides all powers.
"""

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mdzoo.bayes.peers import dist, pyro
from mdzoo.data.labels import Batch
from mdzoo.fit.loss import RESIDUALS, Residual
from mdzoo.fit.rows import labelled
from mdzoo.potentials import Prediction

SCALES = {"energy": 0.005, "forces": 0.1, "stress": 0.02}
"""Centres of the noise scales where none are given: eV/atom, eV/Angstrom, eV/atom of virial."""
KINDS = ("gaussian", "student_t", "tempered")


class Likelihood:
    """The density of labels, given predictions and noise.

    Arguments:
        targets: of `energy`, `forces`, `stress`: those that count.
        groups: names of the groups that have noise of their own; none for one scale for each target.
        name: `gaussian`, `student_t` or `tempered` (gaussian at a temperature).
        freedom: degrees of freedom of Student's t; None learns it.
        temperature: T, above one for a wider posterior.
        powers: t of each target, one where none is given.
        noise: of a target, `{scale: s, width: 2.0}`; width 0 takes the scale for known.
    """

    def __init__(
        self,
        targets: Sequence[str],
        groups: Sequence[str] = (),
        name: str = "gaussian",
        freedom: float | None = 4.0,
        temperature: float = 1.0,
        powers: Mapping[str, float] | None = None,
        noise: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        choose("likelihood", name, KINDS)
        for key in [*targets, *(noise or {}), *(powers or {})]:
            choose("targets", key, tuple(SCALES))
        for key, value in {"temperature": temperature, "freedom": 1.0 if freedom is None else freedom}.items():
            if not 0.0 < float(value) < math.inf:
                raise ValueError(f"`{key}` must be positive and finite, got {value}; 1 leaves the likelihood as it is")
        if name != "tempered" and float(temperature) != 1.0:
            raise ValueError(f"`temperature` must be 1 for {name}, got {temperature}; choose likelihood=tempered")
        self.targets, self.groups, self.name = list(targets), list(groups), name
        self.n_scales = max(1, len(self.groups))
        self.freedom = None if freedom is None else float(freedom)
        self.powers = {t: float((powers or {}).get(t, 1.0)) / float(temperature) for t in self.targets}
        given = {t: dict((noise or {}).get(t, {})) for t in self.targets}
        self.scales = {t: float(given[t].get("scale", SCALES[t])) for t in self.targets}
        self.widths = {t: float(given[t].get("width", 2.0)) for t in self.targets}

    def draw(self, like: Tensor) -> dict[str, Tensor]:
        """Return a draw of the noise: of each target its scales, (G,), and `freedom` if it is learnt."""
        out = {}
        for target in self.targets:
            centre = like.new_full((self.n_scales,), math.log(self.scales[target]))
            width = self.widths[target]
            known = width == 0.0
            out[target] = (
                centre.exp() if known else pyro.sample(f"noise.{target}", dist.LogNormal(centre, width).to_event(1))
            )
        if self.name == "student_t" and self.freedom is None:
            out["freedom"] = pyro.sample("noise.freedom", dist.Gamma(like.new_tensor(2.0), like.new_tensor(0.1)))
        return out

    def initial(self, like: Tensor) -> dict[str, Tensor]:
        """Return the sites of the noise at their centres."""
        learnt = [t for t in self.targets if self.widths[t] > 0.0]
        out = {f"noise.{t}": like.new_full((self.n_scales,), self.scales[t]) for t in learnt}
        if self.name == "student_t" and self.freedom is None:
            out["noise.freedom"] = like.new_tensor(10.0)
        return out

    def of_prediction(self, prediction: Prediction, batch: Batch, noise: Mapping[str, Tensor]) -> Tensor:
        """Return the log density of the labels of a batch."""
        found = {t: RESIDUALS[t](prediction, batch.graph, batch.labels) for t in self.targets}
        return torch.stack(list(self.of_residuals(found, batch, noise).values())).sum()

    def of_residuals(
        self, residuals: Mapping[str, Residual], batch: Batch, noise: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return the log density of the labels of each target, from their errors."""
        return {t: self.of_rows(t, residuals[t], groups_of(t, batch), noise) for t in self.targets}

    def of_rows(self, target: str, residual: Residual, group: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        """Return the log density of rows of one target."""
        keep = residual.weight > 0.0
        error, weight = residual.error[keep], residual.weight[keep]
        scale = noise[target] if len(noise[target]) == 1 else noise[target][group[keep]]
        f: Any = self.unit(noise)
        rows = f.log_prob(error * weight.sqrt() / scale) - scale.log() + 0.5 * weight.log()
        return self.powers[target] * rows.sum()

    def unit(self, noise: Mapping[str, Tensor]) -> Any:
        """Return f."""
        one = noise[self.targets[0]].new_ones(())
        if self.name != "student_t":
            return dist.Normal(0.0 * one, one)
        return dist.StudentT(noise["freedom"] if self.freedom is None else one * self.freedom)


def choose(key: str, value: str, known: Sequence[str]) -> None:
    """Raise a ValueError with the nearest name unless the value is known."""
    if value not in known:
        near = difflib.get_close_matches(value, known, 1, 0.0)
        raise ValueError(f"`{key}` must be of {list(known)}, got {value!r}; did you mean {near}?")


def groups_of(target: str, batch: Batch) -> Tensor:
    """Return the group of each label of a target that is there, in the order of its errors."""
    group, like = batch.labels.group, getattr(batch.labels, target)
    group = group[batch.graph.batch] if target == "forces" else group
    wide = group.view(-1, *[1] * (like.ndim - 1)).expand_as(like)
    return wide.flatten()[labelled(target, batch)]


def powers_of(rows: Mapping[str, int], structures: Mapping[str, int]) -> dict[str, float]:
    """Return the power of each target whose m rows in S structures count as `sqrt(m S)`, see `mdzoo.fit.evidence`.

    Between one for each structure and all of them; a likelihood with a power is that of rows known up to some distance
    (Miller, Dunson, DOI 10.1080/01621459.2018.1469995).
    """
    return {target: (structures[target] / rows[target]) ** 0.5 for target in rows if rows[target] > 0}
