"""The examples in docstrings run, and give what they say."""

import doctest
import importlib
import pkgutil

import pytest
import torch

import mdzoo

EXTRAS = {  # what a module cannot be imported without
    "mdzoo.export.metatomic": "metatomic.torch",
    **{f"mdzoo.export.openmm.{name}": "openmm" for name in ("dynamics", "force", "region")},
}
MODULES = [m.name for m in pkgutil.walk_packages(mdzoo.__path__, "mdzoo.") if not m.name.endswith("__main__")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name], reason="the extra of this module is not installed")
    module = importlib.import_module(name)
    names = {**vars(module), "torch": torch, "mdzoo": mdzoo}
    result = doctest.testmod(module, globs=names, optionflags=doctest.ELLIPSIS)
    assert result.failed == 0
