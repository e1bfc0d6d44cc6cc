"""The Lennard-Jones parameters of pairs of types, and the scaled interactions of atoms three bonds apart."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mdzoo.potentials.molecular.frame import Frame, shortest
from mdzoo.potentials.molecular.harmonic import column
from mdzoo.potentials.molecular.topologies import Instances
from mdzoo.potentials.parameters import Choices


class Atoms(NamedTuple):
    """What pairs of atoms ask of them."""

    pair: Tensor  # (N,) type of each atom
    charges: Tensor  # (N,) e
    sigmas: Tensor  # (types * types,) Angstrom
    epsilons: Tensor  # (types * types,) eV


class PairTypes(nn.Module):
    """`sigma_ij = (sigma_i + sigma_j) / 2`, `epsilon_ij = sqrt(epsilon_i epsilon_j)`; some have their own (NBFIX).

    Arguments:
        table: `sigma` (Angstrom), `epsilon` (eV) and `labels` of each type of atom.
        own: `pairs` [type, type], `sigma`, `epsilon` and `labels` of the pairs with their own.
        choices: which parameters train, out of `sigma`, `epsilon`, `nbfix_sigma`, `nbfix_epsilon`.
    """

    places: Tensor  # (2 * own,) of the pairs with their own among all, both orders

    def __init__(self, table: Mapping[str, Any], own: Mapping[str, Any] | None, choices: Choices) -> None:
        super().__init__()
        self.n_types = len(table["labels"])
        self.sigma = choices.values("sigma", column(table, "sigma"), "positive", table["labels"])
        self.epsilon = choices.values("epsilon", column(table, "epsilon"), "positive", table["labels"])
        self.has_own = bool(own)
        own = own or {"pairs": [[0, 0]], "sigma": [1.0], "epsilon": [1.0], "labels": ["0"]}
        pairs = torch.tensor(own["pairs"], dtype=torch.int64)
        places = torch.cat([pairs[:, 0] * self.n_types + pairs[:, 1], pairs[:, 1] * self.n_types + pairs[:, 0]])
        self.register_buffer("places", places, persistent=False)
        self.nbfix_sigma = choices.values("nbfix_sigma", column(own, "sigma"), "positive", own["labels"])
        self.nbfix_epsilon = choices.values("nbfix_epsilon", column(own, "epsilon"), "positive", own["labels"])

    def forward(self) -> tuple[Tensor, Tensor]:
        """Return sigma (Angstrom) and epsilon (eV) of all pairs of types, each (n_types * n_types,)."""
        sigma, epsilon = self.sigma(), self.epsilon()
        root = torch.where(epsilon > 0.0, epsilon, 1.0).sqrt() * (epsilon > 0.0)
        sigmas = (0.5 * (sigma.unsqueeze(1) + sigma)).flatten()
        epsilons = (root.unsqueeze(1) * root).flatten()
        if self.has_own:
            sigmas = sigmas.index_copy(0, self.places, self.nbfix_sigma().repeat(2))
            epsilons = epsilons.index_copy(0, self.places, self.nbfix_epsilon().repeat(2))
        return sigmas, epsilons


class OneFour(nn.Module):
    """`E = c phi(r; sigma_ij, epsilon_ij) + phi(r; sigma, epsilon) + s k q_i q_j / r`, `phi` that of Lennard-Jones.

    AMBER scales what the types of the atoms give (c), CHARMM gives parameters of their own (sigma, epsilon; c = 0).

    Arguments:
        table: `lj_scale` c, `charge_scale` s, `sigma` (Angstrom), `epsilon` (eV) and `labels` of each type of pair.
        topologies: rows `[i, j, type]` under `pairs`.
        choices: which train, out of `lj_scale`, `charge_scale`, `pair_sigma` and `pair_epsilon`.
        coulomb: k, eV Angstrom / e^2.
    """

    def __init__(
        self, table: Mapping[str, Any], topologies: Sequence[Mapping[str, Any]], choices: Choices, coulomb: float
    ) -> None:
        super().__init__()
        self.coulomb = float(coulomb)
        self.instances = Instances(topologies, "pairs", 2, len(table["labels"]))
        self.lj_scale = choices.values("lj_scale", column(table, "lj_scale"), "positive", table["labels"])
        self.charge_scale = choices.values("charge_scale", column(table, "charge_scale"), "positive", table["labels"])
        self.sigma = choices.values("pair_sigma", column(table, "sigma"), "positive", table["labels"])
        self.epsilon = choices.values("pair_epsilon", column(table, "epsilon"), "positive", table["labels"])

    def forward(self, frame: Frame, atoms: Atoms) -> tuple[Tensor, Tensor]:
        """Return the energy of each instance, (n,) in eV, and its atoms, (n, 2)."""
        rows, types = self.instances(frame)
        i, j = rows[:, 0], rows[:, 1]
        r = torch.linalg.vector_norm(shortest(frame, i, j).to(atoms.sigmas.dtype), dim=1)
        place = pair_place(atoms.pair, i, j, atoms.sigmas)
        common = lennard_jones(r, atoms.sigmas.index_select(0, place), atoms.epsilons.index_select(0, place))
        own = lennard_jones(r, self.sigma().index_select(0, types), self.epsilon().index_select(0, types))
        bare = self.coulomb * atoms.charges.index_select(0, i) * atoms.charges.index_select(0, j) / r
        scaled = self.lj_scale().index_select(0, types) * common + self.charge_scale().index_select(0, types) * bare
        return scaled + own, rows


def pair_place(pair: Tensor, i: Tensor, j: Tensor, table: Tensor) -> Tensor:
    """Return where the pair of types of atoms i and j stands in a flattened square table, (n,)."""
    size = int(table.shape[0] ** 0.5 + 0.5)
    return pair.index_select(0, i) * size + pair.index_select(0, j)


def lennard_jones(r: Tensor, sigma: Tensor, epsilon: Tensor) -> Tensor:
    """Return `4 epsilon [(sigma / r)^12 - (sigma / r)^6]`, (n,) in eV."""
    x = sigma / r
    x3 = x * x * x
    x6 = x3 * x3
    return 4.0 * epsilon * (x6 * x6 - x6)
