"""The metatomic file says what the model says, in ASE, i-PI and torch-sim."""

import os
import warnings

import ase.io
import numpy as np
import pytest
import torch
from ase import units

from mdzoo.cli import main
from mdzoo.data import graph_from_atoms
from mdzoo.potentials import ForceField, build, checkpoint
from mdzoo.potentials.base import deviation, total
from tests.export.models import hybrid, silicon, structures, water
from tests.zoo import ZOO

metatomic = pytest.importorskip("metatomic.torch", reason="pip install 'mdzoo[metatomic]'")
metatensor = pytest.importorskip("metatensor.torch", reason="pip install 'mdzoo[metatomic]'")
from mdzoo.export.metatomic import write_metatomic  # noqa: E402 - where metatomic is


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_metatomic(tmp_path_factory.mktemp("metatomic") / "metatomic.pt", hybrid())


def calculator(path, **options):
    return pytest.importorskip("metatomic_ase").MetatomicCalculator(path, **options)


def run(path, atoms, outputs, selected=None):
    """What an engine would be given, as float arrays."""
    model = metatomic.load_atomistic_model(path)
    system = metatomic.systems_to_torch(atoms, dtype=torch.float64)
    import vesin.metatomic

    vesin.metatomic.compute_requested_neighbors([system], system_length_unit="Angstrom", model=model)
    kinds = {name: metatomic.ModelOutput(unit="eV", sample_kind=kind) for name, kind in outputs.items()}
    options = metatomic.ModelEvaluationOptions(length_unit="angstrom", outputs=kinds, selected_atoms=selected)
    found = model([system], options, check_consistency=True)
    return {name: found[name].block().values.detach().numpy() for name in outputs}


def test_in_ase(file):
    """Ten lines: the file runs where mdzoo is not."""
    model = hybrid()
    for atoms in structures():
        atoms.calc = calculator(file)
        expected = model(graph_from_atoms(atoms, [14], model.cutoff))
        assert atoms.get_potential_energy() == pytest.approx(float(expected.energy), rel=1e-13)
        np.testing.assert_allclose(atoms.get_forces(), expected.forces.numpy(), rtol=0.0, atol=1e-10)
        if atoms.pbc.all():
            stress = -expected.virial[0].numpy() / atoms.cell.volume
            np.testing.assert_allclose(atoms.get_stress(voigt=False), stress, rtol=0.0, atol=1e-11)


@pytest.mark.filterwarnings("ignore:`compute_requested_neighbors")
def test_energies_of_atoms_and_of_a_selection(file):
    atoms, model = silicon(), hybrid()
    expected = model(graph_from_atoms(atoms, [14], model.cutoff)).energies.numpy()
    assert run(file, atoms, {"energy": "atom"})["energy"][:, 0] == pytest.approx(expected, rel=1e-13)
    chosen = metatensor.Labels(["system", "atom"], torch.tensor([[0, 5], [0, 2]]))
    assert run(file, atoms, {"energy": "atom"}, chosen)["energy"][:, 0] == pytest.approx(expected[[5, 2]], rel=1e-13)
    assert run(file, atoms, {"energy": "system"}, chosen)["energy"] == pytest.approx(expected[[5, 2]].sum(), rel=1e-13)


@pytest.mark.filterwarnings("ignore:`compute_requested_neighbors")
def test_uncertainties(tmp_path):
    """Of structures as `deviations` says, of atoms by the parameters, and the energies by the members."""
    potential = build(ZOO["Ensemble"].table)
    model = ForceField(potential, [14, 8]).eval()
    path = write_metatomic(tmp_path / "metatomic.pt", model)
    atoms = silicon()
    atoms.numbers[::2] = 8
    graph = graph_from_atoms(atoms, [14, 8], model.cutoff)
    said = potential.deviations(graph)
    outputs = {"energy_uncertainty": "system", "energy_ensemble": "system", "energy": "system"}
    found = run(path, atoms, outputs)
    assert found["energy_uncertainty"] == pytest.approx(total(said, graph).numpy().reshape(1, 1), rel=1e-12)
    assert found["energy_ensemble"][0] == pytest.approx(said.members.detach().sum(1).numpy(), rel=1e-12)
    assert found["energy_ensemble"].mean() == pytest.approx(found["energy"], rel=1e-12)
    of_atoms = run(path, atoms, {"energy_uncertainty": "atom"})["energy_uncertainty"]
    assert of_atoms[:, 0] == pytest.approx(deviation(said.rows, said.rest).detach().numpy(), rel=1e-12)


@pytest.mark.filterwarnings("ignore")  # i-PI leaves files open
def test_in_ipi(file, tmp_path, monkeypatch):
    """Ten lines: i-PI integrates, and its potential energies are the calculator's."""
    scripting = pytest.importorskip("ipi.utils.scripting", reason="pip install 'mdzoo[metatomic]'")
    monkeypatch.chdir(tmp_path)
    atoms = silicon(rattle=0.05)
    ase.io.write("cell.xyz", atoms)
    forces = scripting.forcefield_xml("mdzoo", pes="metatomic", parameters={"template": "cell.xyz", "model": str(file)})
    motion = scripting.motion_nvt_xml(timestep=1.0 * units.fs)
    simulation = scripting.InteractiveSimulation(
        scripting.simulation_xml(atoms, forces, motion, temperature=300.0, prefix="run")
    )
    simulation.run(4)
    moved = simulation.get_structures()
    moved.pbc = True
    moved.calc = calculator(file)
    assert simulation.properties("potential") == pytest.approx(
        moved.get_potential_energy(), rel=2e-7
    )  # their electronvolts differ
    assert np.abs(moved.positions - atoms.positions).max() > 1e-3


def test_in_torch_sim(file):
    """Ten lines: two cells at once, energies and forces as the calculator's."""
    torch_sim = pytest.importorskip("torch_sim", reason="pip install 'mdzoo[metatomic]'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of metatrain, which other files need
        from torch_sim.models.metatomic import MetatomicModel

        cells = [silicon(rattle=0.05), silicon(rattle=0.1)]
        model = MetatomicModel(str(file), device="cpu")
        found = model(torch_sim.io.atoms_to_state(cells, device="cpu", dtype=torch.float64))
    for index, atoms in enumerate(cells):
        atoms.calc = calculator(file)
        assert float(found["energy"][index]) == pytest.approx(atoms.get_potential_energy(), rel=1e-12)
        np.testing.assert_allclose(found["forces"][8 * index : 8 * index + 8], atoms.get_forces(), rtol=0.0, atol=1e-9)


def test_what_it_cannot_do_is_refused(file, tmp_path):
    atoms = water()
    atoms.calc = calculator(file)
    with pytest.raises(ValueError, match="this model does not support the atomic type '8'"):  # metatomic's own words
        atoms.get_potential_energy()
    table = {"name": "CoulombCut", "charges": None, "n_species": 1, "cutoff": 4.0}
    with pytest.raises(ValueError, match=r"`charges` must belong to the species in a metatomic file, got those of the"):
        write_metatomic(tmp_path / "metatomic.pt", ForceField(build(table), [14]))
    assert not os.listdir(tmp_path)


def test_from_the_command_line(tmp_path):
    table = {"name": "Tersoff"}
    checkpoint.save(tmp_path / "model.safetensors", ForceField(build(table), [14]), table)
    words = [f"model={tmp_path / 'model.safetensors'}", "format=metatomic", f"run_dir={tmp_path / 'out'}"]
    assert main(["export", *words]) == 0
    capabilities = metatomic.load_atomistic_model(tmp_path / "out" / "metatomic.pt").capabilities()
    assert capabilities.interaction_range == pytest.approx(3.2)
