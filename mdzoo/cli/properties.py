"""Properties of a crystal, measured and written into the run directory."""

from pathlib import Path
from typing import Any

from rich.table import Table

from mdzoo.cli.run_dir import write_json
from mdzoo.data import read
from mdzoo.evaluate.benchmark import crystal
from mdzoo.evaluate.judge import summary
from mdzoo.evaluate.properties import draw, measure, properties_table, reference_values
from mdzoo.potentials import ForceField


def write_properties(force_field: ForceField, settings: dict[str, Any], run_dir: Path) -> Table:
    """Measure properties, write `properties.json` and `properties.png` and return the table."""
    atoms = read(settings["structure"])[0] if settings["structure"] else crystal(force_field.atomic_numbers[0])
    formula = atoms.symbols.get_chemical_formula(empirical=True)
    reference = reference_values(settings["reference"], formula)
    found = measure(force_field, atoms, settings["properties"])
    title = f"{summary(force_field)['name']}: {formula}"
    write_json(run_dir / "properties.json", {"structure": formula, "found": found, "reference": reference})
    draw(found, reference, run_dir / "properties.png", title)
    return properties_table(found, reference, title)
