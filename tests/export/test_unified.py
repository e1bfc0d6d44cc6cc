"""The Python side of `pair_style mliap unified`, with the arrays that LAMMPS documents in place of LAMMPS."""

import numpy as np
import pytest
import torch

from mdzoo.export.torchscript import export
from mdzoo.export.unified import UnifiedModel
from mdzoo.potentials import ForceField, build
from tests.export.models import silicon
from tests.structures import brute_force_graph, crystal
from tests.zoo import LINEAR, TWO, ZOO, learnt


class Data:
    """Owned atoms, their images as ghosts behind them, and what LAMMPS does with what it is given."""

    def __init__(self, graph, shuffle):
        n = graph.species.shape[0]
        shifts = graph.shifts.long().tolist()
        images = {(j, *s): j for j, s in zip(graph.neighbors.tolist(), shifts, strict=True) if any(s)}
        places = {image: n + k for k, image in enumerate(images)}
        order = np.arange(len(shifts))
        if shuffle is not None:
            shuffle.shuffle(order)
        self.owners = np.array([*range(n), *images.values()])
        self.elems = graph.species.numpy().astype(np.int32)[self.owners]
        self.iatoms, self.nlistatoms = np.arange(n, dtype=np.int32), n
        self.pair_i = graph.centers.numpy().astype(np.int32)[order]
        pairs = [(j, *s) for j, s in zip(graph.neighbors.tolist(), shifts, strict=True)]
        self.pair_j = np.array([places.get(pair, pair[0]) for pair in pairs], dtype=np.int32)[order]
        self.rij = graph.vectors.numpy()[order]
        self.f, self.virial = np.zeros((len(self.owners), 3)), np.zeros((3, 3))

    def update_pair_forces(self, fij):
        assert fij.dtype == np.float64
        assert fij.flags.c_contiguous
        np.add.at(self.f, self.pair_i, fij)
        np.add.at(self.f, self.pair_j, -fij)
        self.virial -= self.rij.T @ fij

    def forces(self):
        """What reverse communication makes of the forces on ghosts."""
        out = np.zeros((self.nlistatoms, 3))
        np.add.at(out, self.owners, self.f)
        return out


@pytest.fixture(scope="module")
def model():
    potential = build(learnt(TWO, LINEAR))
    with torch.no_grad():
        potential.regressor.weights.copy_(torch.linspace(-0.2, 0.3, potential.regressor.weights.numel()).view(2, -1))
        potential.regressor.bias.copy_(torch.tensor([1.0, -2.0]))
    return ForceField(potential, [14, 8]).eval()


def mixed():
    atoms = silicon()
    atoms.numbers[1::2] = 8
    return atoms


def saved(model, folder, dtype="float64"):
    return UnifiedModel(export(model, folder / "model.pt", references=[mixed()], dtype=dtype))


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-4)])
def test_energies_forces_and_virial_are_the_models(rng, model, tmp_path, dtype, tolerance):
    unified = saved(model, tmp_path, dtype)
    assert (unified.element_types, 2.0 * unified.rcutfac) == (["Si", "O"], model.cutoff)
    graph = brute_force_graph(crystal(2), model.cutoff)
    expected = model(graph)
    for shuffle in (None, rng):
        data = Data(graph, shuffle)
        unified.compute_descriptors(data)
        unified.compute_gradients(data)
        unified.compute_forces(data)
        assert data.energy == pytest.approx(float(expected.energy), rel=tolerance)
        np.testing.assert_allclose(data.eatoms, expected.energies.numpy(), rtol=0.0, atol=tolerance * 10)
        scale = tolerance * float(expected.forces.abs().max())
        np.testing.assert_allclose(data.forces(), expected.forces.numpy(), rtol=0.0, atol=10 * scale)
        np.testing.assert_allclose(data.virial, expected.virial[0].numpy(), rtol=0.0, atol=100 * scale)


def test_a_longer_reach_is_refused(tmp_path):
    potential = build(ZOO["QEq, two species"].table)
    path = export(ForceField(potential, [14, 8]).eval(), tmp_path / "model.pt", references=[mixed()])
    message = r"`path` must be a model whose energies look at neighbours alone for mliap unified, got reach -1; run"
    with pytest.raises(ValueError, match=message):
        UnifiedModel(path)
