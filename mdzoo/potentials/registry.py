"""Models are built from plain tables that name mdzoo's own classes; no import path in a file is ever followed.

A table is a dict with a `name` (the class) and its constructor's arguments, which may be tables again:

    {"name": "SumPotential", "terms": [{"name": "AtomicEnergies", "energies": [-158.0]}, ...]}
"""

import difflib
import inspect
from typing import Any

from torch import nn

MEMBERS: dict[str, type[nn.Module]] = {}


def register(*members: type[nn.Module]) -> None:
    """Make classes known by their names, so that configs and model files can hold them."""
    for member in members:
        MEMBERS[member.__name__] = member


def arguments(name: str) -> list[str]:
    """Return the names of the constructor's arguments of the member `name`."""
    return list(inspect.signature(find(name)).parameters)


def find(name: str) -> type[nn.Module]:
    """Return the class called `name`; the error names the nearest one."""
    if name not in MEMBERS:
        near = difflib.get_close_matches(str(name), MEMBERS, 1, 0.0)
        raise ValueError(
            f"`name` must be one of {sorted(MEMBERS)}, got {name!r}; did you mean {near}? (mdzoo list shows all)"
        )
    return MEMBERS[name]


def build(table: Any) -> Any:
    """Build what `table` names, inner tables first; what is not a table is returned as it is."""
    if isinstance(table, list | tuple):
        return [build(item) for item in table]
    if not isinstance(table, dict):
        return table
    keys = {key: build(value) for key, value in table.items() if key != "name"}
    if "name" not in table:
        return keys
    known = arguments(table["name"])
    for key in keys:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1, 0.0)
            raise ValueError(
                f"`{key}` must be an argument of {table['name']} ({known}), got {key}; did you mean {near}?"
            )
    return find(table["name"])(**keys)
