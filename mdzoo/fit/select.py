"""How strong a ridge, and how much an energy counts beside a force: chosen without a second pass over the data."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mdzoo.fit.factors import TARGETS, Factors
from mdzoo.fit.spectrum import GRID, Shape, Spectrum, solutions, spectrum


class Choice(NamedTuple):
    """One setting that was tried, and the errors on data that it had not seen (eV/atom, eV/Angstrom)."""

    weights: dict[str, float]
    ridge: float
    errors: dict[str, float]  # root mean squares by target
    score: float  # geometric mean of the errors: no unit has the say


def settings(weights: Mapping[str, float | Sequence[float]]) -> list[dict[str, float]]:
    """Return every combination of the weights; a target may have one weight or a list to choose from."""
    lists = [list(weight) if isinstance(weight, Iterable) else [weight] for weight in weights.values()]
    return [dict(zip(weights, map(float, values), strict=True)) for values in itertools.product(*lists)]


def decompose(
    factors: Factors, weights: Mapping[str, float], shape: Tensor | Shape | None, without: int | None
) -> Spectrum:
    """Return the spectrum of all parts but one."""
    left_out = {t: 0 if without is None else factors.count(t, without) for t in TARGETS}
    rows = sum(factors.count(t) - left_out[t] for t in TARGETS if weights.get(t, 0.0) > 0.0)
    return spectrum(factors.stack(weights, without), rows, shape)


def held_out(
    train: Factors,
    test: Factors,
    weights: Mapping[str, float],
    parts: Sequence[int | None],
    shape: Tensor | Shape | None,
) -> dict[str, Tensor]:
    """Return for each target the mean squared error on what was left out, at each ridge strength of the grid.

    Each part in turn is left out of `train` and found in `test`; None leaves nothing out of `train` and takes all of
    `test` (a validation set).
    """
    totals = {t: torch.zeros(len(GRID), dtype=torch.float64) for t in TARGETS if test.count(t) > 0}
    counts = {t: sum(test.count(t, part) for part in parts) for t in totals}
    for part in parts:
        thetas = solutions(decompose(train, weights, shape, part), GRID)
        columns = torch.cat([thetas, thetas.new_full((len(GRID), 1), -1.0)], 1).T
        for target, total in totals.items():
            for place in range(test.n_parts) if part is None else [part]:
                total += (test.root(place, target) @ columns).square().sum(0)
    return {target: total / max(1, counts[target]) for target, total in totals.items()}


def choices(
    train: Factors,
    test: Factors,
    weights: Mapping[str, float | Sequence[float]],
    parts: Sequence[int | None],
    shape: Tensor | Shape | None = None,
) -> list[Choice]:
    """Return what was tried, best first: every combination of weights and ridge strengths.

    The score is the geometric mean of the errors of those targets that have a weight.
    """
    tried = []
    for setting in settings(weights):
        squares = held_out(train, test, setting, parts, shape)
        counted = [squares[t] for t in squares if setting.get(t, 0.0) > 0.0] or list(squares.values())
        scores = torch.stack([square.log() for square in counted]).mean(0).mul(0.5).exp()
        for i, ridge in enumerate(GRID.tolist()):
            errors = {target: float(square[i].sqrt()) for target, square in squares.items()}
            tried.append(Choice(setting, ridge, errors, float(scores[i])))
    return sorted(tried, key=lambda choice: choice.score)


def one_setting(weights: Mapping[str, float | Sequence[float]], ridge: float | str) -> dict[str, float]:
    """Return the weights where nothing compares them.

    Raises:
        ValueError: a weight is a list.
    """
    found = settings(weights)
    if len(found) != 1:
        raise ValueError(
            f"`weights` must hold one number for each target where ridge={ridge}, got {dict(weights)}; only "
            "ridge=cross_validation and ridge=validation compare them"
        )
    return found[0]
