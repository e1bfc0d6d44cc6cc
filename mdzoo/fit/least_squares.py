"""The closed form: rows stream into triangular factors, ranks merge theirs, one solve at the end."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from mdzoo.data.labels import Batch
from mdzoo.fit.design import baseline, n_parameters, set_theta, split
from mdzoo.fit.factors import TARGETS, Factors
from mdzoo.fit.forecast import check_memory, memory_free
from mdzoo.fit.noise import learn_weights
from mdzoo.fit.prior import shape_of
from mdzoo.fit.relevance import relevant
from mdzoo.fit.rows import labelled_rows
from mdzoo.fit.select import Choice, choices, decompose, one_setting, settings
from mdzoo.fit.solve import LinearPosterior
from mdzoo.fit.spectrum import Shape, Spectrum, best_evidence, condition, posterior, rank
from mdzoo.potentials import ForceField

log = logging.getLogger(__name__)
RIDGES = ("evidence", "validation", "cross_validation")


class LeastSquares(pl.LightningModule):
    """Finds the linear parameters of a force field by streamed least squares, in one epoch and without an optimiser.

    The objective is the loss of `mdzoo.fit.loss` (times the number of structures) plus the ridge of `mdzoo.fit.solve`.
    What is not linear (reference energies, empirical terms) is the baseline and is subtracted from the labels.

    Arguments:
        force_field: float64, with one DescriptorPotential or more that are linear in their parameters.
        weights: w_E, w_F, w_S by the names `energy`, `forces`, `stress`; a list lets the ridge's criterion choose.
        ridge: a number, or `evidence`, `validation` (needs validation batches) or `cross_validation`.
        parts: for each training structure its fold or group, by which cross-validation leaves out, -1 for one that is
            never left out; (n,) int.
        shape: of the prior, see `mdzoo.fit.spectrum`; by default that of the force field.
        memory: bytes that the fit may take; None for what the machine has left.
        prior: `ridge`, or `relevance` (see there), of the parameters.

    Attributes after the fit: `posterior`, `chosen` (weights), `strength` (of the ridge), `condition`, `tried` (list of
    Choice, best first).
    """

    posterior: LinearPosterior
    strength: float
    condition: float
    rank: int
    chosen: dict[str, float]

    def __init__(
        self,
        force_field: ForceField,
        weights: Mapping[str, float | Sequence[float]],
        ridge: float | str = "evidence",
        parts: Tensor | None = None,
        shape: Tensor | Shape | None = None,
        memory: float | None = None,
        prior: str = "ridge",
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        check(force_field, ridge, parts)
        self.force_field = force_field
        self.base = baseline(force_field).requires_grad_(False)
        self.weights, self.ridge = dict(weights), ridge
        self.shape = shape_of(force_field) if shape is None else shape
        self.targets = [t for t in TARGETS if any(s.get(t, 0.0) > 0.0 for s in settings(weights))]
        self.parts = parts
        n_parts = 1 if parts is None else int(parts.max()) + 1 + int(parts.min() < 0)
        self.memory = memory_free() if memory is None else float(memory)
        self.prior, self.noise = prior, "given"
        check_prior(prior, self.shape)
        self.train_factors = self.room(n_parts, 1)
        self.val_factors = Factors(n_parameters(force_field))
        self.tried: list[Choice] = []

    def room(self, n_parts: int, n_groups: int) -> Factors:
        """Return empty factors, if there is memory for them."""
        n = n_parameters(self.force_field)
        check_memory(n, n_parts * n_groups * len(self.targets), self.memory)
        return Factors(n, n_parts, n_groups)

    def learn_noise(self, noise: str, groups: Sequence[str] = ()) -> None:
        """Say, before any data come, whether the weights are `given` or learnt, see `mdzoo.fit.noise`.

        Arguments:
            noise: `given`, or learnt for each `target`, or for each target in each `group` of the data.
            groups: their names, in the order of the labels.
        """
        self.noise, self.groups = noise, list(groups)
        self.train_factors = self.room(self.train_factors.n_parts, len(self.groups) if noise == "group" else 1)

    def configure_optimizers(self) -> None:
        """There is nothing to optimise step by step."""

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Add the rows of a batch."""
        self.stream(self.train_factors, batch, self.parts)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add the rows of a batch to the factors that the parameters are tested on."""
        self.stream(self.val_factors, batch, None)

    @torch.no_grad()
    def stream(self, factors: Factors, batch: Batch, parts: Tensor | None) -> None:
        """Add the rows of each structure of a batch to the factors of its part."""
        for single in singles(batch):
            part = 0 if parts is None else int(parts[int(single.labels.index[0])]) % factors.n_parts
            group = int(single.labels.group[0]) if factors.n_groups > 1 else 0
            with torch.enable_grad():
                rows = labelled_rows(self.force_field, self.base, single, self.targets)
            for target, block in rows.items():
                factors.add(part, target, block.cpu(), group)

    def on_train_epoch_end(self) -> None:
        """Merge the ranks and solve."""
        self.train_factors.merge()
        self.val_factors.merge()
        self.solve()
        self.log_dict(self.summary(), rank_zero_only=True)

    def solve(self) -> LinearPosterior:
        """Choose ridge and weights, set the parameters of the force field and return their posterior."""
        if self.noise != "given":
            self.weights = dict(learn_weights(self.train_factors, self.targets, self.shape))
        if self.ridge in ("validation", "cross_validation"):
            self.tried = self.try_all()
        self.chosen = self.tried[0].weights if self.tried else one_setting(self.weights, self.ridge)
        found = decompose(self.train_factors, self.chosen, self.shape, None)
        self.strength = self.tried[0].ridge if self.tried else self.strength_of(found)
        self.posterior, self.condition, self.rank = posterior(found, self.strength), condition(found), rank(found)
        if self.prior == "relevance":
            self.posterior = relevant(self.train_factors.stack(self.chosen), found.rows)
        set_theta(self.force_field, self.posterior.mean)
        for line in report(self):
            log.info(line)
        return self.posterior

    def strength_of(self, found: Spectrum) -> float:
        """Return the ridge strength that is given, or that of largest evidence."""
        return best_evidence(found) if self.ridge == "evidence" else float(self.ridge)

    def try_all(self) -> list[Choice]:
        """Return the settings that were tried on held-out data, best first."""
        if self.ridge == "validation":
            if not self.val_factors.table:
                raise ValueError("`ridge` must not be validation without data, got no validation set; set data.val")
            return choices(self.train_factors, self.val_factors, self.weights, [None], self.shape)
        used = sorted(set(self.parts.tolist()) - {-1}) if self.parts is not None else []
        return choices(self.train_factors, self.train_factors, self.weights, used, self.shape)

    def decompositions(self) -> int:
        """Return how often a triangle is decomposed."""
        folds = len(set(self.parts.tolist()) - {-1}) if self.parts is not None and self.ridge in RIDGES else 1
        return 1 + (len(settings(self.weights)) * folds if self.ridge in ("validation", "cross_validation") else 0)

    def summary(self) -> dict[str, float]:
        """Return errors and numbers of the solution, for the log."""
        theta = self.posterior.mean
        names = {"energy": "energy_rmse", "forces": "force_rmse", "stress": "virial_rmse"}
        out = {f"train/{names[t]}": self.train_factors.error(theta, t) for t in self.targets}
        if self.val_factors.table:
            out |= {f"val/{names[t]}": self.val_factors.error(theta, t) for t in self.targets}
        if self.tried:
            out |= {f"held_out/{names[t]}": error for t, error in self.tried[0].errors.items()}
        out |= {"ridge": self.strength, "condition": self.condition}
        return out | {"effective_parameters": self.posterior.effective, "log_evidence": self.posterior.evidence}


def check(force_field: ForceField, ridge: Any, parts: Tensor | None) -> None:
    """Raise a ValueError unless the closed form can work with these."""
    if force_field.unit.dtype != torch.float64:
        raise ValueError(
            f"`force_field` must be float64 for least squares, got {force_field.unit.dtype}; cast it after the fit"
        )
    number = isinstance(ridge, int | float) and not isinstance(ridge, bool) and 0.0 <= ridge < float("inf")
    if not number and ridge not in RIDGES:
        raise ValueError(f"`ridge` must be a number from 0 up or one of {list(RIDGES)}, got {ridge!r}; choose one")
    if ridge == "cross_validation" and (parts is None or len(set(parts.tolist()) - {-1}) < 2):
        raise ValueError(
            "`parts` must name two folds or more for cross_validation, got fewer; set folds to 5, or ridge=evidence "
            "where all structures are alike"
        )


def check_prior(prior: str, shape: Tensor | Shape | None) -> None:
    """Raise a ValueError unless the prior can be of that kind."""
    if prior == "relevance" and shape is not None:
        raise ValueError(
            "`prior` must be ridge for a kernel and with a stiffness, got relevance; a width for each parameter is for "
            "linear regressors with stiffness=0"
        )


def singles(batch: Batch) -> list[Batch]:
    """Return the structures of a batch, one by one."""
    atoms = torch.searchsorted(batch.graph.batch.contiguous(), torch.arange(batch.graph.cell.shape[0] + 1)).tolist()
    out = []
    for s, graph in enumerate(split(batch.graph)):
        columns = {name: column[s : s + 1] for name, column in batch.labels._asdict().items()}
        columns["forces"] = batch.labels.forces[atoms[s] : atoms[s + 1]]
        out.append(Batch(graph, batch.labels._replace(**columns)))
    return out


def report(module: LeastSquares) -> list[str]:
    """Return what a person wants to know of a solution, line by line."""
    post = module.posterior
    lines = [
        f"least squares: {len(post.mean)} parameters ({post.effective:.0f} effective), condition "
        f"{module.condition:.1e}, ridge {module.strength:.1e}, weights {module.chosen}"
    ]
    if module.rank < len(post.mean):
        decides = "the prior decides" if module.strength > 0.0 else "the shortest solution is taken"
        lines.append(
            f"  {len(post.mean) - module.rank} of {len(post.mean)} directions are not determined (few rows, features "
            f"that are constant or depend on one another): {decides}"
        )
    for (target, group), weight in module.train_factors.emphasis.items():
        if module.noise == "group":
            lines.append(f"  weight of {target} in {module.groups[group]}: {weight * module.chosen[target]:.4g}")
    for choice in module.tried[:5]:
        errors = ", ".join(f"{target} {error:.5f}" for target, error in choice.errors.items())
        lines.append(f"  held out: ridge {choice.ridge:.1e}, weights {choice.weights}: rms {errors}")
    return lines
