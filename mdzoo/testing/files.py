"""What is written comes back: TorchScript and model files, in either precision."""

import copy
import io
from pathlib import Path

import torch

from mdzoo.graph import Graph
from mdzoo.potentials.base import Potential
from mdzoo.potentials.checkpoint import load, save
from mdzoo.testing.compare import SINGLE, compare_predictions, force_field


def check_scripts(potential: Potential, graph: Graph) -> None:
    """Scripted, saved and loaded, the force field is the eager one, to rounding; in float32 too."""
    expected = force_field(potential)(graph)
    single = force_field(copy.deepcopy(potential)).to(torch.float32)
    compare_predictions("float32", single(graph), expected, SINGLE)
    with torch.jit.optimized_execution(False):
        scripted = torch.jit.script(force_field(potential))
        compare_predictions("scripted", scripted(graph), expected)
        loaded = reloaded(scripted)
        compare_predictions("scripted, saved and loaded", loaded(graph), expected)
        compare_predictions("scripted, then float32", loaded.to(torch.float32)(graph), expected, SINGLE)
        compare_predictions("float32, then scripted", reloaded(torch.jit.script(single))(graph), expected, SINGLE)


def reloaded(module: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
    """Return what comes back after saving."""
    stream = io.BytesIO()
    torch.jit.save(module, stream)
    stream.seek(0)
    return torch.jit.load(stream)


def check_save_load(potential: Potential, table: dict, graph: Graph, folder: Path) -> None:
    """A model file gives back the same model, to the bit."""
    model = force_field(potential)
    save(folder / "model.safetensors", model, table)
    compare_predictions("model file", load(folder / "model.safetensors")(graph), model(graph), 0.0)
