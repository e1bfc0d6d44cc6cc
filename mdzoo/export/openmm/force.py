"""An exported model as a force of OpenMM."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openmm
import torch
from ase import Atoms, units

from mdzoo.export.ase import SkinList, as_array
from mdzoo.export.contract import INPUTS
from mdzoo.export.torchscript import load

KILOJOULE = units.kJ / units.mol  # per mol, in eV
NANOMETRE = 10.0  # Angstrom


class Computation:
    """What a PythonForce calls: energy and forces of a State in OpenMM's units.

    Arguments:
        model: an exported module.
        atoms: elements and charges; their cell and periods hold where OpenMM gives no box.
        periodic: whether it does.
        skin: of the neighbour list, Angstrom.
        device: `cpu` or `cuda`.
    """

    def __init__(self, model: Any, atoms: Atoms, periodic: bool, skin: float, device: str) -> None:
        self.model, self.atoms, self.periodic = model, atoms.copy(), bool(periodic)
        self.inputs = SkinList(model.atomic_numbers, model.cutoff, skin, device)
        if self.periodic:
            self.atoms.pbc = True

    def __call__(self, state: Any) -> tuple[float, np.ndarray]:
        """Return the energy, kJ/mol, and the forces, kJ/mol/nm."""
        self.atoms.positions = NANOMETRE * state.getPositions(asNumpy=True)._value
        if self.periodic:
            self.atoms.cell[:] = NANOMETRE * state.getPeriodicBoxVectors(asNumpy=True)._value
        out = self.predict()
        return float(out.energy) / KILOJOULE, as_array(out.forces) * (NANOMETRE / KILOJOULE)

    def predict(self) -> Any:
        """Return what the model says of the atoms as they are."""
        inputs = self.inputs(self.atoms)
        return self.model(*[inputs[name] for name in INPUTS])


def model_force(
    model: str | Path | torch.nn.Module,
    atoms: Atoms,
    particles: Sequence[int] = (),
    periodic: bool = False,
    skin: float = 0.5,
    device: str = "cpu",
) -> openmm.PythonForce:
    """Return an exported model as a force, to be added to a System.

    Arguments:
        model: path of an exported file, whose reference structures are run first, or a loaded module.
        atoms: the elements of the particles that the model acts on, in their order; where `periodic` is false their
            cell and periods hold, and do not change.
        particles: which particles of the System these are; all without it.
        periodic: whether the model sees the box of the System.
        skin: of the neighbour list, Angstrom.
        device: `cpu` or `cuda`.

    Raises:
        ValueError: an element that the model does not know, numbers that do not fit, or a damaged file.

    Example:
        `system.addForce(model_force("model.pt", Atoms("OH2"), particles=[0, 1, 2]))`
    """
    module: Any = load(model, device) if isinstance(model, str | Path) else model.to(device)
    missing = sorted(set(atoms.numbers.tolist()) - set(module.atomic_numbers))
    if missing:
        raise ValueError(
            f"`atoms` must hold elements of the model {list(module.atomic_numbers)}, got {missing}; train a model on "
            "them"
        )
    if len(particles) not in (0, len(atoms)):
        raise ValueError(f"`particles` must name the {len(atoms)} atoms, got {len(particles)} of them; name each once")
    force = openmm.PythonForce(
        Computation(module, atoms, periodic, skin, device), {}, [int(index) for index in particles]
    )
    force.setUsesPeriodicBoundaryConditions(bool(periodic))
    force.setName("mdzoo")
    return force
