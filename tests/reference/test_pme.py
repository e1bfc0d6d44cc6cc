"""The mesh sum against Ewald's: values, forces, virial, second derivatives, and what its accuracy promises."""

import numpy as np
import pytest
import torch

from mdzoo.graph import Graph, collate
from mdzoo.potentials import CoulombEwald, CoulombPME, ForceField
from mdzoo.potentials.mesh_sum import MeshSum, spline_coefficients
from mdzoo.testing.compare import compare, differences, moved, total_energy
from tests.reference.test_ewald import ions
from tests.structures import brute_force_graph, crystal, graphs, slab


def ionic(rng, kind: str, cutoff: float) -> Graph:
    return brute_force_graph(ions(kind, rng), cutoff)


@pytest.mark.parametrize("kind", ["box", "skewed"])
@pytest.mark.parametrize(("accuracy", "order"), [(1e-4, 4), (1e-5, 6), (1e-7, 8), (1e-8, 10)])
def test_the_mesh_is_as_accurate_as_it_says(rng, kind, accuracy, order):
    """Root mean square of the forces' deviation, relative to that of the forces."""
    graph = ionic(rng, kind, 6.0)
    exact = ForceField(CoulombEwald(6.0, 1e-13, [1, -1], 2), [11, 17]).eval()(graph)
    found = ForceField(CoulombPME(6.0, accuracy, order, None, [1, -1], 2), [11, 17]).eval()(graph)
    for name in ("forces", "virial", "energies"):
        one, other = getattr(found, name), getattr(exact, name)
        assert float((one - other).square().mean().sqrt() / other.square().mean().sqrt()) < 5.0 * accuracy, name


@pytest.mark.parametrize("build", [crystal, slab])
def test_any_cell_and_slabs(build):
    structure = build(2)
    graph = brute_force_graph(structure, 4.0)
    exact = ForceField(CoulombEwald(4.0, 1e-10, [1, -2], 2, neutral=True), [11, 17]).eval()(graph)
    found = ForceField(CoulombPME(4.0, 1e-7, 10, None, [1, -2], 2, neutral=True), [11, 17]).eval()(graph)
    torch.testing.assert_close(found.forces, exact.forces, rtol=0, atol=2e-6)
    torch.testing.assert_close(found.virial, exact.virial, rtol=0, atol=2e-5)


def test_forces_and_virial_are_derivatives_of_the_energy():
    graph = collate(graphs(2, 4.3)[:2])
    potential = CoulombPME(4.0, 1e-9, 6, 0.4, [1, -2], 2, neutral=True)  # the mesh may be coarse: slopes are its own
    found = ForceField(potential, [11, 17]).eval()(graph)
    forces = -differences(lambda x: total_energy(potential, moved(graph, x, graph.cell)), graph.positions, 5e-4)
    compare("forces", found.forces, forces, 1e-7)

    def strained(strain):
        deform = torch.eye(3, dtype=torch.float64) + strain
        return total_energy(potential, moved(graph, graph.positions @ deform, graph.cell @ deform))

    compare("virial", found.virial.sum(0), -differences(strained, torch.zeros(3, 3).double(), 5e-4), 1e-7)


def test_splines_are_those_of_their_definition():
    """M_4 at whole numbers: 1/6, 2/3, 1/6; the weights of any place sum to one, and reproduce the place."""
    assert spline_coefficients(4)[0].tolist() == pytest.approx([0.0, 1 / 6, 2 / 3, 1 / 6], abs=1e-15)
    for order in (4, 6, 8, 10):
        t = torch.tensor([0.0, 0.3, 0.9], dtype=torch.float64)
        weights = torch.stack([t**k for k in range(order)], 1) @ spline_coefficients(order)
        np.testing.assert_allclose(weights.sum(1), 1.0, atol=1e-14)
        np.testing.assert_allclose((weights * torch.arange(order)).sum(1) + t, order / 2, atol=1e-13)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"order": 5}, r"`order` must be one of \(4, 6, 8, 10\), got 5; 6 suits accuracies"),
        ({"spacing": 0}, r"`spacing` must be positive and finite \(Angstrom\), got 0; leave it to `accuracy`"),
    ],
)
def test_bad_arguments_get_a_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        MeshSum(6.0, 1e-6, **arguments)
