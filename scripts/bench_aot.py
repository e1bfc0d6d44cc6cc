"""One AOTInductor build of SO3 + Linear, energies and forces, beside eager and TorchScript: same graph, one thread.

The build takes the neighbour table (n, J, 3), filled up with vectors beyond the cutoff, for any n and J, and returns
energies and their slopes by the vectors, differentiated before it is compiled. The scatter of slopes into forces and
virials is not in it, so the two cores are compared with each other, and the whole force field stands beside them.

Examples:
  python scripts/bench_aot.py
  python scripts/bench_aot.py --dtype float32 --size 5
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from timeit import timeit

import ase.build
import torch
from torch import Tensor
from torch.export import Dim, export
from torch.fx.experimental.proxy_tensor import make_fx

from mdzoo.data import graph_from_atoms
from mdzoo.descriptors.expansion import by_atoms, expand
from mdzoo.export.torchscript import prepare
from mdzoo.graph import Graph
from mdzoo.ops import Padding, pad, padding
from mdzoo.potentials import DescriptorPotential, ForceField, build

SO3 = {"name": "SO3", "cutoff": 5.0, "K": 4, "L": 3, "body_order": 4, "radial": "chebyshev"}
Step = Callable[[Tensor], tuple[Tensor, Tensor]]


def model(dtype: torch.dtype) -> ForceField:
    """Return SO3 + Linear with small random weights, for silicon."""
    torch.manual_seed(0)
    regressor = {"name": "Linear", "n_features": build(SO3).n_features, "n_species": 1, "bias": False}
    potential = build({"name": "DescriptorPotential", "descriptor": SO3, "regressor": regressor})
    torch.nn.init.normal_(potential.regressor.weights, 0.0, 1e-6)
    return ForceField(potential, [14]).eval().requires_grad_(False).to(dtype)


def silicon(size: int) -> Graph:
    """Return the graph of a rattled crystal of 8 size^3 atoms."""
    atoms = ase.build.bulk("Si", a=5.431, cubic=True) * (size, size, size)
    atoms.rattle(0.05, seed=0)
    return graph_from_atoms(atoms, [14], SO3["cutoff"])


def table_of(graph: Graph, dtype: torch.dtype) -> Tensor:
    """Return the neighbour table (n, J, 3)."""
    layout = padding(graph.centers)
    far = torch.full([3], 2.0 * SO3["cutoff"], dtype=dtype)
    return pad(graph.vectors.to(dtype), layout, far).view(layout.n, layout.width, 3)


def core(potential: DescriptorPotential) -> Step:
    """Return the function from the table to energies (n,) and their slopes by the vectors (n, J, 3)."""
    descriptor, theta = potential.descriptor, potential.regressor.weights[0]

    def step(table: Tensor) -> tuple[Tensor, Tensor]:
        vectors = table.detach().requires_grad_()
        x, y, z = vectors.reshape(-1, 3).t().contiguous().unbind(0)
        r = torch.sqrt(x * x + y * y + z * z)
        layout = Padding(table.shape[0], table.shape[1], r)  # the slots are not used
        harmonics = by_atoms(descriptor.harmonics(x / r, y / r, z / r), layout)
        a = expand(descriptor.radial(r), harmonics, layout)
        energies = descriptor.contract_with(a.flatten(1), theta)
        return energies.detach(), torch.autograd.grad(energies.sum(), vectors)[0]

    return step


class Traced(torch.nn.Module):
    """A traced step, as a module that can be exported."""

    def __init__(self, step: Step, table: Tensor) -> None:
        super().__init__()
        self.step = make_fx(step, tracing_mode="symbolic", _allow_non_fake_inputs=True)(table)

    def forward(self, table: Tensor) -> tuple[Tensor, Tensor]:
        """Return energies and slopes."""
        return self.step(table)


def built(step: Step, table: Tensor, path: str) -> Step:
    """Compile a step ahead of time, for any number of atoms and neighbours, and return what comes back from disk."""
    sizes = {0: Dim("n", min=2, max=2**20), 1: Dim("J", min=2, max=1024)}
    program = export(Traced(step, table), (table,), dynamic_shapes=(sizes,), strict=False)
    return torch._inductor.aoti_load_package(torch._inductor.aoti_compile_and_package(program, package_path=path))


def agree(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> float:
    """Return the largest relative difference of energies and slopes."""
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(one, other, strict=True))


def main() -> None:
    """Build, compare and time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", choices=["float64", "float32"], default="float64", help="(%(default)s)")
    parser.add_argument("--size", type=int, default=4, help="8 size^3 atoms (%(default)s)")
    parser.add_argument("--repeats", type=int, default=20, help="turns (%(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    prepare()
    dtype = getattr(torch, options.dtype)
    force_field, graph, other = model(dtype), silicon(options.size), silicon(options.size + 1)
    table, step = table_of(graph, dtype), core(force_field.potential)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        compiled = built(step, table, f"{folder}/step.pt2")
    print(f"built in {time.monotonic() - begin:.0f} s")
    print(f"relative difference from eager: {agree(compiled(table), step(table)):.1e}")
    larger = table_of(other, dtype)
    print(f"with {larger.shape[0]} atoms instead of {table.shape[0]}: {agree(compiled(larger), step(larger)):.1e}")
    scripted = torch.jit.script(force_field)
    calls = {
        "force field, eager": lambda: force_field(graph),
        "force field, TorchScript": lambda: scripted(graph),
        "energies and slopes, eager": lambda: step(table),
        "energies and slopes, AOTInductor": lambda: compiled(table),
    }
    turns = [[timeit(c, timer=time.process_time, number=1) for c in calls.values()] for _ in range(options.repeats)][3:]
    for name, mine in zip(calls, zip(*turns, strict=True), strict=True):
        print(f"{name:34} {statistics.median(mine) * 1e6 / table.shape[0]:7.1f} us/atom")


if __name__ == "__main__":
    main()
