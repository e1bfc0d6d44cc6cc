"""Molecular mechanics in batches, in sums and under a fit, and what it says of bad input."""

import copy
import json

import numpy as np
import pytest
import torch
from ase import Atoms

from mdzoo.data.graphs import graph_from_atoms
from mdzoo.data.parameter_files.molecular import read_molecular, with_sources
from mdzoo.graph import collate
from mdzoo.potentials import ForceField, MolecularMechanics, SumPotential, build
from mdzoo.potentials.molecular_mechanics import trained_tables
from mdzoo.testing import compare_predictions
from tests.molecules import force_field
from tests.structures import crystal, graphs, molecule
from tests.zoo import LINEAR, TWO, learnt

NUMBERS = [14, 42]


def potential(**options) -> MolecularMechanics:
    return MolecularMechanics(**{"atomic_numbers": NUMBERS, "force_field": force_field(), "cutoff": 4, **options})


def model(**options) -> ForceField:
    return ForceField(potential(**options), NUMBERS).eval()


def atoms_of(structure) -> Atoms:
    numbers = [NUMBERS[s] for s in structure.species]
    return Atoms(numbers, structure.positions, cell=structure.cell, pbc=structure.pbc)


def test_copies_of_a_topology_and_others_stand_in_one_batch_whatever_the_order_of_their_atoms():
    """An engine's order: atoms of all structures shuffled, their ids with them."""
    one, other, third = graphs(2, 4.0)
    moved = graph_from_atoms(Atoms(atoms_of(molecule(2)).numbers, molecule(2).positions[::-1] * 1.1), NUMBERS, 4.0)
    moved = moved._replace(ids=moved.ids.clone())
    together = collate([other, one, moved, other, third])
    found = model()(together)
    for k, graph in enumerate([other, one, moved, other, third]):
        alone = model()(graph)
        torch.testing.assert_close(found.energy[k : k + 1], alone.energy, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(found.forces[together.batch == k], alone.forces, rtol=1e-10, atol=1e-10)
    backwards = other._replace(
        species=other.species.flip(0), positions=other.positions.flip(0), ids=7 + other.ids.flip(0) * 3
    )
    n = other.species.shape[0]
    order = torch.argsort(n - 1 - other.centers, stable=True)
    backwards = backwards._replace(
        centers=(n - 1 - other.centers)[order],
        neighbors=(n - 1 - other.neighbors)[order],
        shifts=other.shifts[order],
        vectors=other.vectors[order],
    )
    torch.testing.assert_close(model()(backwards).forces.flip(0), model()(other).forces, rtol=1e-10, atol=1e-10)


def test_a_parameter_belongs_to_a_type_and_trains_for_all_its_instances():
    options = {"trainable": ["bond_length/b", "charge"], "ties": {"angle": "all"}, "bounds": {"bond_length": [1, 3]}}
    trained = potential(force_field=chain(), **options)
    names = [name for name, p in trained.named_parameters() if p.requires_grad]
    assert names == ["bonded.0.length.raw", "pairwise.0.charges.charge.raw"]
    field = ForceField(trained, NUMBERS).train()
    field(graphs(2, 4.0)[0]).forces.square().sum().backward()
    slopes = [trained.get_parameter(name).grad for name in names]
    assert slopes[0].shape == (1,)
    assert slopes[0].abs().max() > 1e-3
    assert slopes[1].abs().max() > 1e-3


def chain() -> dict:
    """The crystal's topology alone, four atoms in a chain."""
    return force_field() | {"topologies": force_field()["topologies"][:1]}


def test_molecules_keep_their_charge_whatever_trains():
    trained = potential(force_field=chain(), trainable=["charge"])
    with torch.no_grad():
        trained.get_parameter("pairwise.0.charges.charge.raw").add_(torch.randn(5))
    graph = graphs(2, 4.0)[0]
    before, after = model()(graph).charges, ForceField(trained, NUMBERS).eval()(graph).charges
    assert float(after.sum()) == pytest.approx(float(before.sum()), abs=1e-12)
    assert float((after - before).abs().max()) > 0.01
    ions = potential(trainable=["charge"])  # here each type is also an ion of its own
    with torch.no_grad():
        ions.get_parameter("pairwise.0.charges.charge.raw").add_(torch.randn(5))
    torch.testing.assert_close(ForceField(ions, NUMBERS).eval()(graph).charges, before)


def test_a_trained_model_gives_its_tables_back():
    trained = potential(force_field=chain(), trainable=True)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    tables = trained_tables(trained, chain())
    assert tables["bonds"]["k"] != chain()["bonds"]["k"]
    graph = graphs(2, 4.0)[0]
    found = model(force_field=json.loads(json.dumps(tables)))(graph)
    compare_predictions("from tables", found, ForceField(trained, NUMBERS).eval()(graph))


def test_it_adds_to_a_learnt_term_and_trains_with_it():
    table = potential_table() | {"trainable": ["bond_k"]}
    both = build({"name": "SumPotential", "terms": [table, learnt(TWO, LINEAR)]})
    assert isinstance(both, SumPotential)
    alone = [ForceField(term, NUMBERS).eval()(graphs(2, 4.0)[0]) for term in both.terms]
    found = ForceField(both, NUMBERS).eval()(graphs(2, 4.0)[0])
    torch.testing.assert_close(found.forces, alone[0].forces + alone[1].forces, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found.charges, alone[0].charges)
    ForceField(both, NUMBERS).train()(graphs(2, 4.0)[0]).forces.square().sum().backward()
    slopes = {name: p.grad for name, p in both.named_parameters() if p.requires_grad}
    assert slopes["terms.0.bonded.0.k.raw"].all()
    assert slopes["terms.1.regressor.weights"].any()


def potential_table() -> dict:
    return {"name": "MolecularMechanics", "atomic_numbers": NUMBERS, "force_field": force_field(), "cutoff": 4}


def test_bonded_terms_alone_need_no_edges():
    bare = {key: value for key, value in force_field().items() if key not in ("atoms", "nbfix", "charges", "pairs")}
    rows = ("types", "charges", "pairs")
    bare["topologies"] = [{k: v for k, v in topology.items() if k not in rows} for topology in bare["topologies"]]
    graph = graphs(2, 4.0)[1]
    found = [model(force_field=bare, cutoff=cutoff)(graph) for cutoff in (0.1, 4)]
    compare_predictions("without edges", found[0], found[1])
    assert float(found[0].forces.abs().max()) > 0.1


def test_charges_may_be_those_of_the_structures():
    given = {key: value for key, value in force_field().items() if key != "charges"}
    given["topologies"] = [{k: v for k, v in t.items() if k != "charges"} for t in given["topologies"]]
    graph = graphs(2, 4.0)[0]
    expected = model()(graph)
    compare_predictions("given charges", model(force_field=given)(graph._replace(charges=expected.charges)), expected)
    with pytest.raises(ValueError, match="`charges` must be given by the topologies or by every structure, got none;"):
        model(force_field=given)(graph)


def test_pairs_beyond_the_cutoff_of_a_molecule_count_where_charges_are_summed():
    pair = {"topologies": [{"title": "ions", "numbers": [14, 42], "types": [0, 0], "charges": [0, 1]}]}
    pair |= {"atoms": {"labels": ["a"], "sigma": [1.0], "epsilon": [0.0]}}
    pair |= {"charges": {"labels": ["a", "b"], "charge": [1.0, -1.0]}}
    graph = graph_from_atoms(Atoms(NUMBERS, [[0, 0, 0], [0, 0, 7.0]]), NUMBERS, 4.0)
    assert float(model(force_field=pair)(graph).energy) == pytest.approx(-14.3996454784 / 7.0)
    assert float(model(force_field=pair, coulomb="cut")(graph).energy) == 0.0


def test_a_structure_without_a_topology_gets_a_clear_error():
    graph = graph_from_atoms(Atoms([14, 42, 42, 14], crystal(2).positions), NUMBERS, 4.0)
    message = r"`structure` must have the atoms of a topology of this model, \[.*\] of \[4, 5, 3, .*\] atoms, in"
    with pytest.raises(
        ValueError, match=message + r" the order of their ids, got 4 atoms that differ \(structure 1 of the batch\)"
    ):
        model()(collate([graphs(2, 4.0)[0], graph]))
    scripted = torch.jit.script(model())
    with pytest.raises(torch.jit.Error, match=message):
        scripted(graph)


def test_a_charged_cell_gets_a_clear_error():
    charged = force_field()
    charged["charges"]["charge"][0] = 0.8
    with pytest.raises(ValueError, match="`charges` must sum to zero in a periodic cell, got 0.5"):
        model(force_field=charged)(graphs(2, 4.0)[0])


def changed(key: str, value, within: str | None = None) -> dict:
    table = copy.deepcopy(force_field())
    if within is None:
        table[key] = value
    elif within == "topologies":
        table["topologies"][0][key] = value
    else:
        table[within][key] = value
    return table


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"force_field": None}, r"`force_field` must hold `topologies`, got \[\]; name files"),
        (
            {"force_field": changed("bond", {})},
            r"`force_field` must hold tables out of \['angles'.*\], got .*; drop others",
        ),
        (
            {"force_field": changed("bonds", None)},
            "`force_field` must hold parameters of `bonds` in .*, got no `bonds`; add",
        ),
        (
            {"force_field": changed("atoms", None)},
            "`force_field` must hold parameters of `types` in .*, got no `atoms`; add",
        ),
        (
            {"force_field": changed("bonds", [[0, 4, 0]], "topologies")},
            "`bonds` must name atoms below 4 and types",
        ),
        (
            {"force_field": changed("bonds", [[0, 1, 2]], "topologies")},
            "`bonds` must name atoms below 4 and types",
        ),
        ({"force_field": changed("types", [0], "topologies")}, "`types` must hold one type below 2 for each of the 4"),
        (
            {"force_field": changed("charges", [9] * 4, "topologies")},
            "`charges` must hold one type below 5 for each of",
        ),
        (
            {"force_field": changed("k", [3], "bonds")},
            r"`k` must be given for each of the types \['a', 'b'\], .* got 1 of",
        ),
        ({"force_field": changed("labels", [], "bonds")}, "`bonds` must hold `labels`, one for each type, got .*; add"),
        ({"force_field": changed("sigma", [-1, 2], "atoms")}, "`sigma` must be"),
        (
            {"force_field": changed("topologies", force_field()["topologies"][:1] * 2)},
            "`topologies` must differ in their",
        ),
        (
            {"atomic_numbers": [14]},
            r"`atomic_numbers` must hold the elements of the topologies .*, got \[14\] without \[42",
        ),
        (
            {"switch": "gromacs"},
            r"`switch` must be one of \['openmm', 'charmm'\], got 'gromacs'; openmm is the smoother",
        ),
        ({"onset": 5}, r"`onset` must be within \(0, cutoff=4.0\], got 5.0; begin the switch below"),
        ({"coulomb": "wolf"}, r"`coulomb` must be one of \['cut', 'ewald'.*\], got 'wolf'; take pme"),
        ({"trainable": ["bond"]}, r"`trainable` must be true, false or a list out of \['bond_k'"),
        ({"constants": "si"}, "`constants` must be one of"),
    ],
)
def test_bad_arguments_get_a_clear_error(options, message):
    with pytest.raises(ValueError, match=message):
        potential(**options)


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        (
            {"prm": "a"},
            ValueError,
            r"`sources` must be \{prmtop\}, \{psf, parameters\} or \{pdb, xml\}, got \{'prm': 'a'\}",
        ),
        ({"psf": "a.psf"}, ValueError, "`sources` must be"),
        (
            {"prmtop": "none.prmtop"},
            FileNotFoundError,
            "`prmtop` must name files that are there, got 'none.prmtop'; check",
        ),
    ],
)
def test_bad_sources_get_a_clear_error(source, kind, message):
    pytest.importorskip("openmm", reason="OpenMM is not installed (pip install openmm)")
    with pytest.raises(kind, match=message):
        with_sources({"name": "MolecularMechanics", "force_field": [source]})


def test_files_without_their_parameters_get_a_clear_error(tmp_path):
    pytest.importorskip("openmm", reason="OpenMM is not installed (pip install openmm)")
    path = tmp_path / "a.pdb"
    path.write_text("HETATM    1  C   XXX A   1       0.000   0.000   0.000  1.00  0.00           C\nEND\n")
    with pytest.raises(ValueError, match=r"`pdb` must hold a whole system with its parameters, got .*; complete it"):
        read_molecular([{"pdb": str(path), "xml": ["amber14-all.xml"]}])


def test_a_path_is_a_file_of_tables(tmp_path):
    path = tmp_path / "force_field.json"
    with pytest.raises(FileNotFoundError, match="`force_field` must be a file that is there, got .*; check the path"):
        with_sources({"force_field": str(path)})
    path.write_text(json.dumps(force_field()))
    assert with_sources({"force_field": str(path)})["force_field"] == force_field()


def test_files_need_openmm(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"`openmm` must be installed to read molecular force fields; pip install"):
        read_molecular([{"prmtop": "a"}])


def test_angles_stay_smooth_where_atoms_are_on_a_line():
    table = {"topologies": [{"title": "line", "numbers": [14, 42, 14], "angles": [[0, 1, 2, 0]]}]}
    table |= {"angles": {"labels": ["a"], "k": [2.0], "angle": [np.pi]}}
    places = torch.tensor([[0, 0, -2.0], [0, 0, 0], [0, 0, 2.0]], dtype=torch.float64)
    for height in (0.0, 1e-7, 1e-3):
        atoms = Atoms([14, 42, 14], places.numpy() + np.array([[0, height, 0], [0, 0, 0], [0, 0, 0]]))
        found = model(force_field=table, cutoff=1)(graph_from_atoms(atoms, NUMBERS, 0.1))
        assert float(found.forces[0, 1]) == pytest.approx(-2.0 * np.arctan(height / 2) / 2, rel=1e-3, abs=1e-9)
