"""One loss for every way of fitting.

    loss = 1/S sum_j  alpha_j rho(E_j - E_ref) + beta_j sum rho(F_j - F_ref) + gamma_j sum rho(V_j (stress_j - ref))
    alpha_j = energy_weight_j (w_E / N_j)^2,   beta_j = force_weight_j w_F^2,   gamma_j = stress_weight_j (w_S / N_j)^2

with `rho(x) = x^2` by default, S the global number of structures (all ranks), and labels that are NaN left out. For
potentials that find charges, `w_q^2 sum rho(q_j - q_ref)` with the charges of the data (`data.charges_key`) comes on
top; a structure whose charges are all zero has none.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mdzoo.data.labels import Labels
from mdzoo.graph import Graph
from mdzoo.ops import segment_sum
from mdzoo.potentials import Prediction


class Residual(NamedTuple):
    """Errors of one target on a batch, those with a label only, in the unit in which they are reported."""

    error: Tensor  # (m,) eV/atom, eV/Angstrom or eV/atom of virial
    weight: Tensor  # (m,) structure's factor on the squared error


class Target:
    """What is compared: its error, its loss, its weight and its metrics.

    Arguments:
        name: `energy` (eV/atom), `forces` (eV/Angstrom), `stress` (as virial, eV/atom) or `charges` (e).
        weight: w of the module's loss, on the error, not on its square.
        huber: if positive, `rho(x) = x^2` up to this error (in the unit above) and linear beyond,
            `huber (2 |x| - huber)`; 0 is the squared error.
    """

    def __init__(self, name: str, weight: float = 1.0, huber: float = 0.0) -> None:
        if name not in RESIDUALS:
            raise ValueError(f"`name` must be one of {sorted(RESIDUALS)}, got {name}; a target is a kind of label")
        for key, value in (("weight", weight), ("huber", huber)):
            if not 0.0 <= float(value) < float("inf"):
                raise ValueError(f"`{key}` must be finite and not negative, got {value} for {name}; 0 switches it off")
        self.name, self.weight, self.huber = name, float(weight), float(huber)

    def residual(self, prediction: Prediction, graph: Graph, labels: Labels) -> Residual:
        """Return the errors of the labels that are there."""
        return RESIDUALS[self.name](prediction, graph, labels)

    def loss(self, residual: Residual) -> Tensor:
        """Return the weighted sum over the errors, a scalar (not yet divided by the number of structures)."""
        size, squares = residual.error.abs(), residual.error.square()
        if self.huber > 0.0:
            squares = torch.where(size < self.huber, squares, self.huber * (2.0 * size - self.huber))
        return self.weight**2 * (residual.weight * squares).sum()


def present(error: Tensor, label: Tensor, weight: Tensor) -> Residual:
    """Leave out what has no label; a prediction that is NaN stays, so that it is seen."""
    keep = ~torch.isnan(label).flatten()
    return Residual(error.flatten()[keep], weight.expand_as(error).flatten()[keep])


def atoms_in(graph: Graph) -> Tensor:
    """Return the number of atoms of each structure, (S,)."""
    return torch.bincount(graph.batch, minlength=graph.cell.shape[0]).to(torch.float64)


def energy_residual(prediction: Prediction, graph: Graph, labels: Labels) -> Residual:
    """Return the errors of the energy in eV/atom; the labels' NaN mark what is absent."""
    return present((prediction.energy - labels.energy) / atoms_in(graph), labels.energy, labels.energy_weight)


def force_residual(prediction: Prediction, graph: Graph, labels: Labels) -> Residual:
    """Return the errors of the force components in eV/Angstrom."""
    error = prediction.forces.to(torch.float64) - labels.forces
    return present(error, labels.forces, labels.force_weight[graph.batch].unsqueeze(1))


def stress_residual(prediction: Prediction, graph: Graph, labels: Labels) -> Residual:
    """Return the errors of the 9 components of the virial per atom, `V (stress - ref) / N`, in eV."""
    volume = torch.linalg.det(graph.cell).abs().view(-1, 1, 1)
    error = (prediction.virial.to(torch.float64) + volume * labels.stress) / atoms_in(graph).view(-1, 1, 1)
    return present(error, labels.stress, labels.stress_weight.view(-1, 1, 1))


def charge_residual(prediction: Prediction, graph: Graph, labels: Labels) -> Residual:
    """Return the errors of the charges in e; those of the data come with the graph."""
    known = segment_sum(graph.charges.abs(), graph.batch, graph.cell.shape[0])[graph.batch] > 0.0
    label = torch.where(known, graph.charges, torch.nan)
    return present(prediction.charges - label, label, torch.ones_like(label))


RESIDUALS: dict[str, Callable[[Prediction, Graph, Labels], Residual]] = {
    "energy": energy_residual,
    "forces": force_residual,
    "stress": stress_residual,
    "charges": charge_residual,
}


def targets(weights: Mapping[str, float], huber: Mapping[str, float] | None = None) -> list[Target]:
    """Return the targets that have a weight, from `{energy: w_E, forces: w_F, stress: w_S, charges: w_q}`."""
    every = [Target(name, weight, (huber or {}).get(name, 0.0)) for name, weight in weights.items()]
    chosen = [target for target in every if target.weight > 0.0]
    if not chosen:
        raise ValueError(f"`weights` must have one that is positive, got {dict(weights)}; nothing would be fitted")
    return chosen


def total_loss(chosen: Sequence[Target], prediction: Prediction, graph: Graph, labels: Labels) -> Tensor:
    """Return the loss of a batch before it is divided by the number of structures."""
    return torch.stack([t.loss(t.residual(prediction, graph, labels)) for t in chosen]).sum()
