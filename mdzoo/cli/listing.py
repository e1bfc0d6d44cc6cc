"""What there is: members by axis, and the models that ship with their errors."""

import json
from typing import Any

from rich.table import Table

import mdzoo
from mdzoo.cli.config import groups
from mdzoo.cli.help import comment


def members() -> Table:
    """Return one line for each choice of each axis, with what its file says of itself."""
    table = Table(title="choices: mdzoo train AXIS=CHOICE", header_style="bold", title_style="bold")
    for header in ("axis", "choice", "what it is"):
        table.add_column(header)
    for axis, choices in groups().items():
        for place, choice in enumerate(choices):
            last = place == len(choices) - 1
            table.add_row("" if place else axis, choice, comment(f"{axis}/{choice}")[0], end_section=last)
    return table


def models() -> Table:
    """Return one line for each model that ships, with its errors on its own test set."""
    table = Table(title="models: mdzoo.load(NAME), mdzoo evaluate model=NAME", header_style="bold", title_style="bold")
    for header in ("name", "model", "elements", "energy MAE\nmeV/atom", "force MAE\neV/Å"):
        table.add_column(header)
    for name in mdzoo.list_models():
        table.add_row(name, *model_row(name))
    return table


def model_row(name: str) -> list[str]:
    """Return terms, elements and errors of one shipped model."""
    path = mdzoo.find_model(name).parent / "metrics.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    model, test = found.get("model", {}), found.get("test", {})
    errors = [f"{1e3 * test['energy_mae']:.2f}", f"{test['force_mae']:.4f}"] if test else ["", ""]
    return [model.get("name", ""), " ".join(model.get("elements", [])), *errors]
