r"""Errors and deviations of structures that a fit did not see, without fitting again.

One pass over the structures gives their rows and, for each part of the data, its triangular factors
(`mdzoo.fit.factors`); the fit without some parts is a solve of the factors that remain. Each structure is predicted by
the fit without its fold and by the fit without its group: the first says how wrong the model is of more of the same,
the second of something else.
"""

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mdzoo.data.labels import collate_batch
from mdzoo.fit.design import baseline, linear_part, n_parameters
from mdzoo.fit.factors import Factors, triangle
from mdzoo.fit.forecast import memory_free
from mdzoo.fit.noise import learn_weights
from mdzoo.fit.prior import shape_of
from mdzoo.fit.rows import labelled_rows
from mdzoo.fit.select import decompose
from mdzoo.fit.solve import LinearPosterior
from mdzoo.fit.spectrum import best_evidence, posterior, spectrum
from mdzoo.graph import within
from mdzoo.potentials import ForceField

FIXED = 1e-3
"""Force components whose rows are shorter than this part of the typical row are fixed by symmetry: they say nothing."""


class Residuals(NamedTuple):
    """Errors of labels, label minus prediction, and the deviation by the parameters."""

    error: np.ndarray  # (n,) eV/atom or eV/Angstrom
    sigma: np.ndarray  # (n,)
    structure: np.ndarray  # (n,) place in the data set
    atom: np.ndarray  # (n,) eV, deviation of the energy of the atom whose force it is; zeros of energies
    size: np.ndarray  # (n,) eV/Angstrom, length of the predicted force
    whole: np.ndarray  # (n,) eV/atom, deviation of the energy of the structure whose force it is


class Kept(NamedTuple):
    """The rows of one structure."""

    rows: dict[str, Tensor]  # by target, (m, P + 1)
    atoms: Tensor  # (N, P) columns of the energy of each atom
    part: int


class LeftOut:
    """The rows of a data set, and fits of all of them but some.

    Arguments:
        force_field: its terms that are linear in their parameters give the rows.
        dataset: labelled structures.
        folds: the fold of each structure, (S,).
        targets: of `energy`, `forces`.
        weights: one over the noise of each target; None learns them.
        ridge: strength of the prior, None for that of largest evidence.
        memory: bytes that the rows may take; None for a half of what the machine has left.
    """

    def __init__(
        self,
        force_field: ForceField,
        dataset: Any,
        folds: Any,
        targets: Collection[str] = ("energy", "forces"),
        weights: dict[str, float] | None = None,
        ridge: float | None = None,
        memory: float | None = None,
    ) -> None:
        self.folds, self.groups = np.asarray(folds), np.asarray(dataset.groups)
        if len(self.folds) != len(dataset) or len(set(self.folds.tolist())) < 2:
            raise ValueError(
                f"`folds` must give each of the {len(dataset)} structures one of two folds or more, got "
                f"{len(self.folds)} of {len(set(self.folds.tolist()))}; see DataModule.folds"
            )
        pairs = list(zip(self.folds.tolist(), self.groups.tolist(), strict=True))
        self.parts = sorted(set(pairs))
        self.targets, self.shape = list(targets), shape_of(force_field)
        self.factors = Factors(n_parameters(force_field), len(self.parts))
        self.kept = self.read(force_field, dataset, [self.parts.index(pair) for pair in pairs], memory)
        self.weights = dict(weights or learn_weights(self.factors, self.targets, self.shape))
        found = decompose(self.factors, self.weights, self.shape, None)
        self.ridge = best_evidence(found) if ridge is None else float(ridge)
        self.posterior = posterior(found, self.ridge)
        self.shift = torch.zeros_like(self.posterior.mean)

    def about(self, theta: Tensor) -> None:
        """Judge these parameters (P,) from now on: a fit without some parts moves them as it moves the closed form."""
        self.shift = theta.to(torch.float64) - self.posterior.mean

    def gap(self, theta: Tensor) -> float:
        """Return how far other parameters predict from the closed form, in units of its errors: the worst target."""
        change = theta.to(torch.float64) - self.posterior.mean
        roots = {t: self.factors.root(None, t)[:, :-1] @ change for t in self.targets if self.factors.count(t) > 0}
        rms = {t: float(moved.norm()) / self.factors.count(t) ** 0.5 for t, moved in roots.items()}
        return max(rms[t] / max(self.factors.error(self.posterior.mean, t), 1e-300) for t in rms)

    def read(self, force_field: ForceField, dataset: Any, parts: list[int], memory: float | None) -> list[Kept]:
        """Make the rows of each structure, once, and add them to the factors."""
        kept, room = [], 0.5 * memory_free() if memory is None else float(memory)
        for i, (rows, atoms) in enumerate(rows_of(force_field, dataset, self.targets)):
            part = parts[i]
            kept.append(Kept(rows, atoms, part))
            room -= sum(8.0 * r.numel() for r in [atoms, *rows.values()])
            if room < 0.0:
                raise ValueError(
                    f"`memory` must hold the rows of {len(dataset)} structures, got too little for more than {i}; take "
                    "fewer features or structures"
                )
            for target, block in rows.items():
                self.factors.add(part, target, block)
        return kept

    def without(self, parts: Collection[int]) -> LinearPosterior:
        """Return the posterior of all parts but some."""
        n = self.factors.n_columns
        left = {key: f for key, f in self.factors.table.items() if key[0] not in parts and self.weights.get(key[1])}
        if not left:
            raise ValueError("`folds` must leave structures to fit, got none; the data need two groups or more")
        root = triangle([self.weights[key[1]] * factor.root() for key, factor in sorted(left.items())], n)
        found = posterior(spectrum(root, sum(factor.count for factor in left.values()), self.shape), self.ridge)
        return found._replace(mean=found.mean + self.shift)

    def by_folds(self, exclude: Collection[str] = ()) -> dict[str, Residuals]:
        """Return the errors of each structure by the fit without its fold, and without the groups `exclude`."""
        keep = ~np.isin(self.groups, list(exclude))
        return self.predicted([(self.folds == f) & keep for f in sorted(set(self.folds.tolist()))], exclude)

    def by_groups(self, exclude: Collection[str] = ()) -> dict[str, Residuals]:
        """Return the errors of each structure by the fit without its group, and without the groups `exclude`."""
        names = sorted(set(self.groups.tolist()) - set(exclude))
        return self.predicted([self.groups == name for name in names] if len(names) > 1 else [], exclude)

    def of_others(self, force_field: ForceField, dataset: Any) -> dict[str, Residuals]:
        """Return the errors of the structures of another data set by the fit of all, or the parameters of `about`."""
        own, self.kept = self.kept, [Kept(*found, 0) for found in rows_of(force_field, dataset, self.targets)]
        places, judged = range(len(self.kept)), self.without(())
        found = {t: joined([self.one(i, t, judged) for i in places]) for t in self.targets}
        self.kept = own
        return found

    def predicted(self, masks: list[np.ndarray], exclude: Collection[str] = ()) -> dict[str, Residuals]:
        """Return the errors of the structures of each mask by the fit without its parts."""
        found: dict[str, list[Residuals]] = {target: [] for target in self.targets}
        for mask in masks:
            gone = {self.kept[i].part for i in np.flatnonzero(mask)}
            gone |= {place for place, (_, group) in enumerate(self.parts) if group in exclude}
            fitted = self.without(gone)
            for target in self.targets:
                found[target] += [self.one(int(i), target, fitted) for i in np.flatnonzero(mask)]
        return {target: joined(parts) for target, parts in found.items()}

    def one(self, i: int, target: str, fitted: LinearPosterior) -> Residuals:
        """Return the errors of one structure; components that symmetry fixes are left out."""
        rows, atoms = self.kept[i].rows[target].to(torch.float64), self.kept[i].atoms.to(torch.float64)
        phi, y = rows[:, :-1], rows[:, -1]
        atom, size, whole = torch.zeros(3, len(y), dtype=torch.float64)
        keep = self.free(phi, target)
        if target == "forces" and len(y) == 3 * len(atoms):
            atom = (atoms @ fitted.root).square().sum(1).sqrt().repeat_interleave(3)
            size = (phi @ fitted.mean).view(-1, 3).norm(dim=1).repeat_interleave(3)
            whole = (atoms.mean(0) @ fitted.root).norm().expand(len(y))
        error, sigma = y - phi @ fitted.mean, (phi @ fitted.root).square().sum(1).sqrt()
        place = torch.full((len(y),), i)
        return Residuals(*[column[keep].numpy() for column in (error, sigma, place, atom, size, whole)])

    def free(self, phi: Tensor, target: str) -> Tensor:
        """Return which labels with the rows (m, P) symmetry does not fix, (m,)."""
        if target != "forces":
            return torch.ones_like(phi[:, 0], dtype=torch.bool)
        return (phi / self.scale()).square().mean(1).sqrt() > FIXED

    def scale(self) -> Tensor:
        """Return the root mean square of each column over all forces, (P,)."""
        if not hasattr(self, "_scale"):
            root = self.factors.root(None, "forces")[:, :-1]
            self._scale = (root.square().sum(0) / self.factors.count("forces")).sqrt().clamp_min(1e-300)
        return self._scale


@torch.no_grad()
def rows_of(force_field: ForceField, dataset: Any, targets: list[str]) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
    """Yield the rows of each structure by target, (m, P + 1), and the columns of its atoms' energies, (N, P)."""
    base, part = baseline(force_field).requires_grad_(False), linear_part(force_field)
    for i in range(len(dataset)):
        with torch.enable_grad():
            rows = labelled_rows(force_field, base, collate_batch([dataset[i]]), targets)
        yield {t: r.detach() for t, r in rows.items()}, part.features(within(dataset[i].graph, part.cutoff))


def joined(parts: list[Residuals]) -> Residuals:
    """Put residuals behind each other."""
    if not parts:
        return Residuals(*np.zeros((6, 0)))
    return Residuals(*[np.concatenate(column) for column in zip(*parts, strict=True)])
