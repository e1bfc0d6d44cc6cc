r"""Named parameters of any Potential as sample sites of a Pyro model; the potential itself stays plain.

    theta ~ prior,    noise ~ prior,    log p(labels | theta, noise) as one factor

Draws reach the network by `torch.func.functional_call`, so it knows nothing of it and scripts as before. One draw of
all weights serves all atoms of a structure and its forces: noise of each atom would add up wrongly in the energy, and
forces would be the gradient of nothing. `Density` is the same model as a function of one unbounded vector, which is
what samplers and guides work with.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from mdzoo.bayes.likelihood import Likelihood
from mdzoo.bayes.peers import poutine, pyro
from mdzoo.bayes.prior import Site
from mdzoo.data.labels import Batch
from mdzoo.potentials import ForceField, Prediction

Values = dict[str, Tensor]
Term = Callable[[Values, Values], Tensor]
"""Log density of labels from parameters by name and noise by target."""


class Lifted:
    """The Pyro model of a force field's parameters.

    Arguments:
        sites: what is drawn, see `mdzoo.bayes.prior.sites_of`.
        likelihood: of the labels.

    Example:
        >>> from mdzoo.bayes.prior import sites_of
        >>> net = nn.Linear(2, 1)
        >>> lifted = Lifted(sites_of(net, {"*": {"name": "normal"}}, {}), Likelihood(["energy"]))
        >>> sorted(Density(lifted).sites)
        ['bias', 'noise.energy', 'weight']
    """

    def __init__(self, sites: Mapping[str, Site], likelihood: Likelihood) -> None:
        self.sites, self.likelihood = dict(sites), likelihood
        self.like = next(iter(self.sites.values())).start.detach()

    def draw(self) -> tuple[Values, Values]:
        """Return parameters and noise, drawn from their priors."""
        values = {name: site.draw(name) for name, site in self.sites.items()}
        return values, self.likelihood.draw(self.like)

    def model(self, term: Term | None = None) -> tuple[Values, Values]:
        """Draw parameters and noise, and score labels with them."""
        values, noise = self.draw()
        if term is not None:
            pyro.factor("labels", term(values, noise))
        return values, noise

    def initial(self) -> dict[str, Tensor]:
        """Return the sample sites at the parameters that the force field has, and noise at its centre."""
        out = self.likelihood.initial(self.like)
        for name, site in self.sites.items():
            out |= site.initial(name)
        return out


class Scored(poutine.messenger.Messenger):
    """Gives sample sites their values, and keeps their log densities."""

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.at, self.parts = values, list[Tensor]()

    def _pyro_sample(self, msg: Any) -> None:
        value = self.at[msg["name"]]
        self.parts.append(msg["fn"].log_prob(value).sum())
        msg["value"], msg["done"] = value, True


class Density:
    """Log density of prior and labels as a function of the unbounded vector u (D,) of all sample sites.

    Positive sites enter by their logarithm, with the Jacobian in the density.

    Arguments:
        lifted: the model.
        term: the labels; None for the prior alone.
    """

    def __init__(self, lifted: Lifted, term: Term | None = None) -> None:
        self.lifted, self.term = lifted, term
        with torch.no_grad():
            trace = poutine.trace(lifted.model).get_trace(None)
        nodes: dict[str, Any] = dict(trace.nodes)
        found = {n: s for n, s in nodes.items() if s["type"] == "sample" and not s["is_observed"]}
        self.sites = list(found)
        self.positive = {n for n, s in found.items() if is_positive(s["fn"].support)}
        self.shapes = [s["value"].shape for s in found.values()]
        self.sizes = [s["value"].numel() for s in found.values()]
        self.dimension = sum(self.sizes)

    def start(self) -> Tensor:
        """Return u at the parameters that the force field has."""
        initial = self.lifted.initial()
        wide = [initial[n].expand(shape) for n, shape in zip(self.sites, self.shapes, strict=True)]
        parts = [x.log() if n in self.positive else x for n, x in zip(self.sites, wide, strict=True)]
        return torch.cat([x.flatten() for x in parts]).detach()

    def split(self, u: Tensor) -> dict[str, Tensor]:
        """Return the unbounded parts of u by site."""
        parts = zip(self.sites, u.split(self.sizes), self.shapes, strict=True)
        return {name: part.view(shape) for name, part, shape in parts}

    def where(self, name: str) -> slice:
        """Return which part of u a site is."""
        first = sum(self.sizes[: self.sites.index(name)])
        return slice(first, first + self.sizes[self.sites.index(name)])

    def __call__(self, u: Tensor, term: Term | None = None) -> Tensor:
        """Return the log density at u, of the labels that `term` scores instead of all if it is given."""
        raw = self.split(u)
        slopes = [x.sum() for n, x in raw.items() if n in self.positive]
        with Scored(self.bounded(u)) as scored:
            drawn = self.lifted.draw()
        term = term or self.term
        labels = [] if term is None else [term(*drawn)]
        return torch.stack([*scored.parts, *slopes, *labels]).sum()

    def values(self, u: Tensor) -> tuple[Values, Values]:
        """Return the parameters by name and the noise by target at u."""
        with Scored(self.bounded(u)):
            return self.lifted.draw()

    def bounded(self, u: Tensor) -> dict[str, Tensor]:
        """Return every sample site at u."""
        return {n: x.exp() if n in self.positive else x for n, x in self.split(u).items()}


def is_positive(support: Any) -> bool:
    """Return whether a support is that of positive numbers, and not of all."""
    return getattr(getattr(support, "base_constraint", support), "lower_bound", None) == 0


class Predictor(nn.Module):
    """A force field at other parameters than its own, which stay untouched.

    Arguments:
        force_field: in train mode its predictions keep their history.
        predict: gives the prediction of a batch with the parameters that the force field has at that time
            (`mdzoo.fit.cached.KeptForceField`); by default the force field itself.
    """

    def __init__(self, force_field: ForceField, predict: Callable[[Any], list[Prediction]] | None = None) -> None:
        super().__init__()
        self.force_field = force_field
        self.predict = predict

    def forward(self, batch: Any) -> Prediction:
        """Return the prediction of a batch."""
        return self.force_field(batch.graph) if self.predict is None else self.predict(batch)[0]

    def at(self, values: Mapping[str, Tensor], batch: Any) -> Prediction:
        """Return the prediction of a batch at these parameters, others as they are."""
        with torch.enable_grad():  # forces are derivatives
            return functional_call(self, {f"force_field.{n}": value for n, value in values.items()}, (batch,))


class GraphTerm:
    """Log density of the labels of batches, by predicting them: for any potential.

    Arguments:
        predictor: of the force field.
        likelihood: of the labels.
        batches: structures and labels.
        fraction: of the structures that these stand for; the density is divided by it.
    """

    def __init__(
        self, predictor: Predictor, likelihood: Likelihood, batches: Iterable[Batch], fraction: float = 1.0
    ) -> None:
        self.predictor, self.likelihood = predictor, likelihood
        self.batches, self.fraction = list(batches), float(fraction)

    def __call__(self, values: Values, noise: Values) -> Tensor:
        """Return the log density at these parameters and this noise."""
        parts = [self.likelihood.of_prediction(self.predictor.at(values, b), b, noise) for b in self.batches]
        return torch.stack(parts).sum() / self.fraction


def needs_data(n_rows: int, n_drawn: int) -> None:
    """Raise a ValueError where there are no labels to learn from."""
    if n_rows < 1:
        raise ValueError(
            f"`data` must hold at least one label for {n_drawn} parameters, got none; check keys, masks and weights"
        )
