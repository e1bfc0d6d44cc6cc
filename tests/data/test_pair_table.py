"""Files of `pair_style table`: read, they give the energies that LAMMPS has for them."""

import numpy as np
import pytest

from mdzoo.data.parameter_files.pair_table import read_pair_table
from mdzoo.potentials import ForceField, PairTable
from tests.reference.engine import ask_lammps
from tests.structures import Structure, brute_force_graph

LOW, HIGH, N = 1.5, 5.0, 30


def section(name: str, depth: float, spacing: str = "RSQ", n: int = N) -> str:
    r = np.sqrt(np.linspace(LOW**2, HIGH**2, n)) if spacing == "RSQ" else np.linspace(LOW, HIGH, n)
    energy, force = depth * np.exp(-r) * np.cos(2.0 * r), depth * np.exp(-r) * (np.cos(2.0 * r) + 2.0 * np.sin(2.0 * r))
    rows = [f"{k + 1} {a!r} {b!r} {c!r}" for k, (a, b, c) in enumerate(np.stack([r, energy, force], 1).tolist())]
    return "\n".join([name, f"N {n} {spacing} {LOW} {HIGH}", "", *rows, "", ""])


def written(folder, *texts):
    path = folder / "pair.table"
    path.write_text("# UNITS: metal\n\n" + "".join(texts))
    return path


def test_a_file_of_two_elements_is_that_of_lammps(tmp_path, rng):
    path = written(tmp_path, section("Ar-Ar", 3.0), section("Kr_Ar", 5.0), section("PAIR_1_1", -2.0))
    table = PairTable(**read_pair_table(path, ["Ar", "Kr"]), n_species=2)
    grid = np.stack(np.meshgrid(*[np.arange(2)] * 3), -1).reshape(-1, 3)
    atoms = Structure([0, 1] * 4, 2.2 * grid + rng.uniform(0.0, 0.5, (8, 3)), np.zeros((3, 3)), (False,) * 3)
    names = {"1 1": "Ar-Ar", "1 2": "Kr_Ar", "2 2": "PAIR_1_1"}
    words = [f"pair_coeff {types} {path} {name} {HIGH}" for types, name in names.items()]
    expected = ask_lammps(atoms, [f"pair_style table spline {N}", *words], 2)
    found = ForceField(table, [18, 36]).eval()(brute_force_graph(atoms, HIGH))
    assert float(found.energy) == pytest.approx(expected.energy, rel=1e-10)
    np.testing.assert_allclose(found.forces.numpy(), expected.forces, atol=0.02 * np.abs(expected.forces).max(), rtol=0)


def test_one_section_may_have_any_name(tmp_path):
    table = read_pair_table(written(tmp_path, section("FITTED", 1.0, "R")), ["Si"])
    assert (table["spacing"], table["inner"], table["cutoff"]) == ("r", LOW, HIGH)
    assert np.shape(table["values"]) == (1, N)
    assert np.shape(table["slopes"]) == (1, 2)


@pytest.mark.parametrize(
    ("texts", "elements", "message"),
    [
        (
            [section("Ar-Ar", 1.0), section("Kr-Kr", 1.0)],
            ["Ar", "Kr"],
            r"`file` must hold a section for the pair Ar-Kr, got \['Ar-Ar', 'Kr-Kr'\] in .*; call one Ar-Kr",
        ),
        (
            [section("X", 1.0)[:-40]],
            ["Ar"],
            r"`file` must hold 30 lines of index, .* section X, got \d+ in .*breaks off",
        ),
        (["X\nnothing\n"], ["Ar"], r"`file` must hold N lines of index, .* section X, got 0 in"),
        (
            [section("X", 1.0).replace("RSQ", "BITMAP")],
            ["Ar"],
            r"`file` must have even knots, R or RSQ .* got N 30 BIT",
        ),
        (
            [section("Ar-Ar", 1.0), section("Ar-Kr", 1.0, n=31), section("Kr-Kr", 1.0)],
            ["Ar", "Kr"],
            r"`file` must have the same knots for every pair, got .*; rewrite it",
        ),
    ],
)
def test_bad_files_get_a_clear_error(tmp_path, texts, elements, message):
    with pytest.raises(ValueError, match=message):
        read_pair_table(written(tmp_path, *texts), elements)
