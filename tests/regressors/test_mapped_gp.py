"""The polynomial of a Gaussian process against its sum over inducing points."""

import pytest
import torch

from mdzoo.data import graph_from_atoms
from mdzoo.export.torchscript import cast
from mdzoo.graph import collate
from mdzoo.potentials import DescriptorPotential, ForceField, SumPotential
from mdzoo.potentials.mapping import map_kernels
from mdzoo.regressors import DotProduct, Linear, MappedGP, SparseGP, SquaredExponential
from mdzoo.regressors.mapped_gp import mapped
from tests.fit.cases import CUTOFF, frames, small

NUMBERS = (14, 6)


def model(kernel, n_inducing=30) -> tuple[ForceField, list]:
    """A SparseGP with random points around the features of two elements."""
    torch.manual_seed(0)
    graph = collate([graph_from_atoms(atoms, NUMBERS, CUTOFF) for atoms in frames(9, numbers=NUMBERS)])
    descriptor = small(2)
    features = descriptor(graph)
    regressor = SparseGP(descriptor.n_features, 2, n_inducing, kernel)
    regressor.set_deviation(features)
    rows = torch.randint(len(features), (2 * n_inducing,))
    regressor.set_points(features[rows] * (1.0 + 0.1 * torch.randn(len(rows), 1).double()))
    regressor.set_theta(torch.randn(2 * n_inducing + 2, dtype=torch.float64))
    return ForceField(SumPotential([DescriptorPotential(descriptor, regressor)]), NUMBERS).eval(), graph


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("zeta", [1, 2])
def test_energies_forces_and_virials_are_those_of_the_sum(zeta, normalise):
    """To 1e-8 of the largest; an export maps by itself."""
    n = small(2).n_features
    ard = {"lengths": [1.0 + 0.1 * i for i in range(n)], "ard": True, "variance": 2.0}
    found, graph = model([DotProduct(n, zeta, 0.4, normalise, **ard), DotProduct(n, zeta, 0.4, normalise)], 200)
    twin = cast(found, "float64").force_field
    regressor = twin.potential.terms[0].regressor
    assert isinstance(regressor, Linear if zeta == 1 and not normalise else MappedGP)
    assert isinstance(found.potential.terms[0].regressor, SparseGP), "the model itself keeps its points"
    for one, other in zip(twin(graph)[:4], found(graph)[:4], strict=True):
        assert float((one - other).abs().max()) < 1e-8 * float(other.abs().max())


def test_what_is_no_cheaper_polynomial_stays():
    n = small(2).n_features
    for kernel, points in ((DotProduct(n, 3), 5), (SquaredExponential(n), 5), (DotProduct(n, 2), 2)):
        found, _ = model(kernel, points)
        map_kernels(found)
        assert isinstance(found.potential.terms[0].regressor, SparseGP)


def test_sizes_are_said_before_they_are_spent(caplog):
    n = small(2).n_features
    with caplog.at_level("INFO", "mdzoo"):
        map_kernels(model(DotProduct(n, 4))[0])
        map_kernels(model(DotProduct(n, 1))[0])
    assert "not mapped: a polynomial would hold 2." in caplog.text
    assert f"mapping: a polynomial of {n + 1} numbers for each species" in caplog.text


def test_what_it_cannot_do_is_refused():
    with pytest.raises(ValueError, match=r"`zeta` must be 1 or 2, got 3; above that a sum over inducing points"):
        MappedGP(3, 1, zeta=3)
    with pytest.raises(ValueError, match=r"`n_features` must leave weights of at most 1.0 GB for a mapped model, got"):
        mapped(SparseGP(20000, 1, 1))


@pytest.mark.parametrize(("zeta", "normalise"), [(1, True), (2, True), (2, False)])
def test_slopes_in_closed_form_are_those_of_a_backward_pass(zeta, normalise):
    gp, species = MappedGP(5, 2, zeta, 0.3, normalise), torch.tensor([0, 1, 1])
    for parameter in gp.parameters():
        torch.nn.init.normal_(parameter)
    features = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    energies = gp(features, species)
    found, slopes = gp.slopes(features.detach(), species)
    torch.testing.assert_close(found, energies.detach())
    torch.testing.assert_close(slopes, torch.autograd.grad(energies.sum(), features)[0])
