"""How much each structure counts: weights by group and by structure, for energy, forces and stress."""

import difflib
from collections.abc import Mapping, Sequence

LABELS = ("energy", "forces", "stress")
ALIASES = {"force": "forces"}

GroupWeights = Mapping[str, Mapping[str, float]]


def group_weights(table: GroupWeights | None, groups: Sequence[str]) -> dict[str, tuple[float, float, float]]:
    """Return (energy, forces, stress) weights of each group, 1 where the table says nothing.

    `{Elastic: {energy: 10, forces: 1, stress: 0}}`. A weight is a factor on the squared error: alpha_j, beta_j and
    gamma_j of the loss are multiplied by it. (FitSNAP's weights multiply the row, so its w is w^2 here.)

    Raises:
        ValueError: a group or a label that does not exist, a negative weight.
    """
    weights = dict.fromkeys(groups, (1.0, 1.0, 1.0))
    for group, row in (table or {}).items():
        if group not in weights:
            near = difflib.get_close_matches(str(group), list(groups), 1, 0.0)
            raise ValueError(
                f"`group_weights` must name groups of the data {sorted(groups)}, got {group!r}; did you mean {near}?"
            )
        weights[group] = _row(row, group)
    return weights


def _row(row: Mapping[str, float], group: str) -> tuple[float, float, float]:
    """Return the three weights of one group."""
    values = dict.fromkeys(LABELS, 1.0)
    for name, value in row.items():
        label = ALIASES.get(name, name)
        if label not in values:
            raise ValueError(f"`group_weights` must have the keys {list(LABELS)}, got {name!r} in {group}; correct it")
        if not float(value) >= 0.0:
            raise ValueError(f"`group_weights` must be at least 0, got {value} for {name} in {group}; correct it")
        values[label] = float(value)
    return values["energy"], values["forces"], values["stress"]
