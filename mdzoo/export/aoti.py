"""An exported model as machine code of this computer, which `pair_style mdzoo` runs in place of TorchScript.

    path = write(force_field, "model.pt")       # model.pt2 beside it:  pair_coeff * * model.pt2 Si

A package of machine code does whatever it likes, so none is ever loaded from where it could be handed over: packages
stay in a folder of the user's cache that nobody else can write to, and `model.pt2` is a note of two lines that names
one. The name stands for the model (the checksums of `model.pt`), the torch and the processor that a package was built
for; the checksum behind it finds damage, where the rights of the folder keep others out.
"""

import contextlib
import hashlib
import json
import tempfile
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import mdzoo
from mdzoo.export import contract as contracts
from mdzoo.export.torchscript import graph_of, in_precision
from mdzoo.export.traced import step_of, tables, traced
from mdzoo.graph import edge_starts, within
from mdzoo.potentials.checkpoint import write_atomically
from mdzoo.potentials.force_field import ForceField, Prediction, prediction

FORMAT = 1
HEAD = f"mdzoo package {FORMAT}"
SETTINGS = {
    "realize_cpu_opcount_threshold": 12,  # a recursion is inlined into itself up to here, which doubles at every step
    "cpp.threads": 1,  # ranks share out the atoms
}


def write(force_field: ForceField, exported: str | Path) -> Path:
    """Compile a model, unless that was done, check it against its references, and write the note beside its export.

    Arguments:
        force_field: the model; it is left as it is.
        exported: the `model.pt` that was written from it.

    Raises:
        ValueError: it looks further than its neighbours, does not trace, or does not give its own reference values.
        FileNotFoundError: there is no C++ compiler.
    """
    contract = contracts.read(exported)
    check(force_field)
    compiler()
    package = find(contract) or build(force_field, contract)
    path = Path(exported).with_suffix(".pt2")
    write_atomically(path, lambda temporary: Path(temporary).write_text(f"{HEAD}\n{package.stem}\n"))
    return path


def find(contract: dict[str, Any]) -> Path | None:
    """Return the whole package of a model, None where there is none."""
    whole = (path for path in folder().glob(f"{name_of(contract)}-*.pt2") if path.stem.endswith(checksum(path)))
    return next(whole, None)


def build(force_field: ForceField, contract: dict[str, Any]) -> Path:
    """Compile a package, check it, and put it into the folder."""
    with tempfile.TemporaryDirectory(dir=folder()) as work:
        built = compile_to(Path(work) / "model.pt2", in_precision(force_field, contract["dtype"]), contract)
        self_test(built, contract)
        built.chmod(0o600)
        return built.replace(folder() / f"{name_of(contract)}-{checksum(built)}.pt2")


def checksum(path: Path) -> str:
    """Return the CRC-32 of a file."""
    return f"{zlib.crc32(path.read_bytes()):08x}"


def folder() -> Path:
    """Return the folder of packages, which is the user's alone."""
    found = mdzoo.cache_directory() / "packages"
    found.mkdir(parents=True, exist_ok=True)
    found.chmod(0o700)
    return found


def name_of(contract: dict[str, Any]) -> str:
    """Return how the names of packages of a model for this torch and this processor begin."""
    stamp = json.dumps([FORMAT, mdzoo.__version__, about(contract)], sort_keys=True)
    return hashlib.sha256(stamp.encode()).hexdigest()


def about(contract: dict[str, Any]) -> dict[str, str]:
    """Return what a package says of itself: its model, its torch, and what its processor can do."""
    digests = contract["sha256"]
    return {
        "model": f"{digests['archive']} {digests['contract']}",
        "torch": torch.__version__.split("+")[0],
        "cpu": processor(),
    }


def processor() -> str:
    """Return the names of what this processor can do, which machine code may rely on."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return " ".join(line.partition(":")[2].split())
    return ""


def check(force_field: ForceField) -> None:
    """Refuse a model whose energies are no sums over neighbours within one cutoff."""
    potential = force_field.potential
    if potential.reach not in (0, 1) or potential.has_charges:
        what = "global energies" if potential.reach < 0 else f"reach {potential.reach}"
        raise ValueError(
            f"`format` aoti must have a model of atoms with their neighbours alone (reach 0 or 1), got {what}"
            f"{' and charges of its own' if potential.has_charges else ''}; say format=torchscript"
        )


def compiler() -> str:
    """Return the C++ compiler."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        return get_cpp_compiler()
    except InvalidCxxCompiler as error:
        raise FileNotFoundError(
            f"a C++ compiler must be installed for format=aoti, got none ({error}); install g++, or set CXX"
        ) from error


def compile_to(path: Path, force_field: ForceField, contract: dict[str, Any]) -> Path:
    """Trace the model and compile it into a package."""
    from torch._inductor.utils import fresh_cache

    metadata = {"aot_inductor.metadata": about(contract)}
    with quiet(), fresh_cache(dir=str(path.parent)):
        try:
            program = traced(step_of(force_field), force_field.cutoff)
            torch._inductor.aoti_compile_and_package(
                program, package_path=str(path), inductor_configs={**SETTINGS, **metadata}
            )
        except Exception as error:
            name, said = type(force_field.potential).__name__, (str(error).strip() or type(error).__name__).splitlines()
            raise ValueError(
                f"`format` aoti must have a model that torch can trace and compile, got {name}: {said[0]}; "
                "say format=torchscript"
            ) from error
    return path


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep warnings of torch about its own code from the user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Package:
    """A package in Python, called as an exported model is; load none that is not in `folder()`.

    Its tables are `spare` places wider than they need be, an even number.
    """

    def __init__(self, path: Path, cutoff: float, spare: int = 0) -> None:
        self.run = torch._inductor.aoti_load_package(str(path))
        self.cutoff, self.spare = cutoff, spare

    def __call__(self, *given: Tensor) -> Prediction:
        """Return energies, forces and virials of the arguments of an exported model."""
        graph = within(graph_of(list(given)), self.cutoff)
        energies, slopes = self.run(*tables(graph, 2.0 * self.cutoff, self.spare))
        starts, atoms = edge_starts(graph.centers, len(graph.species)), torch.arange(len(graph.centers))
        edges = slopes[graph.centers, atoms - starts[graph.centers]]
        return prediction(graph, energies[: len(graph.species)], [edges], graph.charges)


def self_test(path: Path, contract: dict[str, Any]) -> None:
    """Run the reference structures through a package, in tables of two widths.

    Raises:
        ValueError: a deviation is beyond the tolerance of the contract.
    """
    dtype = contract["dtype"]
    tolerances = {name: contract["tolerances"][dtype]["cpu"][name] for name in contracts.COMPARED}
    for spare in (0, 38):
        model = Package(path, contract["cutoff"], spare)
        contracts.self_test(model, {**contract, "tolerances": {dtype: {"cpu": tolerances}}})
