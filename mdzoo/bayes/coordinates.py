r"""Coordinates in which a posterior is about a standard normal: `u = mean + root z`.

Weights of a linear model are whitened by their conjugate posterior (`mdzoo.fit.solve`: QR, no Gram matrix) at scales of
noise and priors where the evidence is largest. Expectation maximisation finds these: with the posterior of theta at
hand each scale s, of n numbers whose expected squares sum to Q, maximises

    -n log s - Q / (2 s^2) - (log s - c)^2 / (2 w^2)

(Dempster, Laird, Rubin, DOI 10.1111/j.2517-6161.1977.tb01600.x). Scales vary as the curvature of the evidence says, and
weights follow them as their conjugate mean does: both from solves beside the best scales. Without this, trajectories
would have to find that a wider prior wants other weights. Everything else is whitened by a Hessian.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mdzoo.bayes.lift import Density
from mdzoo.bayes.likelihood import Likelihood
from mdzoo.bayes.prior_kinds import Hierarchical
from mdzoo.bayes.sufficient import Block, Columns
from mdzoo.fit.factors import triangle
from mdzoo.fit.solve import LinearPosterior, of_root

ROUNDS = 50
STEP = 0.02
"""Of log scales, for slopes of the evidence."""


class Coordinates(NamedTuple):
    """An affine map."""

    mean: Tensor  # (D,)
    root: Tensor  # (D,) if it is diagonal, else (D, D)

    def u(self, z: Tensor) -> Tensor:
        """Return u of z, (D,)."""
        return self.mean + (self.root * z if self.root.ndim == 1 else self.root @ z)

    def many(self, z: Tensor) -> Tensor:
        """Return u of many z, (..., D)."""
        return self.mean + (self.root * z if self.root.ndim == 1 else z @ self.root.T)

    def then(self, inner: "Coordinates") -> "Coordinates":
        """Return the map of z by `inner`, then by this one."""
        root = self.root.unsqueeze(1) * inner.dense() if self.root.ndim == 1 else self.root @ inner.dense()
        return Coordinates(self.u(inner.mean), root)

    def dense(self) -> Tensor:
        """Return the root as a matrix."""
        return torch.diag(self.root) if self.root.ndim == 1 else self.root


def best_scale(n: float, square: float, centre: float, width: float) -> float:
    """Return the log s that maximises the expression of the module docstring, by bisection."""
    if width == 0.0:
        return centre
    low, high = centre - 60.0, centre + 60.0
    for _ in range(80):
        x = 0.5 * (low + high)
        slope = -n + square * math.exp(-2.0 * x) - (x - centre) / width**2
        low, high = (x, high) if slope > 0.0 else (low, x)
    return 0.5 * (low + high)


Logs = dict[Any, float]
"""Log scales: of noise by (target, group), of priors by the name of their parameter."""


class Scale(NamedTuple):
    """What the labels say of a scale of n numbers: the terms of the expression of the module docstring."""

    n: float
    square: float
    centre: float
    width: float

    def slope(self, x: float) -> float:
        """Return the slope of the expression at a log scale."""
        return -self.n + self.square * math.exp(-2.0 * x) - (x - self.centre) / self.width**2


def natural(density: Density) -> Coordinates:
    """Return the start as the mean, and the deviations of the prior's conditionals as a diagonal root."""
    mean, root = density.start(), torch.ones(density.dimension, dtype=torch.float64)
    for name, site in density.lifted.sites.items():
        key, _, deviation = site.prior.conditional(name, site.start, site.unit)
        root[density.where(key)] = deviation.flatten().to(root)
    return Coordinates(mean.to(torch.float64), root)


def conjugate(density: Density, blocks: list[Block], columns: Columns) -> Coordinates:
    """Return coordinates that whiten the linear weights, and the scales that they depend on.

    Arguments:
        density: of the model.
        blocks: factors of the data, of Gaussian noise or taken as such.
        columns: of the force field.
    """
    first, likelihood = natural(density), density.lifted.likelihood
    mean, root = first.mean.clone(), torch.diag(first.root)
    logs: Logs = {(b.target, b.group): math.log(likelihood.scales[b.target]) for b in blocks}
    hierarchical = {n: s.prior for n, s in density.lifted.sites.items() if isinstance(s.prior, Hierarchical)}
    logs |= {name: math.log(prior.scale) for name, prior in hierarchical.items()}
    for _ in range(ROUNDS):
        post, found = scales_at(density, blocks, columns, logs)
        before, logs = logs, {key: best_scale(*scale) for key, scale in found.items()}
        if max(abs(logs[key] - before[key]) for key in logs) < 1e-3:
            break
    place, column, factor = weights_in(density, columns)
    mean[place] = post.mean[column] / factor
    root[place.unsqueeze(1), place.unsqueeze(0)] = post.root[column] / factor.unsqueeze(1)
    learnt = places_of(density, logs)
    for key, own in learnt.items():
        mean[own] = logs[key]
    if learnt:
        follow(density, blocks, columns, logs, root)
    return Coordinates(mean, root)


def places_of(density: Density, logs: Logs) -> dict[Any, int]:
    """Return the places in u of those log scales that are drawn."""
    names = {key: (f"noise.{key[0]}", key[1]) if isinstance(key, tuple) else (f"{key}.scale", 0) for key in logs}
    return {key: density.where(n).start + entry for key, (n, entry) in names.items() if n in density.sites}


def scales_at(
    density: Density, blocks: list[Block], columns: Columns, logs: Logs
) -> tuple[LinearPosterior, dict[Any, Scale]]:
    """Return the posterior of the weights at log scales, and what it says of each scale."""
    likelihood = density.lifted.likelihood
    noise = {key: x for key, x in logs.items() if isinstance(key, tuple)}
    taus = {key: x for key, x in logs.items() if key not in noise}
    post = solved(blocks, likelihood.powers, noise, *prior_of(density, columns, taus))
    found: dict[Any, Scale] = {(b.target, b.group): noise_scale(b, post, likelihood) for b in blocks}
    return post, found | {name: tau_scale(name, density, columns, post) for name in taus}


def follow(density: Density, blocks: list[Block], columns: Columns, logs: Logs, root: Tensor) -> None:
    """Write into the root how scales vary about their best, and how weights follow them."""
    learnt = places_of(density, logs)
    slopes, moves = [], []
    for moved in learnt:
        sides = []
        for step in (STEP, -STEP):
            at = {**logs, moved: logs[moved] + step}
            post, found = scales_at(density, blocks, columns, at)
            sides.append((torch.tensor([found[k].slope(at[k]) for k in learnt], dtype=torch.float64), post.mean))
        slopes.append((sides[0][0] - sides[1][0]) / (2.0 * STEP))
        moves.append((sides[0][1] - sides[1][1]) / (2.0 * STEP))
    curvature = torch.stack(slopes)
    values, vectors = torch.linalg.eigh(-0.5 * (curvature + curvature.T))
    varied = vectors * values.clamp_min(0.2).rsqrt()
    places = torch.tensor(list(learnt.values()))
    root[places.unsqueeze(1), places] = varied
    weights, column, factor = weights_in(density, columns)
    root[weights.unsqueeze(1), places] = (torch.stack(moves, 1) @ varied)[column] / factor.unsqueeze(1)


def prior_of(density: Density, columns: Columns, taus: dict[str, float]) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of the columns' parameters by the prior, (P,) each; fixed ones have no deviation."""
    means, deviations = dict(columns.fixed), {n: torch.zeros_like(v) for n, v in columns.fixed.items()}
    for name, site in density.lifted.sites.items():
        if name in columns.names:
            _, factor, deviation = site.prior.conditional(name, site.start, site.unit)
            means[name] = torch.zeros_like(site.start) + site.prior.mean(site.start)
            tau = math.exp(taus[name] - math.log(site.prior.scale)) if name in taus else 1.0
            deviations[name] = factor * deviation * tau
    return columns.theta(means), columns.theta(deviations)


def solved(
    blocks: list[Block], powers: dict[str, float], noise: dict[tuple[str, int], float], mean: Tensor, deviation: Tensor
) -> LinearPosterior:
    """Return the posterior of all columns at given scales; those without a deviation rest at their mean."""
    free, n = (deviation > 0.0).nonzero().squeeze(-1), len(mean)
    rows = []
    for b in blocks:
        moved = b.root[:, :n] @ mean
        y = (b.root[:, n] - moved).unsqueeze(1)
        rows.append(
            powers[b.target] ** 0.5 * math.exp(-noise[(b.target, b.group)]) * torch.cat([b.root[:, free], y], 1)
        )
    found = of_root(triangle(rows, len(free) + 1), 1, 1.0, 1.0 / deviation[free])
    whole, root = mean.clone(), torch.zeros(n, len(free), dtype=torch.float64)
    whole[free] += found.mean
    root[free] = found.root
    return found._replace(mean=whole, root=root)


def noise_scale(block: Block, post: LinearPosterior, likelihood: Likelihood) -> Scale:
    """Return what a posterior says of the noise of a block."""
    column = torch.cat([post.mean, post.mean.new_full((1,), -1.0)])
    square = (block.root @ column).square().sum() + (block.root[:, :-1] @ post.root).square().sum()
    power, t = likelihood.powers[block.target], block.target
    return Scale(power * block.rows, power * float(square), math.log(likelihood.scales[t]), likelihood.widths[t])


def tau_scale(name: str, density: Density, columns: Columns, post: LinearPosterior) -> Scale:
    """Return what a posterior says of the scale of a hierarchical prior."""
    site = density.lifted.sites[name]
    own = columns.of(name)
    unit = site.unit.flatten()
    square = (post.mean[own] / unit).square().sum() + (post.root[own] / unit.unsqueeze(1)).square().sum()
    return Scale(float(len(own)), float(square), math.log(site.prior.scale), site.prior.width)


def weights_in(density: Density, columns: Columns) -> tuple[Tensor, Tensor, Tensor]:
    """Return the places in u of the weights that are drawn, their columns, and what makes them parameters."""
    places, own, factors = [], [], []
    for name, site in density.lifted.sites.items():
        if name in columns.names:
            key, factor, _ = site.prior.conditional(name, site.start, site.unit)
            places.append(torch.arange(density.dimension)[density.where(key)])
            own.append(columns.of(name))
            factors.append((factor * torch.ones_like(site.start)).flatten())
    return torch.cat(places), torch.cat(own), torch.cat(factors)


def by_hessian(density: Density, first: Coordinates, steps: int = 200) -> Coordinates:
    """Return coordinates about the largest density, whitened by its Hessian there.

    Arguments:
        density: smooth; D backward passes are run.
        first: coordinates to start from.
        steps: of L-BFGS.
    """
    z = torch.zeros(density.dimension, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([z], 1.0, steps, history_size=50, line_search_fn="strong_wolfe")

    def negative() -> Tensor:
        optimiser.zero_grad()
        value = -density(first.u(z))
        value.backward()
        return value

    optimiser.step(negative)  # type: ignore[arg-type]
    best = z.detach()
    hessian = torch.autograd.functional.hessian(lambda x: -density(first.u(x)), best)
    values, vectors = torch.linalg.eigh(0.5 * (hessian + hessian.T))  # type: ignore[operator]
    return first.then(Coordinates(best, vectors * values.clamp_min(1e-2).rsqrt()))
