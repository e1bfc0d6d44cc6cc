"""Which topology a structure has: told by its elements in the order of the atoms' identities."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mdzoo.graph import Graph
from mdzoo.potentials.molecular.frame import Frame, frame_of


class Topologies(nn.Module):
    """Finds the topology of every structure of a Graph: the one whose elements, atom by atom, are the structure's.

    Atoms are compared in the order of their `ids` in the structure, whatever their order in the Graph.

    Arguments:
        topologies: tables with `numbers`, the atomic number of each atom, and `title`.
        atomic_numbers: the element table of the model.
    """

    species: Tensor  # (atoms of all topologies,) int64
    starts: list[int]
    names: list[str]

    def __init__(self, topologies: Sequence[Mapping[str, Any]], atomic_numbers: Sequence[int]) -> None:
        super().__init__()
        known = [int(z) for z in atomic_numbers]
        self.names = [str(topology["title"]) for topology in topologies]
        numbers = [[int(z) for z in topology["numbers"]] for topology in topologies]
        missing = sorted({z for row in numbers for z in row} - set(known))
        if missing:
            raise ValueError(
                f"`atomic_numbers` must hold the elements of the topologies {self.names}, got {known} without {missing}"
                "; say data.atomic_numbers=[...]"
            )
        for k, row in enumerate(numbers):
            if row in numbers[:k]:
                raise ValueError(
                    f"`topologies` must differ in their elements, atom by atom, got {self.names[numbers.index(row)]!r} "
                    f"and {self.names[k]!r} alike; list the atoms of one in another order"
                )
        self.starts = torch.tensor([0, *map(len, numbers)]).cumsum(0).tolist()
        rows = torch.tensor([known.index(z) for row in numbers for z in row], dtype=torch.int64)
        self.register_buffer("species", rows, persistent=False)

    def forward(self, graph: Graph) -> Frame:
        """Return where the atoms of each structure's topology stand."""
        last = graph.ids.max() if graph.ids.numel() > 0 else torch.zeros_like(graph.ids).sum()
        order = torch.argsort(graph.batch * (last + 1) + graph.ids, stable=True)
        counts: list[int] = torch.bincount(graph.batch, minlength=graph.cell.shape[0]).tolist()
        species = graph.species.index_select(0, order)
        first: list[int] = []
        kind: list[int] = []
        start = 0
        for structure, count in enumerate(counts):
            first.append(start)
            kind.append(self.find(species[start : start + count], structure))
            start += count
        begins, kinds = torch.tensor(first, dtype=torch.int64), torch.tensor(kind, dtype=torch.int64)
        return frame_of(graph, order, [begins[kinds == t].to(order.device) for t in range(len(self.names))])

    def find(self, species: Tensor, structure: int) -> int:
        """Return the topology with these species in this order."""
        for t in range(len(self.names)):
            mine = self.species[self.starts[t] : self.starts[t + 1]]
            if mine.shape[0] == species.shape[0] and torch.equal(mine, species):
                return t
        sizes = [self.starts[t + 1] - self.starts[t] for t in range(len(self.names))]
        raise ValueError(
            f"`structure` must have the atoms of a topology of this model, {self.names} of {sizes} atoms, in the order "
            f"of their ids, got {species.shape[0]} atoms that differ (structure {structure} of the batch); sort its "
            "atoms as in the topology, or add its topology to the model"
        )


class Instances(nn.Module):
    """The places of one term in every topology: rows of atoms, counted in the topology, and the type of each row.

    Arguments:
        topologies: tables that hold, under `key`, rows `[atom, ..., type]`.
        key: such as `bonds`.
        n_atoms: atoms in a row.
        n_types: types that there are.
    """

    rows: Tensor  # (instances of all topologies, n_atoms + 1) int64
    starts: list[int]

    def __init__(self, topologies: Sequence[Mapping[str, Any]], key: str, n_atoms: int, n_types: int) -> None:
        super().__init__()
        parts = [torch.tensor(t.get(key, []), dtype=torch.int64).reshape(-1, n_atoms + 1) for t in topologies]
        for part, topology in zip(parts, topologies, strict=True):
            beyond = part.numel() and bool(
                (part.amax(0) >= torch.tensor([len(topology["numbers"])] * n_atoms + [n_types])).any()
            )
            if beyond or bool((part < 0).any()):
                raise ValueError(
                    f"`{key}` must name atoms below {len(topology['numbers'])} and types below {n_types} in topology "
                    f"{topology['title']!r}, got others; read the files again"
                )
        self.starts = torch.tensor([0, *map(len, parts)]).cumsum(0).tolist()
        self.register_buffer("rows", torch.cat(parts), persistent=False)

    def forward(self, frame: Frame) -> tuple[Tensor, Tensor]:
        """Return the atoms of the Graph in each instance, (n, n_atoms), and its type, (n,)."""
        parts: list[Tensor] = []
        types: list[Tensor] = []
        for kind, firsts in enumerate(frame.firsts):
            rows = self.rows[self.starts[kind] : self.starts[kind + 1]]
            parts.append((rows[:, :-1] + firsts.view(-1, 1, 1)).flatten(0, 1))
            types.append(rows[:, -1].repeat(firsts.shape[0]))
        places = torch.cat(parts)
        return frame.order.index_select(0, places.flatten()).view(places.shape), torch.cat(types)
