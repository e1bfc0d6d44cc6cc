"""D3(BJ) against tad-dftd3 (molecules), s-dftd3 and LAMMPS (crystals), and some of their numbers."""

import numpy as np
import pytest
import torch

from mdzoo.potentials import D3, ForceField
from mdzoo.potentials.d3 import FUNCTIONALS
from mdzoo.units import BOHR, HARTREE
from tests.reference.engine import ask_lammps
from tests.structures import Structure, brute_force_graph

ELEMENTS = [6, 1, 8, 29, 14]
PUBLISHED = {"cutoff": 60.0 * BOHR, "cn_cutoff": 40.0 * BOHR, "truncation": "plain"}


def molecule() -> Structure:
    grid = np.stack(np.meshgrid(np.arange(3), np.arange(2), np.arange(2), indexing="ij"), -1).reshape(-1, 3)
    positions = 1.6 * grid + 0.3 * np.sin(7.0 * np.arange(36).reshape(12, 3))
    return Structure([i % 5 for i in range(12)], positions, np.zeros((3, 3)), (False,) * 3)


def crystal() -> Structure:
    cell = np.array([[4.1, 0.2, 0.0], [0.3, 4.4, -0.2], [-0.1, 0.4, 4.6]])
    fractions = np.array([[0.02, 0.01, 0.03], [0.5, 0.46, 0.05], [0.48, 0.03, 0.52], [0.04, 0.51, 0.47]])
    return Structure([0, 2, 3, 4], fractions @ cell, cell, (True,) * 3)


def predict(structure: Structure, functional: str, **options):
    potential = D3(ELEMENTS, functional, **{**PUBLISHED, **options})
    return ForceField(potential, ELEMENTS).eval()(brute_force_graph(structure, potential.cutoff))


def parameters(functional: str) -> dict[str, float]:
    return dict(zip(("s6", "s8", "a1", "a2", "s9"), (1.0, *FUNCTIONALS[functional], 0.0), strict=True))


@pytest.mark.parametrize("functional", ["pbe", "scan", "b3lyp"])
def test_a_molecule_is_that_of_tad_dftd3(functional):
    tad_dftd3 = pytest.importorskip("tad_dftd3", reason="tad-dftd3 is not installed (pip install mdzoo[oracles])")
    structure = molecule()
    positions = torch.tensor(structure.positions / BOHR, requires_grad=True)
    words = {key: torch.tensor(value, dtype=torch.float64) for key, value in parameters(functional).items()}
    numbers = torch.tensor([ELEMENTS[s] for s in structure.species])
    energy = HARTREE * tad_dftd3.dftd3(numbers, positions, words).sum()
    (slope,) = torch.autograd.grad(energy, positions)
    found = predict(structure, functional)
    torch.testing.assert_close(found.energy[0], energy.detach(), rtol=1e-12, atol=0.0)
    torch.testing.assert_close(found.forces, -slope / BOHR, rtol=0.0, atol=1e-12)


S_DFTD3_BOHR = 0.529177211137  # Angstrom, of its covalent radii: the digits beyond CODATA's are worth 1e-8 of a force


@pytest.mark.parametrize(("bohr", "close"), [(BOHR, 2e-8), (S_DFTD3_BOHR, 1e-9)])
@pytest.mark.parametrize("structure", [molecule, crystal])
def test_energies_forces_and_virial_are_those_of_s_dftd3(structure, bohr, close):
    interface = pytest.importorskip("dftd3.interface", reason="dftd3 is not installed (pip install mdzoo[oracles])")
    atoms, cutoffs = structure(), (24.0, 16.0)  # Bohr: half of the published ones are enough to sum images
    numbers = np.array([ELEMENTS[s] for s in atoms.species])
    box = (atoms.cell / BOHR, np.array(atoms.pbc)) if any(atoms.pbc) else ()
    model = interface.DispersionModel(numbers, atoms.positions / BOHR, *box)
    model.set_realspace_cutoff(disp2=cutoffs[0], disp3=1.0, cn=cutoffs[1])
    expected = model.get_dispersion(interface.RationalDampingParam(**parameters("pbe")), grad=True)
    potential = D3(ELEMENTS, "pbe", cutoff=cutoffs[0] * BOHR, cn_cutoff=cutoffs[1] * BOHR, truncation="plain")
    potential.radii.mul_(BOHR / bohr)
    found = ForceField(potential, ELEMENTS).eval()(brute_force_graph(atoms, potential.cutoff))
    assert float(found.energy) == pytest.approx(HARTREE * expected["energy"], rel=close)
    forces, virial = -HARTREE / BOHR * expected["gradient"], -HARTREE * expected["virial"]
    np.testing.assert_allclose(found.forces.numpy(), forces, rtol=0.0, atol=close * np.abs(forces).max())
    np.testing.assert_allclose(found.virial[0].numpy(), virial, rtol=0.0, atol=close * np.abs(virial).max())


@pytest.mark.parametrize("functional", ["pbe", "pbesol"])
def test_energies_forces_and_virial_are_those_of_lammps(functional):
    """`pair_style dispersion/d3`, whose lengths and energies are of its own constants: 3e-6 of the largest value."""
    grid = np.stack(np.meshgrid(*[np.arange(2)] * 3, indexing="ij"), -1).reshape(-1, 3)
    positions = 2.5 * grid + 0.2 * np.sin(5.0 * np.arange(24).reshape(8, 3))
    atoms = Structure([0, 2, 3, 4] * 2, positions, np.diag([5.2, 5.3, 5.1]), (True,) * 3)
    style = f"pair_style dispersion/d3 bj {functional} 9.0 6.0"
    expected = ask_lammps(atoms, [style, "pair_coeff * * C H O Cu Si"], 5)
    found = predict(atoms, functional, cutoff=9.0, cn_cutoff=6.0)
    assert float(found.energy) == pytest.approx(expected.energy, rel=3e-6)
    for mine, theirs in ((found.forces, expected.forces), (found.virial[0], expected.virial)):
        np.testing.assert_allclose(mine.numpy(), theirs, rtol=0.0, atol=3e-6 * np.abs(theirs).max())


STORED = {"pbe": -0.02254823509787087, "scan": -0.004312262156430866, "b3lyp": -0.04412859292931269}


@pytest.mark.parametrize("functional", STORED)
def test_numbers_of_tad_dftd3(functional):
    """Energies of the molecule above, Hartree, by tad-dftd3 0.7.0."""
    assert float(predict(molecule(), functional).energy) / HARTREE == pytest.approx(STORED[functional], rel=1e-10)


def test_free_atoms_have_the_published_coefficients():
    """C6 of free He, Ne, Ar, Kr and Xe, Hartree Bohr^6 (Grimme et al., DOI 10.1063/1.3382344, supplement)."""
    table = D3([2, 10, 18, 36, 54], "pbe").c6_table().diagonal()
    torch.testing.assert_close(
        table, torch.tensor([1.5583, 6.2896, 64.6462, 130.4017, 290.2223]).double(), rtol=1e-6, atol=0.0
    )


def test_elements_in_another_order_are_the_same_atoms():
    atoms = molecule()
    back = D3(ELEMENTS[::-1], "pbe", **PUBLISHED)
    turned = brute_force_graph(atoms._replace(species=[4 - s for s in atoms.species]), back.cutoff)
    torch.testing.assert_close(ForceField(back, ELEMENTS[::-1]).eval()(turned).forces, predict(atoms, "pbe").forces)


def test_the_switch_brings_the_published_energy_as_its_cutoff_grows():
    whole = float(predict(crystal(), "pbe", cutoff=30.0, cn_cutoff=20.0, truncation="plain").energy)
    away = [
        abs(float(predict(crystal(), "pbe", cutoff=c, cn_cutoff=0.7 * c, truncation="switched").energy) - whole)
        for c in (10.0, 20.0, 29.0)
    ]
    assert away[0] > away[1] > away[2]
    assert away[2] < 0.01 * abs(whole)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"atomic_numbers": [14, 110]},
            r"`atomic_numbers` must be within 1 to 103, got \[14, 110\]; D3 knows no others",
        ),
        ({"atomic_numbers": []}, r"`atomic_numbers` must be within 1 to 103, got \[\]"),
        ({"functional": "lda"}, r"`functional` must be one of \['b3lyp', .*\], got 'lda'; choose one, or give s8, a1"),
        ({"truncation": "shifted"}, r"`truncation` must be one of \['plain', 'switched'\], got 'shifted'; choose one"),
        ({"cn_cutoff": 20.0}, r"`cn_cutoff` must be within \(0, cutoff=15.0\], got 20.0; lower it"),
        ({"a1": -0.1}, r"`a1` must be finite and positive, got \[-0.1\]"),
    ],
)
def test_bad_arguments_get_a_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        D3(**{"atomic_numbers": [14], **arguments})
