"""What an exported file promises: its units, its checksum, and reference structures with the answers it must give.

The contract is the JSON of the archive's extra file `mdzoo.json`; this module reads, writes and enforces it.
"""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import mdzoo

FORMAT = 1
NAME = "mdzoo.json"
INPUTS = [
    "species",
    "positions",
    "batch",
    "ids",
    "charges",
    "total_charge",
    "cell",
    "pbc",
    "centers",
    "neighbors",
    "shifts",
]
COMPARED = ("energy", "energies", "forces", "virial")
UNITS = {
    "energy": "eV",
    "length": "Angstrom",
    "time": "fs",
    "charge": "e",
    "forces": "eV/Angstrom",
    "virial": "eV, -dE/dstrain = sum r (x) f",
}
FLOOR = 1e-12  # what summing float64 in another order may change, relative to 1 + the largest number
AMPLIFICATION = {"float64": 1e-6, "float32": 10.0}  # tolerance per unit of the float32-float64 difference
MARGIN = {"cpu": 1.0, "cuda": 4.0}  # a GPU sums in another order from run to run

# what zipfile raises for damaged archives
DAMAGE = (zipfile.BadZipFile, zlib.error, ValueError, RuntimeError, EOFError, OSError, StopIteration)

Model = Callable[..., Any]


def inputs_of(graph: Any) -> dict[str, Tensor]:
    """Return the arguments of an exported model, by name, from a Graph."""
    return {name: getattr(graph, name) for name in INPUTS}


def answers(model: Model, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what the self-test compares: energies, forces, virial, and every output behind the six of design."""
    device = next((tensor.device for tensor in inputs.values()), torch.device("cpu"))
    out = model(*[inputs[name].to(device) for name in INPUTS])
    further = out._fields[6:]
    return {name: getattr(out, name).detach().cpu().double() for name in [*COMPARED, *further]}


def largest(tensor: Tensor) -> float:
    """Return the largest absolute value, 0 of nothing."""
    return float(tensor.abs().max()) if tensor.numel() else 0.0


def references(model: Model, twin: Model, inputs: Sequence[Mapping[str, Tensor]], dtype: str) -> dict[str, Any]:
    """Return the part of a contract that a self-test needs.

    The tolerances are measured: `twin` is the same model in the other precision, so the difference of the two says how
    much this model amplifies rounding. float32 may differ by ten times that, float64 by 1e-6 of it (the ratio of the
    two precisions is 2e-9), and neither by less than a floor.

    Raises:
        ValueError: if a reference structure has no finite energy and forces.
    """
    here = [answers(model, entry) for entry in inputs]
    there = [answers(twin, entry) for entry in inputs]
    broken = [i for i, found in enumerate(here) if not all(bool(t.isfinite().all()) for t in found.values())]
    if broken:
        raise ValueError(
            f"`references` must have finite energies and forces, got NaN or infinity for structures {broken}; check "
            "the model's parameters, or leave these structures out"
        )
    spread = {name: max(largest(a[name] - b[name]) for a, b in zip(here, there, strict=True)) for name in here[0]}
    spread["energy"] = max(spread["energy"], spread["energies"] * max(len(found["energies"]) for found in here))
    size = {name: max(largest(found[name]) for found in here) for name in here[0]}
    tolerances = {name: AMPLIFICATION[dtype] * spread[name] + FLOOR * (1.0 + size[name]) for name in spread}
    return {
        "references": [
            {"inputs": to_lists(entry), "outputs": to_lists(found)} for entry, found in zip(inputs, here, strict=True)
        ],
        "tolerances": {
            dtype: {device: {k: margin * v for k, v in tolerances.items()} for device, margin in MARGIN.items()}
        },
    }


def self_test(model: Model, contract: Mapping[str, Any], device: str = "cpu") -> dict[str, float]:
    """Run the reference structures and return the largest deviation of each output.

    Raises:
        ValueError: if a deviation is beyond the stated tolerance.
    """
    tolerances = contract["tolerances"][contract["dtype"]][torch.device(device).type]
    worst = dict.fromkeys(tolerances, 0.0)
    for entry in contract["references"]:
        inputs = {name: tensor.to(device) for name, tensor in to_tensors(entry["inputs"]).items()}
        found = answers(model, inputs)
        for name in tolerances:
            expected = torch.tensor(entry["outputs"][name], dtype=torch.float64).reshape(found[name].shape)
            deviation = largest(found[name] - expected)
            worst[name] = deviation if deviation != deviation else max(worst[name], deviation)
    for name, deviation in worst.items():
        if not deviation <= tolerances[name]:
            raise ValueError(
                f"`path` must give its own reference {name} to {tolerances[name]:.1e}, got a deviation of "
                f"{deviation:.1e} ({contract['dtype']} on {device}); the file or this torch {torch.__version__} is "
                f"not what it was exported with (torch {contract['torch']}): export the model again"
            )
    return worst


def to_lists(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return tensors as nested lists."""
    return {name: tensor.tolist() for name, tensor in tensors.items()}


def to_tensors(lists: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the inputs of one reference structure, in the dtypes and shapes that an exported model takes."""
    whole = ("species", "batch", "ids", "centers", "neighbors")
    kinds = {"pbc": torch.bool, **dict.fromkeys(whole, torch.int64)}
    tensors = {name: torch.tensor(lists[name], dtype=kinds.get(name, torch.float64)) for name in INPUTS}
    return {**tensors, "shifts": tensors["shifts"].reshape(-1, 3)}


def read(path: str | Path) -> dict[str, Any]:
    """Return the contract of an exported file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is truncated, has no contract, or has a later one.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"`path` must be an exported model, got {str(path)!r}, which is not there; check it")
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith(f"/extra/{NAME}"))
            contract = json.loads(archive.read(name))
    except DAMAGE as error:
        raise ValueError(
            f"`path` must be a whole exported model with its {NAME}, got {str(path)!r} ({error!r}); it is truncated, "
            "damaged or of another kind: export it again"
        ) from error
    if contract.get("format") != FORMAT:
        raise ValueError(
            f"`path` must have a contract of format {FORMAT}, got {contract.get('format')} (mdzoo "
            f"{contract.get('mdzoo')}, here {mdzoo.__version__}); update mdzoo, or export the model again"
        )
    return contract


def verify(path: str | Path, contract: Mapping[str, Any]) -> None:
    """Refuse a file whose code, weights or contract are not those that were written."""
    if records_digest(path) != contract["sha256"]["archive"] or digest(contract) != contract["sha256"]["contract"]:
        raise ValueError(
            f"`path` must hold what was exported, got {str(path)!r}, whose contents do not fit its checksum; it was "
            "altered or damaged: take another copy, or export it again"
        )


def records_digest(path: Any) -> str:
    """Return the SHA-256 of the names and bytes of an archive's records, but for the extra file and torch's own id."""
    sha = hashlib.sha256()
    try:
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                inner = name.partition("/")[2]
                if not inner.startswith(("extra/", ".data/")):
                    sha.update(inner.encode() + b"\0" + hashlib.sha256(archive.read(name)).digest())
    except DAMAGE as error:
        return f"damaged: {error}"
    return sha.hexdigest()


def digest(contract: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a contract without its checksums."""
    rest = {key: value for key, value in contract.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
