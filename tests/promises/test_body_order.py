"""Each body order tells apart environments that the lower ones confuse, and the lower ones do confuse them.

Pozdnyakov et al., DOI 10.1103/PhysRevLett.125.166001: neighbours that are not congruent and yet have the same pairs of
distances and angles (fig. 1) or the same triples (fig. 2). The first pair here is the homometric pair of Patterson,
DOI 10.1038/143939b0, four of the eight corners of an octagon; the second was found by enumerating subsets of twelve
points of a sphere: all triples agree, the quadruples do not.
"""

import itertools
import math

import pytest
import torch

import mdzoo.descriptors
from mdzoo.potentials import build
from mdzoo.testing.compare import cluster

CUTOFF = 4.0


def octagon(*corners: int) -> torch.Tensor:
    turns = torch.tensor(corners, dtype=torch.float64) * math.pi / 4
    return torch.stack([turns.cos(), turns.sin(), 0.0 * turns], 1)


def rings(*points: int) -> torch.Tensor:
    """Points 0 to 3 on the equator, 4 to 7 above it and 8 to 11 below, by quarters of a turn."""
    height = torch.tensor([(0.0, 0.5, -0.5)[p // 4] for p in points], dtype=torch.float64)
    turns = torch.tensor([p % 4 for p in points], dtype=torch.float64) * math.pi / 2
    flat = (1.0 - height * height).sqrt()
    return torch.stack([flat * turns.cos(), flat * turns.sin(), height], 1)


PAIRS = {  # body order that is needed: two environments
    4: (octagon(0, 1, 2, 5), octagon(0, 1, 3, 4)),
    5: (rings(0, 1, 4, 5, 10, 11), rings(0, 1, 4, 7, 9, 10)),
}
ORDERS = {  # body order of the features, as their class says
    "SO3 3": ({"name": "SO3", "K": 2, "L": 4, "body_order": 3}, 3),
    "SO3 4": ({"name": "SO3", "K": 2, "L": 4, "body_order": 4}, 4),
    "SO3 5": ({"name": "SO3", "K": 1, "L": 4, "body_order": 5}, 5),
    "ACE 3": ({"name": "ACE", "K": 2, "L": 4, "body_order": 3}, 3),
    "ACE 4": ({"name": "ACE", "K": 2, "L": 4, "body_order": 4}, 4),
    "ACE 5": ({"name": "ACE", "K": 1, "L": 4, "body_order": 5}, 5),
    "ACSF": ({"name": "ACSF", "g2": [[1, 0]], "g4": [[0.1, 2, 1], [0.1, 2, -1]], "g5": [[0.1, 4, 1]]}, 3),
    "Soap": ({"name": "Soap", "r_cut": 3, "n_max": 3, "l_max": 4}, 3),
    "SoapQuip": ({"name": "SoapQuip", "n_max": 3, "l_max": 4}, 3),
    "MliapSO3": ({"name": "MliapSO3", "n_max": 3, "l_max": 4}, 3),
    "UF3": ({"name": "UF3"}, 3),
    "SO4": ({"name": "SO4", "twojmax": 8}, 4),
    "DeepMD": ({"name": "DeepMD", "sel": 6, "neuron": [4, 8], "axis_neuron": 4}, 3),
    "SeE3": ({"name": "SeE3", "sel": 6, "neuron": [4, 8]}, 3),
    "MTP": ({"name": "MTP", "level": 20, "scaling": 1}, 5),
    "POD": ({"name": "POD", "K": [4, 3, 2], "P": [6, 6]}, 4),
    "POD 7": ({"name": "POD", "K": [3, 3, 2, 2, 2, 2], "P": [6, 6, 6, 6, 6]}, 4),  # products of orders 3 and 4
}
COMBINED = {"Concatenate", "Projection", "Select", "SpeciesMixing"}  # of other descriptors


def apart(table: dict, pair: tuple[torch.Tensor, torch.Tensor]) -> float:
    """How far the centre's features are apart, relative to the largest."""
    torch.manual_seed(0)
    descriptor, features = build({**table, "cutoff": CUTOFF}), []
    for places in pair:
        places = torch.cat([torch.zeros(1, 3), 0.55 * CUTOFF * places])
        graph = cluster(torch.zeros(len(places), dtype=torch.int64), places, CUTOFF)
        features.append(descriptor(graph)[0].detach())
    return float((features[0] - features[1]).abs().max() / features[0].abs().max())


@pytest.mark.parametrize("needed", PAIRS)
@pytest.mark.parametrize("name", ORDERS)
def test_body_orders_tell_apart_what_lower_ones_confuse(name, needed):
    table, order = ORDERS[name]
    found = apart(table, PAIRS[needed])
    assert found > 1e-5 if order >= needed else found < 1e-10


@pytest.mark.parametrize("needed", PAIRS)
def test_the_pairs_agree_in_the_order_below(needed):
    """Gram matrices of all groups of needed - 2 neighbours agree; those of needed - 1 do not."""

    def groups(places: torch.Tensor, size: int) -> list:
        gram = (places @ places.T).round(decimals=9) + 0.0
        subsets = torch.combinations(torch.arange(len(places)), size)
        orders = torch.tensor(list(itertools.permutations(range(size))))
        out = []
        for subset in subsets:
            rows = [gram[subset[o]][:, subset[o]].flatten().tolist() for o in orders]
            out.append(min(rows))
        return sorted(out)

    one, other = PAIRS[needed]
    assert groups(one, needed - 2) == groups(other, needed - 2)
    assert groups(one, needed - 1) != groups(other, needed - 1)


def test_every_descriptor_says_its_order():
    public = set(mdzoo.descriptors.__all__) - {"Descriptor"} - COMBINED
    assert public == {table["name"] for table, _ in ORDERS.values()}
