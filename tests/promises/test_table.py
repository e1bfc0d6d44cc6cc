"""No public member can forget to be in the table."""

import inspect

import pytest
from torch import nn

import mdzoo.descriptors
import mdzoo.potentials
import mdzoo.regressors
from mdzoo.potentials.registry import MEMBERS
from tests.zoo import ZOO, instance

BASES = {"Descriptor", "ForceField", "Kernel", "PairPotential", "Potential", "Regressor", "TripletPotential"}


@pytest.mark.parametrize("room", [mdzoo.descriptors, mdzoo.regressors, mdzoo.potentials], ids=lambda r: r.__name__)
def test_every_public_class_has_an_entry(room):
    shown = {type(module).__name__ for name in ZOO for module in instance(name).modules()}
    public = [getattr(room, name) for name in room.__all__]
    modules = {c.__name__ for c in public if inspect.isclass(c) and issubclass(c, nn.Module)}
    assert modules - BASES <= shown, f"add to tests/zoo.py: {sorted(modules - BASES - shown)}"


def test_every_registered_member_has_an_entry():
    shown = {type(module).__name__ for name in ZOO for module in instance(name).modules()}
    assert set(MEMBERS) <= shown


def test_exceptions_name_promises():
    promises = {
        path.stem.removeprefix("test_") for path in __import__("pathlib").Path(__file__).parent.glob("test_*.py")
    }
    assert {promise for entry in ZOO.values() for promise in entry.exceptions} <= promises
