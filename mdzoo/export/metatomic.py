"""A model as a metatomic file, which ASE, i-PI, torch-sim and builds of LAMMPS, GROMACS and PLUMED run.

from metatomic_ase import MetatomicCalculator
atoms.calc = MetatomicCalculator("metatomic.pt")
"""

# ruff: noqa: UP006, UP035, UP045 - metatomic compares the types of `forward` with these

import math
import warnings
from pathlib import Path
from typing import Any, Dict, List, Optional

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap
from metatomic.torch import AtomisticModel, ModelCapabilities, ModelMetadata, ModelOutput, NeighborListOptions, System
from torch import Tensor, nn

import mdzoo
from mdzoo.export.torchscript import cast, silent
from mdzoo.graph import Graph, select_edges, within
from mdzoo.potentials.base import deviation, total
from mdzoo.potentials.charges import Charges
from mdzoo.potentials.force_field import ForceField
from mdzoo.potentials.sure_force_field import calibration_of, identity, of_model

UNCERTAIN = ("energy_uncertainty", "energy_ensemble")


class Metatomic(nn.Module):
    """The energies of a potential behind metatomic's interface; derivatives are the engine's, by autograd.

    Outputs, in eV: `energy` of systems or atoms and, where the potential knows its uncertainty, `energy_uncertainty`,
    of systems with their calibration or of atoms by the parameters alone, and `energy_ensemble` of systems.
    """

    cutoff: float
    reach: int
    outputs: list[str]
    places: Tensor

    def __init__(self, force_field: ForceField, dtype: str = "float64") -> None:
        super().__init__()
        exported: Any = cast(force_field, dtype, "none")
        inner = exported.force_field if hasattr(exported, "force_field") else exported.sure.force_field
        self.potential = inner.potential
        self.cutoff, self.reach = inner.cutoff, inner.reach
        self.outputs = ["energy", *(UNCERTAIN if self.potential.is_uncertain else ())]
        known = bool(calibration_of(force_field))
        self.energy_curve = of_model(force_field, "none").energy_curve if known else identity()
        places = torch.full([max(inner.atomic_numbers) + 1], -1)
        places[torch.tensor(inner.atomic_numbers)] = torch.arange(len(inner.atomic_numbers))
        self.register_buffer("places", places)

    def requested_neighbor_lists(self) -> list[NeighborListOptions]:
        """Return what the engine is asked for: both directions of each pair, some perhaps too long."""
        if self.cutoff <= 0.0:
            return []
        return [NeighborListOptions(cutoff=self.cutoff, full_list=True, strict=False)]

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        """Return the outputs that are asked for, of the selected atoms."""
        rows: dict[str, list[Tensor]] = {}
        samples: list[Tensor] = []
        for index, system in enumerate(systems):
            graph = self.graph_of(system)
            atoms = torch.arange(graph.species.shape[0], device=graph.species.device)
            if selected_atoms is not None:
                atoms = selected_atoms.column("atom")[selected_atoms.column("system") == index].to(torch.int64)
            samples.append(torch.stack([torch.full_like(atoms, index), atoms], 1).to(torch.int32))
            for name, values in self.values(graph, atoms, outputs, selected_atoms is not None).items():
                if name not in rows:
                    rows[name] = []
                rows[name].append(values)
        result: dict[str, TensorMap] = {}
        for name, parts in rows.items():
            of_atoms = outputs[name].sample_kind == "atom"
            result[name] = as_map(torch.cat(parts), samples, of_atoms, name)
        return result

    def graph_of(self, system: System) -> Graph:
        """Return a system as a Graph, its edges sorted by centre."""
        species = self.places[system.types.to(torch.int64)]
        positions, n = system.positions, system.positions.shape[0]
        zero = torch.zeros([n], dtype=torch.float64, device=species.device)
        centers = neighbors = torch.zeros([0], dtype=torch.int64, device=species.device)
        shifts = torch.zeros([0, 3], dtype=torch.float64, device=species.device)
        vectors = positions[:0]
        if self.cutoff > 0.0:
            pairs = system.get_neighbor_list(self.requested_neighbor_lists()[0])
            columns = pairs.samples.values.to(torch.int64)
            order = torch.argsort(columns[:, 0], stable=True)
            centers, neighbors = columns[order, 0], columns[order, 1]
            shifts, vectors = columns[order, 2:].to(torch.float64), pairs.values[order].squeeze(2)
        atoms = torch.arange(n, device=species.device)
        cell, pbc = system.cell.to(torch.float64).unsqueeze(0), system.pbc.unsqueeze(0)
        places, batch = positions.to(torch.float64), torch.zeros_like(atoms)
        graph = Graph(species, places, batch, atoms, zero, zero[:1], cell, pbc, centers, neighbors, shifts, vectors)
        return within(graph, self.cutoff)

    def values(self, graph: Graph, atoms: Tensor, outputs: dict[str, ModelOutput], selected: bool) -> dict[str, Tensor]:
        """Return the values of each output for one system, (1 or atoms, 1 or M)."""
        found: dict[str, Tensor] = {}
        if "energy" in outputs:
            if outputs["energy"].sample_kind == "atom":
                found["energy"] = self.potential(graph)[atoms].unsqueeze(1)
            else:
                touched = 0.0 * (graph.positions.sum() + graph.cell.sum())  # atoms without neighbours have slopes too
                found["energy"] = (self.total(graph, atoms, selected) + touched).view(1, 1)
        if "energy_uncertainty" in outputs:
            said = self.potential.deviations(graph)
            if outputs["energy_uncertainty"].sample_kind == "atom":
                found["energy_uncertainty"] = deviation(said.rows, said.rest)[atoms].unsqueeze(1)
            else:
                n = max(1, atoms.shape[0])
                found["energy_uncertainty"] = n * self.energy_curve(total(said, graph) / n).view(1, 1)
        if "energy_ensemble" in outputs:
            found["energy_ensemble"] = self.potential.members(graph)[:, atoms].sum(1).view(1, -1)
        return found

    def total(self, graph: Graph, atoms: Tensor, selected: bool) -> Tensor:
        """Return the energy of a system or of its selected atoms, with the fast derivatives where they hold."""
        if not selected:
            return self.potential.first_order(graph).to(torch.float64).sum()
        if self.reach > 1 or self.reach < 0:
            return self.potential(graph)[atoms].to(torch.float64).sum()
        keep = torch.zeros_like(graph.species, dtype=torch.bool)
        keep[atoms] = True
        graph = select_edges(graph, keep[graph.centers])
        energies = self.potential.first_order(graph).to(torch.float64)
        return energies.sum() - energies.detach()[~keep].sum()


def as_map(values: Tensor, samples: list[Tensor], of_atoms: bool, name: str) -> TensorMap:
    """Return values in metatensor's form."""
    device = values.device
    if of_atoms:
        places = Labels(["system", "atom"], torch.cat(samples))
    else:
        places = Labels(["system"], torch.arange(len(samples), dtype=torch.int32, device=device).view(-1, 1))
    columns = torch.arange(values.shape[1], dtype=torch.int32, device=device).view(-1, 1)
    properties = Labels(["energy"], columns)
    nothing: list[Labels] = []
    block = TensorBlock(values, places, nothing, properties)
    return TensorMap(Labels(["_"], torch.zeros([1, 1], dtype=torch.int32, device=device)), [block])


def write_metatomic(path: str | Path, force_field: ForceField, dtype: str = "float64") -> Path:
    """Write a metatomic file.

    Arguments:
        path: the file, `.pt`.
        force_field: the model; it is left as it is.
        dtype: `float64` or `float32`.

    Raises:
        ValueError: a model that needs charges of its data, which engines do not give by this way.
    """
    if any(isinstance(module, Charges) and module.values is None for module in force_field.modules()):
        raise ValueError(
            "`charges` must belong to the species in a metatomic file, got those of the data; give them, or export the "
            "model as TorchScript"
        )
    module = Metatomic(force_field, dtype).eval()
    kinds = {name: "system" if name == "energy_ensemble" else "atom" for name in module.outputs}  # `atom` says: both
    capabilities = ModelCapabilities(
        outputs={name: ModelOutput(unit="eV", sample_kind=kind) for name, kind in kinds.items()},
        atomic_types=force_field.atomic_numbers,
        interaction_range=math.inf if module.reach < 0 else module.reach * module.cutoff,
        length_unit="angstrom",
        supported_devices=["cpu", "cuda"],
        dtype=dtype,
    )
    metadata = ModelMetadata(name=f"mdzoo {mdzoo.__version__}")
    with silent(), warnings.catch_warnings():
        AtomisticModel(module, metadata, capabilities).save(str(path))
    return Path(path)
