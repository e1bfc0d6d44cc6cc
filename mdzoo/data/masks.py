"""Which labels of the stress are left out: by component, by group, by element."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

COMPONENTS = {"xx": (0, 0), "yy": (1, 1), "zz": (2, 2), "yz": (1, 2), "xz": (0, 2), "xy": (0, 1)}  # ASE's order
NAMES = {
    **{name: [name] for name in COMPONENTS},
    "all": list(COMPONENTS),
    "normal": ["xx", "yy", "zz"],
    "shear": ["yz", "xz", "xy"],
}


class StressMask:
    """A rule that drops components of the stress from the labels.

    Arguments:
        components: among `xx yy zz yz xz xy`, or `normal`, `shear`, `all`.
        groups: the groups it holds for; all by default.
        elements: the rule holds for structures that contain one of these; all by default.

    Example:
        >>> StressMask(["shear"], groups=["Elastic"]).components
        ['yz', 'xz', 'xy']
    """

    def __init__(
        self,
        components: str | Sequence[str] = "all",
        groups: str | Sequence[str] | None = None,
        elements: str | Sequence[str] | None = None,
    ) -> None:
        self.components: list[str] = []
        for name in _listed(components):
            if name not in NAMES:
                raise ValueError(
                    f"`components` must be some of {list(NAMES)}, got {name!r}; name the parts of the stress"
                )
            self.components += NAMES[name]
        self.groups = None if groups is None else _listed(groups)
        self.numbers = None if elements is None else [_number(symbol) for symbol in _listed(elements)]

    def holds_for(self, atoms: Atoms, group: str) -> bool:
        """Say whether the rule concerns this structure."""
        if self.groups is not None and group not in self.groups:
            return False
        return self.numbers is None or bool(np.isin(atoms.numbers, self.numbers).any())

    def apply(self, stress: np.ndarray) -> np.ndarray:
        """Return the stress (3, 3) with NaN in the components that are left out."""
        masked = stress.copy()
        for name in self.components:
            i, j = COMPONENTS[name]
            masked[i, j] = masked[j, i] = np.nan
        return masked


def _listed(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else [str(item) for item in value]


def _number(symbol: str) -> int:
    if symbol not in atomic_numbers:
        raise ValueError(f"`elements` must be chemical symbols, got {symbol!r}; write Ni, not nickel")
    return atomic_numbers[symbol]


def stress_masks(rules: Any) -> list[StressMask]:
    """Return the masks that a config spells: one rule or several, each a dict, a component or a list of components.

    `[shear]`, `{components: [xy], groups: [Elastic]}`, `[{components: normal, elements: [Ni]}, {groups: [Surface]}]`.
    """
    if rules is None:
        return []
    if isinstance(rules, Mapping | str):
        rules = [rules]
    if all(isinstance(rule, str) for rule in rules):
        return [StressMask(rules)] if rules else []
    known = ["components", "groups", "elements"]
    for rule in rules:
        for key in rule if isinstance(rule, Mapping) else []:
            if key not in known:
                raise ValueError(f"`stress_mask` must have keys among {known}, got {key!r}; correct the rule")
    return [StressMask(**rule) if isinstance(rule, Mapping) else StressMask(rule) for rule in rules]


def check_groups(named: Sequence[str], groups: Sequence[str], argument: str) -> None:
    """Raise ValueError where a group is named that the data lack."""
    for name in named:
        if name not in groups:
            raise ValueError(f"`{argument}` must name groups of the data {sorted(groups)}, got {name!r}; correct it")
