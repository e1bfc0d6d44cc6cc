"""Charge equilibration against plain sums, and the response of charges and forces to every parameter."""

import math

import numpy as np
import pytest
import torch

from mdzoo.graph import collate
from mdzoo.potentials import ChargeEquilibration, CoulombEwald, ForceField, QEq, build
from mdzoo.potentials.gaussian_charges import GaussianCharges
from mdzoo.testing.compare import compare, differences
from tests.structures import brute_force_graph, crystal, graphs, molecule
from tests.zoo import instance

K = 14.3996454784255
CHI, J, W = [3.0, -2.0], [8.0, 10.0], [0.4, 0.6]


def qeq(**options) -> QEq:
    return QEq(**{"electronegativity": CHI, "hardness": J, "widths": W, "cutoff": 6, "n_species": 2, **options})


def solved(matrix: np.ndarray, chi: np.ndarray, total: float) -> tuple[np.ndarray, float]:
    """Charges by elimination of the constraint, and the energy at them."""
    s, t = np.linalg.solve(matrix, -chi), np.linalg.solve(matrix, np.ones(len(chi)))
    q = s + (total - s.sum()) / t.sum() * t
    return q, float(chi @ q + 0.5 * q @ matrix @ q)


@pytest.mark.parametrize("total", [0.0, 1.0, -2.0])
def test_a_molecule_is_the_minimum_of_its_energy_at_its_total_charge(total):
    structure = molecule(2)
    species, x = np.array(structure.species), structure.positions
    chi, hardness, width = np.array(CHI)[species], np.array(J)[species], np.array(W)[species]
    r = np.linalg.norm(x[:, None] - x, axis=-1) + np.eye(5)
    g = np.sqrt(2.0 * (width[:, None] ** 2 + width**2))
    matrix = K * np.vectorize(math.erf)(r / g) / r
    np.fill_diagonal(matrix, hardness + K / (width * math.sqrt(math.pi)))
    q, energy = solved(matrix, chi, total)
    graph = brute_force_graph(structure, 6.0)._replace(total_charge=torch.tensor([total], dtype=torch.float64))
    found = ForceField(qeq(), [11, 17]).eval()(graph)
    np.testing.assert_allclose(found.charges.numpy(), q, atol=1e-12)
    assert float(found.energy) == pytest.approx(energy, rel=1e-12)


def test_a_crystal_is_a_sum_over_waves_of_its_gaussians():
    """Wide Gaussians need no pairs: `A_ij = k sum_k 4 pi / (V k^2) exp(-k^2 (w_i^2 + w_j^2) / 2) cos(k.r_ij)`."""
    structure, widths = crystal(2), [0.7, 0.85]
    species, x, cell = np.array(structure.species), structure.positions, structure.cell
    chi, hardness, width = np.array(CHI)[species], np.array(J)[species], np.array(widths)[species]
    whole = np.stack(np.meshgrid(*[np.arange(-9, 10)] * 3), -1).reshape(-1, 3)
    k = 2 * np.pi * whole[np.any(whole != 0, 1)] @ np.linalg.inv(cell).T
    k2 = (k**2).sum(1)
    phases = np.cos((x[:, None] - x) @ k.T)  # (4, 4, K)
    decay = np.exp(-0.5 * k2 * (width[:, None] ** 2 + width**2)[..., None])
    matrix = K * (4 * np.pi / np.linalg.det(cell) / k2 * decay * phases).sum(-1) + np.diag(hardness)
    q, energy = solved(matrix, chi, 0.0)
    potential = qeq(widths=widths, cutoff=8.0, accuracy=1e-9)
    found = ForceField(potential, [11, 17]).eval()(brute_force_graph(structure, 8.0))
    np.testing.assert_allclose(found.charges.numpy(), q, atol=1e-8)
    assert float(found.energy) == pytest.approx(energy, rel=1e-8)


@pytest.mark.parametrize("place", [0, 2], ids=["crystal", "slab"])
def test_narrow_gaussians_are_points(place):
    graph = graphs(2, 5.0)[place]
    q = torch.tensor([1.0, -1.0] if place == 0 else [0.5, -1.0], dtype=torch.float64)[graph.species]
    width, none = torch.full_like(q, 1e-3), torch.zeros_like(q)
    act = GaussianCharges(K, 5.0, 1e-11)
    matrix = act.matrix(graph, act(graph, width, none - K / math.sqrt(math.pi) / width))[0]
    points = CoulombEwald(5.0, 1e-11)(graph._replace(charges=q)).sum()
    assert 0.5 * float(q @ matrix @ q) == pytest.approx(float(points), rel=1e-10)


@pytest.mark.parametrize("name", ["electronegativity", "hardness", "widths"])
def test_charges_and_forces_answer_to_parameters_as_differences_say(name):
    graph = collate(graphs(2, 6.0))
    potential = qeq(trainable=[name], accuracy=1e-9)
    raw = getattr(potential, name).raw
    start = raw.detach().clone()
    aim = torch.randn(12, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def measured(at: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            raw.copy_(at)
        with torch.enable_grad():
            found = ForceField(potential, [11, 17]).train()(graph)
        return (found.charges * aim[:, 0]).sum() + (found.forces * aim[:, 1:]).sum()

    slope = torch.autograd.grad(measured(start), raw)[0]
    compare(name, slope, differences(measured, start, 1e-3), 1e-8)


def test_electronegativities_of_any_descriptor_and_regressor():
    """The sum of the charges holds, and what a regressor adds to all atoms alike moves no charge."""
    potential = instance("ChargeEquilibration, two species")
    assert isinstance(potential, ChargeEquilibration)
    graph = collate(graphs(2, 4.3))._replace(total_charge=torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))
    before = potential.charges(graph).detach()
    assert float(before[4:9].sum()) == pytest.approx(1.0)
    assert float(before.abs().max()) > 0.01
    with torch.no_grad():
        potential.electronegativity.regressor.bias.add_(3.0)
    torch.testing.assert_close(potential.charges(graph).detach(), before)


def test_charges_of_a_sum_are_those_of_its_last_term_with_charges():
    table = {"name": "QEq", "electronegativity": CHI, "hardness": J, "widths": W, "cutoff": 6, "n_species": 2}
    lj = {"name": "LennardJones", "epsilon": 0.1, "sigma": 2, "cutoff": 4, "n_species": 2}
    graph = brute_force_graph(molecule(2), 6.0)
    both = ForceField(build({"name": "SumPotential", "terms": [table, lj]}), [11, 17])
    alone = ForceField(build(table), [11, 17]).eval()(graph).charges
    torch.testing.assert_close(both.eval()(graph).charges, alone)
    torch.testing.assert_close(both.train()(graph).charges.detach(), alone)
    given = ForceField(build(lj), [11, 17]).eval()(graph._replace(charges=alone)).charges
    torch.testing.assert_close(given, alone)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"widths": 2.0},
            r"`cutoff` must be at least 14.87 Angstrom for a width of 2.00 and accuracy 1e-06, got 6.0",
        ),
        ({"hardness": [1, 2, 3]}, r"`hardness` must be one number or 2, one for each species, got \[1.0, 2.0, 3.0\]"),
        ({"hardness": -1.0}, "`hardness` must be finite and positive"),
        ({"dense": -1}, r"`dense` must be zero or more \(atoms\), got -1; 500 suits most machines"),
    ],
)
def test_bad_arguments_get_a_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        qeq(**arguments)


def test_a_charged_periodic_structure_gets_a_clear_error():
    graph = brute_force_graph(crystal(2), 6.0)._replace(total_charge=torch.tensor([1.0], dtype=torch.float64))
    with pytest.raises(ValueError, match="`total_charge` must be zero in a periodic cell, got 1.0 e"):
        ForceField(qeq(), [11, 17]).eval()(graph)


@pytest.mark.parametrize("train", [False, True])
def test_conjugate_gradients_are_the_matrix(train):
    """Charges, energies, forces, and the gradient of a loss of charges and forces in the parameters."""
    graph = collate(graphs(2, 6.0))._replace(total_charge=torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))
    rows = []
    for dense in (0, 100):
        potential = qeq(trainable=True, accuracy=1e-9, dense=dense)
        found = ForceField(potential, [11, 17]).train(train)(graph)
        rows.append([found.charges, found.energies, found.forces, found.virial])
        if train:
            loss = found.charges.square().sum() + found.forces.square().sum() + found.virial.square().sum()
            rows[-1] += torch.autograd.grad(loss, list(potential.parameters()))
    for one, other in zip(*rows, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


def test_conjugate_gradients_run_scripted():
    graph = collate(graphs(2, 6.0))
    model = ForceField(qeq(dense=0), [11, 17]).eval()
    with torch.jit.optimized_execution(False):
        torch.testing.assert_close(torch.jit.script(model)(graph).forces, model(graph).forces)
