"""Rows of linear models against the force field's own backward pass with one parameter set to one."""

import pytest
import torch

from mdzoo.data import graph_from_atoms
from mdzoo.descriptors import SO3, SO4, SoapQuip
from mdzoo.descriptors.slopes import colors, slopes_along, tangents
from mdzoo.fit.design import (
    baseline,
    design,
    linear_part,
    linear_parts,
    n_columns,
    n_parameters,
    set_theta,
    split,
)
from mdzoo.graph import Graph, collate, within
from mdzoo.potentials import DescriptorPotential, ForceField, SumPotential
from mdzoo.regressors import DotProduct, Linear, Matern, Polynomial, Product, SparseGP, SquaredExponential, Sum
from tests.fit.cases import CUTOFF, Plain, Quadratic, force_field, frames, linear, network, small


def graph_of(numbers=(14,), count=4) -> Graph:
    return collate([graph_from_atoms(atoms, numbers, CUTOFF + 0.7) for atoms in frames(count, numbers=numbers)])


def rows_by_backward_passes(model: ForceField, graph: Graph) -> tuple[torch.Tensor, ...]:
    part = linear_part(model)
    alone = ForceField(DescriptorPotential(part.descriptor, part.regressor), model.atomic_numbers).eval()
    columns = []
    for p in range(n_parameters(model)):
        unit = torch.zeros(n_parameters(model), dtype=torch.float64)
        unit[p] = 1.0
        part.regressor.set_theta(unit)
        out = alone(graph)
        columns.append((out.energy, out.forces, out.virial.flatten(1)))
    return tuple(torch.stack(column, -1) for column in zip(*columns, strict=True))


def check(model: ForceField, graph: Graph, **options) -> None:
    for row, expected in zip(design(model, graph, **options), rows_by_backward_passes(model, graph), strict=True):
        torch.testing.assert_close(row, expected, rtol=1e-10, atol=1e-10 * float(expected.abs().max()))


@pytest.mark.parametrize(("numbers", "K"), [((14,), 2), ((14, 6), 1), ((14, 6, 8), 1)])
def test_rows_are_those_of_backward_passes(numbers, K):
    check(linear(numbers, K=K), graph_of(numbers, 3))


def test_rows_in_small_chunks_are_the_same():
    check(linear((14, 6), K=1), graph_of((14, 6), 3), max_bytes=1)


def test_rows_of_a_regressor_that_is_not_linear_in_the_features():
    check(force_field(Quadratic(small().n_features, 1), small()), graph_of())


@pytest.mark.parametrize(("numbers", "degree"), [((14,), 3), ((14, 6), 2)])
def test_rows_of_a_polynomial(numbers, degree):
    descriptor = small(len(numbers), 1)
    check(force_field(Polynomial(descriptor.n_features, len(numbers), degree), descriptor, numbers), graph_of(numbers))


@pytest.mark.parametrize("max_bytes", [1, 10**9])
def test_rows_of_a_descriptor_without_density(max_bytes):
    check(force_field(Linear(3, 2), Plain(2), (14, 6)), graph_of((14, 6)), max_bytes=max_bytes)


def test_rows_of_every_body_order_and_pairing():
    from mdzoo.descriptors import SO3

    descriptor = SO3(cutoff=CUTOFF, K=2, L=1, body_order=5, radial="bessel", pairing="full")
    check(force_field(Linear(descriptor.n_features, 1), descriptor), graph_of(count=2))


@pytest.mark.parametrize(("numbers", "options"), [((14,), {"twojmax": 4}), ((14, 6), {"twojmax": 2, "chem": True})])
def test_rows_of_the_bispectrum_of_snap(numbers, options):
    descriptor = SO4(CUTOFF, len(numbers), **options)
    check(force_field(Linear(descriptor.n_features, len(numbers)), descriptor, numbers), graph_of(numbers, 2))


def test_atoms_without_neighbours_have_energy_rows_only():
    from ase import Atoms

    pair = Atoms("Si2", [[0.0, 0, 0], [0, 0, 2.2]])
    pair.extend(Atoms("Si", [[30.0, 0, 0]]))
    lone = Atoms("Si", [[0.0, 0, 0]])
    graph = collate([graph_from_atoms(atoms, [14], CUTOFF) for atoms in (lone, pair, lone)])
    check(linear(), graph)
    assert design(linear(), graph).forces[0].abs().max() == 0.0
    assert design(linear(), graph).energy[0, -1] == 1.0


def test_fixed_bias_has_no_column():
    descriptor = small()
    model = force_field(Linear(descriptor.n_features, 1, bias=False), descriptor)
    assert n_parameters(model) == descriptor.n_features
    check(model, graph_of())


def test_split_and_collate_are_inverse():
    graph = graph_of((14, 6))
    for one, other in zip(collate(split(graph)), graph, strict=True):
        assert torch.equal(one, other)


def test_sparse_parts_need_few_tangents():
    descriptor = SO3(4.0, 1, K=[4, 3, 2], L=[3, 2, 1], body_order=5, radial="chebyshev")
    part = descriptor.parts[2]
    found = tangents(part, torch.zeros(1, descriptor.n_channels, dtype=torch.float64))
    assert found.support.shape[1] == part.n_features
    assert found.directions.shape[0] <= len(part.share.channels()) < descriptor.n_channels


@pytest.mark.parametrize("pairing", ["slides", "full"])
@pytest.mark.parametrize("n_species", [1, 2])
def test_parts_that_know_their_derivatives_agree_with_forward_mode(pairing, n_species):
    descriptor = SO3(4.0, n_species, K=[3, 2], L=[3, 2], pairing=pairing)
    density = torch.randn(5, descriptor.n_channels, dtype=torch.float64)
    every = torch.eye(descriptor.n_channels, dtype=torch.float64)
    for part in descriptor.parts:
        expected = slopes_along(part, density, every).transpose(0, 1)
        found = torch.zeros_like(expected)
        found[:, part.share.channels()] = part.slopes(density)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_channels_of_one_color_touch_no_column_in_common():
    support = torch.rand(20, 9, generator=torch.Generator().manual_seed(0)) < 0.3
    color = colors(support)
    for c in color.unique():
        assert int(support[color == c].sum(0).max()) <= 1


def test_baseline_is_the_model_without_its_linear_part():
    model = linear()
    part = linear_part(model)
    part.regressor.set_theta(torch.ones(n_parameters(model), dtype=torch.float64))
    base = baseline(model)
    others = ForceField(SumPotential([term for term in model.potential.terms if term is not part]), [14]).eval()
    graph = graph_of()
    torch.testing.assert_close(base(graph).forces, others(graph).forces, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(base(graph).energy, others(graph).energy, rtol=1e-12, atol=1e-12)
    assert float(part.regressor.weights.detach().abs().min()) == 1.0


def test_a_fixed_bias_belongs_to_the_baseline():
    descriptor = small()
    model = force_field(Linear(descriptor.n_features, 1, bias=False), descriptor)
    before = baseline(model)(graph_of()).energy
    linear_part(model).regressor.bias.data.fill_(0.5)
    sizes = torch.bincount(graph_of().batch)
    torch.testing.assert_close(baseline(model)(graph_of()).energy.detach(), before.detach() + 0.5 * sizes)


def test_a_model_without_a_linear_part_is_refused():
    with pytest.raises(ValueError, match=r"`potential` must hold a DescriptorPotential whose.* linear.*MLP"):
        design(network(), graph_of())


def kernel_model(descriptor, kernel, numbers=(14,)) -> ForceField:
    regressor = SparseGP(descriptor.n_features, len(numbers), 3, kernel)
    graph = within(graph_of(numbers, 9), CUTOFF)
    features = descriptor(graph)
    kinds = graph.species[: len(features)]
    points = [features[kinds == kind][:3] for kind in range(len(numbers))]
    regressor.set_deviation(features)
    regressor.set_points(torch.cat(points))
    return force_field(regressor, descriptor, numbers)


@pytest.mark.parametrize("max_bytes", [1, 10**9])
def test_rows_of_kernels_of_every_kind(max_bytes):
    descriptor = small(2, K=1)
    n = descriptor.n_features
    product = Product(
        [Matern(n, 1.5, lengths=4.0), SquaredExponential(n, lengths=[2.0 + i for i in range(n)], ard=True)]
    )
    kernels = [Sum([DotProduct(n, 3, 0.5), product]), DotProduct(n, 1, normalise=False)]
    check(kernel_model(descriptor, kernels, (14, 6)), graph_of((14, 6), 3), max_bytes=max_bytes)


@pytest.mark.parametrize(
    "descriptor",
    [Plain(), SoapQuip(cutoff=CUTOFF, n_max=2, l_max=1), SO4(CUTOFF, 1, twojmax=2)],
    ids=lambda d: type(d).__name__,
)
def test_rows_of_kernels_on_every_kind_of_descriptor(descriptor):
    check(kernel_model(descriptor, Matern(descriptor.n_features, 2.5)), graph_of(count=3))


def test_rows_of_several_linear_terms_stand_side_by_side():
    """Linear + SparseGP + Linear of another cutoff, beside a pair potential."""
    near = SO3(cutoff=3.0, K=1, L=1, radial="chebyshev")
    kernel = kernel_model(near, None).potential.terms[-1]
    model = linear()
    model.potential.terms.extend([kernel, DescriptorPotential(Plain(), Linear(3, 1))])
    widths = [n_columns(part) for part in linear_parts(model)]
    assert widths == [linear_part(linear()).regressor.n_features + 1, 4, 4]
    theta = torch.randn(sum(widths), dtype=torch.float64)
    before = baseline(model)(graph_of())
    set_theta(model, theta)
    out, rows = model.eval()(graph_of()), design(model, graph_of())
    torch.testing.assert_close(rows.energy @ theta, (out.energy - before.energy).detach())
    torch.testing.assert_close(rows.forces @ theta, (out.forces - before.forces).detach())
