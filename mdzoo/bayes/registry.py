"""The methods of inference by the names of their files in conf/bayes; each is imported when it is asked for."""

import difflib
import importlib
import inspect
from collections.abc import Mapping
from typing import Any

METHODS: dict[str, tuple[str, str]] = {  # name, module of this room, class
    "ensemble": ("ensemble", "Ensemble"),
    "gp": ("laplace", "Laplace"),
    "laplace": ("laplace", "Laplace"),
    "llpr": ("llpr", "LLPR"),
    "network_laplace": ("network_laplace", "NetworkLaplace"),
    "nuts": ("nuts", "Nuts"),
    "pops": ("pops", "POPS"),
    "sgmcmc": ("sgmcmc", "Sgmcmc"),
    "svi": ("svi", "Svi"),
}


def find(name: str) -> Any:
    """Return the class of a method; the error names the nearest one."""
    if name not in METHODS:
        near = difflib.get_close_matches(str(name), METHODS, 1, 0.0)[0]
        raise ValueError(f"`bayes` must be one of {sorted(METHODS)}, got {name!r}; did you mean {near}?")
    module, found = METHODS[name]
    return getattr(importlib.import_module(f"mdzoo.bayes.{module}"), found)


def made(given: Any) -> Any:
    """Return the method that a table names; what is no table is returned as it is."""
    if not isinstance(given, Mapping):
        return given
    keys = {key: value for key, value in given.items() if key != "name"}
    found = find(given.get("name", ""))
    known = list(inspect.signature(found).parameters)
    for key in keys:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1, 0.0)[0]
            raise ValueError(f"`bayes.{key}` must be one of {known}, got {key}; did you mean {near}?")
    return found(**keys)
