"""ACSF + MLP as n2p2's files, read and evaluated by that code's conventions (its documentation and sources of 2024)."""

import numpy as np
import pytest
import torch
from ase.data import atomic_numbers

from mdzoo.export.native.n2p2 import write_n2p2
from mdzoo.potentials import AtomicEnergies, ForceField, SumPotential, build
from tests.reference.many_body import strained
from tests.structures import brute_force_graph
from tests.zoo import learnt


class Reader:
    """The files as n2p2 takes them: functions sorted, elements by atomic number."""

    def __init__(self, folder):
        lines = [line.split() for line in (folder / "input.nn").read_text().splitlines() if line[0] != "#"]
        self.words = {line[0]: line[1:] for line in lines}
        self.elements = sorted(self.words["elements"], key=atomic_numbers.get)
        self.functions = {e: [] for e in self.elements}
        for name, element, kind, *rest in lines_of(lines, "symfunction_short"):
            assert name == "symfunction_short"
            count = 1 if kind == "2" else 2
            kinds = tuple(sorted(self.elements.index(e) for e in rest[:count]))
            numbers = [float(word) for word in rest[count:]]
            eta, lam, zeta, rc, rs = numbers if count == 2 else (numbers[0], 0.0, 0.0, numbers[2], numbers[1])
            self.functions[element].append((int(kind), rc, eta, rs, zeta, lam, kinds))
        self.scaling = np.loadtxt(folder / "scaling.data", ndmin=2)
        self.weights = {e: np.loadtxt(folder / f"weights.{atomic_numbers[e]:03d}.data") for e in self.elements}
        assert "scale_symmetry_functions_sigma" in self.words
        assert (self.words["scale_min_short"], self.words["scale_max_short"]) == (["0.0"], ["1.0"])

    def f(self, r, rc):
        inside = r < rc
        if self.words["cutoff_type"] == ["1"]:
            return inside * 0.5 * (np.cos(np.pi * r / rc) + 1.0)
        return inside * np.tanh(1.0 - r / rc) ** 3

    def function(self, entry, kinds, vectors):
        kind, rc, eta, rs, zeta, lam, elements = entry
        r = np.linalg.norm(vectors, axis=1)
        if kind == 2:
            return (np.exp(-eta * (r - rs) ** 2) * self.f(r, rc))[kinds == elements[0]].sum()
        j, k = np.triu_indices(len(r), 1)
        both = np.sort(np.stack([kinds[j], kinds[k]]), 0).T
        chosen = (both == elements).all(1)
        j, k = j[chosen], k[chosen]
        cosine = (vectors[j] * vectors[k]).sum(1) / (r[j] * r[k])
        radial = np.exp(-eta * ((r[j] - rs) ** 2 + (r[k] - rs) ** 2)) * self.f(r[j], rc) * self.f(r[k], rc)
        if kind == 3:
            far = np.linalg.norm(vectors[j] - vectors[k], axis=1)
            radial = radial * np.exp(-eta * (far - rs) ** 2) * self.f(far, rc)
        return (2.0 ** (1.0 - zeta) * np.maximum(1.0 + lam * cosine, 0.0) ** zeta * radial).sum()

    def energy(self, element, kinds, vectors):
        entries = sorted(self.functions[element])
        place = self.elements.index(element) + 1
        mean, sigma = self.scaling[self.scaling[:, 0] == place][:, 4:].T
        x = (np.array([self.function(entry, kinds, vectors) for entry in entries]) - mean) / sigma
        rest, sizes = self.weights[element], [*map(int, self.words["global_nodes_short"]), 1]
        for size, activation in zip(sizes, self.words["global_activation_short"], strict=True):
            matrix, bias, rest = np.split(rest, [len(x) * size, (len(x) + 1) * size])
            x = matrix.reshape(len(x), size).T @ x + bias
            x = np.tanh(x) if activation == "t" else x
        assert len(rest) == 0
        return x[0]


def lines_of(lines, keyword):
    return [line for line in lines if line[0] == keyword]


def model(rng, descriptor, regressor, numbers):
    terms = learnt(
        {"name": "ACSF", "cutoff": 4.5, "n_species": len(numbers), **descriptor}, {"name": "MLP", **regressor}
    )
    potential = build(terms)
    with torch.no_grad():
        for p in potential.regressor.parameters():
            if p.requires_grad:
                p.copy_(torch.as_tensor(rng.normal(size=p.shape)))
    n = potential.descriptor.n_features
    potential.regressor.scale.set(torch.as_tensor(rng.normal(size=n)), torch.as_tensor(rng.uniform(0.5, 2.0, n)))
    return ForceField(SumPotential([AtomicEnergies(range(len(numbers))), potential]), numbers).eval()


NETWORK = {"hidden": [5, 4], "activation": "tanh", "linear": False}


@pytest.mark.parametrize(
    ("descriptor", "regressor", "numbers"),
    [
        ({"g2": [[2.0, 2.0], [0.1, 0.0]], "g4": [[0.06, 4, 1], [0.01, 1, -1, 0.5]]}, {}, [14]),
        ({"g2": [[0.1, 1.0]], "g4": [[0.01, 2, 1]], "g5": [[0.02, 1.5, -1]]}, {"members": 2}, [31, 7]),
        ({"g1": False, "g2": [[0.1, 1.0]], "g4": [], "cutoff_function": "tanh"}, {"shared": True}, [7, 31]),
    ],
)
def test_a_reader_finds_the_same_energies(rng, tmp_path, descriptor, regressor, numbers):
    made = model(rng, descriptor, {**NETWORK, **regressor}, numbers)
    write_n2p2(tmp_path, made)
    graph = brute_force_graph(strained(rng, len(numbers), 4.8), made.cutoff)
    reader, vectors, found = Reader(tmp_path), graph.vectors.numpy(), []
    names = [next(e for e in reader.elements if atomic_numbers[e] == z) for z in numbers]
    kinds = np.array([reader.elements.index(names[s]) for s in graph.species.tolist()])
    for i, s in enumerate(graph.species.tolist()):
        mine = (graph.centers == i).numpy()
        found.append(reader.energy(names[s], kinds[graph.neighbors.numpy()[mine]], vectors[mine]))
    expected = made.potential(graph).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)
    assert np.ptp(expected) > 1e-3


def test_what_n2p2_does_not_have_is_refused(rng, tmp_path):
    for descriptor, regressor, message in (
        ({"g3": [1.0]}, NETWORK, "`descriptor` must have G1, G2, G4 and G5 alone for n2p2, got g3; export"),
        ({"weights": [14.0]}, NETWORK, "`descriptor` must have G1, G2, G4 and G5 alone for n2p2, got weights; export"),
        (
            {},
            {**NETWORK, "linear": True},
            "`regressor` must be an MLP with activation=tanh and .*, got a linear term; tr",
        ),
        ({}, {**NETWORK, "activation": "silu"}, "`regressor` must be an MLP with .*, got another activation; train"),
    ):
        with pytest.raises(ValueError, match=message):
            write_n2p2(tmp_path, model(rng, descriptor, regressor, [14]))
    assert not list(tmp_path.iterdir())
