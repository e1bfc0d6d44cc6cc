"""Deviations of energies and forces: against the members one by one, in TorchScript, from the exported file, in ASE."""

import ase.build
import numpy as np
import pytest
import torch

from mdzoo.bayes import infer, with_members
from mdzoo.export import torchscript
from mdzoo.export.ase import Calculator
from mdzoo.graph import make_graph
from mdzoo.potentials import DescriptorPotential, Ensemble, ForceField, LinearEnsemble
from mdzoo.potentials.sure_force_field import SureForceField, of_model
from mdzoo.regressors import MLP
from tests.bayes.linear_cell import closed
from tests.bayes.test_members import LINEAR, draws_of, model
from tests.fit.cases import data, frames

GRAPH = data().train_set[[0, 1, 2]].graph


@pytest.fixture(scope="module")
def sure():
    """A calibrated model."""
    module = data(frames(24, 1))
    return infer(closed(module), module, {"name": "laplace", "members": 3, "folds": 3})


def test_forces_deviate_as_the_members_one_by_one():
    start = model()
    draws = draws_of(start, [LINEAR], 5)
    found = SureForceField(with_members(start, draws))(GRAPH)
    each = []
    for values in draws[LINEAR]:
        one = model()
        one.get_parameter(LINEAR).data.copy_(values)
        each.append(one.eval()(GRAPH))
    torch.testing.assert_close(found.forces_uncertainty, torch.stack([e.forces for e in each]).std(0))
    torch.testing.assert_close(found.energy_uncertainty, torch.stack([e.energy for e in each]).std(0))
    torch.testing.assert_close(found.energy_ensemble, torch.stack([e.energy for e in each], 1))


@pytest.mark.parametrize("forces", ["members", "local", "none"])
def test_the_exported_file_says_the_same_and_ase_shows_it(sure, forces, tmp_path):
    atoms = ase.build.bulk("Si", "fcc", a=3.9) * (2, 1, 1)
    atoms.positions += 0.1 * np.arange(6).reshape(2, 3) % 0.25
    torchscript.export(sure, tmp_path / "model.pt", references=[atoms], uncertainty=forces)
    calculator = Calculator(tmp_path / "model.pt")
    atoms.calc = calculator
    atoms.get_forces()
    graph = make_graph(**{name: tensor for name, tensor in calculator.inputs(atoms).items()})
    expected = SureForceField(sure, vars(sure)["extra"]["calibration"], forces)(graph)
    assert calculator.results["energy_uncertainty"] == pytest.approx(float(expected.energy_uncertainty))
    assert calculator.get_property("energy_ensemble", atoms).shape == (3,)
    for name in ("energies_uncertainty", "forces_uncertainty", "grade"):
        np.testing.assert_allclose(calculator.results[name], getattr(expected, name).numpy(), rtol=1e-8, atol=1e-12)
    assert (calculator.results["forces_uncertainty"] > 0.0).any() == (forces != "none")


@pytest.mark.parametrize("name", ["SumPotential", "DescriptorPotential", "Ensemble", "LinearEnsemble"])
def test_one_evaluation_and_blocks_change_nothing(name, sure):
    """First-order energies, members and deviations are those of the plain ways, with one descriptor or in blocks."""
    potential = potentials(sure)[name]
    field = ForceField(potential, [14], block_edges=40).eval()
    whole = ForceField(potential, [14], block_edges=10**6).eval()
    assert len(field.spans(GRAPH)) > 3
    energies, said = potential.first_order_deviations(GRAPH)
    expected = potential.deviations(GRAPH)
    torch.testing.assert_close(energies, potential(GRAPH))
    for found, right in zip(said, expected, strict=True):
        torch.testing.assert_close(found, right)
    members = potential.members(GRAPH)
    torch.testing.assert_close(torch.stack(potential.first_order_members(GRAPH)), members)
    torch.testing.assert_close(field.member_forces(GRAPH), whole.member_forces(GRAPH))
    leaves, graph = field.at_leaves(GRAPH)
    slope = torch.autograd.grad(potential.members(graph)[1].sum(), leaves[0])[0]
    torch.testing.assert_close(field.member_slopes(GRAPH)[0][:, 1], slope)
    for found, right in zip(SureForceField(field)(GRAPH), SureForceField(whole)(GRAPH), strict=True):
        torch.testing.assert_close(found, right)


def potentials(sure):
    """Potentials whose members share a descriptor, alone and in a sum with reference energies and repulsion."""
    torch.manual_seed(0)
    linear = next(term for term in sure.potential.terms if isinstance(term, LinearEnsemble))
    descriptor = linear.potential.descriptor
    sizes = {"n_features": descriptor.n_features, "n_species": 1}
    networks = MLP(**sizes, hidden=[4], members=3)
    return {
        "SumPotential": sure.potential,
        "LinearEnsemble": linear,
        "DescriptorPotential": DescriptorPotential(descriptor, networks).double(),
        "Ensemble": Ensemble(descriptor, [MLP(**sizes, hidden=[4]) for _ in range(3)]).double(),
    }


def test_auto_takes_the_cheap_scale_of_a_calibrated_model(sure):
    assert of_model(sure).how == 1
    assert of_model(with_members(model(), draws_of(model(), [LINEAR]))).how == 0


def test_bad_input(sure):
    with pytest.raises(ValueError, match=r"`force_field` must know its uncertainty, got one that does not; run mdzoo"):
        SureForceField(model())
    with pytest.raises(ValueError, match=r"`forces` must be one of \['members', 'local', 'none'\], got .both."):
        SureForceField(sure, forces="both")
    with pytest.raises(ValueError, match=r"`forces` must be members for a model without calibration, got local; calib"):
        SureForceField(sure, forces="local")
