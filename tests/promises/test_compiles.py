"""torch.compile takes a descriptor in one piece: one graph for any number of atoms and edges, no break."""

import warnings

import pytest
import torch
import torch._dynamo as dynamo

from mdzoo.graph import within
from tests.zoo import ZOO, Case, case, members

DATA = {"capture_scalar_outputs": True, "capture_dynamic_output_shape_ops": True}  # as torch.export sets them


def kinds() -> list[str]:
    """Return one entry for each kind of descriptor, or combination of them, with one species and with several."""
    found: dict[tuple[str, int], str] = {}
    for name, entry in ZOO.items():
        if entry.table["name"] == "DescriptorPotential":
            descriptor = entry.table["descriptor"]
            members = str([each["name"] for each in descriptor.get("descriptors", [descriptor])])
            found.setdefault((members, entry.n_species), name)
    return list(found.values())


def compiled_and_eager(it: Case, descriptor: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the features of a descriptor traced into one graph, and those that it gives as it stands."""
    dynamo.reset()
    graph = within(it.graph, it.potential.cutoff)
    with warnings.catch_warnings(), torch.no_grad(), dynamo.config.patch(**DATA):
        warnings.simplefilter("ignore")  # of torch, about itself
        compiled = torch.compile(lambda g: descriptor(g), fullgraph=True, dynamic=True, backend="eager")
        return compiled(graph), descriptor(graph)


@members("compiles", kinds())
def test_forward_is_one_graph(name):
    it = case(name)
    torch.testing.assert_close(*compiled_and_eager(it, it.potential.descriptor), rtol=1e-12, atol=1e-12)


class Breaking(torch.nn.Module):
    def forward(self, graph):
        return graph.vectors if graph.vectors.sum() > 0.0 else -graph.vectors


def test_a_break_would_be_found():
    with pytest.raises(dynamo.exc.Unsupported):
        compiled_and_eager(case("SO3 bessel slides 4"), Breaking())
