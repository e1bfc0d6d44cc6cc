"""Which energy has each atom: the one noun of the package, and the base of all pair potentials."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mdzoo.basis.cutoff import smoothstep
from mdzoo.graph import Graph
from mdzoo.ops import segment_sum


class Uncertainty(NamedTuple):
    """How far to trust the energy of each atom; zero where nothing is known."""

    parameter: Tensor  # (N,) eV, deviation by the parameters
    noise: Tensor  # (N,) eV, deviation of the labels
    model: Tensor  # (N,) eV, deviation by what the model cannot say
    grade: Tensor  # (N,) how far from the training data, 1 and above is beyond


class Deviations(NamedTuple):
    """How the energies of N atoms deviate by the parameters, which they share: sums of rows are those of structures."""

    rows: Tensor  # (N, K) eV, along K independent directions
    rest: Tensor  # (N,) eV^2, variance beside them, each atom's own
    grade: Tensor  # (N,) as in `Uncertainty`
    members: Tensor  # (M, N) eV, energies by the members


def deviation(rows: Tensor, rest: Tensor) -> Tensor:
    """Return the deviation `sqrt(|row|^2 + rest)` of each row of `Deviations`, or of sums of rows and rests."""
    return (rows.square().sum(1) + rest).sqrt()


def summed(said: Deviations, batch: Tensor, n_structures: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the rows (S, K), rests (S,) and members' energies (S, M) of whole structures, detached, float64."""
    rows, rest, members = [
        segment_sum(part.detach().to(torch.float64), batch, n_structures)
        for part in (said.rows, said.rest, said.members.t())
    ]
    return rows, rest, members


def total(said: Deviations, graph: Graph) -> Tensor:
    """Return the deviations of the energies of whole structures, (S,) in eV, detached, float64."""
    rows, rest, _ = summed(said, graph.batch, graph.cell.shape[0])
    return deviation(rows, rest)


class Potential(nn.Module):
    """A module that gives each atom of a Graph its energy, `forward(Graph) -> (N,)` in eV; forces follow from it.

    Attributes:
        cutoff: radius (Angstrom) beyond which edges do not matter.
        reach: through how many edges the energy of an atom looks: 0 none, 1 descriptors and pair terms, 2 or more bond
            orders and message passing, -1 global (Ewald, charge equilibration).
        smoothness: continuous derivatives at the cutoff that the class promises; the tests hold it to that.
        has_charges: whether `charges` are the potential's own and not those of the Graph.
        n_members: number of members, 1 if it has but one energy; their mean is `forward`.
        is_uncertain: whether it knows its uncertainty.
    """

    cutoff: float
    reach: int
    smoothness: int
    has_charges: bool
    n_members: int
    is_uncertain: bool

    def __init__(self, cutoff: float, reach: int, smoothness: int) -> None:
        super().__init__()
        self.cutoff = float(cutoff)
        self.reach = int(reach)
        self.smoothness = int(smoothness)
        self.has_charges = False
        self.n_members = 1
        self.is_uncertain = False

    def forward(self, graph: Graph) -> Tensor:
        """Return the energy of each atom, (N,) in eV."""
        raise NotImplementedError

    def first_order(self, graph: Graph) -> Tensor:
        """Return the same energies for one derivative by vectors, positions and cell: all that forces ask for.

        A member that knows its slopes may give them here without the graph of how they came about: second derivatives
        and those by parameters are those of `forward` alone.
        """
        return self.forward(graph)

    def members(self, graph: Graph) -> Tensor:
        """Return the energy of each atom by each member, (M, N) in eV."""
        return self.forward(graph).unsqueeze(0)

    def first_order_members(self, graph: Graph) -> list[Tensor]:
        """Return the energies of each member, M times (N,), for one derivative of each, as `first_order` does."""
        return each(self.members(graph))

    def uncertainty(self, graph: Graph) -> Uncertainty:
        """Return how far to trust the energy of each atom; zeros where nothing is known."""
        zero = torch.zeros_like(graph.positions[:, 0])
        return Uncertainty(zero, zero, zero, zero)

    def deviations(self, graph: Graph) -> Deviations:
        """Return how the energies deviate, by the spread of the members."""
        return of_members(self.members(graph))

    def first_order_deviations(self, graph: Graph) -> tuple[Tensor, Deviations]:
        """Return what `first_order` and `deviations` give; a member that shares work between them does."""
        energies = self.first_order(graph)
        return energies, self.deviations(graph) if self.is_uncertain else of_members(energies.detach().unsqueeze(0))

    def charges(self, graph: Graph) -> Tensor:
        """Return the charge of each atom, (N,) in e: those given, unless the potential has its own."""
        return graph.charges

    def energies_and_charges(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Return the energies of `forward` and the charges; a member that finds both at once does."""
        return self.forward(graph), self.charges(graph)


TRUNCATIONS = {"plain": -1, "shifted": 0, "force_shifted": 1, "switched": 2}  # their smoothness


class PairPotential(Potential):
    """A sum over pairs, `E_i = 1/2 sum_j phi_c(r_ij)`: a member gives `pair_energy` alone, phi without a cutoff.

    How phi ends at the cutoff rc is the same choice for all members:

    - `plain`: `phi_c = phi` below rc; the energy steps there;
    - `shifted`: `phi - phi(rc)` (LAMMPS: `pair_modify shift yes`);
    - `force_shifted`: `phi - phi(rc) - (r - rc) phi'(rc)` (LAMMPS: `lj/smooth/linear`);
    - `switched`: `phi S(t)`, `S = 1 - 10 t^3 + 15 t^4 - 6 t^5`, `t = (r - onset) / (rc - onset)`: phi itself below
      `onset`, two continuous derivatives at either end.

    Arguments:
        cutoff: Angstrom.
        truncation: one of these.
        onset: where `switched` begins, Angstrom; 0.8 cutoff if not given.
        n_species: number of elements.
    """

    def __init__(
        self, cutoff: float, truncation: str = "plain", onset: float | None = None, n_species: int = 1
    ) -> None:
        if truncation not in TRUNCATIONS:
            raise ValueError(f"`truncation` must be one of {list(TRUNCATIONS)}, got {truncation!r}; choose one")
        super().__init__(cutoff, 1, TRUNCATIONS[truncation])
        self.truncation = str(truncation)
        self.onset = 0.8 * self.cutoff if onset is None else float(onset)
        if not 0.0 <= self.onset < self.cutoff:
            raise ValueError(
                f"`onset` must be within [0, cutoff={self.cutoff}), got {self.onset}; begin the switch below the cutoff"
            )
        self.n_species = int(n_species)

    def pair_energy(self, r: Tensor, species_i: Tensor, species_j: Tensor) -> Tensor:
        """Return phi of each edge, (E,) in eV."""
        raise NotImplementedError

    def forward(self, graph: Graph) -> Tensor:
        """Return the energy of each atom, (N,) in eV."""
        r = torch.linalg.vector_norm(graph.vectors, dim=-1)
        species_i, species_j = graph.species[graph.centers], graph.species[graph.neighbors]
        phi = self.ended(self.pair_energy(r, species_i, species_j), r, species_i, species_j)
        phi = torch.where(r < self.cutoff, phi, torch.zeros_like(phi))
        return segment_sum(0.5 * phi, graph.centers, graph.species.shape[0], ascending=True)

    def ended(self, phi: Tensor, r: Tensor, species_i: Tensor, species_j: Tensor) -> Tensor:
        """Return what the truncation makes of phi at the distances r, (E,) in eV."""
        if self.truncation == "plain":
            return phi
        if self.truncation == "switched":
            return phi * (1.0 - smoothstep((r - self.onset) / (self.cutoff - self.onset), 2))
        pair = self.pair(species_i, species_j)
        if torch.jit.is_scripting():  # it knows no `enable_grad`; a ForceField needs gradients anyway
            last, slope = self.at_cutoff(r)
        else:
            with torch.enable_grad():
                last, slope = self.at_cutoff(r)
        phi = phi - last.index_select(0, pair)
        if self.truncation == "force_shifted":
            phi = phi - (r - self.cutoff) * slope.index_select(0, pair)
        return phi

    def pair(self, species_i: Tensor, species_j: Tensor) -> Tensor:
        """Return the place of each pair of species in a flat n x n table."""
        return species_i * self.n_species + species_j

    def at_cutoff(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return phi and its derivative at the cutoff for each pair of species, (n * n,) each."""
        kinds = torch.arange(self.n_species, device=like.device)
        species_i, species_j = kinds.repeat_interleave(self.n_species), kinds.repeat(self.n_species)
        r = torch.full_like(species_i, 1, dtype=like.dtype).mul(self.cutoff).requires_grad_()
        phi = self.pair_energy(r, species_i, species_j)
        slope = torch.autograd.grad([phi.sum()], [r], create_graph=True)[0]
        assert slope is not None
        return phi, slope


def spread(members: Tensor) -> Uncertainty:
    """Return the deviation of the members' energies (M, N), each atom's by itself."""
    zero = torch.zeros_like(members[0])
    return Uncertainty(members.std(0), zero, zero, zero)


def each(members: Tensor) -> list[Tensor]:
    """Return the energies of each member, M times (N,), of (M, N)."""
    return [members[m] for m in range(members.shape[0])]


def of_members(members: Tensor) -> Deviations:
    """Return the deviations of the members' energies (M, N), zero where there is but one."""
    zero = torch.zeros_like(members[0])
    rows = (members - members.mean(0)).t() / max(1, members.shape[0] - 1) ** 0.5
    return Deviations(rows, zero, zero, members)


def common_reach(terms: Sequence[Potential]) -> tuple[float, int, int]:
    """Return cutoff, reach and smoothness of several potentials together; global stands above all."""
    reaches = [term.reach for term in terms]
    cutoff = max(term.cutoff for term in terms)
    return cutoff, -1 if min(reaches) < 0 else max(reaches), min(term.smoothness for term in terms)


def common_members(terms: Sequence[Potential]) -> int:
    """Return the number of members of several potentials: those of one belong to those of the others, in order.

    Raises:
        ValueError: two of them have different numbers of members.
    """
    counts = sorted({term.n_members for term in terms} | {1})
    if len(counts) > 2:
        raise ValueError(
            f"`terms` must have the same number of members or one, got {[term.n_members for term in terms]}; draw the "
            "parameters of all terms at once"
        )
    return counts[-1]
