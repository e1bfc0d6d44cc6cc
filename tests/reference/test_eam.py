"""EAM against LAMMPS's pair styles eam, eam/alloy and eam/fs, and FinnisSinclair against the metals of its paper."""

import numpy as np
import pytest
import torch

from mdzoo.data.parameter_files.eam import read_eam
from mdzoo.potentials import EAM, FinnisSinclair, ForceField
from mdzoo.potentials.eam import coefficients
from tests.reference.many_body import FCC, check_against_lammps, potential_file, strained
from tests.structures import Structure, brute_force_graph

BCC = 0.5 * np.array([[-1.0, 1.0, 1.0], [1.0, -1.0, 1.0], [1.0, 1.0, -1.0]])


def force_field(arguments: dict, n_species: int) -> ForceField:
    return ForceField(EAM(**arguments, n_species=n_species), list(range(1, n_species + 1)))


@pytest.mark.parametrize(
    ("style", "name", "elements", "lattice"),
    [
        ("eam/alloy", "NiAlH_jea.eam.alloy", ["Al", "Ni"], 3.7),
        ("eam/alloy", "AlCu.eam.alloy", ["Cu", "Al"], 3.8),
        ("eam/alloy", "Cu_mishin1.eam.alloy", ["Cu"], 3.6),
        ("eam/fs", "NiAlH_jea.eam.fs", ["H", "Ni", "Al"], 3.6),
        ("eam/fs", "AlFe_mm.eam.fs", ["Fe", "Al"], 3.8),
    ],
)
def test_setfl_and_fs_files_are_read_as_lammps_does(rng, style, name, elements, lattice):
    path, n = potential_file(name), len(elements)
    commands = [f"pair_style {style}", f"pair_coeff * * {path} {' '.join(elements)}"]
    model = force_field(read_eam(path, elements), n)
    check_against_lammps(model, strained(rng, n, lattice, FCC), commands, 1e-12)


@pytest.mark.parametrize("elements", [["Cu"], ["Ni", "Au", "Pd"]])
def test_funcfl_files_are_brought_to_one_grid_as_lammps_does(rng, elements):
    names = {"Cu": "Cu_u3.eam", "Ni": "Ni_smf7.eam", "Au": "Au_u3.eam", "Pd": "Pd_u3.eam"}
    paths, n = [potential_file(names[element]) for element in elements], len(elements)
    commands = ["pair_style eam", *(f"pair_coeff {k} {k} {path}" for k, path in enumerate(paths, 1))]
    model = force_field(read_eam(paths[::-1], elements), n)
    check_against_lammps(model, strained(rng, n, 3.8, FCC), commands, 1e-12)


def test_beyond_the_last_density_energy_goes_on_as_in_lammps(rng):
    path = potential_file("Cu_mishin1.eam.alloy")
    model = force_field(read_eam(path, ["Cu"]), 1)
    structure = strained(rng, 1, 2.6, FCC)
    graph, commands = brute_force_graph(structure, 5.6), ["pair_style eam/alloy", f"pair_coeff * * {path} Cu"]
    rho = model.potential.density(graph, torch.linalg.vector_norm(graph.vectors, dim=1))
    assert float(rho.min()) > 1.64  # the last of the file, 10000 steps of 0.000164
    check_against_lammps(model, structure, commands, 1e-12)


def test_a_cubic_comes_back_exactly():
    """Differences of four neighbours are exact slopes of a cubic, so the spline is the cubic, but for its ends."""
    x = torch.arange(12, dtype=torch.float64)
    values = (0.3 * x**3 - x**2 + 2.0 * x - 5.0).unsqueeze(0)
    constant, *_ = coefficients(values)[0].T
    middle, at = coefficients(values)[0, 2:9], (x[2:9] + 0.4)
    found = middle @ torch.tensor([1.0, 0.4, 0.16, 0.064], dtype=torch.float64)
    torch.testing.assert_close(found, 0.3 * at**3 - at**2 + 2.0 * at - 5.0)
    torch.testing.assert_close(constant, values[0])


METALS = {  # A, d, beta, c, c0, c1, c2; lattice constant (Angstrom) and cohesive energy (eV), tables 1 and 2 there
    "Mo": ((1.887117, 4.114825, 0.0, 3.25, 43.4475218, -31.9332978, 6.0804249), 3.1472, 6.82),
    "W": ((1.896373, 4.400224, 0.0, 3.25, 47.1346499, -33.7665655, 6.2541999), 3.1652, 8.90),
    "Fe": ((1.828905, 3.569745, 1.8, 3.40, 1.2371147, -0.3592185, -0.0385607), 2.8665, 4.28),
}


@pytest.mark.parametrize("metal", METALS)
def test_cohesive_energies_and_lattice_constants_of_the_paper(metal):
    numbers, lattice, energy = METALS[metal]
    model = ForceField(FinnisSinclair(*numbers), [1]).eval()
    found = model(brute_force_graph(Structure([0], np.zeros((1, 3)), lattice * BCC, (True,) * 3), model.cutoff))
    assert float(found.energy) == pytest.approx(-energy, abs=2e-3)
    pressure = found.virial.diagonal(dim1=1, dim2=2).mean() / (0.5 * lattice**3)
    assert abs(float(pressure)) < 1e-4  # eV/Angstrom^3: 0.016 GPa


def test_the_tables_of_eam_follow_the_formula():
    """EAM's default tables are Finnis and Sinclair's molybdenum: dense ones give its energy and forces."""
    table, formula = EAM(d_r=0.002, d_rho=0.01), FinnisSinclair()
    structure = strained(np.random.default_rng(0), 1, 4.0, FCC)
    one, other = (ForceField(p, [42]).eval()(brute_force_graph(structure, 4.3)) for p in (table, formula))
    torch.testing.assert_close(one.energy, other.energy, rtol=1e-7, atol=0.0)
    torch.testing.assert_close(one.forces, other.forces, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"F": [[0.0] * 9]}, r"`f` must be 1 rows of one length, at least 5, got shape \[0\]; give one row"),
        ({"F": [[0.0] * 4], "f": 1, "rphi": 1}, r"`F` must be 1 rows of one length, at least 5, got shape \[1, 4\]"),
        (
            {"F": [[0.0] * 9], "f": [[0.0] * 9], "rphi": [[0.0] * 8]},
            r"`f` and `rphi` must have rows of one length that reach the cutoff 4.3, got 9 and 8 values, 0.05 Angstrom",
        ),
    ],
)
def test_bad_tables_get_a_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        EAM(**arguments)


def test_bad_files_get_a_clear_error(tmp_path):
    setfl, funcfl = potential_file("CuNi.eam.alloy"), potential_file("Cu_u3.eam")
    cut = tmp_path / "cut"
    cut.write_text("\n".join(setfl.read_text().splitlines()[:-3]))
    short = tmp_path / "short"
    short.write_text("\n".join(funcfl.read_text().splitlines()[:-3]))
    cases = [
        (
            cut,
            ["Cu"],
            r"`file` must hold 3508 or 4508 words behind line 5, got .* in '.*cut'; it is cut, or of another kind",
        ),
        (short, ["Cu"], r"`file` must hold 1500 numbers behind line 3, got .* in '.*short'; it is cut"),
        (setfl, ["Al"], r"`file` must hold the elements \['Al'\], got none of \['Al'\] in .* knows \['Ni', 'Cu'\]"),
        ([funcfl], ["Cu", "Ni"], r"`file` must hold .*, got none with Z=28 in .*; name one funcfl file for each"),
        ([setfl, funcfl], ["Cu"], r"`file` must be one setfl or fs file, or funcfl files alone, got"),
        (potential_file("Si.sw"), ["Si"], r"`file` must hold elements in line 4 and five numbers in line 5"),
    ]
    for path, elements, message in cases:
        with pytest.raises(ValueError, match=message):
            read_eam(path, elements)
