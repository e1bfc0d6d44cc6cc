"""A linear fit on real data against FitSNAP: every 16th molybdenum structure, bispectrum of 2J = 8, no ridge.

Numbers of fitsnap3 3.1.0.4 with LAMMPS of July 2025, by the input of scripts/bench_fitsnap.py with --every 16:
errors as FitSNAP prints them, six digits, and the first coefficients of its potential file.
"""

import pytest
import torch

from mdzoo.data import DataModule
from mdzoo.fit import LeastSquares
from mdzoo.potentials import DescriptorPotential, ForceField, build
from mdzoo.regressors import Linear

ENERGY_RMSE, FORCE_RMSE = 0.0041785, 0.254543  # eV/atom, eV/Angstrom
COEFFICIENTS = [
    -20.2387988277345876,
    0.0190473233500147859,
    -0.000828868680839027483,
    0.452490326718494817,
    0.00971445752262706241,
    0.46459489498344575,
    0.0745945605178440774,
    0.226637089550846216,
    0.00354708097404547035,
]


def test_linear_snap_of_molybdenum(data_root):
    module = DataModule(data_root / "zuo2020" / "Mo_train.extxyz", energies="zero", cutoff=4.6, cache=False)
    module.setup()
    descriptor = build({"name": "SO4", "cutoff": 4.6, "twojmax": 8, "bzero": False})
    model = ForceField(DescriptorPotential(descriptor, Linear(descriptor.n_features, 1)), module.atomic_numbers)
    least = LeastSquares(model, {"energy": 100.0, "forces": 1.0}, 0.0)
    for i in range(0, len(module.train_set), 16):
        least.training_step(module.train_set.one(i), i)
    theta = least.solve().mean
    assert least.train_factors.error(theta, "energy") == pytest.approx(ENERGY_RMSE, rel=2e-6)
    assert least.train_factors.error(theta, "forces") == pytest.approx(FORCE_RMSE, rel=2e-6)
    found = torch.cat([theta[-1:], theta[:8]])
    torch.testing.assert_close(found, torch.tensor(COEFFICIENTS, dtype=torch.float64), rtol=1e-5, atol=0.0)
