r"""Hamiltonian Monte Carlo: the no-U-turn sampler on whitened coordinates.

Hoffman and Gelman, JMLR 15, 1593 (2014), as Pyro has it (multinomial weights, step and masses adapted while it warms
up). A step of a linear model under Gaussian noise costs one product with each triangular factor, whatever the number of
structures (`mdzoo.bayes.sufficient`); coordinates make its posterior about a standard normal
(`mdzoo.bayes.coordinates`). Other potentials are predicted at each step.
"""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mdzoo.bayes.coordinates import Coordinates
from mdzoo.bayes.diagnostics import Draws
from mdzoo.bayes.lift import Density
from mdzoo.bayes.peers import NUTS, pyro

log = logging.getLogger(__name__)


class Chain(NamedTuple):
    """Draws of one chain."""

    z: Tensor  # (draws, D)
    energy: Tensor  # (draws,)
    divergent: Tensor  # (draws,)
    steps: int  # of the integrator, over all draws
    stopped: str


class Stopped(Exception):
    """The density is NaN."""


class Kernel(NUTS):
    """NUTS that tells the energy at the start of each draw, which E-BFMI is about."""

    kinetic = 0.0

    def _sample_r(self, name: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        momenta, unscaled = super()._sample_r(name)
        self.kinetic = float(self._kinetic_energy(unscaled))
        return momenta, unscaled

    def draw(self, params: dict[str, Tensor]) -> tuple[dict[str, Tensor], float]:
        """Return the next draw, and the energy at which it started."""
        potential = float(self._potential_energy_last)
        return self.sample(params), potential + self.kinetic


class Potential:
    """The negative log density of z; NaN is a wall while the kernel warms up, and an error after."""

    def __init__(self, density: Callable[[Tensor], Tensor]) -> None:
        self.density, self.warm, self.calls = density, False, 0

    def __call__(self, params: dict[str, Tensor]) -> Tensor:
        """Return the potential energy."""
        self.calls += 1
        value = -self.density(params["z"])
        if not bool(torch.isnan(value)):
            return value
        if self.warm:
            raise Stopped
        return params["z"].sum() * 0.0 + torch.inf


def chain(
    density: Callable[[Tensor], Tensor],
    start: Tensor,
    draws: int,
    warmup: int,
    accept: float = 0.8,
    depth: int = 10,
    masses: bool = True,
    seed: int = 0,
) -> Chain:
    """Return one chain of a density of z (D,), and what is good of it if the density becomes NaN.

    Arguments:
        density: log density, differentiable.
        start: z to start from.
        draws: to keep.
        warmup: draws that adapt the step, and are dropped.
        accept: acceptance to aim at; larger for shorter steps.
        depth: most doublings of a trajectory.
        masses: whether masses adapt too, one for each entry of z.
        seed: of the random numbers.
    """
    potential = Potential(density)
    with torch.random.fork_rng(), pyro.validation_enabled(False):
        pyro.set_rng_seed(seed)
        kernel: Any = Kernel(
            potential_fn=potential, target_accept_prob=accept, max_tree_depth=depth, adapt_mass_matrix=masses
        )
        kernel.initial_params = params = {"z": start.detach().clone()}
        if not bool(torch.isfinite(density(start.detach()))):
            raise ValueError(
                "`start` must have a finite density, got NaN or infinity; look at the data, prior and noise"
            )
        kernel.setup(warmup)
        for _ in range(warmup):
            params, _ = kernel.draw(params)
        return sampled(kernel, potential, params, draws)


def sampled(kernel: Any, potential: Potential, params: dict[str, Tensor], draws: int) -> Chain:
    """Return the draws of a kernel that is warm."""
    potential.warm, first = True, potential.calls
    z, energies, stopped = [], [], ""
    for k in range(draws):
        try:
            params, energy = kernel.draw(params)
        except Stopped:
            stopped = f"NaN at draw {k} of {draws}"
            break
        z.append(params["z"].detach())
        energies.append(energy)
    divergent = torch.zeros(len(z), dtype=torch.bool)
    divergent[[k for k in kernel.diagnostics()["divergences"] if k < len(z)]] = True
    kept = torch.stack(z) if z else params["z"].new_zeros(0, len(params["z"]))
    return Chain(kept, torch.tensor(energies, dtype=torch.float64), divergent, potential.calls - first, stopped)


def nuts(
    density: Density,
    coordinates: Coordinates,
    chains: int = 4,
    draws: int = 1000,
    warmup: int = 500,
    accept: float = 0.8,
    depth: int = 10,
    masses: bool = True,
    seed: int = 0,
) -> Draws:
    """Return draws of the posterior.

    Chains start from draws of 1.5 times the deviations that the coordinates foresee. If the density becomes NaN,
    sampling ends; the whole chains before it are kept, or else what there is of the first.

    Arguments:
        density: of the model.
        coordinates: in which it is about a standard normal.
        chains: of the same length, from different starts.
        draws: of each.
        warmup: draws of each that adapt the step, and are dropped.
        accept: acceptance to aim at.
        depth: most doublings of a trajectory.
        masses: whether masses adapt too; what is whitened already needs none, and a shorter warmup.
        seed: of the random numbers.
    """
    generator, found = torch.Generator().manual_seed(seed), []
    for k in range(chains):
        start = 1.5 * torch.randn(density.dimension, generator=generator, dtype=torch.float64)
        found.append(
            chain(lambda z: density(coordinates.u(z)), start, draws, warmup, accept, depth, masses, seed + 7919 * k)
        )
        log.info("chain %d of %d: %.1f steps for each draw", k + 1, chains, found[-1].steps / max(1, len(found[-1].z)))
        if found[-1].stopped:
            break
    return gathered(density, coordinates, found)


def gathered(density: Density, coordinates: Coordinates, found: list[Chain]) -> Draws:
    """Return chains as draws of parameters."""
    stopped = f"chain {len(found)}: {found[-1].stopped}" if found[-1].stopped else ""
    whole = [c for c in found if not c.stopped] or found
    u = torch.stack([coordinates.many(c.z) for c in whole])  # (chains, draws, D)
    parameters, others = unpacked(density, u)
    energy, divergent = torch.stack([c.energy for c in whole]), torch.stack([c.divergent for c in whole])
    return Draws(parameters, others, energy, divergent, stopped)


@torch.no_grad()
def unpacked(density: Density, u: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return parameters by name, and all other sample sites, of many u, (..., D)."""
    flat, lead = u.flatten(0, -2), u.shape[:-1]
    names = set(density.lifted.sites)
    parameters, others = [], []
    for row in flat:
        parameters.append(density.values(row)[0])
        others.append({n: x for n, x in density.bounded(row).items() if n not in names})

    def stacked(rows: list[dict[str, Tensor]], keys: list[str]) -> dict[str, Tensor]:
        return {n: torch.stack([r[n] for r in rows]).view(*lead, *rows[0][n].shape) for n in keys} if rows else {}

    return stacked(parameters, list(density.lifted.sites)), stacked(others, list(others[0]) if others else [])
