"""Every pair potential against its pair style of LAMMPS, and every way to end one against LAMMPS's plain form."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from mdzoo.potentials import ForceField, PairTable, build
from tests.reference.engine import ask_lammps
from tests.structures import Structure, brute_force_graph

CUTOFF = 5.0
CLOSE = 1e-10  # of the largest value


class Case(NamedTuple):
    table: dict  # of the member, for two species
    style: str  # of LAMMPS; what stands in braces is the cutoff
    pairs: list[str]  # coefficients of the pairs 1 1, 1 2, 2 2; one that is missing is left to LAMMPS to mix


def lj(mixing: str, n: int = 12) -> Case:
    style, rule = "lj/cut {}" if n == 12 else "lj96/cut {}", f"pair_modify mix {mixing}"
    table = {"name": "LennardJones", "epsilon": [0.1, 0.3], "sigma": [2.0, 2.6], "n": n, "mixing": mixing}
    return Case(table, style, ["0.1 2.0", rule, "0.3 2.6"])


def symmetric(a: float, b: float, c: float) -> list[list[float]]:
    return [[a, b], [b, c]]


BORN = {"A": symmetric(0.3, 0.2, 0.15), "rho": symmetric(0.317, 0.32, 0.33), "sigma": symmetric(2.3, 2.7, 3.1)}
BORN |= {"C": symmetric(1.0, 7.0, 70.0), "D": symmetric(-0.5, -8.7, -145.0)}
CASES = {
    "lj arithmetic": lj("arithmetic"),
    "lj geometric": lj("geometric"),
    "lj sixthpower": lj("sixthpower"),
    "lj96 sixthpower": lj("sixthpower", 9),
    "lj one pair given": Case(
        {"name": "LennardJones", "epsilon": symmetric(0.1, 0.2, 0.3), "sigma": [[2.0, None], [None, 2.2]]},
        "lj/cut {}",
        ["0.1 2.0", "0.2 2.1", "0.3 2.2"],
    ),
    "mie": Case(
        {"name": "Mie", "epsilon": [0.1, 0.3], "sigma": [2, 2.6], "n": [14, 10], "m": [7, 5.5], "mixing": "geometric"},
        "mie/cut {}",
        ["0.1 2.0 14 7", "pair_modify mix geometric", "0.3 2.6 10 5.5"],
    ),
    "buckingham": Case(
        {"name": "Buckingham", "A": symmetric(900, 700, 2000), "rho": symmetric(0.3, 0.33, 0.2), "C": [[9, 0], [0, 4]]},
        "buck {}",
        ["900 0.3 9", "700 0.33 0", "2000 0.2 4"],
    ),
    "born": Case(
        {"name": "BornMayerHuggins", **BORN},
        "born {}",
        ["0.3 0.317 2.3 1.0 -0.5", "0.2 0.32 2.7 7.0 -8.7", "0.15 0.33 3.1 70.0 -145.0"],
    ),
    "morse": Case(
        {"name": "Morse", "D": symmetric(0.3, 0.2, 0.5), "alpha": symmetric(1.3, 1.5, 1.1), "r0": symmetric(2, 2.5, 3)},
        "morse {}",
        ["0.3 1.3 2", "0.2 1.5 2.5", "0.5 1.1 3"],
    ),
    "yukawa": Case(
        {"name": "Yukawa", "A": symmetric(14.4, -14.4, 7.0), "kappa": 0.7},
        "yukawa 0.7 {}",
        ["14.4", "-14.4", "7.0"],
    ),
}  # fmt: skip


def commands(case: Case, cutoff: float, shift: bool = False) -> list[str]:
    lines = [f"pair_style {case.style.format(cutoff)}"]
    for pair, words in zip(("1 1", "1 2", "2 2"), case.pairs, strict=True):
        lines.append(words if words.startswith("pair_modify") else f"pair_coeff {pair} {words}")
    lines.sort(key=lambda line: line.startswith("pair_coeff"))  # a rule has to stand before what it mixes
    return [*lines[:1], "pair_modify shift yes", *lines[1:]] if shift else lines


def model(table: dict, truncation: str = "plain", cutoff: float = CUTOFF) -> ForceField:
    return ForceField(build({**table, "cutoff": cutoff, "truncation": truncation, "n_species": 2}), [18, 36]).eval()


def cluster(rng) -> Structure:
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3), -1).reshape(-1, 3)[:20]
    positions = 1.9 * grid + rng.uniform(0.0, 0.5, (20, 3))
    return Structure([i % 2 for i in range(20)], positions, np.zeros((3, 3)), (False,) * 3)


def box(rng) -> Structure:
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3), -1).reshape(-1, 3)
    positions = grid * np.array([2.2, 2.3, 2.4]) + rng.uniform(0.0, 0.4, (27, 3))
    return Structure([i % 2 for i in range(27)], positions, np.diag([6.6, 6.9, 7.2]), (True,) * 3)


def check(found, expected, virial=True):
    assert float(found.energy) == pytest.approx(expected.energy, rel=CLOSE)
    pairs = [(found.forces, expected.forces), (found.virial[0], expected.virial)][: 1 + virial]
    for mine, theirs in pairs:
        np.testing.assert_allclose(mine.numpy(), theirs, rtol=0.0, atol=CLOSE * np.abs(theirs).max())


@pytest.mark.parametrize("structure", [cluster, box])
@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_energies_forces_and_virial_are_those_of_lammps(name, shift, structure, rng):
    atoms = structure(rng)
    expected = ask_lammps(atoms, commands(CASES[name], CUTOFF, shift), 2)
    found = model(CASES[name].table, "shifted" if shift else "plain")(brute_force_graph(atoms, CUTOFF))
    check(found, expected)


@pytest.mark.parametrize("structure", [cluster, box])
def test_force_shifted_is_lj_smooth_linear_of_lammps(structure, rng):
    atoms = structure(rng)
    expected = ask_lammps(atoms, commands(lj("arithmetic")._replace(style="lj/smooth/linear {}"), CUTOFF), 2)
    check(model(lj("arithmetic").table, "force_shifted")(brute_force_graph(atoms, CUTOFF)), expected)


def switch(r: float, onset: float) -> tuple[float, float]:
    """The quintic switch and its slope, from the density 30 t^2 (1 - t)^2 whose integral it is."""
    t = min(max((r - onset) / (CUTOFF - onset), 0.0), 1.0)
    return 1.0 - quad(lambda x: 30.0 * (x - x * x) ** 2, 0.0, t)[0], -30.0 * (t - t * t) ** 2 / (CUTOFF - onset)


def ended(truncation: str, r: float, phi, last) -> tuple[float, float]:
    """phi and its derivative as a truncation leaves them; `phi` and `last` are those pairs of LAMMPS at r and rc."""
    if truncation == "force_shifted":
        return phi[0] - last[0] - (r - CUTOFF) * last[1], phi[1] - last[1]
    s, slope = switch(r, 0.8 * CUTOFF)
    return phi[0] * s, phi[1] * s + phi[0] * slope


def pair_of_lammps(case: Case, r: float) -> tuple[float, float]:
    atoms = Structure([0, 1], np.array([[0.0, 0.0, 0.0], [r, 0.0, 0.0]]), np.zeros((3, 3)), (False,) * 3)
    answer = ask_lammps(atoms, commands(case, CUTOFF + 1.0), 2)
    return answer.energy, -answer.forces[1, 0]


@pytest.mark.parametrize("name", ["lj96 sixthpower", "mie", "buckingham", "born", "morse", "yukawa"])
def test_every_truncation_of_every_member_is_made_of_the_plain_form_of_lammps(name):
    last = pair_of_lammps(CASES[name], CUTOFF)
    for r in (2.0, 3.9, 4.3, 4.9):
        phi = pair_of_lammps(CASES[name], r)
        atoms = Structure([0, 1], np.array([[0.0, 0.0, 0.0], [r, 0.0, 0.0]]), np.zeros((3, 3)), (False,) * 3)
        for truncation in ("force_shifted", "switched"):
            found = model(CASES[name].table, truncation)(brute_force_graph(atoms, CUTOFF))
            energy, slope = ended(truncation, r, phi, last)
            scale = max(abs(phi[0]), abs(phi[1]))
            assert float(found.energy) == pytest.approx(energy, abs=CLOSE * scale), (truncation, r)
            assert float(found.forces[1, 0]) == pytest.approx(-slope, abs=CLOSE * scale), (truncation, r)


def test_exponents_of_mie_at_12_and_6_are_lennard_jones(rng):
    graph = brute_force_graph(box(rng), CUTOFF)
    sizes = {"epsilon": [0.1, 0.3], "sigma": [2.0, 2.6]}
    mie, twelve_six = (model({"name": name, **sizes})(graph) for name in ("Mie", "LennardJones"))
    torch.testing.assert_close(mie.forces, twelve_six.forces, rtol=0.0, atol=1e-11 * float(mie.forces.abs().max()))


def written(path, table: PairTable, n: int) -> None:
    """A file of pair_style table with n lines, even in r^2, of one kind of pair."""
    r = torch.linspace(table.inner**2, table.cutoff**2, n, dtype=torch.float64).sqrt().requires_grad_()
    zero = torch.zeros(n, dtype=torch.int64)
    phi = table.pair_energy(r, zero, zero)
    (slope,) = torch.autograd.grad(phi.sum(), r)
    columns = zip(*(x.tolist() for x in (r, phi, -slope)), strict=True)
    lines = [f"{i + 1} {a!r} {b!r} {c!r}" for i, (a, b, c) in enumerate(columns)]
    path.write_text("\n".join(["# a test", "", "PAIR", f"N {n} RSQ {table.inner} {table.cutoff}", "", *lines, ""]))


VALUES = np.random.default_rng(1).normal(size=40) * np.linspace(2.0, 0.2, 40)


@pytest.mark.parametrize("kind", ["spline", "linear"])
def test_tables_have_the_energies_of_lammps_for_knots_even_in_the_square(kind, rng, tmp_path):
    slopes = [[-3.0, 0.4]] if kind == "spline" else None
    table = PairTable(VALUES, 1.0, CUTOFF, None, "r2", kind, slopes, "plain")
    written(tmp_path / "pair.table", table, 40)
    atoms = cluster(rng)._replace(species=[0] * 20)
    words = [f"pair_style table {kind} 40", f"pair_coeff 1 1 {tmp_path / 'pair.table'} PAIR {CUTOFF}"]
    expected = ask_lammps(atoms, words, 1)
    found = ForceField(table, [18]).eval()(brute_force_graph(atoms, CUTOFF))
    assert float(found.energy) == pytest.approx(expected.energy, rel=CLOSE)


@pytest.mark.parametrize("spacing", ["r", "r2"])
def test_a_fine_table_of_lammps_has_the_forces_too(spacing, rng, tmp_path):
    """Its forces have their own spline: with 100001 lines the two differ by h^3, h = 2.4e-4 Angstrom^2."""
    table = PairTable(VALUES[::4], 1.0, CUTOFF, spacing=spacing, truncation="plain")
    written(tmp_path / "pair.table", table, 100001)
    words = ["pair_style table spline 100001", f"pair_coeff 1 1 {tmp_path / 'pair.table'} PAIR {CUTOFF}"]
    atoms = box(rng)._replace(species=[0] * 27)
    check(ForceField(table, [18]).eval()(brute_force_graph(atoms, CUTOFF)), ask_lammps(atoms, words, 1))


def test_a_table_goes_on_along_its_slope_below_the_first_knot():
    table = PairTable(VALUES, 1.0, CUTOFF)
    r, zero = torch.tensor([0.5, 0.75, 1.0, 1.0 + 1e-6], dtype=torch.float64), torch.zeros(4, dtype=torch.int64)
    a, b, c, d = table.pair_energy(r, zero, zero).tolist()
    assert b - a == pytest.approx(c - b, rel=1e-12)
    assert (d - c) / 1e-6 == pytest.approx((c - b) / 0.25, rel=1e-4)


def test_one_number_is_a_flat_table_for_every_pair_and_trains():
    table = PairTable(0.5, 1.0, CUTOFF, n_knots=6, n_species=2, trainable=True)
    r, one = torch.tensor([2.345], dtype=torch.float64), torch.ones(1, dtype=torch.int64)
    assert float(table.pair_energy(r, 0 * one, one).detach()) == pytest.approx(0.5, abs=1e-15)
    assert table.c.raw.shape == (3 * 8,)


LJ = {"name": "LennardJones", "epsilon": 1, "sigma": 1}
KNOTS = {"name": "PairTable", "values": 1, "n_knots": 4, "inner": 1}
EXP6 = {"name": "Buckingham", "A": 1, "rho": 1, "C": 1}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"name": "Morse", "D": 1, "alpha": 1, "r0": [2, 3]},
            r"`r0` must be given for the pair of species 0-1, got \[2, 3\]; give every pair, for there is no rule",
        ),
        (EXP6 | {"A": [[1, None], [None, 1]]}, r"`A` must be given for the pair of species 0-1, got \[\[1, None\]"),
        (EXP6 | {"rho": 0}, r"`rho` must be positive and finite, got .*; leave out what does not act"),
        (EXP6 | {"A": -1}, r"`A` must be finite and positive, got .*; correct it or give `bounds`"),
        (
            LJ | {"epsilon": [1, 2], "mixing": "none"},
            r"`epsilon` must be given for the pair of species 0-1, got \[1, 2\]",
        ),
        (LJ | {"mixing": "mean"}, r"`mixing` must be one of \['arithmetic', .*\], got 'mean'; choose one"),
        (LJ | {"n": 10}, r"`n` must be 12 or 9, got 10; empirical=mie takes any exponents"),
        (LJ | {"truncation": "cut"}, r"`truncation` must be one of \['plain', 'shifted', .*\], got 'cut'; choose one"),
        (
            LJ | {"name": "Mie", "n": 6, "m": 6},
            r"`n` must be larger than `m`, got .*; n is the exponent of the repulsion",
        ),
        (
            KNOTS | {"values": [[1, 2, 3, 4]]},
            r"`values` must be four or more finite numbers for each of 3 pairs of species, or one number beside "
            r"`n_knots`, got an array of shape \[1, 4\] and n_knots=4; give one row for each pair",
        ),
        (KNOTS | {"inner": 5}, r"`inner` must be within \[0, cutoff=5.0\), got 5.0; begin below the cutoff"),
        (KNOTS | {"spacing": "log"}, r"`spacing` must be one of \['r', 'r2'\], got 'log'; choose one"),
        (
            KNOTS | {"slopes": [0, 1]},
            r"`slopes` must be two numbers for each of 3 pairs of species, got \[0, 1\]; give",
        ),
    ],
)
def test_bad_arguments_get_a_clear_error(table, message):
    with pytest.raises(ValueError, match=message):
        build({"cutoff": 5.0, "n_species": 2, **table})
