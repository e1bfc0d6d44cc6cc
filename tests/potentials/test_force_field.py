"""The one place where derivatives exist, at its edges: no atoms, no edges, skins, blocks, dtypes, grad of grad."""

import pytest
import torch
from ase import Atoms

from mdzoo.data import graph_from_atoms
from mdzoo.graph import Graph, block, collate, within
from mdzoo.potentials import AtomicEnergies, ForceField, LennardJones, SumPotential
from mdzoo.potentials.force_field import at_neighbors, stress
from mdzoo.testing.compare import moved
from tests.structures import brute_force_graph, crystal, graphs, molecule
from tests.zoo import ZOO, Case, case

each_member = pytest.mark.parametrize("name", ZOO)


def field(name: str, block_edges: int = 16384) -> ForceField:
    return ForceField(case(name).potential, [14, 42], block_edges).eval()


def local_case(name: str) -> Case:
    it = case(name)
    if it.potential.reach < 0:
        pytest.skip("its atoms see one another without edges")
    return it


@each_member
def test_edges_beyond_the_cutoff_do_not_matter(name):
    it = case(name)
    found, expected = field(name)(it.graph), field(name)(within(it.graph, it.potential.cutoff))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0.0, atol=0.0)


@each_member
@pytest.mark.parametrize("train", [False, True])
def test_no_edges_at_all(name, train):
    it = local_case(name)
    found = field(name).train(train)(within(it.graph, 0.1))
    assert torch.isfinite(found.energies).all()
    assert not found.forces.any()
    assert not found.virial.any()


@each_member
def test_no_atoms_at_all(name):
    """A rank of an engine may own none."""
    if name.startswith("MolecularMechanics"):
        pytest.skip("its structures have a topology: one of no atoms has none")
    nothing = block(within(case(name).graph, 0.1), 0, 0, 0, 0)
    found = field(name)(nothing)
    assert found.energies.shape == (0,)
    assert found.forces.shape == (0, 3)
    assert found.energy.shape == (3,)
    assert not found.energy.any()


@each_member
def test_ghosts_are_atoms_without_edges_of_their_own(name):
    """As an engine passes them: own atoms first, each image an atom; its forces add up on the owner."""
    it = local_case(name)
    if it.potential.reach > 1:
        pytest.skip("ghosts have edges where an energy looks further than its own")
    graph = it.graphs[0]
    n, e = graph.species.numel(), graph.centers.numel()
    ghosts = block(graph, 0, n, 0, e)
    found, expected = field(name)(ghosts), field(name)(graph)
    torch.testing.assert_close(found.energies[:n], expected.energies)
    owners = torch.cat([torch.arange(n), graph.neighbors])
    forces = torch.zeros_like(expected.forces).index_add(0, owners, found.forces)
    torch.testing.assert_close(forces, expected.forces, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found.virial, expected.virial, rtol=1e-10, atol=1e-10)


@each_member
def test_each_process_of_an_engine_differentiates_its_own_energies(name):
    """Negative `ids` are another's atoms: the forces of two processes that share a molecule add up, for any reach."""
    it = case(name)
    model, graph = field(name), it.graphs[1]
    expected = model(graph)
    model.reach = 2 if model.reach >= 0 else model.reach
    if model.reach < 0:
        pytest.skip("its energy is global: one process has all atoms")
    mine = torch.arange(graph.species.numel()) % 2 == 0
    shares = [model(graph._replace(ids=torch.where(own, graph.ids, -1))) for own in (mine, ~mine)]
    torch.testing.assert_close(shares[0].forces + shares[1].forces, expected.forces, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(shares[0].virial + shares[1].virial, expected.virial, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(shares[0].energies, expected.energies)


@each_member
def test_atom_virials_carry_the_heat(name):
    """`sum_i r_i d(E_i + K_i)/dt = sum_i W_i v_i`, heat flux of any body order (DOI 10.1103/PhysRevB.92.094301)."""
    it = case(name)
    if it.potential.reach not in (0, 1):
        pytest.skip("the slope of an edge is not of its centre's energy alone")
    graph, model = it.graphs[1], field(name)
    velocities = torch.randn(graph.positions.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    step = 1e-4

    def energies(time: float) -> torch.Tensor:
        return model(moved(graph, graph.positions + time * velocities, graph.cell)).energies.double()

    rates = (8.0 * (energies(step) - energies(-step)) - energies(2 * step) + energies(-2 * step)) / (12.0 * step)
    found = model(graph)
    power = rates + (found.forces * velocities).sum(1)
    heat = torch.einsum("iab,ib->a", found.atom_virial, velocities)
    torch.testing.assert_close((power.unsqueeze(1) * graph.positions).sum(0), heat, rtol=1e-7, atol=1e-7)


@each_member
def test_one_dtype_for_derivatives_and_float64_for_totals(name):
    it = case(name)
    model = field(name).to(torch.float32)
    found = model(it.graph)
    assert model.dtype == "float32"
    assert found.energy.dtype == torch.float64
    assert {found.forces.dtype, found.virial.dtype, found.atom_virial.dtype} == {torch.float32}


@each_member
def test_eval_mode_keeps_no_graph_and_train_mode_does(name):
    it = case(name)
    assert not any(tensor.requires_grad for tensor in field(name)(it.graph))
    model = field(name).train()
    model.requires_grad_(True)
    assert model(it.graph).energy.requires_grad


def test_atoms_without_edges_between_and_behind_others():
    """Every place of a lonely atom in the order: first, in the middle of a block, last."""
    near = brute_force_graph(molecule(2), 4.3)
    lone = within(brute_force_graph(crystal(2), 4.3), 0.1)
    for name in ("SumPotential", "Ensemble", "SO3 bessel full 4, two species"):
        single = field(name)(near)
        for edges in (5, 16384):
            found = field(name, edges)(collate([lone, near, lone, near, lone]))
            torch.testing.assert_close(found.energy[[1, 3]], single.energy.expand(2), rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(found.forces[4:9], single.forces, rtol=1e-10, atol=1e-10)
            assert not found.forces[:4].any()
            assert not found.forces[-4:].any()


def test_reference_energies_keep_their_digits_in_float32():
    energies = [-12345.678901234567, -0.1]
    model = ForceField(SumPotential([AtomicEnergies(energies), LennardJones(1, 2, 4, n_species=2)]), [14, 42])
    graph = within(brute_force_graph(molecule(2), 4.3), 0.1)
    found = model.to(torch.float32).eval()(graph)
    assert float(found.energies[1]) == energies[0]
    assert float(found.energy) == pytest.approx(2 * energies[0] + 3 * energies[1], abs=1e-11)


def test_frozen_parameters_get_no_gradient_and_others_do():
    terms = [LennardJones(1, 2, 4, trainable=["sigma"], n_species=2), AtomicEnergies([0, 1])]
    model = ForceField(SumPotential(terms), [14, 42]).train()
    model(collate(graphs(2, 4.3))).forces.square().sum().backward()
    graded = {name for name, p in model.named_parameters() if p.grad is not None}
    assert graded == {"potential.terms.0.sigma.raw"}


def test_stress_is_undefined_without_a_cell():
    graph = collate(graphs(1, 4.3))
    found = ForceField(LennardJones(1, 2, 4), [14]).eval()(graph)
    sigma = stress(found.virial, graph.cell)
    assert torch.isfinite(sigma[0]).all()
    assert not torch.isfinite(sigma[1]).all()


@pytest.mark.parametrize("numbers", [[], [14, 14]])
def test_element_table_lists_each_once(numbers):
    with pytest.raises(ValueError, match=r"`atomic_numbers` must be one or more different elements, got \[.*\]; list"):
        ForceField(AtomicEnergies([0.0]), numbers)


def test_fields_of_a_graph_are_not_changed():
    graph = case("SumPotential").graph
    before = Graph(*[tensor.clone() for tensor in graph])
    field("SumPotential")(graph)
    assert all(torch.equal(one, other) for one, other in zip(graph, before, strict=True))
    assert not graph.positions.requires_grad


@pytest.mark.parametrize("name", ["SumPotential", "Ensemble", "MLP, shared, without linear term"])
def test_scripted_at_the_edges_too(name):
    it = case(name)
    eager = field(name, 50)
    with torch.jit.optimized_execution(False):
        scripted = torch.jit.script(eager)
        lonely = within(it.graph, 0.1)
        for graph in (it.graph, lonely, block(lonely, 0, 0, 0, 0), collate([lonely, it.graph, lonely])):
            for one, other in zip(scripted(graph), eager(graph), strict=True):
                torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


def test_sums_over_edges_are_those_of_any_pieces():
    graph = brute_force_graph(crystal(1), 5.0)
    g = torch.randn(graph.vectors.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = torch.zeros(len(graph.species), 12, dtype=torch.float64)
    for slope, vector, atom in zip(g, graph.vectors, graph.neighbors.tolist(), strict=True):
        expected[atom] += torch.cat([slope, -torch.outer(vector, slope).flatten()])
    for piece in (7, len(g), 10 * len(g)):
        torch.testing.assert_close(at_neighbors(graph, g, piece), expected, rtol=0.0, atol=1e-10)
    none = graph._replace(vectors=graph.vectors[:0], neighbors=graph.neighbors[:0])
    assert at_neighbors(none, g[:0]).shape == expected.shape


LEARNT = ("DescriptorPotential", "Ensemble", "LinearEnsemble", "MolecularMechanics")


@pytest.mark.parametrize("name", [n for n, entry in ZOO.items() if entry.table["name"] not in LEARNT])
def test_atoms_that_all_but_overlap_have_finite_energies_and_forces(name):
    """As in LAMMPS; atoms at one place have no graph, see tests/data/test_graphs.py."""
    numbers = [14, 42][: ZOO[name].n_species]
    places = [[0.0, 0.0, 0.0], [1e-3, 0.0, 0.0], [2.1, 0.1, 0.0], [0.3, 2.2, 0.2]]
    atoms = Atoms([numbers[0], numbers[0], numbers[-1], numbers[0]], places)
    model = field(name)
    found = model(graph_from_atoms(atoms, numbers, max(model.cutoff, 1.0)))
    assert bool(found.energy.isfinite().all())
    assert bool(found.forces.isfinite().all())
    assert float(found.forces.detach().sum(0).abs().max()) <= 1e-9 * max(1.0, float(found.forces.detach().abs().max()))
