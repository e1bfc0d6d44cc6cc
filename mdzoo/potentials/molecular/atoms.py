"""What each atom of a topology is: its type and its charge."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mdzoo.graph import Graph
from mdzoo.ops import segment_sum
from mdzoo.potentials.molecular.frame import Frame
from mdzoo.potentials.molecular.harmonic import column
from mdzoo.potentials.parameters import Choices


class AtomTypes(nn.Module):
    """The type of every atom of a Graph, from a list of one type for each atom of a topology.

    Arguments:
        topologies: tables that hold the list under `key`.
        key: `types` or `charges`.
        n_types: types that there are.
    """

    types: Tensor  # (atoms of all topologies,) int64
    starts: list[int]

    def __init__(self, topologies: Sequence[Mapping[str, Any]], key: str, n_types: int) -> None:
        super().__init__()
        for topology in topologies:
            found = topology.get(key, [])
            if len(found) != len(topology["numbers"]) or not set(found) <= set(range(n_types)):
                raise ValueError(
                    f"`{key}` must hold one type below {n_types} for each of the {len(topology['numbers'])} atoms of "
                    f"{topology['title']!r}, got {len(found)} entries; read the files again"
                )
        parts = [torch.tensor(topology[key], dtype=torch.int64) for topology in topologies]
        self.starts = torch.tensor([0, *map(len, parts)]).cumsum(0).tolist()
        self.register_buffer("types", torch.cat(parts), persistent=False)

    def forward(self, frame: Frame) -> Tensor:
        """Return the type of each atom, (N,) in the order of the Graph."""
        out = torch.empty_like(frame.order)
        for kind, firsts in enumerate(frame.firsts):
            types = self.types[self.starts[kind] : self.starts[kind + 1]]
            places = firsts.unsqueeze(1) + torch.arange(types.shape[0], device=types.device)
            atoms = frame.order.index_select(0, places.flatten())
            out = out.index_copy(0, atoms, types.repeat(firsts.shape[0]))
        return out


class Charges(nn.Module):
    """One charge for each type, under the constraint that every molecule keeps its total.

    `q = x - C+ (C x - Q)`: the rows of C count the types in each kind of molecule (atoms connected by bonds), Q are
    their charges in the table, C+ is the pseudo-inverse.

    Arguments:
        table: `charge` (e) and `labels` of each type.
        topologies: their `charges` list the type of each atom.
        choices: whether `charge` trains.
    """

    counts: Tensor  # (molecules, types)
    totals: Tensor  # (molecules,) e
    inverse: Tensor  # (types, molecules)

    def __init__(self, table: Mapping[str, Any], topologies: Sequence[Mapping[str, Any]], choices: Choices) -> None:
        super().__init__()
        start = column(table, "charge")
        self.types = AtomTypes(topologies, "charges", start.shape[0])
        self.charge = choices.values("charge", start, "real", table["labels"])
        rows = [torch.bincount(torch.tensor(m), minlength=start.shape[0]) for m in molecules(topologies)]
        counts = torch.stack(rows).unique(dim=0).to(start.dtype)
        self.register_buffer("counts", counts, persistent=False)
        self.register_buffer("totals", counts @ start, persistent=False)
        self.register_buffer("inverse", torch.linalg.pinv(counts), persistent=False)

    def forward(self, graph: Graph, frame: Frame) -> Tensor:
        """Return the charge of each atom, (N,) in e."""
        return self.of_types().index_select(0, self.types(frame))

    def of_types(self) -> Tensor:
        """Return the charge of each type, (types,) in e."""
        charge = self.charge()
        return charge - self.inverse @ (self.counts @ charge - self.totals)


def molecules(topologies: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Return the charge types of the atoms of each molecule of all topologies."""
    out: list[list[int]] = []
    for topology in topologies:
        root = list(range(len(topology["numbers"])))

        def find(i: int, root: list[int] = root) -> int:
            while root[i] != i:
                root[i] = root[root[i]]
                i = root[i]
            return i

        for i, j, _ in topology.get("bonds", []):
            root[find(i)] = find(j)
        found: dict[int, list[int]] = {}
        for atom, kind in enumerate(topology["charges"]):
            found.setdefault(find(atom), []).append(kind)
        out += found.values()
    return out


class GivenCharges(nn.Module):
    """The charges that the structures bring."""

    def forward(self, graph: Graph, frame: Frame) -> Tensor:
        """Return the charge of each atom, (N,) in e; a structure without any is refused."""
        size = segment_sum(graph.charges.abs(), graph.batch, graph.cell.shape[0])
        if bool((size == 0.0).any()):
            raise ValueError(
                "`charges` must be given by the topologies or by every structure, got none; say data.charges_key=KEY"
            )
        return graph.charges.to(graph.vectors.dtype)
