"""Labels turned into rows: what a linear fit compares, one row for each label, divided as in the loss."""

import torch
from torch import Tensor

from mdzoo.data.labels import Batch
from mdzoo.fit.design import Rows, design
from mdzoo.fit.loss import RESIDUALS, atoms_in
from mdzoo.potentials import ForceField, Prediction


def labelled_rows(force_field: ForceField, base: ForceField, batch: Batch, targets: list[str]) -> dict[str, Tensor]:
    """Return for each target the rows `[Phi | y]`, (m, P + 1), with y the label minus the baseline's prediction.

    Rows carry the per-structure factors of the loss (1/N and the square roots of the structure's weights), not w_E, w_F
    and w_S; labels that are NaN and structures of weight zero have no row.

    Arguments:
        force_field: its linear part gives Phi.
        base: the force field with its linear parameters at zero, see `design.baseline`.
        batch: structures and labels.
        targets: of `energy`, `forces`, `stress`.
    """
    return weighted_rows(design(force_field, batch.graph), base, batch, targets)


def weighted_rows(design_rows: Rows, base: ForceField, batch: Batch, targets: list[str]) -> dict[str, Tensor]:
    """Return the same from the rows that `design` gave."""
    return compared(design_rows, detached(base(batch.graph)), batch, targets)


def compared(derivatives: Rows, prediction: Prediction, batch: Batch, targets: list[str]) -> dict[str, Tensor]:
    """Return for each target the rows `[Phi | y]`, with y the label minus a prediction and Phi its derivatives."""
    columns = flattened(derivatives, batch)
    rows = {}
    for name in targets:
        residual = RESIDUALS[name](prediction, batch.graph, batch.labels)
        phi = columns[name][labelled(name, batch)]
        root = residual.weight.sqrt()
        weighted = torch.cat([phi, -residual.error.unsqueeze(1)], 1) * root.unsqueeze(1)
        rows[name] = weighted[root > 0.0]
    return rows


def flattened(rows: Rows, batch: Batch) -> dict[str, Tensor]:
    """Return the rows of each target in the order and the unit of the residuals."""
    n = atoms_in(batch.graph).view(-1, 1)
    return {
        "energy": rows.energy / n,
        "forces": rows.forces.flatten(0, 1),
        "stress": (rows.virial / n.unsqueeze(1)).flatten(0, 1),
    }


def labelled(name: str, batch: Batch) -> Tensor:
    """Return which labels of a target are there, flattened."""
    return ~torch.isnan(getattr(batch.labels, name)).flatten()


def detached(prediction: Prediction) -> Prediction:
    """Return the prediction without its history."""
    return Prediction(*[tensor.detach() for tensor in prediction])
