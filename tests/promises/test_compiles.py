"""torch.compile takes a descriptor in one piece: one graph for any number of edges, no break."""

import warnings

import torch._dynamo as dynamo

from mdzoo.graph import within
from tests.zoo import ZOO, case, members

LEARNT = [n for n, e in ZOO.items() if e.n_species == 1 and e.table["name"] == "DescriptorPotential"]


def breaks(name: str) -> list[str]:
    """Return why the graph of a descriptor breaks."""
    it = case(name)
    descriptor = it.potential.descriptor
    dynamo.reset()
    with warnings.catch_warnings(), dynamo.config.patch(capture_scalar_outputs=True):
        warnings.simplefilter("ignore")  # of torch, about itself
        found = dynamo.explain(lambda graph: descriptor(graph))(within(it.graph, descriptor.cutoff))
    return [str(reason.reason) for reason in found.break_reasons]


@members("compiles", LEARNT)
def test_forward_has_no_graph_break(name):
    assert breaks(name) == []


def test_a_break_would_be_found():
    assert breaks("ACSF")
