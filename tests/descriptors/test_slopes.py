"""Slopes that descriptors know against forward mode: of the density by each edge, and of features through it."""

import pytest
import torch

from mdzoo.descriptors.slopes import backward, forward_edges, through_density
from mdzoo.graph import within
from mdzoo.ops import padding
from mdzoo.potentials import DescriptorPotential
from tests.zoo import case

NAMES = [
    "SO3 chebyshev full 4",
    "ACE bessel 4, two species",
    "POD to seven bodies, two species",
    "MTP 10, two species",
    "Soap mu1nu1, two species",
    "SoapQuip, two species",
    "MliapSO3, two species",
    "SO3 shared species channels, two species",
    "Select of those that know slopes, two species",
]


@pytest.mark.parametrize("name", NAMES)
def test_slopes_are_those_of_forward_mode_and_of_backward_passes(name):
    it = case(name)
    part = it.potential
    assert isinstance(part, DescriptorPotential)
    descriptor = part.descriptor.requires_grad_(False)
    graph = within(it.graphs[1], part.cutoff)
    found, expected = descriptor.edge_slopes(graph), forward_edges(descriptor.density, graph)
    torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-12 * float(expected.abs().max()))
    features, table = backward(descriptor, graph)
    assert table.shape[:2] == padding(graph.centers)[:2]
    for way in (descriptor.slopes(graph), through_density(descriptor, graph)):
        torch.testing.assert_close(way[0], features, rtol=1e-11, atol=1e-11 * float(features.abs().max()))
        torch.testing.assert_close(way[1], table, rtol=0.0, atol=1e-11 * float(table.abs().max()))
