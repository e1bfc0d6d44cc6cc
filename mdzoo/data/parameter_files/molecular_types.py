"""Equal parameters between equal elements are one type."""

from collections.abc import Hashable
from typing import Any


class Types:
    """The types of one kind of term, numbered as they come.

    Arguments:
        columns: names of the numbers of a type.

    Example:
        >>> bonds = Types("k", "length")
        >>> [bonds.place("C-H", 30.0, 1.09), bonds.place("C-H", 32.0, 1.08), bonds.place("C-H", 30.0, 1.09)]
        [0, 1, 0]
        >>> bonds.table()
        {'labels': ['C-H', 'C-H.2'], 'k': [30.0, 32.0], 'length': [1.09, 1.08]}
    """

    def __init__(self, *columns: str) -> None:
        self.columns = columns
        self.labels: list[str] = []
        self.values: list[tuple[Any, ...]] = []
        self.known: dict[Hashable, int] = {}
        self.count: dict[str, int] = {}

    def place(self, label: str, *values: Any, beside: Hashable = None) -> int:
        """Return the number of the type with this label, these values to ten digits, and what else tells it apart."""
        key = (label, str([rounded(v) for v in values]), beside)
        if key not in self.known:
            self.known[key] = len(self.labels)
            self.count[label] = self.count.get(label, 0) + 1
            self.labels.append(label if self.count[label] == 1 else f"{label}.{self.count[label]}")
            self.values.append(values)
        return self.known[key]

    def table(self) -> dict[str, list]:
        """Return the labels and the columns."""
        columns = [list(column) for column in zip(*self.values, strict=True)]
        return {"labels": self.labels, **dict(zip(self.columns, columns, strict=True))}


def rounded(value: Any) -> Any:
    """Return a number to ten digits, and lists of such."""
    return [rounded(v) for v in value] if isinstance(value, list | tuple) else float(f"{value:.10g}")
