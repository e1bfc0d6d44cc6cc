"""One test for each sentence of the conventions in mdzoo/graph.py, and for what is done with graphs."""

import numpy as np
import pytest
import torch

from mdzoo.data import graph_from_atoms
from mdzoo.graph import Graph, block, collate, edge_starts, edge_vectors, select_edges, to_device, with_leaves, within
from mdzoo.potentials import ForceField, LennardJones
from mdzoo.potentials.force_field import stress
from tests.structures import brute_force_edges, brute_force_graph, crystal, graphs, molecule, slab

CUTOFF = 4.5
every_structure = pytest.mark.parametrize("build", [crystal, molecule, slab])


@every_structure
def test_both_directions_of_a_pair_are_edges_images_included(build):
    graph = brute_force_graph(build(), CUTOFF)
    there = list(zip(graph.centers.tolist(), graph.neighbors.tolist(), map(tuple, graph.shifts.tolist()), strict=True))
    back = [(j, i, tuple(-s for s in shift)) for i, j, shift in there]
    assert sorted(there) == sorted(back)
    assert len(set(there)) == len(there)


def test_an_atom_is_a_neighbour_of_its_own_images():
    graph = brute_force_graph(crystal(), CUTOFF)
    own = graph.centers == graph.neighbors
    assert own.any()
    assert graph.shifts[own].abs().sum(1).min() > 0


@every_structure
def test_vectors_go_from_centre_to_neighbour_and_rows_of_the_cell_are_lattice_vectors(build):
    structure = build()
    graph = brute_force_graph(structure, CUTOFF)
    for e in range(0, graph.centers.numel(), 7):
        i, j = int(graph.centers[e]), int(graph.neighbors[e])
        shift = graph.shifts[e].numpy()
        image = structure.positions[j] + sum(shift[k] * structure.cell[k] for k in range(3))
        np.testing.assert_allclose(graph.vectors[e].numpy(), image - structure.positions[i], atol=1e-14)


@every_structure
def test_edges_are_sorted_by_centre(build):
    graph = brute_force_graph(build(), CUTOFF)
    assert (graph.centers.diff() >= 0).all()
    starts = edge_starts(graph.centers, graph.species.numel())
    for atom in range(graph.species.numel()):
        assert (graph.centers[starts[atom] : starts[atom + 1]] == atom).all()
    assert starts[-1] == graph.centers.numel()


def test_species_index_the_element_table():
    ase = pytest.importorskip("ase")
    atoms = ase.Atoms("MoSiMo", positions=np.eye(3) * 2)
    assert graph_from_atoms(atoms, [14, 42], 4.0).species.tolist() == [1, 0, 1]


def test_batch_says_to_which_structure_an_atom_belongs():
    graph = collate(graphs(1, CUTOFF))
    assert graph.batch.tolist() == [0] * 4 + [1] * 5 + [2] * 3
    assert (graph.batch[graph.centers] == graph.batch[graph.neighbors]).all()


def test_virial_has_the_sign_of_lammps_and_stress_that_of_ase():
    """Compressed, a crystal pushes outwards: LAMMPS's virial is positive, ASE's stress negative."""
    structure = crystal()
    graph = brute_force_graph(structure, CUTOFF)
    model = ForceField(LennardJones(1.0, 2.6, CUTOFF), [18]).eval()
    found = model(graph)
    assert float(found.virial[0].trace()) > 0.0
    sigma = stress(found.virial, graph.cell)[0]
    assert float(sigma.trace()) < 0.0
    torch.testing.assert_close(sigma, -found.virial[0] / abs(np.linalg.det(structure.cell)))
    pair = -sum(torch.outer(r, g) for r, g in zip(graph.vectors, slopes(model, graph), strict=True))
    torch.testing.assert_close(found.virial[0], pair)


def slopes(model: ForceField, graph: Graph) -> torch.Tensor:
    return model.derivatives(graph)[1][0].detach()


@every_structure
def test_positions_cells_shifts_and_vectors_are_float64(build):
    graph = brute_force_graph(build(), CUTOFF)
    assert {t.dtype for t in (graph.positions, graph.cell, graph.shifts, graph.vectors)} == {torch.float64}
    assert {t.dtype for t in (graph.species, graph.batch, graph.ids, graph.centers, graph.neighbors)} == {torch.int64}
    assert graph.pbc.dtype == torch.bool
    single = ForceField(LennardJones(1.0, 2.6, CUTOFF), [18]).to(torch.float32).eval()(graph)
    assert single.energy.dtype == torch.float64
    assert single.forces.dtype == torch.float32


@every_structure
@pytest.mark.parametrize("cutoff", [1.0, 3.0, 5.5])
def test_neighbour_lists_are_those_of_brute_force(build, cutoff):
    ase = pytest.importorskip("ase")
    structure = build()
    atoms = ase.Atoms(["Si"] * len(structure.species), structure.positions, cell=structure.cell, pbc=structure.pbc)
    graph = graph_from_atoms(atoms, [14], cutoff)
    columns = (graph.centers.tolist(), graph.neighbors.tolist(), graph.shifts.long().tolist())
    found = [(i, j, tuple(shift)) for i, j, shift in zip(*columns, strict=True)]
    assert sorted(found) == sorted(brute_force_edges(structure, cutoff))
    assert (graph.centers.diff() >= 0).all()


def test_collate_keeps_structures_apart_and_in_order():
    singles = graphs(2, CUTOFF)
    joined = collate(singles)
    atom, edge = 0, 0
    for number, single in enumerate(singles):
        n, e = single.species.numel(), single.centers.numel()
        torch.testing.assert_close(joined.positions[atom : atom + n], single.positions)
        torch.testing.assert_close(joined.vectors[edge : edge + e], single.vectors)
        torch.testing.assert_close(joined.centers[edge : edge + e], single.centers + atom)
        torch.testing.assert_close(joined.neighbors[edge : edge + e], single.neighbors + atom)
        torch.testing.assert_close(joined.cell[number], single.cell[0])
        atom, edge = atom + n, edge + e
    again = edge_vectors(joined.positions, joined.cell, joined.batch, joined.centers, joined.neighbors, joined.shifts)
    torch.testing.assert_close(again, joined.vectors)


def test_collate_of_batches_is_the_batch_of_all():
    a, b, c = graphs(2, CUTOFF)
    for one, other in zip(collate([collate([a, b]), c]), collate([a, b, c]), strict=True):
        assert torch.equal(one, other)


def test_within_drops_what_is_longer_and_nothing_else():
    graph = brute_force_graph(crystal(), CUTOFF)
    short = within(graph, 3.0)
    expected = brute_force_graph(crystal(), 3.0)
    for one, other in zip(short, expected, strict=True):
        assert torch.equal(one, other)
    assert within(graph, CUTOFF) is graph
    assert within(graph, 0.1).centers.numel() == 0


def test_within_leaves_out_an_edge_of_exactly_the_cutoff():
    graph = brute_force_graph(molecule(), CUTOFF)
    length = float(graph.vectors[0].square().sum().sqrt())
    assert 0 not in within(graph, length).vectors[:, 0].eq(graph.vectors[0, 0]).nonzero()


def test_block_is_a_piece_whose_neighbours_follow_without_edges():
    graph = collate(graphs(2, CUTOFF))
    starts = edge_starts(graph.centers, graph.species.numel())
    first, last = 2, 7
    piece = block(graph, first, last, int(starts[first]), int(starts[last]))
    n, e = last - first, int(starts[last] - starts[first])
    assert piece.species.numel() == n + e
    assert torch.equal(piece.species[:n], graph.species[first:last])
    assert int(piece.centers.max()) < n <= int(piece.neighbors.min())
    edges = slice(int(starts[first]), int(starts[last]))
    assert torch.equal(piece.species[piece.neighbors], graph.species[graph.neighbors[edges]])
    assert torch.equal(piece.vectors, graph.vectors[edges])
    assert torch.equal(piece.ids[piece.neighbors], graph.ids[graph.neighbors[edges]])


def test_block_of_atoms_without_edges():
    lonely = within(brute_force_graph(molecule(), CUTOFF), 0.1)
    piece = block(lonely, 1, 3, 0, 0)
    assert piece.species.numel() == 2
    assert piece.centers.numel() == 0


def test_select_edges_takes_a_mask_or_an_index():
    graph = brute_force_graph(molecule(), CUTOFF)
    mask = graph.centers == 1
    for one, other in zip(select_edges(graph, mask), select_edges(graph, mask.nonzero().squeeze(-1)), strict=True):
        assert torch.equal(one, other)


def test_with_leaves_changes_three_fields():
    graph = brute_force_graph(molecule(), CUTOFF)
    changed = with_leaves(graph, graph.vectors + 1, graph.positions + 1, graph.cell + 1)
    names = [name for name in Graph._fields if not torch.equal(getattr(graph, name), getattr(changed, name))]
    assert names == ["positions", "cell", "vectors"]


def test_to_device_keeps_every_field():
    graph = brute_force_graph(molecule(), CUTOFF)
    for one, other in zip(to_device(graph, torch.device("cpu")), graph, strict=True):
        assert torch.equal(one, other)
