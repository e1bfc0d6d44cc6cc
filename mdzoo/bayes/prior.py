r"""What is believed of parameters before data: a table from patterns of names to priors, for any Potential.

    {"*": {name: normal}, "*.regressor.weights": {name: horseshoe, global_scale: 0.1}, "*.epsilon": {name: literature}}

A pattern (as of a shell) speaks of parameters that train, by the names of `force_field.named_parameters()`; the `.raw`
of an empirical parameter may be left out. Later patterns come before earlier ones; what no pattern names, or what is
`fixed`, keeps its value. Widths are in units of each entry, `units`: by default one over the deviation of its feature
for the weights of a linear regressor, one over the square root of its inputs for those of a network, else one.
"""

import dataclasses
import difflib
import fnmatch
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from mdzoo.bayes.prior_kinds import KINDS, Literature, Smoothness
from mdzoo.fit.prior import roughness
from mdzoo.fit.start import feature_moments
from mdzoo.potentials import DescriptorPotential
from mdzoo.potentials.parameters import Values
from mdzoo.regressors import Linear
from mdzoo.regressors.network import Affine


class Site(NamedTuple):
    """A parameter that is drawn: its prior, and what that refers to."""

    prior: Any  # one of KINDS
    start: Tensor  # what it is now
    unit: Tensor  # of its shape

    def draw(self, name: str) -> Tensor:
        """Return a draw, as a statement of a Pyro model."""
        return self.prior.draw(name, self.start, self.unit)

    def initial(self, name: str) -> dict[str, Tensor]:
        """Return the sample sites at which the draw is `start`."""
        return self.prior.initial(name, self.start, self.unit)


def prior_from(table: Mapping[str, Any]) -> Any:
    """Return the prior of a table such as `{name: normal, scale: 2.0}`; None for `{name: fixed}`."""
    keys = dict(table)
    kind = str(keys.pop("name", "normal"))
    if kind == "fixed":
        return None
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, 1, 0.0)
        raise ValueError(f"`prior` must be one of {[*KINDS, 'fixed']}, got {kind!r}; did you mean {near}?")
    known = [f.name for f in dataclasses.fields(KINDS[kind]) if f.name != "values"]
    for key, value in keys.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1, 0.0)
            raise ValueError(f"`{key}` must be a key of prior {kind} ({known}), got {key}; did you mean {near}?")
        if key not in ("loc", "centre", "power") and not 0.0 < float(value) < math.inf:
            raise ValueError(f"`{key}` of prior {kind} must be positive and finite, got {value}; it is a width")
    return KINDS[kind](**keys)


def sites_of(force_field: nn.Module, table: Mapping[str, Mapping[str, Any]], units: Mapping[str, Tensor]) -> dict:
    """Return the `Site` of every parameter that is drawn, by its name.

    Arguments:
        force_field: or any module; nothing in it is changed.
        table: patterns of names, with the priors of what they match.
        units: see `units_of`; one where nothing is given.

    Raises:
        ValueError: a pattern matches nothing (the nearest names are offered), or nothing is drawn.
    """
    trained = {name: p.detach().clone() for name, p in force_field.named_parameters() if p.requires_grad}
    chosen: dict[str, Any] = {}
    for pattern, keys in table.items():
        for name in matches(pattern, list(trained), force_field):
            chosen[name] = prior_from(keys)
    found = {n: chosen[n] for n in trained if chosen.get(n) is not None}
    if not found:
        raise ValueError(f"`prior` must name a parameter that trains, got {list(table)}; `*` names all that train")
    modules = dict(force_field.named_modules())
    return {n: site_of(n, prior, trained[n], units, modules) for n, prior in found.items()}


def site_of(name: str, prior: Any, start: Tensor, units: Mapping[str, Tensor], modules: Mapping[str, Any]) -> Site:
    """Return the site of one parameter; priors that know more of it are told."""
    unit = units.get(name, torch.ones_like(start)).to(start)
    owner = modules[name.rpartition(".")[0]]
    if isinstance(prior, Literature):
        if not isinstance(owner, Values):
            raise ValueError(f"`prior` must not be literature for {name}, got no empirical parameter; choose normal")
        prior = dataclasses.replace(prior, values=owner)
        prior.moments(name, start)
    if isinstance(prior, Smoothness):
        unit = unit / stiffness(name, modules, start) ** prior.power
    return Site(prior, start, unit)


def stiffness(name: str, modules: Mapping[str, Any], like: Tensor) -> Tensor:
    """Return `1 + roughness` of the feature of each weight of a linear regressor."""
    part = modules.get(name.removesuffix(".regressor.weights"))
    if not isinstance(part, DescriptorPotential) or not isinstance(part.regressor, Linear):
        raise ValueError(
            f"`prior` must not be smoothness for {name}, got no weights of regressor=linear; choose normal"
        )
    return like.new_tensor([1.0 + roughness(label) for label in part.descriptor.labels()]).expand_as(like)


def matches(pattern: str, trained: list[str], force_field: nn.Module) -> list[str]:
    """Return the names that a pattern matches.

    Raises:
        ValueError: there is none, or what it matches does not train.
    """
    found = [n for n in trained if fnmatch.fnmatch(n, pattern) or fnmatch.fnmatch(n.removesuffix(".raw"), pattern)]
    if found:
        return found
    others = [n for n, _ in force_field.named_parameters() if fnmatch.fnmatch(n.removesuffix(".raw"), pattern)]
    if others:
        raise ValueError(f"`prior` must name parameters that train, got {pattern!r}, which do not; set `trainable`")
    ends = {n.removesuffix(".raw").split(".", n.count(".") - k)[-1] for n in trained for k in range(n.count("."))}
    near = difflib.get_close_matches(pattern.strip("*."), sorted({*ends, *trained}), 3, 0.0)
    raise ValueError(f"`prior` must name parameters of this model, got {pattern!r}; did you mean one of {near}?")


def units_of(force_field: nn.Module, dataset: Dataset | None = None) -> dict[str, Tensor]:
    """Return natural units of weights: see the module docstring; without data those of features are one."""
    out: dict[str, Tensor] = {}
    for name, module in force_field.named_modules():
        if isinstance(module, Affine):
            out[f"{name}.weight"] = torch.full_like(module.weight, module.weight.shape[1] ** -0.5).detach()
        linear = isinstance(module, DescriptorPotential) and isinstance(module.regressor, Linear)
        if linear and dataset is not None:
            deviation = feature_moments(module, dataset)[1]
            least = deviation.max() * 1e-12
            shape = module.regressor.weights.shape
            out[f"{name}.regressor.weights"] = (1.0 / deviation.clamp_min(float(least) or 1.0)).expand(shape).clone()
    return out
