"""What LAMMPS needs to run one term: a pair style, its coefficients, its files."""

from collections.abc import Sequence
from typing import NamedTuple

from ase.data import chemical_symbols


class Style(NamedTuple):
    """A pair style; `@` in settings, words and file names stands for the name of the term."""

    name: str
    settings: str
    coefficients: list[tuple[str, str]]  # types, words
    files: dict[str, str]  # name: text
    modify: tuple[str, ...] = ()  # words of pair_modify
    commands: tuple[str, ...] = ()  # other lines
    constants: tuple[float, ...] = ()  # eV, what the energy of each atom of a type lacks

    def named(self, name: str) -> "Style":
        """Return the style with the name of its term in its words and files."""
        coefficients = [(types, words.replace("@", name)) for types, words in self.coefficients]
        files = {file.replace("@", name): text for file, text in self.files.items()}
        return self._replace(settings=self.settings.replace("@", name), coefficients=coefficients, files=files)


def one_file(style: str, suffix: str, text: str, atomic_numbers: Sequence[int]) -> Style:
    """Return a style whose numbers all stand in one file, `pair_coeff * * FILE ELEMENTS`."""
    symbols = " ".join(chemical_symbols[z] for z in atomic_numbers)
    return Style(style, "", [("* *", f"@.{suffix} {symbols}")], {f"@.{suffix}": text})


def numbers(values: Sequence[float]) -> str:
    """Return numbers with all their digits."""
    return " ".join(repr(float(value)) for value in values)
