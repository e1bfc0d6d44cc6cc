"""Reference energies: a constant for each element, in float64 whatever the dtype of the model."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mdzoo.graph import Graph
from mdzoo.potentials.base import Potential


class AtomicEnergies(Potential):
    """`E_i = e_{s_i}`.

    Arguments:
        energies: one energy for each species, eV.
        trainable: whether they train with the rest.
    """

    def __init__(self, energies: Sequence[float], trainable: bool = False) -> None:
        super().__init__(0.0, 0, 1000)
        values = torch.as_tensor(list(energies), dtype=torch.float64)
        if not torch.isfinite(values).all():
            raise ValueError(f"`energies` must be finite (eV), got {values.tolist()}; give one number for each element")
        self.energies = nn.Parameter(values, requires_grad=bool(trainable))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        """Follow the model to another device, but stay in float64: total energies need the digits."""
        return super()._apply(lambda tensor: tensor.to(fn(tensor).device), recurse)

    def forward(self, graph: Graph) -> Tensor:
        """Return the energy of each atom, (N,) in eV."""
        return self.energies[graph.species]
