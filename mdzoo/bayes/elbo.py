r"""The evidence lower bound of a guide, by minibatches and one draw of all weights for each structure, or by factors.

    ELBO = sum_j E_q[log p(labels_j | theta_j)] - E_q[log q - log p],    theta_j ~ q, one for each structure j

(Kingma, Welling, arXiv:1312.6114). A draw serves all atoms of a structure and its forces; draws that differ between
structures make the gradient quieter than one for all.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mdzoo.bayes.coordinates import Coordinates
from mdzoo.bayes.guides import Guide
from mdzoo.bayes.lift import Density, GraphTerm, Predictor, Values
from mdzoo.bayes.likelihood import groups_of
from mdzoo.fit.kept import KeptBatch
from mdzoo.fit.least_squares import singles
from mdzoo.fit.loss import Residual
from mdzoo.potentials import Prediction


def log_volume(coordinates: Coordinates) -> float:
    """Return `log|det root|`."""
    root = coordinates.root
    return float(root.abs().log().sum()) if root.ndim == 1 else float(torch.linalg.slogdet(root)[1])


class Variational(nn.Module):
    """Stands where `mdzoo.fit.lightning.GradientFit` has a force field: what trains is the guide.

    Arguments:
        density: its term, if any, is not asked: batches are.
        coordinates: of the guide.
        guide: of z.
        predictor: of the force field, none of whose parameters trains here.
        structures: in the training set; the divergence from the prior is shared among them.
    """

    def __init__(
        self, density: Density, coordinates: Coordinates, guide: Guide, predictor: Predictor, structures: int
    ) -> None:
        super().__init__()
        self.guide, self.predictor = guide, predictor.requires_grad_(False)
        self.prior, self.coordinates = Density(density.lifted), coordinates
        self.structures, self.volume = int(structures), log_volume(coordinates)
        self.drawn: tuple[Values, Tensor] | None = None

    def predict(self, batch: Any) -> list[Prediction]:
        """Return the prediction of a batch, each structure by a draw of its own."""
        z, log_q = self.guide(batch.graph.cell.shape[0])
        said, noises, divergence = [], [], []
        for single, z_j, log_q_j in zip(split(batch), z, log_q, strict=True):
            u = self.coordinates.u(z_j)
            values, noise = self.prior.values(u)
            said.append(self.predictor.at(values, single))
            noises.append(noise)
            divergence.append(log_q_j - self.volume - self.prior(u))
        self.drawn = ({t: torch.stack([n[t] for n in noises]) for t in noises[0]}, torch.stack(divergence))
        return [Prediction(*[torch.cat(columns) for columns in zip(*said, strict=True)])]

    def objective(self, residuals: Mapping[str, Residual], batch: Any) -> dict[str, Tensor]:
        """Return the negative ELBO's share of a batch: of each target, and of the prior."""
        if self.drawn is None:
            raise RuntimeError("`predict` comes first")
        noise, divergence = self.drawn
        likelihood = self.prior.lifted.likelihood
        out = {}
        for target, residual in residuals.items():
            wide = noise[target]  # (S, G)
            structure, group = structures_of(target, batch), groups_of(target, batch).clamp_max(wide.shape[1] - 1)
            rows = structure * wide.shape[1] + group
            out[target] = -likelihood.of_rows(target, residual, rows, {**noise, target: wide.flatten()})
        return {**out, "prior": divergence.mean() * (len(divergence) / self.structures)}


def structures_of(target: str, batch: Any) -> Tensor:
    """Return the structure in the batch of each label of a target that is there, in the order of its errors."""
    places = torch.arange(batch.graph.cell.shape[0])
    return groups_of(target, batch._replace(labels=batch.labels._replace(group=places)))


def split(batch: Any) -> list[Any]:
    """Return the structures of a batch, with what is kept of them."""
    found = singles(batch)
    if not isinstance(batch, KeptBatch):
        return found
    return [KeptBatch(one.graph, one.labels, [kept]) for one, kept in zip(found, batch.kept, strict=True)]


def maximise(
    density: Density,
    coordinates: Coordinates,
    guide: Guide,
    steps: int,
    lr: float = 0.02,
    draws: int = 8,
    seed: int = 0,
) -> list[float]:
    """Fit a guide to a density whose labels cost little (factors), by Adam; return the ELBO of each step.

    The rate falls as half a cosine.

    Arguments:
        density: of the model.
        coordinates: of the guide.
        guide: is changed.
        steps: of the optimiser.
        lr: its first rate.
        draws: for each step.
        seed: of the draws.
    """
    optimiser = torch.optim.Adam(guide.parameters(), lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda k: 0.5 * (1.0 + math.cos(math.pi * k / steps)) + 1e-3
    )
    volume, history = log_volume(coordinates), []
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for _ in range(steps):
            optimiser.zero_grad()
            z, log_q = guide(draws)
            loss = -(torch.stack([density(coordinates.u(z_k)) for z_k in z]) - log_q + volume).mean()
            if not bool(torch.isfinite(loss)):
                raise ValueError(
                    f"`elbo` must stay finite, got {float(loss.detach())}; lower `lr`, or look at the data and prior"
                )
            loss.backward()
            optimiser.step()
            schedule.step()
            history.append(-float(loss.detach()))
    return history


class Report(NamedTuple):
    """How a guide fits its posterior."""

    width: float  # -E_q[(z - m) . d log p / dz] / D: one where the guide is right, near zero where it is far too narrow
    gain: float  # nats for each number by which the guide differs from the prior
    failures: list[str]

    def table(self) -> dict[str, Any]:
        """Return what a model's file keeps."""
        return {**self._asdict(), "failed": bool(self.failures)}


def judge(density: Density, coordinates: Coordinates, guide: Guide, draws: int = 16, seed: int = 0) -> Report:
    """Return whether a guide collapsed, by Stein's identity on all labels: at the posterior `E[(z - m) . g] = -D`.

    Arguments:
        density: with all labels.
        coordinates: of the guide.
        guide: after its fit.
        draws: to judge by.
        seed: of these.
    """
    prior = Density(density.lifted)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        centre = guide.centre()
        with torch.no_grad():
            z, log_q = guide(draws)
        products, gains = [], []
        for z_k, log_q_k in zip(z, log_q, strict=True):
            at = z_k.detach().clone().requires_grad_()
            slope = torch.autograd.grad(density(coordinates.u(at)), at)[0]
            products.append((at.detach() - centre) @ slope)
            gains.append(float(log_q_k) - log_volume(coordinates) - float(prior(coordinates.u(z_k)).detach()))
    width = -float(torch.stack(products).mean()) / guide.dimension
    gain = sum(gains) / len(gains) / guide.dimension
    return Report(width, gain, collapse(width, gain))


def collapse(width: float, gain: float) -> list[str]:
    """Return in words how a guide collapsed; empty if it did not."""
    out = []
    if not width > 0.1:
        out.append(
            f"the guide collapsed: its deviations are far below what the labels allow (width {width:.2g}, not 1)"
        )
    elif not width < 3.0:
        out.append(f"the guide did not converge: it is far wider than its posterior (width {width:.2g}, not 1)")
    if gain < 0.01:
        out.append(f"the guide collapsed onto the prior ({gain:.2g} nats for each number): it learnt nothing")
    return out


def whole_density(density: Density, predictor: Predictor, batches: list[Any]) -> Density:
    """Return the density with all labels, predicted batch by batch."""
    return Density(density.lifted, GraphTerm(predictor, density.lifted.likelihood, batches))
