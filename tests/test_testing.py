"""The shipped checks bite: each refuses a potential that breaks its promise, and says what broke."""

import pytest
import torch
from torch import Tensor

from mdzoo.graph import Graph
from mdzoo.ops import segment_sum
from mdzoo.potentials import LennardJones, Potential
from mdzoo.testing import (
    SKIN,
    check_batch,
    check_blocks,
    check_crowded,
    check_double_backward,
    check_extensive,
    check_gradients,
    check_isolated,
    check_permutation,
    check_reflection,
    check_rotation,
    check_save_load,
    check_scripts,
    check_smooth,
    check_translation,
    compare,
)
from tests.structures import graphs
from tests.zoo import batch

GRAPH = batch(1, 4.0 + SKIN)


class Edgewise(Potential):
    """A smooth pair energy times whatever breaks."""

    def __init__(self) -> None:
        super().__init__(4.0, 1, 2)
        self.depth = torch.nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, graph: Graph) -> Tensor:
        x = torch.linalg.vector_norm(graph.vectors, dim=-1) / self.cutoff
        phi = (1.0 - x).clamp(min=0.0).pow(3) * self.depth.square() * self.factor(graph, x)
        return segment_sum(phi, graph.centers, graph.species.shape[0])

    def factor(self, graph: Graph, x: Tensor) -> Tensor:
        return torch.ones_like(x)


class Detached(Edgewise):
    def factor(self, graph: Graph, x: Tensor) -> Tensor:
        return x.detach()


class Ordered(Edgewise):
    def factor(self, graph: Graph, x: Tensor) -> Tensor:
        return 1.0 + graph.centers.to(x.dtype)


class Directed(Edgewise):
    def factor(self, graph: Graph, x: Tensor) -> Tensor:
        return graph.vectors[:, 0].square()


class Handed(Edgewise):
    """Odd under reflection: a triple product with the sum over the neighbours of either end."""

    def factor(self, graph: Graph, x: Tensor) -> Tensor:
        weights = (1.0 - x).clamp(min=0.0).pow(3).unsqueeze(1)
        moments = [segment_sum(graph.vectors * weights * x.unsqueeze(1).pow(p), graph.centers, 12) for p in range(2)]
        a, b = moments[0][graph.centers], moments[1][graph.centers]
        return (torch.linalg.cross(a, b) * graph.vectors).sum(1) * x.square()


class Anchored(Edgewise):
    def factor(self, graph: Graph, x: Tensor) -> Tensor:
        return graph.positions[graph.centers, 0].detach().sin()


class Crowded(Edgewise):
    def factor(self, graph: Graph, x: Tensor) -> Tensor:
        return x * graph.centers.shape[0]


class Rough(Edgewise):
    """Declares two continuous derivatives, has one."""

    def factor(self, graph: Graph, x: Tensor) -> Tensor:
        return 1.0 / (1.0 + 1e-12 - x).clamp(min=1e-12)


class Lonely(Edgewise):
    def forward(self, graph: Graph) -> Tensor:
        count = segment_sum(torch.ones_like(graph.vectors[:, 0]), graph.centers, graph.species.shape[0])
        return super().forward(graph) + 1.0 / count


class Forgetful(Edgewise):
    def factor(self, graph: Graph, x: Tensor) -> Tensor:
        return x * self.depth.detach()


class Polar(Edgewise):
    """Has a spherical coordinate that does not exist on the z axis."""

    def factor(self, graph: Graph, x: Tensor) -> Tensor:
        return 1.0 + graph.vectors[:, 0] / torch.linalg.vector_norm(graph.vectors[:, :2], dim=1) * 1e-3


class Unscriptable(Edgewise):
    def factor(self, graph: Graph, x: Tensor) -> Tensor:
        return x * float(torch.tensor([1.0]).numpy()[0])


def test_an_honest_potential_passes():
    honest = Edgewise()
    for check in (check_gradients, check_permutation, check_rotation, check_reflection, check_translation):
        check(honest, GRAPH)
    for check in (check_isolated, check_blocks, check_double_backward, check_scripts):
        check(honest, GRAPH)
    check_batch(honest, graphs(1, 4.3))
    check_smooth(honest)
    check_crowded(honest)
    check_extensive(honest, graphs(1, 4.3)[0])


@pytest.mark.parametrize(
    ("check", "broken", "message"),
    [
        (check_gradients, Detached, "forces against differences: deviates by .*, allowed are"),
        (check_permutation, Ordered, "energies of permuted atoms: deviates"),
        (check_rotation, Directed, "energies of the image: deviates"),
        (check_reflection, Handed, "energies of the image: deviates"),
        (check_translation, Anchored, "translation, energy: deviates"),
        (check_blocks, Crowded, "blocks of 1 edges, energy: deviates"),
        (check_double_backward, Forgetful, "gradient of the loss: deviates"),
        (check_isolated, Lonely, "energies of isolated atoms: not finite"),
    ],
)
def test_a_broken_promise_is_refused(check, broken, message):
    with pytest.raises(AssertionError, match=message):
        check(broken(), GRAPH)


def test_handedness_is_not_orientation():
    check_rotation(Handed(), GRAPH)


def test_numbers_that_are_not_finite_are_refused():
    with pytest.raises(AssertionError, match="energies of two atoms: not finite"):
        check_crowded(Polar())


def test_an_energy_that_does_not_grow_with_the_structure_is_refused():
    with pytest.raises(AssertionError, match="energies of a doubled cell: deviates"):
        check_extensive(Crowded(), graphs(1, 4.3)[0])


def test_structures_that_see_each_other_are_refused():
    with pytest.raises(AssertionError, match="batch, energy: deviates"):
        check_batch(Crowded(), graphs(1, 4.3))


def test_a_derivative_that_jumps_is_refused():
    with pytest.raises(AssertionError, match="derivative 2 at 4.0 Angstrom: deviates"):
        check_smooth(Rough())


def test_what_does_not_script_is_refused():
    with pytest.raises((RuntimeError, torch.jit.Error)):
        check_scripts(Unscriptable(), GRAPH)


def test_state_outside_the_file_is_refused(tmp_path):
    table = {"name": "LennardJones", "epsilon": 1, "sigma": 2, "cutoff": 4}
    other = LennardJones(1, 2, 4, onset=1)
    with pytest.raises(AssertionError, match="model file, energy: deviates"):
        check_save_load(other, table, GRAPH, tmp_path)


def test_shapes_are_compared_first():
    with pytest.raises(AssertionError, match=r"x: shape \[2\] where \[3\] is expected"):
        compare("x", torch.zeros(2), torch.zeros(3), 1.0)


def test_nan_is_a_deviation():
    with pytest.raises(AssertionError, match="x: deviates by nan"):
        compare("x", torch.tensor([float("nan")]), torch.zeros(1), 1.0)
