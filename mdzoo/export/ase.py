"""An ASE calculator over an exported file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator as AseCalculator
from ase.calculators.calculator import PropertyNotImplementedError, all_changes
from ase.stress import full_3x3_to_voigt_6_stress
from torch import Tensor

from mdzoo.data.graphs import graph_from_atoms
from mdzoo.export.contract import INPUTS, inputs_of
from mdzoo.export.torchscript import load


class SkinList:
    """The inputs of a model with edges to `cutoff + skin`, rebuilt only when that is needed.

    When the list is made, pairs without an edge are further apart than cutoff + skin. A cell that deforms since then
    shortens them by no more than the smallest singular value s of its deformation, and atoms that move by d against
    the cell by 2 d more, so the list is whole while `s (cutoff + skin) - 2 d > cutoff`. Edges that are too long are
    dropped by the model.

    Arguments:
        atomic_numbers: the model's element table.
        cutoff: of the model, Angstrom.
        skin: Angstrom; 0 rebuilds whenever an atom moves.
        device: where the tensors are wanted.
    """

    def __init__(self, atomic_numbers: Sequence[int], cutoff: float, skin: float = 0.5, device: str = "cpu") -> None:
        if not float(skin) >= 0.0:
            raise ValueError(f"`skin` must be zero or more (Angstrom), got {skin}; 0.5 suits solids, 1 to 2 liquids")
        self.atomic_numbers = list(atomic_numbers)
        self.cutoff, self.skin, self.device = float(cutoff), float(skin), device
        self.builds = 0
        self.last: Atoms | None = None
        self.inputs: dict[str, Tensor] = {}

    def __call__(self, atoms: Atoms) -> dict[str, Tensor]:
        """Return the inputs, by name, for these atoms."""
        if self.outdated(atoms):
            graph = graph_from_atoms(atoms, self.atomic_numbers, self.cutoff + self.skin if self.cutoff else 0.0)
            self.inputs = {name: tensor.to(self.device) for name, tensor in inputs_of(graph).items()}
            self.last = atoms.copy()
            self.builds += 1
            return self.inputs
        positions = torch.tensor(atoms.positions, dtype=torch.float64, device=self.device)
        cell = torch.tensor(atoms.cell.array, dtype=torch.float64, device=self.device).unsqueeze(0)
        return {**self.inputs, "positions": positions, "cell": cell}

    def forget(self) -> None:
        """Have the list made again at the next call, whatever the atoms do."""
        self.last = None

    def outdated(self, atoms: Atoms) -> bool:
        """Tell whether the list must be made again."""
        last = self.last
        if last is None or len(last) != len(atoms) or (last.numbers != atoms.numbers).any():
            return True
        if (last.pbc != atoms.pbc).any() or (last.get_initial_charges() != atoms.get_initial_charges()).any():
            return True
        if last.info.get("total_charge") != atoms.info.get("total_charge"):
            return True
        strain = np.linalg.solve(last.cell.complete(), atoms.cell.complete())
        moved = np.sqrt(np.square(atoms.positions - last.positions @ strain).sum(1).max())
        shortest = np.linalg.svd(strain, compute_uv=False).min() * (self.cutoff + self.skin)
        return not shortest - 2.0 * moved > self.cutoff


class Calculator(AseCalculator):
    """Energy, forces, stress and per-atom energies of an exported model, in ASE's units and signs.

    Arguments:
        model: path of an exported file (its reference structures are run first), or a loaded module.
        skin: Angstrom, see `SkinList`.
        device: "cpu" or "cuda".

    Results: `energy` = `free_energy` (eV), `forces` (N, 3), `energies` (N,), with a full cell `stress` (6,) in
    eV/Angstrom^3, and whatever else the model gives under its own name: where it knows its uncertainty
    `energy_uncertainty` (eV), `energies_uncertainty` (N,), `forces_uncertainty` (N, 3), `grade` (N,) and
    `energy_ensemble` (M,), the energies by its members.

    Raises:
        ValueError: for an element that the model does not know, atoms at one place, or a damaged file.

    Example:
        `atoms.calc = Calculator("model.pt"); atoms.get_forces()`
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]

    def __init__(self, model: str | Path | torch.nn.Module, skin: float = 0.5, device: str = "cpu") -> None:
        super().__init__()
        module: Any = load(model, device) if isinstance(model, str | Path) else model.to(device)
        if not hasattr(module, "atomic_numbers"):
            raise ValueError(
                f"`model` must be an exported model or its path, got {type(model).__name__}; see mdzoo.export"
            )
        self.model = module
        self.implemented_properties = [*Calculator.implemented_properties, *getattr(module, "outputs", [])]
        self.inputs = SkinList(module.atomic_numbers, module.cutoff, skin, device)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Fill `results`; called by ASE."""
        super().calculate(atoms, properties, system_changes)
        inputs = self.inputs(self.atoms)
        out = self.model(*[inputs[name] for name in INPUTS])
        energy = float(out.energy)
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "energies": as_array(out.energies),
            "forces": as_array(out.forces),
            **{name: as_array(getattr(out, name)) for name in out._fields[6:]},
        }
        for name in ("energy_uncertainty", "energy_ensemble"):
            if name in self.results:  # of the one structure
                self.results[name] = self.results[name][0]
        if self.atoms.cell.rank == 3:
            self.results["stress"] = full_3x3_to_voigt_6_stress(-as_array(out.virial)[0] / self.atoms.cell.volume)
        elif "stress" in properties:
            raise PropertyNotImplementedError(
                f"`cell` must have three vectors for a stress, got {self.atoms.cell.array.tolist()}; set the cell"
            )


def as_array(tensor: Tensor) -> np.ndarray:
    """Return a tensor as a float64 array."""
    return tensor.detach().cpu().to(torch.float64).numpy()
