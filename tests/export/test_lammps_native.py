"""Read, train, write back, run in LAMMPS without a plugin: the same energies, forces and virials."""

import numpy as np
import pytest
import torch
from ase.data import chemical_symbols

from mdzoo.cli import main
from mdzoo.data.parameter_files import with_file
from mdzoo.export import native
from mdzoo.export.native.lammps import INPUT, write_lammps
from mdzoo.potentials import ForceField, SumPotential, build, checkpoint
from tests.reference.engine import ask_lammps
from tests.reference.many_body import FCC, potential_file, strained
from tests.structures import brute_force_graph
from tests.zoo import LINEAR, SMALL, ZOO, learnt

FROM_FILES = {  # term: file, elements, lattice constant, places
    "StillingerWeber": ("GaN.sw", [31, 7], 4.5, None),
    "Tersoff": ("SiC.tersoff", [14, 6], 4.36, None),
    "TersoffMod": ("Si.tersoff.mod", [14], 5.3, None),
    "EDIP": ("SiC.edip", [6, 14], 4.36, None),
    "EAM": ("NiAlH_jea.eam.alloy", [13, 28], 3.7, FCC),
}


def trained_a_little(term: dict, numbers: list[int]) -> ForceField:
    """The potential with all its parameters moved by a gradient, as training does."""
    potential = build({**term, "n_species": len(numbers), "trainable": True})
    potential(
        brute_force_graph(strained(np.random.default_rng(1), len(numbers), 4.4), potential.cutoff)
    ).sum().backward()
    with torch.no_grad():
        for p in potential.parameters():
            p -= 2e-3 * p.grad.sign()
    return ForceField(potential, numbers).eval()


def by_lammps(folder, force_field: ForceField, structure):
    """What LAMMPS says of the written files."""
    write_lammps(folder, force_field)
    return ask_lammps(structure, [f"include {folder / INPUT}"], len(force_field.atomic_numbers))


def check(found, expected, tolerance: float = 1e-8):
    assert float(found.energy.detach()) == pytest.approx(expected.energy, rel=tolerance, abs=tolerance)
    largest = np.abs(expected.forces).max()
    np.testing.assert_allclose(found.forces.detach().numpy(), expected.forces, rtol=0.0, atol=tolerance * largest)
    largest = np.abs(expected.virial).max()
    np.testing.assert_allclose(found.virial[0].detach().numpy(), expected.virial, rtol=0.0, atol=tolerance * largest)


@pytest.mark.parametrize("name", FROM_FILES)
def test_a_retrained_potential_runs_in_lammps(rng, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    file, numbers, lattice, places = FROM_FILES[name]
    term = with_file({"name": name, "file": str(potential_file(file))}, numbers)
    model = trained_a_little(term, numbers)
    structure = strained(rng, len(numbers), lattice, *([] if places is None else [places]))
    found = model(brute_force_graph(structure, model.cutoff))
    check(found, by_lammps(tmp_path, model, structure))
    before = ForceField(build({**term, "n_species": len(numbers)}), numbers).eval()(
        brute_force_graph(structure, model.cutoff)
    )
    assert abs(float((found.energy - before.energy).detach())) > 1e-4, "training changed it"


@pytest.mark.parametrize("name", FROM_FILES)
def test_what_is_written_is_read_back(tmp_path, name):
    file, numbers, *_ = FROM_FILES[name]
    model = trained_a_little(with_file({"name": name, "file": str(potential_file(file))}, numbers), numbers)
    path = [path for path in write_lammps(tmp_path, model) if path.name != INPUT][0]
    again = build({**with_file({"name": name, "file": str(path)}, numbers), "n_species": len(numbers)})
    graph = brute_force_graph(strained(np.random.default_rng(2), len(numbers), 4.4), model.cutoff)
    torch.testing.assert_close(again(graph), model.potential(graph), rtol=1e-12, atol=1e-12)


def test_finnis_and_sinclair_becomes_tables(rng, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = ForceField(build({"name": "FinnisSinclair", "n_species": 2, "A": [1.9, 1.7]}), [42, 74]).eval()
    structure = strained(rng, 2, 4.0, FCC)
    check(model(brute_force_graph(structure, model.cutoff)), by_lammps(tmp_path, model, structure), 1e-6)


def test_sums_become_hybrid_overlay(rng, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    terms = [
        {"name": "AtomicEnergies", "energies": [-100.0, -50.0]},
        {"name": "Tersoff", "n_species": 2},
        {"name": "StillingerWeber", "n_species": 2},
        {"name": "StillingerWeber", "n_species": 2, "epsilon": 0.3},
    ]
    model = ForceField(build({"name": "SumPotential", "terms": terms}), [14, 32]).eval()
    structure = strained(rng, 2, 5.3)
    found = model(brute_force_graph(structure, model.cutoff))
    expected = by_lammps(tmp_path, model, structure)
    assert "lacks the reference energies of the atoms (eV): Si -100.0, Ge -50.0" in (tmp_path / INPUT).read_text()
    check(found._replace(energy=found.energy + 600.0), expected)


def test_bonds_that_end_at_the_cutoff_are_written_so(rng, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    structure = strained(rng, 1, 5.3)
    for name in ("StillingerWeber", "Tersoff", "EDIP"):
        model = ForceField(build({"name": name, "cutoff": 2.9}), [14]).eval()
        check(model(brute_force_graph(structure, 2.9)), by_lammps(tmp_path, model, structure))


LEARNT = [
    ({"name": "SO4", "cutoff": 4.5, "twojmax": 4, "radii": [0.5, 0.4], "weights": [1, 0.8]}, {"name": "Quadratic"}),
    (
        {"name": "SO4", "cutoff": 4.5, "twojmax": 3, "rmin0": 0.2, "chem": True, "bnorm": True, "bzero": False}
        | {"wselfall": True, "sinner": [1.5, 1.2], "dinner": [0.5, 0.4]},
        LINEAR,
    ),
    ({"name": "SO4", "cutoff": 4.5, "twojmax": 2, "chem": True}, {"name": "Quadratic"}),
    ({"name": "POD", "cutoff": 4.5, "K": [4, 3, 2, 2], "P": [3, 2, 1], "rin": 0.8}, LINEAR),
]


@pytest.mark.parametrize(("descriptor", "regressor"), LEARNT)
def test_snap_and_pod_run_natively(rng, tmp_path, monkeypatch, descriptor, regressor):
    monkeypatch.chdir(tmp_path)
    potential = build(learnt({**descriptor, "n_species": 2}, regressor))
    with torch.no_grad():
        for p in potential.regressor.parameters():
            p.copy_(torch.as_tensor(rng.normal(size=p.shape)) / 10.0)
    model = ForceField(potential, [49, 15]).eval()
    structure = strained(rng, 2, 4.8)
    # 1e-7: the modes of POD are eigenvectors of covariances that span ten orders of magnitude
    tolerance = 1e-7 if descriptor["name"] == "POD" else 1e-8
    check(model(brute_force_graph(structure, model.cutoff)), by_lammps(tmp_path, model, structure), tolerance)


NETWORKS = [
    ({"name": "SO4", "cutoff": 4.5, "twojmax": 4, "radii": [0.5, 0.4], "weights": [1, 0.8]}, {"members": 3}),
    ({"name": "SO4", "cutoff": 4.5, "twojmax": 2, "chem": True, "bnorm": True}, {"linear": False, "shared": True}),
    ({"name": "SO4", "cutoff": 4.5, "twojmax": 3, "sinner": 1.5, "dinner": [0.5, 0.4]}, {"linear": False}),
]


@pytest.mark.parametrize(("descriptor", "options"), NETWORKS)
def test_networks_run_in_mliap(rng, tmp_path, monkeypatch, descriptor, options):
    """The linear term of a network is a `snap` of its own, and members are one wide network."""
    monkeypatch.chdir(tmp_path)
    network = {"name": "MLP", "hidden": [5, 4], "activation": "tanh", **options}
    potential = build(learnt({**descriptor, "n_species": 2}, network))
    with torch.no_grad():
        for p in potential.regressor.parameters():
            if p.requires_grad:
                p.copy_(torch.as_tensor(rng.normal(size=p.shape)))
    potential.regressor.scale.set(*torch.as_tensor(rng.uniform(1.0, 3.0, (2, potential.descriptor.n_features))))
    model = ForceField(potential, [49, 15]).eval()
    structure = strained(rng, 2, 4.8)
    check(model(brute_force_graph(structure, model.cutoff)), by_lammps(tmp_path, model, structure))
    assert ("hybrid/overlay snap" in (tmp_path / INPUT).read_text()) == ("linear" not in options)


def test_networks_that_mliap_cannot_hold_are_refused(tmp_path):
    so4 = {"name": "SO4", "cutoff": 4.5, "twojmax": 2}
    for options, found in (
        ({"activation": "silu"}, "another activation"),
        ({"activation": "tanh", "hidden": [4, 4], "residual": True, "layer_norm": True}, "layer_norm and residual"),
    ):
        potential = build(learnt(so4, {"name": "MLP", **options}))
        with pytest.raises(ValueError, match=rf"`regressor` must be an MLP with activation=tanh, .*, got {found}; tr"):
            write_lammps(tmp_path, ForceField(potential, [14]))


def test_what_lammps_does_not_have_is_refused(tmp_path):
    ml = build(learnt(SMALL, LINEAR))
    with pytest.raises(ValueError, match=r"`potential` must be one of SO4 \+ Linear, .*, got SO3 \+ Linear; export it"):
        write_lammps(tmp_path, ForceField(SumPotential([ml]), [14]))
    message = r"`potential` must consist of terms that LAMMPS has itself, \[.*'EAM', .*, got QEq; export"
    with pytest.raises(ValueError, match=message):
        write_lammps(tmp_path, ForceField(build(ZOO["QEq, two species"].table), [14, 8]))
    with pytest.raises(ValueError, match=r"`potential` must have a term that acts between atoms, got reference energ"):
        write_lammps(tmp_path, ForceField(build({"name": "AtomicEnergies", "energies": [1.0]}), [14]))
    assert not list(tmp_path.iterdir())


def test_types_are_named(tmp_path):
    write_lammps(tmp_path, ForceField(build({"name": "Tersoff", "n_species": 2}), [32, 14]))
    assert "# types: 1 Ge, 2 Si" in (tmp_path / INPUT).read_text()
    assert chemical_symbols[32] == "Ge"


def test_from_the_command_line(tmp_path):
    table = {"name": "Tersoff"}
    checkpoint.save(tmp_path / "model.safetensors", ForceField(build(table), [14]), table)
    words = [f"model={tmp_path / 'model.safetensors'}", "format=lammps_native", f"run_dir={tmp_path / 'out'}"]
    assert main(["export", *words]) == 0
    with pytest.raises(
        ValueError, match=r"`format` must be torchscript, aoti, metatomic, mtp, n2p2, yace, lammps_native or lammps_h"
    ):
        native.write("dat", tmp_path, ForceField(build(table), [14]))
    assert (tmp_path / "out" / INPUT).read_text().splitlines()[-2:] == [
        "pair_style tersoff",
        "pair_coeff * * term1.tersoff Si",
    ]
