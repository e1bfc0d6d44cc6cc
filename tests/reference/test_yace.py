"""ACE + Linear as a `.yace` file, read and evaluated by the conventions of the form (Lysogorskiy et al. 2021)."""

import re
from math import pi, sqrt

import numpy as np
import pytest
import torch
import yaml
from scipy.special import sph_harm_y

from mdzoo.descriptors import ACE
from mdzoo.export.native.yace import write_yace
from mdzoo.potentials import AtomicEnergies, DescriptorPotential, ForceField, SumPotential, build
from mdzoo.regressors import MLP, Linear
from tests.reference.many_body import strained
from tests.structures import brute_force_graph
from tests.zoo import LINEAR, learnt


class Pace:
    """What a reader of the form makes of it: complex products of `sqrt(4 pi) Y_lm`, radial functions as `ChebPow`."""

    def __init__(self, path):
        text = re.sub(r"^  \[(\d+), (\d+)\]:", r'  "\1 \2":', path.read_text(), flags=re.MULTILINE)
        self.file = yaml.safe_load(text)

    def radial(self, bond, r):
        """g_n(r), n = 1 .. N, and R_nl(r)."""
        assert bond["radbasename"] == "ChebPow"
        x = 2.0 * (1.0 - (1.0 - r / bond["rcut"]) ** bond["radparameters"][0]) - 1.0
        n = np.arange(1, bond["nradbasemax"] + 1)
        g = 0.5 - 0.5 * np.cos(n * np.arccos(x)) if r < bond["rcut"] else np.zeros(len(n))
        return g, np.array(bond["radcoefficients"]) @ g

    def energy(self, kind, neighbours):
        """Energy of an atom of one kind with neighbours (kind, vector), eV."""
        sums, ones = {}, {}
        for other, vector in neighbours:
            r = np.linalg.norm(vector)
            theta, phi = np.arccos(vector[2] / r), np.arctan2(vector[1], vector[0])
            bond = self.file["bonds"][f"{kind} {other}"]
            g, table = self.radial(bond, r)
            for n, value in enumerate(g, 1):
                ones[other, n] = ones.get((other, n), 0.0) + value
            for order in range(bond["lmax"] + 1):
                for m in range(-order, order + 1):
                    y = sqrt(4.0 * pi) * sph_harm_y(order, m, theta, phi)
                    for n in range(1, bond["nradmax"] + 1):
                        place = other, n, order, m
                        sums[place] = sums.get(place, 0.0) + table[n - 1, order] * y
        assert self.file["embeddings"][kind]["FS_parameters"] == [1, 1]
        return self.file["E0"][kind] + sum(self.value(f, sums, ones) for f in self.file["functions"][kind])

    def value(self, f, sums, ones):
        if f["rank"] == 1:
            return f["ctildes"][0] * ones.get((f["mus"][0], f["ns"][0]), 0.0)
        combinations = np.array(f["ms_combs"]).reshape(f["num_ms_combs"], f["rank"]).tolist()
        total = 0.0
        for ms, c in zip(combinations, f["ctildes"], strict=True):
            places = zip(f["mus"], f["ns"], f["ls"], ms, strict=True)
            total += (c * np.prod([sums.get(place, 0.0) for place in places])).real
        return total


def by_reader(path, graph):
    """The energy of each atom of a graph."""
    reader, vectors = Pace(path), graph.vectors.numpy()
    kinds = graph.species.tolist()
    around = [[] for _ in kinds]
    for i, j, vector in zip(graph.centers.tolist(), graph.neighbors.tolist(), vectors, strict=True):
        around[i].append((kinds[j], vector))
    return [reader.energy(kind, neighbours) for kind, neighbours in zip(kinds, around, strict=True)]


def model(rng, descriptor, numbers):
    potential = build(learnt({"name": "ACE", "cutoff": 4.0, "n_species": len(numbers), **descriptor}, LINEAR))
    with torch.no_grad():
        potential.regressor.weights.copy_(torch.as_tensor(100.0 * rng.normal(size=potential.regressor.weights.shape)))
        potential.regressor.bias.fill_(0.25)
    return ForceField(SumPotential([AtomicEnergies(range(len(numbers))), potential]), numbers).eval()


@pytest.mark.parametrize(
    ("descriptor", "numbers"),
    [
        ({"K": 2, "L": 3, "body_order": 5, "degree": 5}, [14]),
        ({"K": [3, 2, 2], "L": [0, 2, 3], "body_order": 4, "degree": 4, "radial": "bessel"}, [31, 7]),
        ({"K": 3, "L": 2, "body_order": 4, "radial": "chebyshev_power", "stretch": 2, "smoothness": 1}, [14]),
        ({"K": 2, "L": 1, "body_order": 3, "radial": "agnesi", "smoothness": 3}, [14]),
        ({"K": 3, "body_order": 2}, [14, 8]),
    ],
)
def test_a_reader_finds_the_same_energies(rng, tmp_path, descriptor, numbers):
    made = model(rng, descriptor, numbers)
    write_yace(tmp_path / "model.yace", made)
    graph = brute_force_graph(strained(rng, len(numbers), 5.0), made.cutoff)
    found = made.potential(graph).detach().numpy()
    np.testing.assert_allclose(by_reader(tmp_path / "model.yace", graph), found, rtol=1e-10, atol=1e-9)
    assert np.abs(found).max() > 1.0


PACE = [  # energies of the first three atoms by ML-PACE's own evaluator (ICAMS/lammps-user-pace of 3 December 2025), eV
    ({"K": 2, "L": 3, "body_order": 5, "degree": 5}, [14], [5.943961631742473, 6.104092617998352, 5.003311789506837]),
    (
        {"K": [3, 2, 2], "L": [0, 2, 3], "body_order": 4, "degree": 4, "radial": "bessel"},
        [31, 7],
        [-2.5196750379496913, -2.1197493889442787, -1.785308843058906],
    ),
]


@pytest.mark.parametrize(("descriptor", "numbers", "expected"), PACE)
def test_the_code_itself_found_these_energies(descriptor, numbers, expected):
    """It read files that `write_yace` made of the same models; its tables of radial functions cost 3e-12."""
    rng = np.random.default_rng(0)
    made = model(rng, descriptor, numbers)
    graph = brute_force_graph(strained(rng, len(numbers), 5.0), made.cutoff)
    assert made.potential(graph)[:3].tolist() == pytest.approx(expected, rel=1e-10)


def test_what_the_form_cannot_hold_is_refused(rng, tmp_path):
    other = ForceField(DescriptorPotential(ACE(K=2, L=1, body_order=3), MLP(8, 1, [2])), [14])
    with pytest.raises(ValueError, match=r"`potential` must be ACE with Linear, .*, got .*'MLP'.*; export it as Torch"):
        write_yace(tmp_path / "model.yace", other)
    shared = model(rng, {"K": 2, "L": 1, "species_channels": 1}, [14, 8])
    with pytest.raises(ValueError, match=r"`species_channels` must be null in a .yace file, .*, got 1 shared ones; ex"):
        write_yace(tmp_path / "model.yace", shared)
    rough = DescriptorPotential(ACE(K=2, L=1, body_order=3, radial="bessel2"), Linear(8, 1))
    with pytest.raises(ValueError, match=r"`radial` must be a series of at most 120 Cheb.* for radial=bessel2"):
        write_yace(tmp_path / "model.yace", ForceField(rough, [14]))
    assert not list(tmp_path.iterdir())
