"""Which charge has each atom: that of the data, or one for each species, in either case moved to the total if asked."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mdzoo.graph import Graph
from mdzoo.ops import segment_sum
from mdzoo.potentials.parameters import Bounds, Choices, Ties, Trainable

NEUTRAL = 2e-3  # e; what charges of a periodic structure may lack to zero, for they are read from rounded columns


class Charges(nn.Module):
    """`q_i` (e) of the Graph, or `q_{s_i}`; with `neutral`, `q_i - (sum_j q_j - Q) / N` in each structure of N atoms.

    The shift keeps every structure at its total charge Q, whatever trains and whatever its composition.

    Arguments:
        charges: one for each species, e; None takes those of the data.
        n_species: number of elements.
        neutral: whether they are moved to the total charge of the structure.
        trainable, bounds, ties: of `charges`, one entry for each species; see `mdzoo.potentials.parameters`.
    """

    def __init__(
        self,
        charges: Sequence[float] | None,
        n_species: int,
        neutral: bool = False,
        trainable: Trainable = False,
        bounds: Bounds = None,
        ties: Ties = None,
    ) -> None:
        super().__init__()
        choices = Choices(["charges"], trainable, bounds, ties)
        self.neutral = bool(neutral)
        if charges is None and (choices.every or choices.trainable):
            raise ValueError(
                "`trainable` must be false where charges are those of the data, got true; give `charges`, one for each "
                "species"
            )
        self.values = None if charges is None else choices.values("charges", checked(charges, int(n_species)), "real")

    def forward(self, graph: Graph) -> Tensor:
        """Return the charge of each atom, (N,) in e, in the dtype of the edge vectors."""
        dtype = graph.vectors.dtype
        values = self.values
        q = graph.charges.to(dtype) if values is None else values().to(dtype)[graph.species]
        return moved_to_total(q, graph) if self.neutral else q

    def of_data(self, graph: Graph) -> Tensor:
        """Return the charges of whole structures; raise ValueError where the data have none."""
        if self.values is None and graph.charges.numel() > 1 and not bool(graph.charges.any()):
            raise ValueError(
                "`charges` must be given for the atoms of the data, got none: all are 0; set data.charges_key or ASE's "
                "initial charges, or give one charge for each species"
            )
        return self.forward(graph)


def checked(charges: Sequence[float], n_species: int) -> Tensor:
    """Return the charges of the species as a tensor; there must be one finite number for each."""
    values = torch.as_tensor(list(charges), dtype=torch.float64)
    if values.shape != (n_species,) or not torch.isfinite(values).all():
        raise ValueError(
            f"`charges` must be {n_species} finite numbers, one for each species (e), got {values.tolist()}; give them "
            "in the order of the element table, or null for those of the data"
        )
    return values


def moved_to_total(q: Tensor, graph: Graph) -> Tensor:
    """Return the charges (N,) moved by one number in each structure, so that they sum to its total charge."""
    n_structures = graph.cell.shape[0]
    counts = torch.bincount(graph.batch, minlength=n_structures).clamp(min=1).to(q.dtype)
    excess = (segment_sum(q, graph.batch, n_structures) - graph.total_charge.to(q.dtype)) / counts
    return q - excess[graph.batch]
