r"""Labels of a model that is linear in what is drawn, at a cost that does not depend on their number.

    |Phi theta - y|^2 = |R (theta, -1)|^2

with one triangular factor R for each target and group (`mdzoo.fit.factors`), as these are what a noise scale is shared
by. Rows carry 1/N and the square roots of the weights of structures, as in `mdzoo.fit.rows`. Student's t has no such
factor and keeps its rows.
"""

import copy
import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from mdzoo.bayes.lift import Values
from mdzoo.bayes.likelihood import Likelihood, groups_of
from mdzoo.data.labels import Batch
from mdzoo.fit.design import baseline, n_parameters, set_theta
from mdzoo.fit.factors import Factors
from mdzoo.fit.least_squares import singles
from mdzoo.fit.loss import Residual
from mdzoo.fit.rows import labelled_rows
from mdzoo.potentials import ForceField

MOST = 4e9
"""Bytes of rows that are kept for Student's t."""


class Columns:
    """Which columns of the design matrix the entries of named parameters are.

    Arguments:
        force_field: with terms that are linear in their parameters.
    """

    def __init__(self, force_field: ForceField) -> None:
        n, twin = n_parameters(force_field), copy.deepcopy(force_field)
        seen = []
        for shift in (0.0, 0.25):  # a parameter that `set_theta` sets shows both
            set_theta(twin, torch.arange(n, dtype=torch.float64) + shift)
            seen.append({name: p.detach().to(torch.float64).clone() for name, p in twin.named_parameters()})
        moved = [name for name in seen[0] if not torch.equal(seen[0][name], seen[1][name])]
        self.names = moved
        self.fixed = {name: dict(force_field.named_parameters())[name].detach() for name in moved}
        self.places = {name: seen[0][name].flatten().round().to(torch.int64) for name in moved}
        places = torch.cat(list(self.places.values()))
        if sorted(places.tolist()) != list(range(n)):
            raise ValueError(f"`force_field` must hold its {n} linear parameters as they are, got {moved}; use fit=sgd")
        self.order = places.argsort()

    def theta(self, values: Values) -> Tensor:
        """Return the parameters in the order of the columns, (P,); those that are not drawn have their value."""
        parts = [values.get(name, self.fixed[name]).flatten() for name in self.names]
        return torch.cat(parts)[self.order]

    def of(self, name: str) -> Tensor:
        """Return the columns of the entries of a parameter."""
        return self.places[name]

    def hold(self, names: Iterable[str]) -> bool:
        """Return whether all of these parameters are columns."""
        return set(names) <= set(self.names)


class Block(NamedTuple):
    """Rows that share a noise scale."""

    target: str
    group: int
    root: Tensor  # (k, P + 1)
    rows: int
    structures: int


class FactorTerm:
    """Log density of the labels from factors, up to a constant; for Gaussian noise.

    Arguments:
        factors: of the data, by target and group.
        columns: of the force field.
        likelihood: gaussian or tempered.
    """

    def __init__(self, factors: Factors, columns: Columns, likelihood: Likelihood) -> None:
        self.columns, self.likelihood, self.blocks = columns, likelihood, []
        for part, target, group in sorted(factors.table):
            f = factors.table[(part, target, group)]
            self.blocks.append(Block(target, group, f.root(), f.count, f.structures))
        check_blocks(self.blocks, likelihood)

    def __call__(self, values: Values, noise: Values) -> Tensor:
        """Return the log density at these parameters and this noise."""
        theta = self.columns.theta(values)
        column = torch.cat([theta, theta.new_full((1,), -1.0)])
        parts = []
        for block in self.blocks:
            scale = noise[block.target][block.group]
            square = (block.root @ column).square().sum() / scale.square()
            rows = block.rows * (scale.log() + 0.5 * math.log(2.0 * math.pi))
            parts.append(-self.likelihood.powers[block.target] * (0.5 * square + rows))
        return torch.stack(parts).sum()


class RowTerm:
    """Log density of the labels from rows that are kept, for any noise; a step costs as much as there are rows.

    Arguments:
        rows: of each target, `[Phi | y]` (m, P + 1), with the groups (m,).
        columns: of the force field.
        likelihood: of the labels.
    """

    def __init__(self, rows: dict[str, tuple[Tensor, Tensor]], columns: Columns, likelihood: Likelihood) -> None:
        self.rows, self.columns, self.likelihood = rows, columns, likelihood

    def __call__(self, values: Values, noise: Values) -> Tensor:
        """Return the log density at these parameters and this noise."""
        theta = self.columns.theta(values)
        column = torch.cat([theta, theta.new_full((1,), -1.0)])
        parts = []
        for target, (rows, group) in self.rows.items():
            error = rows @ column
            parts.append(self.likelihood.of_rows(target, Residual(error, torch.ones_like(error)), group, noise))
        return torch.stack(parts).sum()


def streamed(
    force_field: ForceField, batches: Iterable[Batch], likelihood: Likelihood, keep: bool
) -> tuple[Factors, dict[str, tuple[Tensor, Tensor]]]:
    """Return the factors of the data and, if asked for, the rows themselves, one structure after the other.

    Arguments:
        force_field: float64, with terms that are linear in their parameters; what is not is the baseline.
        batches: structures and labels.
        likelihood: says which targets, and whether groups have noise of their own.
        keep: whether rows are kept.
    """
    base, n = baseline(force_field).requires_grad_(False), n_parameters(force_field)
    factors, size = Factors(n, 1, likelihood.n_scales), 0.0
    kept: dict[str, tuple[list[Tensor], list[Tensor]]] = {t: ([], []) for t in likelihood.targets}
    for batch in batches:
        for single in singles(batch):
            group = int(single.labels.group[0]) if likelihood.n_scales > 1 else 0
            for target, rows in labelled_rows(force_field, base, single, likelihood.targets).items():
                factors.add(0, target, rows.detach(), group)
                if keep:
                    check_size(size := size + 8.0 * rows.numel())
                    kept[target][0].append(rows.detach())
                    kept[target][1].append(groups_of(target, single)[: len(rows)].clamp_max(likelihood.n_scales - 1))
    return factors, {t: (torch.cat(r), torch.cat(g)) for t, (r, g) in kept.items() if r}


def check_size(size: float) -> None:
    """Refuse to keep more rows than memory should hold."""
    if size > MOST:
        raise ValueError(
            f"`likelihood` must be gaussian for more than {MOST / 1e9:.0f} GB of rows, got student_t; factors serve "
            "that at any size"
        )


def check_blocks(blocks: list[Block], likelihood: Likelihood) -> None:
    """Refuse data that say nothing of a target, or are fewer than the noise scales that are asked for."""
    for target in likelihood.targets:
        counts = {b.group: b.rows for b in blocks if b.target == target}
        absent = [g for g in range(likelihood.n_scales) if counts.get(g, 0) == 0]
        if absent and likelihood.n_scales == 1:
            raise ValueError(
                f"`data` must hold labels of {target}, got none; check keys, masks and weights, or leave it out of the "
                "targets"
            )
