"""A force field as a function of full tables of neighbours, traced with its derivatives for any sizes.

Energies and their slopes by the edge vectors are traced together, derivatives included, and compiled by AOTInductor for
any number of atoms and neighbours. A package takes full tables of n atoms and J neighbours, J odd; empty places hold a
neighbour far beyond the cutoff, and at least two rows and three places are there:

    species (n,), neighbours' species (n, J), vectors (n, J, 3)  ->  energies (n,), slopes dE/dvectors (n, J, 3)

species are int64, all others float64.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from mdzoo.graph import Graph, edge_starts, table_centers
from mdzoo.potentials.force_field import ForceField

Tables = tuple[Tensor, Tensor, Tensor]
Step = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def tables(graph: Graph, far: float, spare: int = 0) -> Tables:
    """Lay the edges of a graph into full tables, `spare` places wider; empty ones stand at `sqrt(3) * far`."""
    atoms, edges = graph.species.shape[0], graph.centers.shape[0]
    starts = edge_starts(graph.centers, atoms)
    width = max(3, int((starts[1:] - starts[:-1]).max()) | 1 if edges else 3) + spare
    n = max(2, atoms)
    slots = graph.centers * width + torch.arange(edges) - starts[graph.centers]
    species = torch.nn.functional.pad(graph.species, [0, n - atoms])
    vectors = torch.full([n * width, 3], far, dtype=torch.float64).index_copy(0, slots, graph.vectors)
    there = torch.zeros(n * width, dtype=torch.int64).index_copy(0, slots, graph.species[graph.neighbors])
    return species, there.view(n, width), vectors.view(n, width, 3)


def step_of(force_field: ForceField) -> Step:
    """Return the function from tables to energies and slopes."""
    potential, dtype = force_field.potential, force_field.unit.dtype

    def step(species: Tensor, there: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        n, width = vectors.shape[0], vectors.shape[1]
        leaves = vectors.detach().reshape(n * width, 3).to(dtype).requires_grad_()
        whole = torch.cat([species, there.reshape(-1)])  # neighbours follow as atoms without edges of their own
        zeros = torch.zeros(n + n * width, 3, dtype=torch.float64)
        graph = Graph(
            species=whole,
            positions=zeros,
            batch=torch.zeros_like(whole),
            ids=torch.arange(n + n * width),
            charges=zeros[:, 0],
            total_charge=torch.zeros(1, dtype=torch.float64),
            cell=torch.zeros(1, 3, 3, dtype=torch.float64),
            pbc=torch.zeros(1, 3, dtype=torch.bool),
            centers=table_centers(n, width),
            neighbors=n + torch.arange(n * width),
            shifts=zeros[n:],
            vectors=leaves,
        )
        energies = potential.first_order(graph)[:n]
        slopes = torch.autograd.grad(energies.sum() + 0.0 * leaves.sum(), leaves)[0]
        return energies.detach().to(torch.float64), slopes.to(torch.float64).view(n, width, 3)

    return step


class Traced(nn.Module):
    """A traced step, as a module that can be exported."""

    def __init__(self, step: torch.fx.GraphModule) -> None:
        super().__init__()
        self.step = step

    def forward(self, species: Tensor, there: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return energies and slopes."""
        return self.step(species, there, vectors)


def traced(step: Step, length: float) -> torch.export.ExportedProgram:
    """Trace the step with its derivatives for any number of atoms and neighbours, from an example of some `length`.

    Raises:
        ValueError: what is done depends on how many there are.
    """
    rows, places = 23, 37  # any two that differ, from 17 on
    kinds = torch.zeros(rows, places, dtype=torch.int64)
    example = kinds[:, 0].clone(), kinds, torch.full([rows, places, 3], 0.5 * length, dtype=torch.float64)
    with compiling():
        module = make_fx(step, tracing_mode="symbolic", _allow_non_fake_inputs=True)(*example)
    if found := asked(module):
        raise ValueError(f"it asks how many atoms or neighbours there are ({found[0]})")
    drop_zeros(module)
    n, width = torch.export.Dim("n", min=2, max=2**20), torch.export.Dim("J", min=2, max=2**12)
    sizes = {0: n}, {0: n, 1: width}, {0: n, 1: width}
    return torch.export.export(Traced(module), example, dynamic_shapes=sizes, strict=False)


def asked(module: torch.fx.GraphModule) -> list[str]:
    """Return what a trace assumes of the numbers of atoms and neighbours: that they are like those of the example."""
    shapes = next(iter(module.graph.nodes)).meta["val"].fake_mode.shape_env
    sides = [(guard.expr, side) for guard in shapes.guards for side in guard.expr.args]
    return [str(expression) for expression, side in sides if side.is_Integer and side > 16]


@contextlib.contextmanager
def compiling() -> Iterator[None]:
    """Have `torch.compiler.is_compiling` say yes, as under `torch.export`, which cannot trace derivatives itself."""
    before = torch.compiler._is_compiling_flag
    torch.compiler._is_compiling_flag = True
    try:
        yield
    finally:
        torch.compiler._is_compiling_flag = before


def drop_zeros(module: torch.fx.GraphModule) -> None:
    """Put zeros where a number is taken from itself: `x - x.detach()` carries slopes, which are traced by then.

    A compiler may round x differently at its two places.
    """
    aten = torch.ops.aten
    for node in list(module.graph.nodes):
        if node.target is aten.sub.Tensor and origin(node.args[0]) is origin(node.args[1]):
            with module.graph.inserting_before(node):
                node.replace_all_uses_with(module.graph.call_function(aten.zeros_like.default, (node.args[0],)))
    module.graph.eliminate_dead_code()
    module.recompile()


def origin(node: Any) -> Any:
    """Return what a node detaches, or itself."""
    aten = torch.ops.aten
    while isinstance(node, torch.fx.Node) and node.target in (aten.detach.default, aten.alias.default):
        node = node.args[0]
    return node
