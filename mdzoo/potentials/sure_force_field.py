"""A force field that says how sure it is: deviations of energies and forces behind what a force field gives."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mdzoo.graph import Graph, with_leaves, within
from mdzoo.potentials.base import Deviations, deviation, summed
from mdzoo.potentials.force_field import ForceField, Prediction, piece_of

FORCES = ("members", "local", "none")


class SurePrediction(NamedTuple):
    """What a force field says of a Graph, and how far to trust it."""

    energy: Tensor  # (S,) eV
    energies: Tensor  # (N,) eV
    forces: Tensor  # (N, 3) eV/Angstrom
    virial: Tensor  # (S, 3, 3) eV, -dE/dstrain
    atom_virial: Tensor  # (N, 3, 3) eV
    charges: Tensor  # (N,) e
    energy_uncertainty: Tensor  # (S,) eV, deviation
    energies_uncertainty: Tensor  # (N,) eV, deviation of the energy of each atom by the parameters
    forces_uncertainty: Tensor  # (N, 3) eV/Angstrom, deviation of each component
    grade: Tensor  # (N,) how far from the training data, 1 and above is beyond
    energy_ensemble: Tensor  # (S, M) eV, energies by the members


class Curve(nn.Module):
    """A monotone map of deviations, straight lines in logarithms between knots: from what is said to what was found.

    Beyond the last knot it goes on in proportion, below the first one too, or not at all where it is `flat`.

    Arguments:
        x: logarithms of deviations, ascending.
        y: logarithms of what these are worth.
        flat: whether the first value holds below the first knot.
    """

    x: Tensor
    y: Tensor

    def __init__(self, x: Any, y: Any, flat: bool = False) -> None:
        super().__init__()
        self.register_buffer("x", torch.as_tensor(x, dtype=torch.float64))
        self.register_buffer("y", torch.as_tensor(y, dtype=torch.float64))
        self.flat = bool(flat)

    def forward(self, sigma: Tensor) -> Tensor:
        """Return the deviations that these are worth."""
        at = sigma.to(self.x.dtype).clamp_min(1e-30).log()
        right = torch.searchsorted(self.x, at.contiguous()).clamp(1, self.x.shape[0] - 1)
        left = right - 1
        part = ((at - self.x[left]) / (self.x[right] - self.x[left])).clamp(0.0, 1.0)
        found = self.y[left] + part * (self.y[right] - self.y[left])
        below = (at - self.x[0]).clamp_max(0.0)
        beyond = (at - self.x[-1]).clamp_min(0.0)
        return (found + beyond + (torch.zeros_like(below) if self.flat else below)).exp().to(sigma.dtype)


def of_model(force_field: ForceField, forces: str = "auto") -> "SureForceField":
    """Return a force field that knows its uncertainty with the calibration that was saved with it.

    Arguments:
        force_field: that `mdzoo.load` or an inference gave.
        forces: see `SureForceField`; `auto` is `local` where there is a calibration of it, else `members`.
    """
    known = calibration_of(force_field)
    how = ("local" if "local" in known else "members") if forces == "auto" else forces
    return SureForceField(force_field, known, how).eval()


def calibration_of(force_field: ForceField) -> dict[str, Any]:
    """Return the calibration that was saved with a model, empty where there is none."""
    return (vars(force_field).get("extra") or {}).get("calibration") or {}


def identity() -> Curve:
    """Return the curve that changes nothing."""
    return Curve([0.0, 1.0], [0.0, 1.0])


class SureForceField(nn.Module):
    r"""A ForceField beside the deviations of what it says.

    Energies: in closed form where there is one, else over the members. Forces: over the `members`, exactly, at a
    backward pass each, times what the deviation of their structure's energy is worth; or `local`, `sigma_i^a |F_i|^b`
    with the deviation sigma_i of the energy of the atom, which costs next to nothing; curves that were found on errors
    of structures left out of training turn all of them into deviations that hold (`mdzoo.bayes.recalibration`).

    Arguments:
        force_field: whose potential knows its uncertainty.
        calibration: curves by target, see there; None for the deviations by the parameters alone.
        forces: `members`, `local` or `none`.
    """

    __constants__ = ["how"]

    def __init__(
        self, force_field: ForceField, calibration: Mapping[str, Any] | None = None, forces: str = "members"
    ) -> None:
        super().__init__()
        if not force_field.potential.is_uncertain:
            raise ValueError("`force_field` must know its uncertainty, got one that does not; run mdzoo infer first")
        if forces not in FORCES:
            raise ValueError(f"`forces` must be one of {list(FORCES)}, got {forces!r}; members is exact")
        self.force_field = force_field
        self.how = FORCES.index(forces)
        given = dict(calibration or {})
        if forces == "local" and "local" not in given:
            raise ValueError("`forces` must be members for a model without calibration, got local; calibrate it first")
        curves = {key: Curve(**given[key]["curve"]) if key in given else identity() for key in ("energy", "forces")}
        self.energy_curve, self.forces_curve = curves["energy"], curves["forces"]
        one = {"x": [0.0, 60.0], "y": [0.0, 0.0], "flat": True}
        self.novelty_curve = Curve(**given.get("forces", {}).get("novelty", one))
        local = given.get("local", {"curve": {"x": [0.0, 1.0], "y": [0.0, 1.0]}, "powers": [1.0, 0.0], "least": 1.0})
        self.local_curve = Curve(**local["curve"])
        self.powers = [float(power) for power in local["powers"]]
        self.least = float(local["least"])

    def forward(self, graph: Graph) -> SurePrediction:
        """Return energies, forces and virials with their deviations."""
        graph = within(graph, self.force_field.cutoff)
        out, parameter, grade, total, ensemble = self.blockwise(graph)
        atoms = torch.bincount(graph.batch, minlength=graph.cell.shape[0]).clamp_min(1)
        energy = atoms * self.energy_curve(total / atoms)
        forces = self.force_deviations(parameter, out.forces, self.member_forces(graph, True))
        if self.how == 0:
            forces = forces * self.novelty_curve(total / atoms).to(forces.dtype)[graph.batch].unsqueeze(1)
        return SurePrediction(
            out.energy,
            out.energies,
            out.forces,
            out.virial,
            out.atom_virial,
            out.charges,
            energy,
            parameter,
            forces,
            grade,
            ensemble,
        )

    def blockwise(self, graph: Graph) -> tuple[Prediction, Tensor, Tensor, Tensor, Tensor]:
        """Return what the force field gives, deviations and grades of atoms (N,), deviations and members of structures.

        The deviations of the sums are (S,), the members' energies (S, M); one evaluation of the descriptors gives all.
        """
        energies: list[Tensor] = []
        g: list[Tensor] = []
        slopes: list[Tensor] = []
        deviations: list[Tensor] = []
        grades: list[Tensor] = []
        sums: list[tuple[Tensor, Tensor, Tensor]] = []
        for span in self.force_field.spans(graph):
            piece, n = piece_of(graph, span), span.last - span.first
            found, slopes, said = self.force_field.with_deviations(piece)
            said = Deviations(said.rows[:n].detach(), said.rest[:n], said.grade[:n], said.members[:, :n])
            g.append(slopes[0])
            energies.append(found[:n])
            deviations.append(deviation(said.rows, said.rest.detach()))
            grades.append(said.grade.detach())
            sums.append(summed(said, piece.batch[:n], graph.cell.shape[0]))
        rows, rest, ensemble = [torch.stack([s[k] for s in sums]).sum(0) for k in range(3)]
        whole = slopes[1:] if len(g) == 1 else []  # by positions and cell: of potentials that are not cut into blocks
        out = self.force_field.gathered(graph, torch.cat(energies), [torch.cat(g)] + whole)
        return out, torch.cat(deviations), torch.cat(grades), deviation(rows, rest), ensemble

    def pieces(self, graph: Graph, forces: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Return what an engine adds up over its blocks of atoms and its ranks, for `force_deviations` at the end.

        The deviation of the energy of each atom and its grade, (N,), whole where the atom has its edges; and where
        `forces` are asked for, those by the members, (N, M, 3), of the edges of this graph; M = 0 for none.
        """
        graph = within(graph, self.force_field.cutoff)
        cast = with_leaves(graph, graph.vectors.detach().to(self.force_field.unit.dtype), graph.positions, graph.cell)
        said = self.force_field.potential.deviations(cast)
        return deviation(said.rows, said.rest).detach(), said.grade.detach(), self.member_forces(graph, forces)

    def member_forces(self, graph: Graph, wanted: bool) -> Tensor:
        """Return the forces by the members, (N, M, 3), where deviations are made of them, else M = 0."""
        if wanted and self.how == 0:
            return self.force_field.member_forces(graph)
        return graph.vectors.new_zeros([graph.species.shape[0], 0, 3], dtype=self.force_field.unit.dtype)

    def force_deviations(self, sigma: Tensor, forces: Tensor, members: Tensor) -> Tensor:
        """Return the deviation of each component of the forces, (N, 3), from what `pieces` gave and whole forces.

        What the novelty of a whole structure is worth is not in it: the box of an engine is no structure of a data set.
        """
        if self.how == 0:
            return self.forces_curve(members.std(1))
        if self.how == 1:
            return self.local_curve(self.local(sigma, forces)).unsqueeze(1).expand([-1, 3])
        return torch.zeros_like(forces)

    def local(self, sigma: Tensor, forces: Tensor) -> Tensor:
        """Return `sigma_i^a (|F_i| + f)^b`, (N,)."""
        size = torch.linalg.vector_norm(forces, dim=1) + self.least
        return sigma.clamp_min(1e-30).pow(self.powers[0]) * size.pow(self.powers[1])
