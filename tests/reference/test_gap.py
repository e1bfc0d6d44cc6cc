"""SparseGP on QUIP's SOAP against gap_fit of quippy with the same inducing points, and against numbers that it gave."""

import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms

from mdzoo.data import read
from mdzoo.data.graphs import graph_from_atoms
from mdzoo.descriptors import SoapQuip
from mdzoo.fit.design import design
from mdzoo.fit.solve import LinearPosterior, solve
from mdzoo.potentials import AtomicEnergies, DescriptorPotential, ForceField, SumPotential
from mdzoo.regressors import DotProduct, SparseGP
from tests.fit.cases import frames

E0, SIGMA_E, SIGMA_F = -1.0, 0.002, 0.1
REASON = "quippy is not installed (extra `oracles`)"


def by_gap_fit(train: list[Atoms], folder: Path, sizes: dict, n_sparse: int, zeta: int) -> np.ndarray:
    """The inducing points that gap_fit takes, and `gap.xml` in the folder."""
    pytest.importorskip("quippy", reason=REASON, exc_type=ImportError)
    labelled = []
    for atoms in train:
        bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
        bare.info["dft_energy"], bare.arrays["dft_force"] = atoms.get_potential_energy(), atoms.get_forces()
        labelled.append(bare)
    ase.io.write(folder / "train.xyz", labelled)
    soap = " ".join(f"{key}={value}" for key, value in sizes.items())
    soap += f" zeta={zeta} delta=1.0 covariance_type=dot_product n_sparse={n_sparse} sparse_method=cur_points"
    words = ["at_file=train.xyz", f"gap={{soap {soap} add_species=T}}", f"e0={{Si:{E0}}}", "gp_file=gap.xml"]
    words += [f"default_sigma={{{SIGMA_E} {SIGMA_F} 0.0 0.0}}", "energy_parameter_name=dft_energy"]
    words += ["force_parameter_name=dft_force", "virial_parameter_name=none", "do_copy_at_file=F"]
    program = Path(sys.executable).parent / "gap_fit"
    subprocess.run([program, *words], cwd=folder, check=True, capture_output=True)
    return np.loadtxt(next(folder.glob("gap.xml.sparseX*"))).reshape(n_sparse, -1)


def fitted(train: list[Atoms], points: np.ndarray, sizes: dict, zeta: int) -> tuple[ForceField, LinearPosterior]:
    """The same fit here: rows divided by GAP's deviations (that of an energy times the root of its atoms), lambda 1."""
    descriptor = SoapQuip(1, **sizes)
    gp = SparseGP(descriptor.n_features, 1, len(points), DotProduct(descriptor.n_features, zeta), bias=False)
    gp.set_points(torch.as_tensor(points))
    term, rows, targets = DescriptorPotential(descriptor, gp), [], []
    for atoms in train:
        found, sigma = design(term, graph_from_atoms(atoms, [14], descriptor.cutoff)), SIGMA_E * len(atoms) ** 0.5
        energy = (atoms.get_potential_energy() - E0 * len(atoms)) / sigma
        rows += [found.energy / sigma, found.forces.flatten(0, 1) / SIGMA_F]
        targets += [torch.tensor([energy]), torch.as_tensor(atoms.get_forces().ravel()) / SIGMA_F]
    posterior = solve(torch.cat(rows), torch.cat(targets), 1.0, gp.prior_root())
    gp.set_theta(posterior.mean)
    return ForceField(SumPotential([AtomicEnergies([E0]), term]), [14]).eval(), posterior


def test_predictions_are_those_of_gap_fit_with_the_same_points(tmp_path):
    """The issue asks for 1 meV/atom and 5 meV/Angstrom; measured: 1e-9 eV/atom and 1e-8 eV/Angstrom."""
    potential = pytest.importorskip("quippy.potential", reason=REASON, exc_type=ImportError)
    sizes = {"cutoff": 5.0, "cutoff_transition_width": 0.5, "n_max": 6, "l_max": 4, "atom_sigma": 0.5}
    data = [atoms for atoms in read("silicon", "train") if len(atoms) > 1]
    train, test = data[:120:8], data[3:100:20]
    points = by_gap_fit(train, tmp_path, sizes, 40, 4)
    found, _ = fitted(train, points, sizes, 4)
    theirs = potential.Potential("", param_filename=str(tmp_path / "gap.xml"))
    for atoms in test:
        out = found(graph_from_atoms(atoms, [14], 5.0))
        bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True, calculator=theirs)
        assert float(out.energy) / len(atoms) == pytest.approx(bare.get_potential_energy() / len(atoms), abs=1e-7)
        np.testing.assert_allclose(out.forces, bare.get_forces(), rtol=0.0, atol=1e-6)
        virial = -bare.get_stress(voigt=False) * bare.get_volume()
        np.testing.assert_allclose(out.virial[0], virial, rtol=0.0, atol=1e-6)


# quippy 0.10.3: `by_gap_fit(frames(9)[2::3], folder, SMALL, 4, 2)`, then energy and forces of `frames(3, 1)[2]`
SMALL = {"cutoff": 4.0, "cutoff_transition_width": 0.5, "n_max": 2, "l_max": 1, "atom_sigma": 0.5}
POINTS = [
    [6.10619282705637e-01, 9.97890689161423e-14, 6.89573097198446e-01, 3.18078392238854e-08, 3.89367867874137e-01,
     5.06938609149044e-03, 0.0],
    [6.44014380034776e-01, 2.22607469822546e-13, 6.77080019931950e-01, 7.09562949835889e-08, 3.55921674735194e-01,
     1.13086856470082e-02, 0.0],
    [7.59205218632468e-01, 4.37782238144707e-14, 6.04666481767892e-01, 1.39543410888835e-08, 2.40792308324844e-01,
     2.22397825058104e-03, 0.0],
    [6.38854973990340e-01, 1.59355440654378e-13, 6.79261896355258e-01, 5.07946640933728e-08, 3.61112257574063e-01,
     8.09541829812539e-03, 0.0],
]  # fmt: skip
ALPHA = [599.8490948786726, -3120.0843007173885, 227.05201924048237, 2299.826692906023]
ENERGY = -18.096042137869
FORCES = [
    [-12.59146149254777, -0.36010849573503, -5.2905176750683],
    [4.37989889930191, 9.92346770098619, -3.64300321651833],
    [-5.00121652366994, -8.97493107673396, 4.18209023081208],
    [13.2127791169158, -0.58842812851721, 4.75143066077454],
]


def test_predictions_are_the_numbers_that_gap_fit_gave():
    found, posterior = fitted(frames(9)[2::3], np.array(POINTS), SMALL, 2)
    np.testing.assert_allclose(posterior.mean, ALPHA, rtol=1e-5)
    out = found(graph_from_atoms(frames(3, seed=1)[2], [14], 4.0))
    assert float(out.energy) == pytest.approx(ENERGY, abs=1e-6)
    np.testing.assert_allclose(out.forces, FORCES, rtol=0.0, atol=3e-6)
