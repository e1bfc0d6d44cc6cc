"""An exported model behind `pair_style mliap unified`, LAMMPS's interface to Python, for builds with Kokkos on GPUs.

In a Python that drives such a build (its ML-IAP with Python enabled), units metal:

    import lammps.mliap
    engine = lammps.lammps()
    lammps.mliap.activate_mliappy(engine)
    lammps.mliap.load_unified(UnifiedModel("model.pt"))
    engine.commands_list(["pair_style mliap unified EXISTS", "pair_coeff * * Si"])
"""

from pathlib import Path
from typing import Any

import torch
from ase.data import chemical_symbols
from torch import Tensor

from mdzoo.export.torchscript import load
from mdzoo.graph import Graph, within


class UnifiedModel:
    """What LAMMPS asks of a unified model: its elements, its cutoff, and `compute_forces`.

    LAMMPS gives the directed pairs within the cutoff, `pair_i`, `pair_j` and `rij`, of owned atoms with owned atoms and
    ghosts; it takes the energy of each owned atom and `dE/drij` of each pair, from which it makes forces and virials.

    Arguments:
        path: an exported file of reach 0 or 1; its reference structures are run first.
        device: where the model runs, `cpu` or `cuda`.

    Raises:
        ValueError: the file is damaged, or an atom's energy looks beyond its own neighbours.
    """

    def __init__(self, path: str | Path, device: str = "cpu") -> None:
        model: Any = load(path, device)
        if model.reach not in (0, 1):
            raise ValueError(
                f"`path` must be a model whose energies look at neighbours alone for mliap unified, got reach "
                f"{model.reach}; run it by pair_style mdzoo"
            )
        self.interface = None  # set by LAMMPS
        self.element_types = [chemical_symbols[z] for z in model.atomic_numbers]
        self.ndescriptors, self.nparams = 1, 1  # there are none, but LAMMPS makes arrays of them
        self.rcutfac = 0.5 * model.cutoff  # LAMMPS's cutoff is twice this
        self.cutoff, self.device = float(model.cutoff), device
        self.force_field = model.sure.force_field if hasattr(model, "sure") else model.force_field

    def compute_descriptors(self, data: Any) -> None:
        """Do nothing: there are none."""

    def compute_gradients(self, data: Any) -> None:
        """Do nothing: there are none."""

    def compute_forces(self, data: Any) -> None:
        """Give LAMMPS the energies of the owned atoms and the slopes of the pairs."""
        centers = torch.as_tensor(data.pair_i, device=self.device).long()
        order = torch.argsort(centers, stable=True)
        graph = self.graph_of(data, centers, order)
        kept = within(graph._replace(shifts=order.double().unsqueeze(1)), self.cutoff)  # which pairs stay
        energies, slopes = self.force_field.blockwise(kept._replace(shifts=kept.vectors.double()))
        pairs = torch.zeros_like(graph.vectors, dtype=torch.float64)
        pairs[kept.shifts[:, 0].long()] = slopes.double()
        owned = torch.as_tensor(data.iatoms, device=self.device).long()[: data.nlistatoms]
        found = energies.detach().double()[owned]
        data.eatoms = as_given(found, data.rij)
        data.energy = float(found.sum())
        data.update_pair_forces(as_given(pairs, data.rij))

    def graph_of(self, data: Any, centers: Tensor, order: Tensor) -> Graph:
        """Return owned atoms and ghosts as one structure, whose vectors are given."""
        species = torch.as_tensor(data.elems, device=self.device).long()
        vectors = torch.as_tensor(data.rij, device=self.device).double()[order]
        neighbors = torch.as_tensor(data.pair_j, device=self.device).long()[order]
        n = species.shape[0]
        zero, batch = torch.zeros([n], dtype=torch.float64, device=self.device), torch.zeros_like(species)
        cell = torch.eye(3, dtype=torch.float64, device=self.device).unsqueeze(0)
        pbc = torch.zeros([1, 3], dtype=torch.bool, device=self.device)
        places, ids = torch.zeros([n, 3], dtype=torch.float64, device=self.device), torch.arange(n, device=self.device)
        edges = centers[order], neighbors, vectors, vectors
        return Graph(species, places, batch, ids, zero, zero[:1], cell, pbc, *edges)


def as_given(values: Tensor, like: Any) -> Any:
    """Return a tensor in the kind of array that LAMMPS gave: of NumPy on the CPU, else as it is."""
    values = values.contiguous()
    return values if hasattr(like, "__cuda_array_interface__") else values.cpu().numpy()
