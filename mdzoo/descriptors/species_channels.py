"""In how many channels do the species of neighbours count."""

import math

import torch
from torch import Tensor, nn

from mdzoo.descriptors.expansion import by_species
from mdzoo.graph import Graph
from mdzoo.ops import Padding, pad


class SpeciesChannels(nn.Module):
    """`g_ck(r) = w_{c s} g_k(r)` for a neighbour of species s: S species share C channels, so that cost grows with C.

    The weights w (C, S) train with a loss; a linear fit takes them as they stand, at first the discrete cosines
    `cos(pi c (s + 1/2) / S)`, of which c = 0 counts all neighbours alike and C = S loses nothing. Without `channels`
    each species has its own channel, and there are no weights. Learnt mixing as in Willatt, Musil and Ceriotti,
    DOI 10.1039/C8CP05921G.
    """

    def __init__(self, n_species: int, channels: int | None) -> None:
        super().__init__()
        if channels is not None and not 1 <= int(channels) <= n_species:
            raise ValueError(
                f"`species_channels` must be 1 to {n_species}, the number of species, got {channels}; null gives each "
                "species its own"
            )
        self.n_species = n_species
        self.n_channels = n_species if channels is None else int(channels)
        self.mixes = channels is not None
        c, s = torch.arange(self.n_channels, dtype=torch.float64), torch.arange(n_species, dtype=torch.float64) + 0.5
        cosines = torch.cos(math.pi / n_species * torch.outer(c, s))
        if self.mixes:
            self.weights = nn.Parameter(cosines)
        else:
            self.register_buffer("weights", cosines, persistent=False)

    def forward(self, radial: Tensor, graph: Graph, layout: Padding) -> Tensor:
        """Return the radial functions (blocks, K, n * J) in each channel, (blocks, C * K, n * J)."""
        if not self.mixes:
            return by_species(radial, graph, layout, self.n_species)
        species = pad(graph.species[graph.neighbors], layout, torch.zeros_like(graph.centers[0]))
        weights = self.weights.index_select(1, species)
        return (radial.unsqueeze(1) * weights.unsqueeze(1)).flatten(1, 2)
