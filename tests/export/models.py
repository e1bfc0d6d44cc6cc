"""Small models of this room's tests, made of the core alone."""

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk, molecule
from torch import Tensor

from mdzoo.descriptors.base import Descriptor
from mdzoo.graph import Graph
from mdzoo.ops import segment_sum
from mdzoo.potentials import AtomicEnergies, DescriptorPotential, ForceField, PairPotential, SumPotential
from mdzoo.regressors import Linear


class Spring(PairPotential):
    """`phi = strength (1 - x^2)^4`, x = r / cutoff: soft, smooth, repulsive."""

    def __init__(self, strength: float = 2.0, cutoff: float = 3.5) -> None:
        super().__init__(cutoff)
        self.smoothness = 3
        self.strength = torch.nn.Parameter(torch.tensor(float(strength), dtype=torch.float64))

    def pair_energy(self, r: Tensor, species_i: Tensor, species_j: Tensor) -> Tensor:
        x = torch.clamp(r / self.cutoff, max=1.0)
        return self.strength * (1.0 - x * x) ** 4


class Shells(Descriptor):
    """Gaussian shells of each element, squared: many-body, and smooth at the cutoff."""

    def __init__(self, cutoff: float = 4.5, n_species: int = 1, n_shells: int = 4) -> None:
        super().__init__(cutoff, n_species)
        self.n_channels = n_species * n_shells
        self.n_features = 2 * self.n_channels
        self.smoothness = 3
        self.register_buffer("places", torch.linspace(1.0, cutoff, n_shells, dtype=torch.float64))

    def density(self, graph: Graph) -> Tensor:
        r = torch.linalg.vector_norm(graph.vectors, dim=-1)
        x = torch.clamp(r / self.cutoff, max=1.0)
        shells = torch.exp(-((r.unsqueeze(1) - self.places) ** 2)) * ((1.0 - x * x) ** 4).unsqueeze(1)
        kinds = torch.nn.functional.one_hot(graph.species[graph.neighbors], self.n_species).to(r.dtype)
        rows = (kinds.unsqueeze(2) * shells.unsqueeze(1)).flatten(1)
        return segment_sum(rows, graph.centers, int(graph.centers[-1]) + 1)

    def contract(self, density: Tensor) -> Tensor:
        return torch.cat([density, density * density], 1)


MEMBERS = {"Spring": Spring, "Shells": Shells}


def table(n_species: int = 1) -> dict:
    """Return the table of a hybrid: reference energies + pairs + a linear many-body term."""
    descriptor = {"name": "Shells", "n_species": n_species}
    regressor = {"name": "Linear", "n_features": 8 * n_species, "n_species": n_species}
    learnt = {"name": "DescriptorPotential", "descriptor": descriptor, "regressor": regressor}
    energies = {"name": "AtomicEnergies", "energies": [-158.1 - 10 * k for k in range(n_species)]}
    return {"name": "SumPotential", "terms": [energies, {"name": "Spring"}, learnt]}


def hybrid(atomic_numbers: tuple[int, ...] = (14,), block_edges: int = 16384) -> ForceField:
    """Return that hybrid with random weights."""
    n = len(atomic_numbers)
    descriptor, regressor = Shells(n_species=n), Linear(8 * n, n)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        regressor.weights.normal_(0.0, 0.02, generator=generator)
        regressor.bias.normal_(0.0, 0.1, generator=generator)
    energies = AtomicEnergies([-158.1 - 10 * k for k in range(n)])
    terms = [energies, Spring(), DescriptorPotential(descriptor, regressor)]
    return ForceField(SumPotential(terms), atomic_numbers, block_edges).eval()


def silicon(repeat: int = 1, rattle: float = 0.1) -> Atoms:
    """Return diamond cells of eight atoms, rattled."""
    atoms = bulk("Si", cubic=True) * (repeat, repeat, repeat)
    atoms.rattle(rattle, seed=1)
    return atoms


def structures() -> list[Atoms]:
    """Return one-element structures of every kind: bulk, tiny cell, slab, molecule, atom, skewed and left-handed."""
    skewed = bulk("Si")
    skewed.set_cell(skewed.cell.array @ (np.eye(3) + 0.05 * np.arange(9).reshape(3, 3) / 9), scale_atoms=True)
    slab = silicon()
    slab.center(vacuum=4.0, axis=2)
    slab.pbc = [True, True, False]
    left = silicon()
    left.set_cell(left.cell.array[[1, 0, 2]])
    cluster = Atoms("Si3", [[0, 0, 0], [2.3, 0, 0], [0, 2.4, 0.1]])
    return [silicon(), skewed, slab, left, cluster, Atoms("Si", [[0, 0, 0]])]


def water() -> Atoms:
    """Return a molecule of two elements."""
    return molecule("H2O")
