r"""Draws of a posterior from gradients of minibatches, for networks: Langevin dynamics, with momentum, in cycles.

With the estimate `g` of the gradient of the log posterior at z (that of the prior, plus that of a batch's labels times
N over the structures in it) and a step e,

    sgld     z += e g + (2 e)^(1/2) (n_k + n_(k+1)) / 2
    sghmc    v += -(1 - b) v + e g + (2 (1 - b) e)^(1/2) n_k,    z += v

(Welling, Teh, ICML 2011, with the noise of Leimkuhler and Matthews, DOI 10.1093/amrx/abs010, which samples a Gaussian
without the bias of the step; Chen, Fox, Guestrin, arXiv:1402.4102, whose bias is of the order of e). Batches add noise
of the order of `e N / n`, which widens the posterior: this is no exact method, and steps must be small.

In cycles (Zhang et al., arXiv:1902.03932) the step falls from e to zero as half a cosine, again and again: large steps
find other modes, and the last part of each cycle is kept.
"""

import logging
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mdzoo.bayes.coordinates import Coordinates, natural
from mdzoo.bayes.diagnostics import Draws, diagnose, verdict
from mdzoo.bayes.infer import Problem
from mdzoo.bayes.lift import Density, GraphTerm, Predictor
from mdzoo.bayes.mcmc import unpacked
from mdzoo.bayes.members import with_members
from mdzoo.bayes.nuts import marked, thinned, write
from mdzoo.bayes.pose import Labels, lifted_of
from mdzoo.fit.cached import kept_sets
from mdzoo.potentials import ForceField

log = logging.getLogger(__name__)
Slope = Callable[[Tensor, int], Tensor]
"""Estimate of the gradient of the log density at z, from the batch of a step."""


class Walk(NamedTuple):
    """One chain."""

    z: Tensor  # (draws, D)
    stopped: str


def step_at(k: int, steps: int, cycles: int, first: float) -> tuple[float, float]:
    """Return the step and how far its cycle has come, from 0 to 1; one cycle has a constant step."""
    if cycles == 1:
        return first, k / steps
    length = math.ceil(steps / cycles)
    done = (k % length) / length
    return 0.5 * first * (math.cos(math.pi * done) + 1.0), done


def langevin(
    slope: Slope,
    start: Tensor,
    steps: int,
    step: float,
    friction: float | None = None,
    cycles: int = 1,
    burn: float = 0.5,
    keep: int = 10,
    seed: int = 0,
) -> Walk:
    """Return one chain, and what is good of it if the gradient becomes NaN.

    Arguments:
        slope: estimate of the gradient.
        start: z.
        steps: of the dynamics.
        step: e.
        friction: `1 - b` of sghmc; None for sgld.
        cycles: of the step; 1 for a constant one.
        burn: part of the chain, or of each cycle, that is dropped.
        keep: steps between draws that are kept.
        seed: of the noise.
    """
    generator = torch.Generator().manual_seed(seed)
    z, v, kept = start.clone(), torch.zeros_like(start), list[Tensor]()
    noise = torch.randn(z.shape, generator=generator, dtype=z.dtype)
    for k in range(steps):
        e, done = step_at(k, steps, cycles, step)
        g = slope(z, k)
        if not bool(torch.isfinite(g).all()):
            return Walk(stacked(kept, start), f"NaN at step {k} of {steps}")
        fresh = torch.randn(z.shape, generator=generator, dtype=z.dtype)
        if friction is None:
            z = z + e * g + (2.0 * e) ** 0.5 * 0.5 * (noise + fresh)
        else:
            v = (1.0 - friction) * v + e * g + (2.0 * friction * e) ** 0.5 * fresh
            z = z + v
        noise = fresh
        if done >= burn and k % keep == 0:
            kept.append(z.clone())
    return Walk(stacked(kept, start), "")


def stacked(kept: list[Tensor], like: Tensor) -> Tensor:
    """Return draws (n, *like)."""
    return torch.stack(kept) if kept else like.new_zeros(0, *like.shape)


def batches_of(count: int, size: int, seed: int) -> Iterator[list[int]]:
    """Yield the places of structures, batch by batch, shuffled in each epoch, without end."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(count, generator=generator).tolist()
        yield from (order[i : i + size] for i in range(0, count - size + 1, size))


def slope_of(
    density: Density, coordinates: Coordinates, predictor: Predictor, data: Any, size: int, seed: int
) -> Slope:
    """Return the estimate of the gradient by minibatches of a data set."""
    places = batches_of(len(data), min(size, len(data)), seed)

    def slope(z: Tensor, k: int) -> Tensor:
        chosen = next(places)
        term = GraphTerm(predictor, density.lifted.likelihood, [data[chosen]], len(chosen) / len(data))
        at = z.detach().requires_grad_()
        return torch.autograd.grad(density(coordinates.u(at), term), at)[0]

    return slope


class Sgmcmc:
    """Draws of the posterior of a network by minibatches; chains start from the fit.

    Arguments:
        members: M, draws that the model keeps, evenly out of all chains.
        dynamics: `sgld` or `sghmc`.
        chains: independent ones.
        steps: of each.
        step: e, in units of the prior's deviations squared; halve it until deviations no longer change.
        friction: of sghmc.
        cycles: of the step; 1 for a constant one.
        burn: part of each chain or cycle that is dropped.
        keep: steps between draws.
        batch_size: structures in a step.
        targets: whose labels count.
        noise: learnt by `target` or `group`, or `{forces: {scale: 0.1, width: 0}}`, see `mdzoo.bayes.likelihood`.
        powers: `structures`, `independent`, or numbers by target, see `powers_of`.
    """

    def __init__(
        self,
        members: int = 50,
        dynamics: str = "sgld",
        chains: int = 4,
        steps: int = 5000,
        step: float = 1e-6,
        friction: float = 0.1,
        cycles: int = 1,
        burn: float = 0.5,
        keep: int = 10,
        batch_size: int = 16,
        targets: Any = ("energy", "forces"),
        noise: Any = "target",
        powers: Any = "structures",
    ) -> None:
        if dynamics not in ("sgld", "sghmc"):
            raise ValueError(f"`dynamics` must be sgld or sghmc, got {dynamics!r}; choose one")
        if not float(step) > 0.0 or not 0.0 < float(friction) <= 1.0 or not 0.0 <= float(burn) < 1.0:
            raise ValueError(
                f"`step` must be positive, `friction` within (0, 1] and `burn` within [0, 1), got {step}, {friction} "
                f"and {burn}; see conf/bayes/sgmcmc.yaml"
            )
        self.members, self.chains, self.batch_size = int(members), int(chains), int(batch_size)
        self.friction = float(friction) if dynamics == "sghmc" else None
        self.settings: dict[str, Any] = {"steps": int(steps), "step": float(step), "cycles": int(cycles)}
        self.settings |= {"burn": float(burn), "keep": int(keep)}
        self.labels = Labels(list(targets), noise, powers)

    def __call__(self, problem: Problem) -> ForceField:
        """Return the force field with draws of its posterior as members."""
        draws = self.draws(problem)
        diagnosis = diagnose(draws)
        verdict(diagnosis, "sgmcmc")
        if problem.run_dir is not None:
            write(draws, diagnosis, problem.run_dir)
        kept = thinned(draws.parameters, self.members)
        return marked(with_members(problem.force_field, kept), "sgmcmc", diagnosis.table())

    def draws(self, problem: Problem) -> Draws:
        """Return the draws of all chains; a chain that becomes NaN ends all, and the whole ones are kept."""
        field, data = problem.force_field.train(), problem.data.train_set
        kept = kept_sets(field, [data], "auto", 4e9, problem.run_dir or Path())
        predictor, data = (Predictor(field, kept[0]), kept[1]) if kept else (Predictor(field), data)
        density = Density(lifted_of(problem, self.labels))
        where, found = natural(density), []
        for k in range(self.chains):
            slope = slope_of(density, where, predictor, data, self.batch_size, problem.seed + k)
            start = torch.zeros(density.dimension, dtype=torch.float64)
            found.append(langevin(slope, start, friction=self.friction, seed=problem.seed + 7919 * k, **self.settings))
            if found[-1].stopped:
                break
        stopped = f"chain {len(found)}: {found[-1].stopped}" if found[-1].stopped else ""
        whole = [walk.z for walk in found if not walk.stopped] or [found[-1].z]
        parameters, others = unpacked(density, where.many(torch.stack(whole)))
        nothing = torch.full((len(whole), len(whole[0])), torch.nan, dtype=torch.float64)
        return Draws(parameters, others, nothing, torch.zeros_like(nothing, dtype=torch.bool), stopped)
