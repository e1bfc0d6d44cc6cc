"""Small data and models of the fitting tests: a few cells of unequal size, labelled by ASE's Lennard-Jones."""

import ase.build
import numpy as np
import torch
from ase import Atoms
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator
from torch import nn

from mdzoo.data import DataModule
from mdzoo.descriptors import SO3, Descriptor
from mdzoo.potentials import AtomicEnergies, DescriptorPotential, ForceField, SumPotential
from mdzoo.potentials import LennardJones as PairLennardJones
from mdzoo.regressors import MLP, Linear, Regressor

CUTOFF = 4.0


def frames(count: int = 9, seed: int = 0, numbers: tuple[int, ...] = (14,)) -> list[Atoms]:
    """Return rattled cells of 1, 2 and 4 atoms with energies, forces and stresses."""
    rng = np.random.default_rng(seed)
    return [frame(rng, place, numbers) for place in range(count)]


def frame(rng: np.random.Generator, place: int, numbers: tuple[int, ...]) -> Atoms:
    atoms = ase.build.bulk("Si", "fcc", a=3.9)
    atoms = atoms * [(1, 1, 1), (2, 1, 1), (2, 2, 1)][place % 3]
    atoms.set_cell(atoms.cell @ (np.eye(3) + 0.04 * rng.normal(size=(3, 3))), scale_atoms=True)
    atoms.positions += 0.15 * rng.normal(size=(len(atoms), 3))
    atoms.numbers[:] = rng.choice(numbers, len(atoms))
    atoms.calc = LennardJones(sigma=2.4, epsilon=0.2, rc=4.0, ro=3.0, smooth=True)
    stress = atoms.get_stress() + 0.01 * rng.normal(size=6)
    labels = {"energy": atoms.get_potential_energy() + 0.1 * float(rng.normal()) - 3.0 * len(atoms), "stress": stress}
    labels["forces"] = atoms.get_forces() + 0.05 * rng.normal(size=(len(atoms), 3))
    atoms.calc = SinglePointCalculator(atoms, **labels)
    atoms.info["group"] = ["one", "two", "four"][place % 3]
    return atoms


def data(train: list[Atoms] | None = None, **options) -> DataModule:
    """Return a data module of small cells, without files."""
    module = DataModule(frames() if train is None else train, cutoff=CUTOFF, cache=False, **options)
    module.setup()
    return module


def small(n_species: int = 1, K: int = 2, L: int = 1) -> SO3:
    return SO3(cutoff=CUTOFF, n_species=n_species, K=K, L=L, body_order=4, radial="chebyshev")


def force_field(regressor: Regressor, descriptor: Descriptor, numbers: tuple[int, ...] = (14,), trainable=False):
    """Return reference energies, Lennard-Jones and a learnt term."""
    pair = PairLennardJones(epsilon=0.1, sigma=2.3, cutoff=CUTOFF, n_species=len(numbers), trainable=trainable)
    terms = [AtomicEnergies([-3.0] * len(numbers)), pair, DescriptorPotential(descriptor, regressor)]
    return ForceField(SumPotential(terms), numbers)


def linear(numbers: tuple[int, ...] = (14,), trainable=False, **sizes) -> ForceField:
    descriptor = small(len(numbers), **sizes)
    return force_field(Linear(descriptor.n_features, len(numbers)), descriptor, numbers, trainable)


def network(numbers: tuple[int, ...] = (14,), trainable=False, seed: int = 0) -> ForceField:
    torch.manual_seed(seed)
    descriptor = small(len(numbers))
    return force_field(MLP(descriptor.n_features, len(numbers), hidden=[6]), descriptor, numbers, trainable)


class Quadratic(Regressor):
    """`E_i = sum_p c_p x_p + sum_pq c_pq x_p x_q` of the first two features: linear in c, not in the features."""

    def __init__(self, n_features: int, n_species: int) -> None:
        super().__init__(n_features, n_species)
        self.is_linear = True
        self.theta = nn.Parameter(torch.zeros(5, dtype=torch.float64))

    def phi(self, features, species):
        x, y = features[:, 0], features[:, 1]
        return torch.stack([x, y, x * x, x * y, y * y], 1)

    def forward(self, features, species):
        return self.phi(features, species) @ self.theta

    def set_theta(self, theta):
        with torch.no_grad():
            self.theta.copy_(theta)


class Plain(Descriptor):
    """Sums of Gaussians of distances, without a density: the features are given directly."""

    def __init__(self, n_species: int = 1) -> None:
        super().__init__(CUTOFF, n_species)
        self.has_density = False
        self.n_features = 3
        self.smoothness = 2

    def forward(self, graph):
        r = torch.linalg.vector_norm(graph.vectors, dim=-1)
        bumps = torch.exp(-(r.unsqueeze(1) - r.new_tensor([2.0, 2.6, 3.2])).square())
        shells = bumps * (1.0 - r / CUTOFF).pow(3).unsqueeze(1)
        n = int(graph.centers[-1]) + 1
        return torch.zeros(n, 3, dtype=r.dtype).index_add(0, graph.centers, shells)

    def isolated(self, like):
        return torch.zeros(self.n_species, 3, dtype=like.dtype)
