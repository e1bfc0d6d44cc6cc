"""Distributions of one parameter before data: each draws it as statements of a Pyro model."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mdzoo.bayes.peers import dist, pyro
from mdzoo.potentials.parameters import Values, to_raw

WIDEST = 1.8
"""Widest deviation of the logit of a bounded parameter: about that of a value anywhere between its bounds."""


class Conditional(NamedTuple):
    """The normal that is drawn at given scales: a site of some deviation, which a factor makes the parameter."""

    site: str
    factor: Tensor
    deviation: Tensor


@dataclass
class Normal:
    """`theta ~ N(loc, scale^2)`; `loc` is a number, or `start` for the value that the parameter has."""

    scale: float = 1.0
    loc: float | str = 0.0

    def draw(self, name: str, start: Tensor, unit: Tensor) -> Tensor:
        """Return a draw."""
        return pyro.sample(name, normal(self.mean(start), self.scale * unit))

    def conditional(self, name: str, start: Tensor, unit: Tensor) -> Conditional:
        """Return what is drawn at given scales."""
        return Conditional(name, torch.ones_like(start), self.scale * unit)

    def mean(self, start: Tensor) -> Tensor:
        """Return the mean of the parameter."""
        return start if self.loc == "start" else torch.full_like(start, float(self.loc))

    def initial(self, name: str, start: Tensor, unit: Tensor) -> dict[str, Tensor]:
        """Return the site at `start`."""
        return {name: start}


@dataclass
class Hierarchical:
    """`theta ~ N(0, tau^2)` with `log tau ~ N(log scale, width^2)`, one tau for all entries."""

    scale: float = 1.0
    width: float = 1.5

    def draw(self, name: str, start: Tensor, unit: Tensor) -> Tensor:
        """Return a draw."""
        tau = pyro.sample(f"{name}.scale", dist.LogNormal(start.new_tensor(math.log(self.scale)), self.width))
        return pyro.sample(name, normal(torch.zeros_like(start), tau * unit))

    def conditional(self, name: str, start: Tensor, unit: Tensor) -> Conditional:
        """Return what is drawn at tau = `scale`."""
        return Conditional(name, torch.ones_like(start), self.scale * unit)

    def mean(self, start: Tensor) -> Tensor:
        """Return the mean of the parameter."""
        return torch.zeros_like(start)

    def initial(self, name: str, start: Tensor, unit: Tensor) -> dict[str, Tensor]:
        """Return the sites at `start`, tau at its root mean square."""
        tau = (start / unit).square().mean().sqrt()
        return {name: start, f"{name}.scale": tau if tau > 0.0 else torch.full_like(tau, self.scale)}


@dataclass
class Smoothness(Hierarchical):
    """`Hierarchical` whose widths are divided by `(1 + roughness)^power` of the label of each feature.

    The algebraic smoothness prior of ACEpotentials (Witt et al., DOI 10.1063/5.0158783), see `mdzoo.fit.prior`.
    """

    power: float = 2.0


@dataclass
class Horseshoe:
    r"""`theta_k ~ N(0, tau^2 l_k^2)`, few of many: `tau ~ C+(0, global_scale)`, `l_k ~ C+(0, 1)`, at most `slab` wide.

    The regularised horseshoe of Piironen and Vehtari (DOI 10.1214/17-EJS1337SI) with a fixed slab c:
    `l^2 -> c^2 l^2 / (c^2 + tau^2 l^2)`. The sites are `theta / (tau l)`, whose geometry is easier.
    """

    global_scale: float = 0.1
    slab: float = 10.0

    def draw(self, name: str, start: Tensor, unit: Tensor) -> Tensor:
        """Return a draw."""
        one = torch.ones_like(start)
        tau = pyro.sample(f"{name}.global", dist.HalfCauchy(start.new_tensor(self.global_scale)))
        local = pyro.sample(f"{name}.local", dist.HalfCauchy(one).to_event(start.ndim))
        return pyro.sample(f"{name}.standard", normal(0.0 * one, one)) * self.width(tau, local) * unit

    def width(self, tau: Tensor, local: Tensor) -> Tensor:
        """Return the deviation of each entry in its unit."""
        return tau * local / (1.0 + (tau * local / self.slab).square()).sqrt()

    def conditional(self, name: str, start: Tensor, unit: Tensor) -> Conditional:
        """Return what is drawn at tau = `global_scale` and all l = 1."""
        width = self.width(start.new_tensor(self.global_scale), torch.ones_like(start))
        return Conditional(f"{name}.standard", width * unit, torch.ones_like(start))

    def mean(self, start: Tensor) -> Tensor:
        """Return the mean of the parameter."""
        return torch.zeros_like(start)

    def initial(self, name: str, start: Tensor, unit: Tensor) -> dict[str, Tensor]:
        """Return the sites at `start`, all of one width."""
        tau, one = start.new_tensor(self.global_scale), torch.ones_like(start)
        standard = start / (self.width(tau, one) * unit)
        return {f"{name}.global": tau, f"{name}.local": one, f"{name}.standard": standard}


@dataclass
class ARD:
    """`theta_k ~ N(0, 1 / a_k)` with `a_k ~ Gamma(shape, shape scale^2)`: a width for each entry, relevant or not.

    MacKay's automatic relevance determination (DOI 10.1162/neco.1992.4.3.448); together a Student-t of
    `2 shape` degrees of freedom. The sites are `theta_k a_k^(1/2)`.
    """

    scale: float = 1.0
    shape: float = 1.0

    def draw(self, name: str, start: Tensor, unit: Tensor) -> Tensor:
        """Return a draw."""
        one = torch.ones_like(start)
        rate = self.shape * self.scale**2 * one
        precision = pyro.sample(f"{name}.precision", dist.Gamma(self.shape * one, rate).to_event(start.ndim))
        return pyro.sample(f"{name}.standard", normal(0.0 * one, one)) * precision.rsqrt() * unit

    def conditional(self, name: str, start: Tensor, unit: Tensor) -> Conditional:
        """Return what is drawn at all a = 1 / `scale`^2."""
        return Conditional(f"{name}.standard", self.scale * unit, torch.ones_like(start))

    def mean(self, start: Tensor) -> Tensor:
        """Return the mean of the parameter."""
        return torch.zeros_like(start)

    def initial(self, name: str, start: Tensor, unit: Tensor) -> dict[str, Tensor]:
        """Return the sites at `start`, all of one width."""
        one = torch.ones_like(start)
        return {f"{name}.precision": one / self.scale**2, f"{name}.standard": start / (self.scale * unit)}


@dataclass
class Literature:
    """An empirical parameter x lies about its value in the literature, x0, with the deviation `relative |x0|`.

    The unbounded number that stands for x (`mdzoo.potentials.parameters`) is normal about that of x0, with the
    deviation that this makes: x is log-normal if it is positive, logit-normal between bounds, and never leaves them.

    Arguments:
        relative: deviation over x0.
        centre: x0, one number or one for each entry that trains; by default what the potential has.
    """

    relative: float = 0.1
    centre: float | list[float] | None = None
    values: Values | None = None  # whose `raw` it is, found with the name

    def draw(self, name: str, start: Tensor, unit: Tensor) -> Tensor:
        """Return a draw."""
        return pyro.sample(name, normal(*self.moments(name, start)))

    def conditional(self, name: str, start: Tensor, unit: Tensor) -> Conditional:
        """Return what is drawn."""
        return Conditional(name, torch.ones_like(start), self.moments(name, start)[1])

    def initial(self, name: str, start: Tensor, unit: Tensor) -> dict[str, Tensor]:
        """Return the site at `start`."""
        return {name: start}

    def moments(self, name: str, start: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and deviation of the unbounded numbers."""
        values: Any = self.values
        low, high = values.bounds[:, : len(start)]
        raw = start
        if self.centre is not None:
            held = values.raw.new_zeros(0) if values.held is None else values.held
            x = torch.as_tensor(self.centre).to(start).expand_as(start)
            check_inside(name, x, low, high)
            raw = to_raw(torch.cat([x, held]), values.bounds, values.domain)[: len(start)]
        if values.domain in ("positive", "fractions"):
            return raw, torch.full_like(raw, self.relative)
        if values.domain == "range":
            inside, x = torch.sigmoid(raw) * (1.0 - torch.sigmoid(raw)), low + (high - low) * torch.sigmoid(raw)
            slope = ((high - low) * inside).clamp_min(1e-12)
            return raw, (self.relative * x.abs() / slope).clamp(1e-6, WIDEST)
        if not bool((raw != 0.0).all()):
            raise ValueError(f"`{name}` must not be zero for a literature prior, got {raw.tolist()}; choose normal")
        return raw, self.relative * raw.abs()


KINDS: dict[str, type] = {
    "ard": ARD,
    "hierarchical": Hierarchical,
    "horseshoe": Horseshoe,
    "literature": Literature,
    "normal": Normal,
    "smoothness": Smoothness,
}


def normal(mean: Tensor, deviation: Tensor) -> Any:
    """Return independent normals as one distribution."""
    return dist.Normal(mean, deviation).to_event(mean.ndim)


def check_inside(name: str, x: Tensor, low: Tensor, high: Tensor) -> None:
    """Refuse a centre outside the bounds of its parameter."""
    if not bool(((low < x) & (x < high)).all()):
        raise ValueError(
            f"`centre` of {name} must lie between its bounds, got {x.tolist()} for {low.tolist()} to {high.tolist()}; "
            "correct it or the potential's `bounds`"
        )
