"""One file that needs no mdzoo: a scripted ForceField with its contract inside.

    model = torch.jit.load("model.pt")
    out = model(species, positions, batch, ids, charges, total_charge, cell, pbc, centers, neighbors, shifts)
    out.energy, out.energies, out.forces, out.virial, out.atom_virial, out.charges

positions, charges, total_charge, cell and shifts are float64, pbc is bool, the others int64, whatever the model's
dtype; `model.atomic_numbers`, `.cutoff`, `.reach` and `.dtype` say the rest. Edges may be longer than the cutoff.
"""

import contextlib
import copy
import ctypes
import io
import json
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ase
import torch
from torch import Tensor, nn

import mdzoo
from mdzoo.data.graphs import graph_from_atoms
from mdzoo.export import contract as contracts
from mdzoo.graph import Graph, make_graph
from mdzoo.potentials.checkpoint import as_json, warn_of_inference, write_atomically
from mdzoo.potentials.force_field import ForceField, Prediction
from mdzoo.potentials.mapping import map_kernels
from mdzoo.potentials.sure_force_field import SureForceField, SurePrediction, calibration_of, of_model

DTYPES = ("float64", "float32")


class Exported(nn.Module):
    """A ForceField behind a flat list of tensors, which every engine can fill."""

    atomic_numbers: list[int]
    cutoff: float
    reach: int
    dtype: str

    def __init__(self, force_field: ForceField) -> None:
        super().__init__()
        self.force_field = force_field
        self.atomic_numbers = force_field.atomic_numbers
        self.cutoff = force_field.cutoff
        self.reach = force_field.reach
        self.dtype = force_field.dtype

    def forward(
        self,
        species: Tensor,  # (N,) int64, index into atomic_numbers
        positions: Tensor,  # (N, 3) float64, Angstrom
        batch: Tensor,  # (N,) int64, structure of each atom
        ids: Tensor,  # (N,) int64, identity of the atom in its structure
        charges: Tensor,  # (N,) float64, e
        total_charge: Tensor,  # (S,) float64, e
        cell: Tensor,  # (S, 3, 3) float64, Angstrom
        pbc: Tensor,  # (S, 3) bool
        centers: Tensor,  # (E,) int64, ascending
        neighbors: Tensor,  # (E,) int64
        shifts: Tensor,  # (E, 3) float64
    ) -> Prediction:
        """Return energies, forces and virials; works under `torch.no_grad()` too."""
        before = torch.is_grad_enabled()
        torch.set_grad_enabled(True)
        graph = make_graph(species, positions, batch, ids, charges, total_charge, cell, pbc, centers, neighbors, shifts)
        out = self.force_field(graph)
        torch.set_grad_enabled(before)
        return out


class ExportedSure(nn.Module):
    """A SureForceField behind the same list of tensors."""

    atomic_numbers: list[int]
    cutoff: float
    reach: int
    dtype: str
    outputs: list[str]

    def __init__(self, sure: SureForceField) -> None:
        super().__init__()
        self.sure = sure
        self.atomic_numbers = sure.force_field.atomic_numbers
        self.cutoff = sure.force_field.cutoff
        self.reach = sure.force_field.reach
        self.dtype = sure.force_field.dtype
        self.outputs = list(SurePrediction._fields[6:])

    def forward(
        self,
        species: Tensor,
        positions: Tensor,
        batch: Tensor,
        ids: Tensor,
        charges: Tensor,
        total_charge: Tensor,
        cell: Tensor,
        pbc: Tensor,
        centers: Tensor,
        neighbors: Tensor,
        shifts: Tensor,
    ) -> SurePrediction:
        """Return what `Exported` does, and the deviations behind it."""
        before = torch.is_grad_enabled()
        torch.set_grad_enabled(True)
        graph = make_graph(species, positions, batch, ids, charges, total_charge, cell, pbc, centers, neighbors, shifts)
        out = self.sure(graph)
        torch.set_grad_enabled(before)
        return out

    @torch.jit.export
    def plain(self, inputs: list[Tensor]) -> Prediction:
        """Return what the file would give without deviations, at its cost: the arguments of `forward` in one list."""
        before = torch.is_grad_enabled()
        torch.set_grad_enabled(True)
        out = self.sure.force_field(graph_of(inputs))
        torch.set_grad_enabled(before)
        return out

    @torch.jit.export
    def pieces(self, inputs: list[Tensor], forces: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Return `SureForceField.pieces` of an engine's block of atoms."""
        before = torch.is_grad_enabled()
        torch.set_grad_enabled(True)
        out = self.sure.pieces(graph_of(inputs), forces)
        torch.set_grad_enabled(before)
        return out

    @torch.jit.export
    def force_deviations(self, sigma: Tensor, forces: Tensor, members: Tensor) -> Tensor:
        """Return `SureForceField.force_deviations` of all pieces together."""
        dtype = self.sure.force_field.unit.dtype
        return self.sure.force_deviations(sigma.to(dtype), forces.to(dtype), members.to(dtype))


def graph_of(given: list[Tensor]) -> Graph:
    """Return the graph of the arguments of an exported model."""
    return make_graph(
        given[0], given[1], given[2], given[3], given[4], given[5], given[6], given[7], given[8], given[9], given[10]
    )


def export(
    force_field: ForceField,
    path: str | Path,
    *,
    references: Sequence[ase.Atoms],
    dtype: str = "float64",
    config: Mapping[str, Any] | None = None,
    uncertainty: str = "auto",
) -> Path:
    """Write a TorchScript file with its contract: units, element table, version, configuration, reference structures.

    Args:
        force_field: the model; it is left as it is.
        path: the file, usually `model.pt`.
        references: small structures (up to about 20 atoms each) that show all elements; every loader computes them.
        dtype: "float64" or "float32" (reference energies stay float64).
        config: kept in the contract, anything that JSON can hold.
        uncertainty: of forces, where the model knows its own: `members`, `local` (see `SureForceField`), `none`, or
            `auto`: local where the model is calibrated, else a file without them, which costs no pass for
            each member. Outputs stand behind the others: `SurePrediction`.

    Raises:
        ValueError: if `dtype`, `references` or `config` is not as above.
        OSError: if the file cannot be written; the previous one stays.
    """
    if dtype not in DTYPES:
        raise ValueError(f"`dtype` must be one of {DTYPES}, got {dtype!r}; choose one")
    if len(references) == 0:
        raise ValueError("`references` must hold at least one structure, got none; take a few small ones of the data")
    exported, twin = (cast(force_field, name, uncertainty) for name in (dtype, *[d for d in DTYPES if d != dtype]))
    graphs = [graph_from_atoms(atoms, exported.atomic_numbers, exported.cutoff) for atoms in references]
    inputs = [contracts.inputs_of(graph) for graph in graphs]
    prepare()
    with silent():
        module = torch.jit.script(exported)
    contract = {
        "format": contracts.FORMAT,
        "mdzoo": mdzoo.__version__,
        "torch": str(torch.__version__),
        "atomic_numbers": exported.atomic_numbers,
        "cutoff": exported.cutoff,
        "reach": exported.reach,
        "dtype": exported.dtype,
        "units": contracts.UNITS,
        "config": json.loads(as_json("config", dict(config or {}))),
        "unreferenced_elements": unreferenced(references, exported.atomic_numbers),
        **contracts.references(module, twin, inputs, dtype),
    }
    write(module, contract, Path(path))
    return Path(path)


def load(path: str | Path, device: str = "cpu", check: bool = True) -> torch.jit.ScriptModule:
    """Load an exported file, verify its checksum and re-run its reference structures on `device`.

    Args:
        path: the file.
        device: where it runs, "cpu" or "cuda".
        check: whether to verify; without it a damaged file gives wrong numbers silently.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is truncated, altered, or does not give its own reference values here.
    """
    contract = contracts.read(path)
    if check:
        contracts.verify(path, contract)
    prepare()
    try:
        with silent():
            module = torch.jit.load(str(path), map_location=device)
    except RuntimeError as error:
        raise ValueError(
            f"`path` must be a TorchScript file, got {str(path)!r} ({error}); it is damaged: export it again"
        ) from error
    if check:
        contracts.self_test(module, contract, device)
    warn_of_inference(path, contract.get("config"))
    return module


def prepare() -> None:
    """Set TorchScript up for edge counts that change at every step; holds for the whole process.

    The executor's optimiser gains these models nothing and costs seconds at the first call and whenever shapes change;
    with the fuser it compiles kernels for shapes that never come back. Where the C library is glibc it keeps what a
    step frees: pages given back would be cleared again at the next step, which took up to a third of its time.
    """
    torch._C._set_graph_executor_optimize(False)
    torch.jit.set_fusion_strategy([("STATIC", 0), ("DYNAMIC", 0)])
    with contextlib.suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD: up to 1 GiB is kept
        library.mallopt(-3, 1 << 25)  # M_MMAP_THRESHOLD: the largest that glibc takes


def cast(force_field: ForceField, dtype: str, uncertainty: str = "auto") -> Exported | ExportedSure:
    """Return a copy of the model in `dtype`, in `eval` mode, with its deviations where they are asked for."""
    twin = in_precision(force_field, dtype)
    if not twin.potential.is_uncertain or (uncertainty == "auto" and not calibration_of(twin)):
        return Exported(twin).eval().requires_grad_(False)
    sure = of_model(twin, uncertainty).to(getattr(torch, dtype))
    return ExportedSure(sure).eval().requires_grad_(False)


def in_precision(force_field: ForceField, dtype: str) -> ForceField:
    """Return a copy of the model in `dtype` on the CPU, kernels mapped, in `eval` mode."""
    twin = copy.deepcopy(force_field).to("cpu")
    map_kernels(twin)
    return twin.to(getattr(torch, dtype)).eval().requires_grad_(False)


def unreferenced(references: Sequence[ase.Atoms], atomic_numbers: Sequence[int]) -> list[int]:
    """Return the elements that no reference structure shows: their weights are only under the checksum."""
    seen = {int(z) for atoms in references for z in atoms.numbers}
    return sorted(set(atomic_numbers) - seen)


def write(module: torch.jit.ScriptModule, contract: dict[str, Any], path: Path) -> None:
    """Save the module with its contract and checksums, atomically."""
    saved = archive(module)
    contract["sha256"] = {"archive": contracts.records_digest(saved), "contract": contracts.digest(contract)}
    with zipfile.ZipFile(saved, "a") as target:
        root = target.namelist()[0].split("/")[0]
        target.writestr(zipfile.ZipInfo(f"{root}/extra/{contracts.NAME}"), json.dumps(contract, indent=1))

    def write_to(temporary: str) -> None:
        Path(temporary).write_bytes(saved.getvalue())
        contracts.verify(temporary, contract)

    write_atomically(path, write_to)


def archive(module: torch.jit.ScriptModule) -> io.BytesIO:
    """Return the saved module without its debug records, which hold the paths of the sources on this machine."""
    saved, out = io.BytesIO(), io.BytesIO()
    torch.jit.save(module, saved)
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(out, "w") as target:
        for entry in source.infolist():
            if not entry.filename.endswith(".debug_pkl"):
                target.writestr(zipfile.ZipInfo(entry.filename), source.read(entry))
    return out


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Keep torch's note that TorchScript is deprecated from every user; engines have no successor yet."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message="`torch.jit", category=FutureWarning)
        yield
