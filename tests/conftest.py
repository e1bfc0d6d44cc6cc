"""What every test finds: one thread, fixed seeds, and the folder of real data."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - libraries under test use the old generator


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def data_root() -> Path:
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("MDZOO_TEST_DATA", beside))
    if not (root / "zuo2020").is_dir():
        pytest.skip(f"no real data: {root} has no folder zuo2020; set MDZOO_TEST_DATA to the folder that has")
    return root
