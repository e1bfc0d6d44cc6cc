"""Sums over all images against Madelung's constants of seven crystals, LAMMPS, and plain sums over images.

Constants of Madelung, per formula and in units of 1/a, a the edge of the cube: rock salt 2 x 1.7475645946331822, CsCl
1.7626747730709866 x 2/sqrt(3), zinc blende 1.6380550533887894 x 4/sqrt(3) (Crandall and Buhler, DOI
10.1088/0305-4470/20/16/024; Sakamoto, DOI 10.1063/1.1744060), and the simple cubic lattice of point charges in a
uniform background 2.8372974794806193 (Nijboer and Ruijgrok, DOI 10.1007/BF01011562). The potentials of the cubic
lattices at one another's places follow from these four, and with them fluorite, cuprite and perovskite. Ideal wurtzite:
1.64132162737 per nearest distance (Johnson and Templeton, DOI 10.1063/1.1731729, give 1.641).
"""

import numpy as np
import pytest
import torch

from mdzoo.potentials import Buckingham, CoulombEwald, ForceField, SumPotential, build
from mdzoo.potentials.ewald_sum import EwaldSum
from mdzoo.potentials.global_coulomb import scaled_pairs
from mdzoo.testing import check_gradients
from tests.reference.engine import ask_lammps
from tests.reference.test_coulomb import POLYNOMIAL, agree
from tests.structures import Structure, brute_force_graph, crystal, molecule, slab

K = 14.3996454784255
NACL, CSCL, ZNS = 2 * 1.7475645946331822, 1.7626747730709866 * 2 / 3**0.5, 1.6380550533887894 * 4 / 3**0.5
CUBIC = 2.8372974794806193

FCC = [[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]
CUBE = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
HEXAGON = [[1.0, 0.0, 0.0], [-0.5, 0.75**0.5, 0.0], [0.0, 0.0, (8 / 3) ** 0.5]]
QUARTERS = [[0.25, 0.25, 0.25], [0.25, 0.75, 0.75], [0.75, 0.25, 0.75], [0.75, 0.75, 0.25]]
FACES = [[0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]]
CENTER = [0.5, 0.5, 0.5]
WURTZITE = [[1 / 3, 2 / 3, 0.0], [2 / 3, 1 / 3, 0.5], [1 / 3, 2 / 3, 0.375], [2 / 3, 1 / 3, 0.875]]
CRYSTALS = {  # cell, fractions, charges, formulas, energy of a formula in units of -k/a
    "rock salt": (FCC, [[0.0] * 3, CENTER], [1, -1], 1, NACL),
    "CsCl": (CUBE, [[0.0] * 3, CENTER], [1, -1], 1, CSCL),
    "zinc blende": (FCC, [[0.0] * 3, [0.25] * 3], [1, -1], 1, ZNS),
    "wurtzite": (HEXAGON, WURTZITE, [1, 1, -1, -1], 2, 1.64132162737 * (8 / 3) ** 0.5),
    "fluorite": (FCC, [[0.0] * 3, [0.25] * 3, [0.75] * 3], [2, -1, -1], 1, 4 * ZNS - NACL),
    "cuprite": (
        CUBE,
        [[0.0] * 3, CENTER, *QUARTERS],
        [-2, -2, 1, 1, 1, 1],
        2,
        3 * CUBIC - 2 * CSCL + 2 * ZNS - NACL / 2,
    ),
    "perovskite": (CUBE, [[0.0] * 3, CENTER, *FACES], [2, 4, -2, -2, -2], 1, 24 * CUBIC - 16 * CSCL + 4 * NACL),
}


def structure_of(name: str, a: float) -> tuple[Structure, list[float]]:
    cell, fractions, charges, _, _ = CRYSTALS[name]
    kinds = sorted(set(charges))
    species = [kinds.index(q) for q in charges]
    return Structure(species, a * np.array(fractions) @ np.array(cell), a * np.array(cell), (True,) * 3), kinds


@pytest.mark.parametrize("a", [3.0, 5.5])
@pytest.mark.parametrize("name", CRYSTALS)
@pytest.mark.parametrize("kind", ["CoulombEwald"])
def test_madelungs_constants_of_seven_crystals(kind, name, a):
    structure, charges = structure_of(name, a)
    table = {"name": kind, "cutoff": 5, "accuracy": 1e-11, "charges": charges, "n_species": len(charges)}
    model = ForceField(build(table), range(1, 1 + len(charges))).eval()
    found = model(brute_force_graph(structure, 5.0))
    *_, formulas, expected = CRYSTALS[name]
    assert -float(found.energy) * a / K / formulas == pytest.approx(expected, abs=1e-8)
    assert float(found.forces.abs().max()) < 1e-7 or name == "wurtzite", "its axis is polar"
    assert float(found.virial.diagonal(dim1=1, dim2=2).sum()) == pytest.approx(float(found.energy), abs=1e-7)


def ions(kind: str, rng) -> Structure:
    """Sixteen ions, half of them of either sign, in a cell; no two nearer than 1.5 Angstrom."""
    cell = np.diag([8.0, 9.0, 7.5]) if kind == "box" else np.array([[8.0, 0.0, 0.0], [2.5, 8.5, 0.0], [-1.5, 3.0, 7.0]])
    grid = np.stack(np.meshgrid([0, 0.25, 0.5, 0.75], [0.0, 0.5], [0.0, 0.5]), -1).reshape(-1, 3)
    positions = grid @ cell + rng.uniform(-0.2, 0.2, (16, 3))
    return Structure([i % 2 for i in range(16)], positions, cell, (True,) * 3)


@pytest.mark.parametrize("kind", ["box", "skewed"])
def test_energies_forces_and_virial_are_those_of_lammps(rng, kind):
    """Buckingham and Coulomb as two terms, beside LAMMPS's `buck/coul/long` without its table."""
    structure, charges = ions(kind, rng), [1.2, -1.2]
    pair = ["pair_style buck/coul/long 7.0", "pair_coeff * * 1388.7 0.3623 175.0", "pair_modify table 0"]
    command = [*pair, "kspace_style ewald 1e-10"]
    expected = ask_lammps(structure, command, 2, [charges[s] for s in structure.species])
    coulomb = CoulombEwald(6.0, 1e-10, charges, 2, constants="lammps_metal")
    potential = SumPotential([Buckingham(1388.7, 0.3623, 175.0, 7.0, "plain", n_species=2), coulomb])
    agree(ForceField(potential, [11, 17]).eval()(brute_force_graph(structure, 7.0)), expected, POLYNOMIAL)


@pytest.mark.parametrize("build", [crystal, slab])
def test_the_split_between_pairs_and_waves_does_not_matter(build):
    structure = build(2)
    found = []
    for cutoff in (3.0, 5.0, 9.0):
        potential = CoulombEwald(cutoff, 1e-12, [1, -2], 2, neutral=True)
        found.append(ForceField(potential, [11, 17]).eval()(brute_force_graph(structure, cutoff)))
    for one in found[1:]:
        torch.testing.assert_close(one.energies, found[0].energies, rtol=0, atol=1e-9)
        torch.testing.assert_close(one.forces, found[0].forces, rtol=0, atol=1e-9)
        torch.testing.assert_close(one.virial, found[0].virial, rtol=0, atol=1e-9)


def test_a_slab_is_the_limit_of_ever_larger_patches():
    """A polar slab of four ions: patches of (2 n + 1)^2 cells around it, whose energies converge as 1/n^3."""
    cell = np.array([[4.0, 0.3, 0.0], [-0.5, 4.4, 0.0], [0.0, 0.0, 9.0]])
    positions = np.array([[0.1, 0.2, 0.0], [2.0, 2.2, 0.9], [2.1, 0.1, 2.2], [0.2, 2.3, 3.0]])
    q = np.array([1.0, 1.0, -1.0, -1.0])
    structure = Structure([0, 0, 1, 1], positions, cell, (True, True, False))
    potential = CoulombEwald(6.0, 1e-10, [1.0, -1.0], 2)
    found = float(ForceField(potential, [11, 17]).eval()(brute_force_graph(structure, 6.0)).energy)

    def patch(n: int) -> float:
        shifts = np.stack(np.meshgrid(range(-n, n + 1), range(-n, n + 1)), -1).reshape(-1, 2) @ cell[:2]
        apart = positions[None, None] + shifts[:, None, None] - positions[None, :, None]
        r = np.linalg.norm(apart, axis=-1)
        return 0.5 * K * float(np.where(r > 0, q[:, None] * q / np.where(r > 0, r, 1.0), 0.0).sum())

    ns = np.array([60, 90, 130, 180])
    energies = np.array([patch(n) for n in ns])
    x = 1.0 / (ns + 0.5)
    limit = np.linalg.solve(np.stack([x**0, x, x**3, x**5], 1), energies)[0]  # a dipole's images fall off as 1/n
    assert found == pytest.approx(limit, abs=1e-6)


def test_molecules_are_all_pairs_whatever_the_cutoff():
    structure = molecule(2)
    q = np.array([[1.0, -2.0][s] for s in structure.species])
    r = np.linalg.norm(structure.positions[:, None] - structure.positions, axis=-1) + np.diag([np.inf] * 5)
    found = ForceField(CoulombEwald(2.0, 1e-6, [1, -2], 2), [11, 17]).eval()(brute_force_graph(structure, 2.0))
    assert float(found.energy) == pytest.approx(0.5 * K * float((q[:, None] * q / r).sum()), rel=1e-13)


@pytest.mark.parametrize("build", [crystal, slab])
def test_pairs_of_a_topology_are_left_out_or_scaled(build):
    """What is left is what the pair's own 1/r leaves, and its slopes are right."""
    structure = build(2)
    graph = brute_force_graph(structure, 6.0)
    edges = torch.tensor([0, 5])
    i, j = graph.centers[edges], graph.neighbors[edges]
    q = torch.tensor([1.0, -2.0], dtype=torch.float64)[graph.species]
    r = torch.linalg.vector_norm(graph.vectors[edges], dim=1)
    added = scaled_pairs(K, q, i, j, r, torch.tensor([0.0, 0.75], dtype=torch.float64))
    expected = -K * (q[i] * q[j] / r * torch.tensor([1.0, 0.25], dtype=torch.float64)).sum()
    assert float(added.sum()) == pytest.approx(float(expected))
    assert added.shape == q.shape


def test_forces_of_data_with_rounded_charges_are_derivatives_too():
    graph = brute_force_graph(crystal(2), 4.3)
    charges = torch.tensor([0.5, -0.5, 0.5, -0.499], dtype=torch.float64)
    check_gradients(CoulombEwald(4.0, 1e-11), graph._replace(charges=charges))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cutoff": -1}, "`cutoff` must be positive and finite .*, got -1.0; 6 to 10 is usual"),
        ({"accuracy": 1}, r"`accuracy` must be within \[1e-15, 1e-2\], got 1.0; 1e-6 suits dynamics"),
    ],
)
def test_bad_arguments_get_a_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        EwaldSum(**{"cutoff": 6.0, "accuracy": 1e-6, **arguments})


@pytest.mark.parametrize("build", [crystal, slab])
def test_a_charged_periodic_structure_gets_a_clear_error(build):
    graph = brute_force_graph(build(2), 4.0)
    model = ForceField(CoulombEwald(4.0, 1e-6, [1.0, 0.5], 2), [11, 17]).eval()
    message = (
        r"`charges` must sum to zero in a periodic cell, got \d\.\d+ e \(absolute\) in structure 0 of the batch; corr"
    )
    with pytest.raises(ValueError, match=message):
        model(graph)


def test_a_wire_gets_a_clear_error():
    structure = crystal(2)._replace(pbc=(True, False, False))
    model = ForceField(CoulombEwald(4.0, 1e-6, [1.0, -1.0], 2), [11, 17]).eval()
    with pytest.raises(ValueError, match="`pbc` must be periodic along three or two directions or along none, got one"):
        model(brute_force_graph(structure, 4.0))
