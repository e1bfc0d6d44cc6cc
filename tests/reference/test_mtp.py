"""MTP against motep (MIT licence): counts of the published files, values, forces and stress, and files both ways."""

import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms

from mdzoo.basis.contraction import contractions
from mdzoo.cli import main
from mdzoo.data.parameter_files.mtp import read_mtp
from mdzoo.descriptors import MTP
from mdzoo.descriptors.moment_products import tables
from mdzoo.export.native.mtp import write_mtp
from mdzoo.potentials import ZBL, AtomicEnergies, DescriptorPotential, ForceField, SumPotential, build
from mdzoo.potentials.checkpoint import save
from mdzoo.potentials.published_mtp import mtp_potential
from mdzoo.regressors import MLP, Linear
from tests.structures import Structure, brute_force_graph, crystal, molecule

PUBLISHED = {  # level: scalars, basic moments of the untrained files of MLIP-2, as in the tests of motep
    2: (1, 1),
    4: (2, 1),
    6: (5, 5),
    8: (9, 11),
    10: (16, 25),
    12: (29, 46),
    14: (52, 81),
    16: (92, 130),
    18: (163, 201),
    20: (288, 295),
}

LEVEL_6 = """MTP
version = 1.1.0
potential_name = MTP1m
scaling = 7.5e-03
species_count = 1
potential_tag =
radial_basis_type = RBChebyshev
\tmin_dist = 5.0e-01
\tmax_dist = 5.0e+00
\tradial_basis_size = 3
\tradial_funcs_count = 2
\tradial_coeffs
\t\t0-0
\t\t\t{4.7e-01, -4.0e-01, 6.1e-01}
\t\t\t{-3.2e-01, 7.3e-01, -4.5e-01}
alpha_moments_count = 8
alpha_index_basic_count = 5
alpha_index_basic = {{0, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}, {1, 0, 0, 0}}
alpha_index_times_count = 5
alpha_index_times = {{0, 0, 1, 5}, {1, 1, 1, 6}, {2, 2, 1, 6}, {3, 3, 1, 6}, {0, 5, 1, 7}}
alpha_scalar_moments = 5
alpha_moment_mapping = {0, 4, 5, 6, 7}
"""
ENERGY = 8.747351948159586  # eV
FORCES = [  # eV/Angstrom, of the first two atoms
    [0.26363322542098505, 0.2990656393419991, 0.19591442624813962],
    [-0.37423604620234713, 0.01570170335648235, 0.11874569149580011],
]
TRAINED = "species_coeffs = {1.75}\nmoment_coeffs = {-1.5, 2.5, 3.5, -4.5, 0.5}\n"


def potential(level: int, n_species: int) -> DescriptorPotential:
    """Random coefficients of the size of trained ones."""
    torch.manual_seed(level + n_species)
    descriptor = MTP(5.0, n_species, level, min_dist=1.5, scaling=0.02)
    regressor = Linear(descriptor.n_features, n_species)
    with torch.no_grad():
        descriptor.radial_coefficients.uniform_(-1.0, 1.0)
        regressor.weights.copy_(torch.randn(descriptor.n_features))
        regressor.bias.normal_()
    return DescriptorPotential(descriptor, regressor)


def predict(model: DescriptorPotential, structure: Structure):
    return ForceField(model, range(1, 1 + model.descriptor.n_species)).eval()(brute_force_graph(structure, 5.0))


def ask_motep(path: Path, structure: Structure) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energies of the atoms, forces and virial."""
    io = pytest.importorskip("motep.io.mlip.mtp", reason="motep is not installed (pip install motep)")
    from motep.calculator import MTP as Calculator

    data = io.read_mtp(path)
    data.species = np.arange(1, int(data.species_count) + 1)
    atoms = Atoms(np.array(structure.species) + 1, structure.positions, cell=structure.cell, pbc=structure.pbc)
    atoms.calc = Calculator(data)
    virial = -atoms.get_stress(voigt=False) * atoms.get_volume()
    return atoms.get_potential_energies(), atoms.get_forces(), virial


def same(model: DescriptorPotential, path: Path, structure: Structure) -> None:
    energies, forces, virial = ask_motep(path, structure)
    found = predict(model, structure)
    np.testing.assert_allclose(found.energies.detach().numpy(), energies, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(found.forces.numpy(), forces, rtol=0.0, atol=1e-10 * np.abs(forces).max())
    np.testing.assert_allclose(found.virial[0].numpy(), virial, rtol=0.0, atol=1e-10 * np.abs(virial).max())


@pytest.mark.parametrize("level", PUBLISHED)
def test_counts_are_the_published_ones(level):
    found = contractions(level, 4)
    moments = {moment for scalar in found for moment in scalar.moments}
    assert (len(found), sum((nu + 1) * (nu + 2) // 2 for _, nu in moments)) == PUBLISHED[level]


@pytest.mark.parametrize("level", range(2, 22, 2))
def test_contractions_are_those_of_motep(level):
    pytest.importorskip("motep", reason="motep is not installed (pip install motep)")
    folder = resources.files("motep") / "potentials" / "mtp" / "jax" / "precomputed_moments"

    def moments(tree):
        return [tuple(tree[:2])] if not isinstance(tree[0], list) else moments(tree[0]) + moments(tree[1])

    theirs = [tuple(sorted(moments(t))) for t in json.loads((folder / f"moments_level{level}.json").read_text())]
    assert sorted(theirs) == sorted(scalar.moments for scalar in contractions(level, 4))


def test_no_more_products_than_the_published_files_ask_for():
    """Level 8: 14 products and 18 moments in the published file; level 16: 969 and 350."""
    for level, products, moments in ((8, 14, 18), (16, 969, 350)):
        plan = tables(level, 4)
        sums = [*plan.pairs, *(terms for _, terms in plan.sums)]
        assert sum(map(len, sums)) <= products
        assert len(plan.legs) + len(sums) <= moments


@pytest.mark.parametrize(("level", "n_species"), [(2, 1), (8, 1), (20, 1), (6, 2), (20, 2), (16, 4)])
def test_written_files_mean_the_same_to_motep(level, n_species, tmp_path):
    model = potential(level, n_species)
    write_mtp(tmp_path / "pot.mtp", model)
    same(model, tmp_path / "pot.mtp", crystal(n_species))


def test_files_of_motep_are_read(tmp_path):
    """Both of its forms; motep 0.2.0 cannot read its newer one back, so the answers are those to the older one."""
    io = pytest.importorskip("motep.io.mlip.mtp", reason="motep is not installed (pip install motep)")
    write_mtp(tmp_path / "mine.mtp", potential(12, 2))
    data = io.read_mtp(tmp_path / "mine.mtp")
    for legacy in (True, False):
        io.write_mtp(tmp_path / f"{legacy}.mtp", data, legacy=legacy)
        same(mtp_potential(read_mtp(tmp_path / f"{legacy}.mtp")), tmp_path / "True.mtp", crystal(2))


def test_a_file_with_the_products_of_mlip_2(tmp_path):
    """The contractions of the published level 6 file; energy and forces of motep 0.2.0 for `molecule()`."""
    path = tmp_path / "06.mtp"
    path.write_text(LEVEL_6 + TRAINED)
    found = predict(mtp_potential(read_mtp(path)), molecule())
    assert float(found.energy) == pytest.approx(ENERGY, rel=1e-12)
    np.testing.assert_allclose(found.forces.numpy()[:2], FORCES, rtol=0.0, atol=1e-12)


def test_an_untrained_file_has_no_weights(tmp_path):
    path = tmp_path / "06.mtp"
    path.write_text(LEVEL_6)
    model = mtp_potential(read_mtp(path))
    assert not model.regressor.weights.any()
    assert model.descriptor.n_features == 5


def test_written_and_read_back_it_is_the_same(tmp_path):
    model = potential(10, 2)
    write_mtp(tmp_path / "pot.mtp", SumPotential([AtomicEnergies([1.0, -2.0]), model]))
    back = mtp_potential(read_mtp(tmp_path / "pot.mtp"))
    assert torch.equal(back.descriptor.radial_coefficients, model.descriptor.radial_coefficients)
    assert torch.equal(back.regressor.weights, model.regressor.weights)
    torch.testing.assert_close(back.regressor.bias, model.regressor.bias + torch.tensor([1.0, -2.0]))


@pytest.mark.parametrize("rows", [1, 5])
def test_slopes_by_the_density_are_those_of_autograd(rows):
    """With one set of weights for all atoms, and with weights of each; in blocks of two atoms."""
    descriptor = MTP(level=12)
    descriptor.chunk = 2
    density = torch.randn(5, descriptor.n_channels, dtype=torch.float64, requires_grad=True)
    theta = torch.randn(rows, descriptor.n_features, dtype=torch.float64)
    energies, slopes = descriptor.fold(density.detach(), theta)
    expected = (descriptor.contract(density) * theta).sum(1)
    torch.testing.assert_close(energies, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(slopes, torch.autograd.grad(expected.sum(), density)[0], rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize(("level", "max_factors"), [(2, 4), (8, 4), (12, 3), (16, 4)])
def test_slopes_for_linear_fits_are_those_of_forward_mode(level, max_factors):
    mtp = MTP(level=level, max_factors=max_factors)
    density = torch.randn(5, mtp.n_channels, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = torch.func.vmap(torch.func.jacfwd(lambda a: mtp.contract(a[None])[0]))(density).mT
    (block,) = mtp.feature_slopes(density)
    torch.testing.assert_close(block.values, expected, rtol=0.0, atol=1e-13 * float(expected.abs().max()))


def test_features_of_a_lower_level_come_first():
    assert contractions(16, 4)[: len(contractions(10, 4))] == contractions(10, 4)
    assert MTP(level=8).labels()[5:] == ["M00 M10", "M02 M02 (2)", "M00 M01 M01 (0,0,1)", "M00 M00 M00 M00"]


def test_neighbours_of_other_species_differ_before_training():
    descriptor, one, other = MTP(n_species=2, level=6), molecule(2), molecule(2)
    other = other._replace(species=[other.species[0], *[1 - s for s in other.species[1:]]])
    first, second = (descriptor(brute_force_graph(s, 5.0))[0] for s in (one, other))
    assert ((first - second).abs() > 1e-3 * first.abs()).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": 7}, r"`level` must be even and within 2..28, got 7; 8 to 20 are common"),
        ({"max_factors": 5}, r"`max_factors` must be 1, 2, 3 or 4, got 5; the published files have 4"),
        ({"min_dist": 5.0}, r"`min_dist` must be within \[0, cutoff=5.0\) \(Angstrom\), got 5.0; give the shortest"),
        ({"radial_size": 3, "level": 20}, r"`radial_size` must be at least 5 .* got 3; 8 is common"),
    ],
)
def test_bad_arguments_get_a_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        MTP(**arguments)


def test_files_that_are_not_moment_tensors_get_a_clear_error(tmp_path):
    path = tmp_path / "bad.mtp"
    path.write_text("SNAP\n")
    with pytest.raises(ValueError, match=r"`path` must begin with the word MTP, got '.*bad.mtp'; give an .mtp file"):
        read_mtp(path)
    path.write_text(LEVEL_6.replace("RBChebyshev", "RBShapeev"))
    with pytest.raises(ValueError, match=r"`radial_basis_type` must be RBChebyshev .*, got RBShapeev in .*; refit it"):
        read_mtp(path)
    path.write_text(LEVEL_6.replace("{1, 1, 1, 6}, ", ""))  # no longer a contraction
    with pytest.raises(ValueError, match=r"`alpha_moment_mapping` must name contractions .*, got others at \[3\]"):
        mtp_potential(read_mtp(path))


def test_potentials_that_the_format_cannot_hold_get_a_clear_error(tmp_path):
    model = potential(6, 2)
    with torch.no_grad():
        model.regressor.weights[0] += 1.0
    with pytest.raises(ValueError, match=r"`weights` must be the same for every species in an .mtp file, got"):
        write_mtp(tmp_path / "pot.mtp", model)
    other = DescriptorPotential(MTP(level=6), MLP(5, 1, [2]))
    with pytest.raises(ValueError, match=r"`potential` must be MTP with Linear, .*, got .*'MLP'.*; export it as Torch"):
        write_mtp(tmp_path / "pot.mtp", other)
    with pytest.raises(ValueError, match=r"`potential` must be MTP with Linear, .*, got .*'ZBL'.*; export it as Torch"):
        write_mtp(tmp_path / "pot.mtp", SumPotential([ZBL([14, 8]), potential(6, 2)]))


def test_the_command_line_writes_it(tmp_path):
    linear = {"name": "Linear", "n_features": 5, "n_species": 1}
    learnt = {"name": "DescriptorPotential", "descriptor": {"name": "MTP", "level": 6}, "regressor": linear}
    table = {"name": "SumPotential", "terms": [{"name": "AtomicEnergies", "energies": [-3.0]}, learnt]}
    save(tmp_path / "model.safetensors", ForceField(build(table), [14]), table)
    words = [f"model={tmp_path / 'model.safetensors'}", "format=mtp", f"run_dir={tmp_path / 'out'}"]
    assert main(["export", *words]) == 0
    assert read_mtp(tmp_path / "out" / "model.mtp")["energies"].tolist() == [-3.0]
