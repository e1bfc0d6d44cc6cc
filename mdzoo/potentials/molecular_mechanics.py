"""AMBER's and CHARMM's force fields: bonded terms of a topology, Lennard-Jones and Coulomb."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mdzoo.graph import Graph
from mdzoo.potentials.base import Potential
from mdzoo.potentials.ewald_sum import EwaldSum
from mdzoo.potentials.lattice_sum import LatticeSum
from mdzoo.potentials.mesh_sum import MeshSum
from mdzoo.potentials.molecular.atoms import Charges
from mdzoo.potentials.molecular.cmap import CMAP
from mdzoo.potentials.molecular.harmonic import HarmonicAngle, HarmonicBond, HarmonicTorsion
from mdzoo.potentials.molecular.nonbonded import NonBonded
from mdzoo.potentials.molecular.pairwise import Pairwise
from mdzoo.potentials.molecular.switch import Switch
from mdzoo.potentials.molecular.tail import Tail
from mdzoo.potentials.molecular.topologies import Topologies
from mdzoo.potentials.molecular.torsion import PeriodicTorsion
from mdzoo.potentials.parameters import Bounds, Choices, Ties, Trainable, Values
from mdzoo.units import coulomb_constant

SUMS: dict[str, Callable[[float, float], LatticeSum]] = {"ewald": EwaldSum, "pme": MeshSum}
PARAMETERS = {  # of each table of types, by column
    "bonds": {"k": "bond_k", "length": "bond_length"},
    "urey_bradley": {"k": "urey_bradley_k", "length": "urey_bradley_length"},
    "angles": {"k": "angle_k", "angle": "angle"},
    "torsions": {"k": "torsion_k", "phase": "torsion_phase"},
    "impropers": {"k": "improper_k", "angle": "improper_angle"},
    "cmaps": {"energy": "cmap"},
    "atoms": {"sigma": "sigma", "epsilon": "epsilon"},
    "nbfix": {"sigma": "nbfix_sigma", "epsilon": "nbfix_epsilon"},
    "charges": {"charge": "charge"},
    "pairs": {
        "lj_scale": "lj_scale",
        "charge_scale": "charge_scale",
        "sigma": "pair_sigma",
        "epsilon": "pair_epsilon",
    },
}


class MolecularMechanics(Potential):
    """Bonds, angles, Urey-Bradley, torsions, impropers, CMAP, Lennard-Jones and Coulomb of molecules.

    The terms and their equations are those of `mdzoo.potentials.molecular`; Cornell et al., DOI 10.1021/ja00124a002
    (AMBER), MacKerell et al., DOI 10.1021/jp973084f (CHARMM). A structure has the topology whose elements, in the order
    of the atoms' `ids`, are its own; several topologies share the types of one force field. Bonded atoms are taken at
    their nearest images, the rest from the edges; atoms one and two bonds apart do not act on one another, those three
    bonds apart as their pair of types says.

    Arguments:
        atomic_numbers: the element table.
        force_field: tables of types and `topologies`, as `mdzoo.data.parameter_files.molecular` reads them.
        cutoff: of Lennard-Jones and Coulomb, Angstrom.
        onset: where the switch of Lennard-Jones begins, Angstrom; without it there is none.
        switch: its form, `openmm` or `charmm`, see `mdzoo.potentials.molecular.switch`.
        coulomb: `cut` ends charges at the cutoff; `pme` and `ewald` sum those of periodic structures over all images.
        accuracy: of these sums, see `CoulombPME` and `CoulombEwald`.
        tail: whether to add what Lennard-Jones lacks for its cutoff in periodic cells, on average.
        trainable: whether the parameters train, or the names of those that do (see `mdzoo.potentials.parameters`): a
            parameter belongs to a type and is shared by all its instances.
        bounds: of the parameters.
        ties: of the parameters.
        constants: the set of constants, see `mdzoo.units`; `amber` and `charmm` have Coulomb constants of their own.

    Example:
        >>> from mdzoo.testing.compare import cluster
        >>> bonds = {"labels": ["H-H"], "k": [35.0], "length": [0.74]}
        >>> hydrogen = {"title": "hydrogen", "numbers": [1, 1], "bonds": [[0, 1, 0]]}
        >>> pair = cluster(torch.tensor([0, 0]), torch.tensor([[0.0, 0, 0], [0, 0, 0.84]], dtype=torch.float64))
        >>> round(float(MolecularMechanics([1], {"topologies": [hydrogen], "bonds": bonds})(pair).sum()), 6)
        0.175
    """

    def __init__(
        self,
        atomic_numbers: Sequence[int],
        force_field: Mapping[str, Any] | None,
        cutoff: float = 9.0,
        onset: float | None = None,
        switch: str = "openmm",
        coulomb: str = "pme",
        accuracy: float = 1e-6,
        tail: bool = False,
        constants: str = "codata",
        trainable: Trainable = False,
        bounds: Bounds = None,
        ties: Ties = None,
    ) -> None:
        super().__init__(cutoff, -1, -1)
        force_field = check_tables(force_field or {})
        topologies = force_field["topologies"]
        names = [name for key, names in PARAMETERS.items() if force_field.get(key) for name in names.values()]
        choices = Choices(names, trainable, bounds, ties)
        self.topologies = Topologies(topologies, atomic_numbers)
        self.bonded = nn.ModuleList(bonded_terms(force_field, choices))
        ending = Switch(self.cutoff if onset is None else onset, self.cutoff, switch)
        self.pairwise = nn.ModuleList()
        if force_field.get("atoms"):
            lattice_sum = lattice_sum_of(coulomb, self.cutoff, accuracy)
            alpha = 0.0 if lattice_sum is None else lattice_sum.alpha
            nonbonded = NonBonded(self.cutoff, ending, coulomb_constant(constants), alpha)
            tail_of = Tail(ending) if tail else None
            self.pairwise.append(Pairwise(force_field, choices, nonbonded, lattice_sum, tail_of))
        self.has_charges = len(self.pairwise) > 0

    def forward(self, graph: Graph) -> Tensor:
        """Return the energy of each atom, (N,) in eV: of each instance of a term, every atom has an equal share."""
        return self.energies(graph, False)

    def first_order(self, graph: Graph) -> Tensor:
        """Return the same with slopes of the pairs by their vectors alone."""
        return self.energies(graph, True)

    def charges(self, graph: Graph) -> Tensor:
        """Return the charge of each atom, (N,) in e."""
        charges = graph.charges
        for term in self.pairwise:
            charges = term.atoms(graph, self.topologies(graph)).charges
        return charges

    def energies(self, graph: Graph, first_order: bool) -> Tensor:
        """Return the energy of each atom, (N,) in eV."""
        frame = self.topologies(graph)
        out = torch.zeros_like(graph.positions[:, 0])
        for term in self.bonded:
            energies, atoms = term(frame)
            out = shared(out, energies, atoms)
        for term in self.pairwise:
            all_energies, all_atoms = term(graph, frame, first_order)
            for energies, atoms in zip(all_energies, all_atoms):  # noqa: B905 - TorchScript knows no `strict`
                out = shared(out, energies, atoms)
        return out


def trained_tables(potential: MolecularMechanics, force_field: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tables that `potential` was built from, with the values that it has by now."""
    values = {m.name: m().detach().tolist() for m in potential.modules() if isinstance(m, Values)}
    for module in potential.modules():
        if isinstance(module, Charges):
            values["charge"] = module.of_types().detach().tolist()
    out = dict(force_field)
    for key, columns in PARAMETERS.items():
        if out.get(key):
            out[key] = {**out[key], **{column: values[name] for column, name in columns.items()}}
    return out


def shared(out: Tensor, energies: Tensor, atoms: Tensor) -> Tensor:
    """Return the energies of the atoms with those of instances (n,) added, an equal share to each of `atoms` (n, k)."""
    share = (energies / atoms.shape[1]).to(out.dtype)
    for column in atoms.unbind(1):
        out = out.index_add(0, column, share)
    return out


def lattice_sum_of(coulomb: str, cutoff: float, accuracy: float) -> LatticeSum | None:
    """Return the sum over images, if there is to be one."""
    if coulomb not in ("cut", *SUMS):
        raise ValueError(f"`coulomb` must be one of {['cut', *SUMS]}, got {coulomb!r}; take pme for periodic cells")
    return SUMS[coulomb](cutoff, accuracy) if coulomb in SUMS else None


def bonded_terms(force_field: Mapping[str, Any], choices: Choices) -> list[nn.Module]:
    """Return the terms whose tables the force field has."""
    topologies, terms = force_field["topologies"], []
    for key, name in (("bonds", "bond"), ("urey_bradley", "urey_bradley")):
        if force_field.get(key):
            terms.append(HarmonicBond(force_field[key], topologies, choices, key, name))
    kinds = {"angles": HarmonicAngle, "torsions": PeriodicTorsion, "impropers": HarmonicTorsion, "cmaps": CMAP}
    return terms + [kind(force_field[key], topologies, choices) for key, kind in kinds.items() if force_field.get(key)]


def check_tables(force_field: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the tables; there must be topologies, and a table of types for each kind of row in them."""
    if not force_field.get("topologies"):
        raise ValueError(
            f"`force_field` must hold `topologies`, got {sorted(force_field)}; name files, [{{prmtop: ...}}]"
        )
    known = {*PARAMETERS, "topologies"}
    if not set(force_field) <= known:
        raise ValueError(
            f"`force_field` must hold tables out of {sorted(known)}, got {sorted(force_field)}; drop others"
        )
    for key in PARAMETERS:
        if force_field.get(key) and not force_field[key].get("labels"):
            raise ValueError(f"`{key}` must hold `labels`, one for each type, got {list(force_field[key])}; add them")
    for topology in force_field["topologies"]:
        for key, table in {**{key: key for key in PARAMETERS}, "types": "atoms"}.items():
            if topology.get(key) and not force_field.get(table):
                raise ValueError(
                    f"`force_field` must hold parameters of `{key}` in {topology['title']!r}, got no `{table}`; add it"
                )
    return force_field
