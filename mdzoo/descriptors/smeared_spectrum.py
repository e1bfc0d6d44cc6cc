"""What descriptors share whose features are the power spectrum of a density of smeared atoms."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mdzoo.descriptors.expanded import ExpandedDescriptor
from mdzoo.descriptors.power_spectrum import PowerSpectrum
from mdzoo.descriptors.smeared_density import SmearedDensity
from mdzoo.descriptors.spectrum_slopes import spectrum_slopes
from mdzoo.graph import Graph
from mdzoo.ops import Padding


class SmearedSpectrum(ExpandedDescriptor):
    """The base of those that set `expansion` (`SmearedDensity`) and `spectrum` (`PowerSpectrum`) and give labels.

    `constants` are features that never change, behind those of the spectrum.
    """

    if TYPE_CHECKING:  # TorchScript would read an annotation as an attribute that is no module
        expansion: SmearedDensity
        spectrum: PowerSpectrum

    def __init__(self, cutoff: float, n_species: int, constants: tuple[float, ...] = ()) -> None:
        super().__init__(cutoff, n_species)
        self.register_buffer("constants", torch.tensor(constants, dtype=torch.float64), persistent=False)

    def set_parts(self, expansion: SmearedDensity, spectrum: PowerSpectrum) -> None:
        """Take the parts and their sizes."""
        self.expansion, self.spectrum, self.has_fold = expansion, spectrum, True
        self.set_degree(expansion.radial.blocks - 1)
        self.n_channels, self.n_features = expansion.n_channels, spectrum.n_features + len(self.constants)

    def functions(self, r: Tensor, graph: Graph, layout: Padding) -> Tensor:
        """Return the radial functions in each density, (L + 1, C, n * J)."""
        return self.expansion(r, graph, layout)

    def functions_with_slopes(self, r: Tensor, graph: Graph, layout: Padding) -> tuple[Tensor, Tensor]:
        """Return the same and their derivatives by r."""
        return self.expansion.with_slopes(r, graph, layout)

    def with_centres(self, density: Tensor, graph: Graph) -> Tensor:
        """Return c_nlm, (n, C), of each density: of the neighbours, and of the central atoms."""
        return density + self.empty(density).index_select(0, graph.species[: density.shape[0]])

    def contract(self, density: Tensor) -> Tensor:
        """Return the features, (n, F), of the density (n, C)."""
        features = self.spectrum(density)
        if self.constants.numel() == 0:
            return features
        return torch.cat([features, self.constants.expand(features.shape[0], -1)], 1)

    def contract_with(self, density: Tensor, theta: Tensor) -> Tensor:
        """Return `B(A) @ theta`, (n,), without the features."""
        own, rest = theta.split([self.spectrum.n_features, self.constants.numel()])
        return self.spectrum.with_weights(density, own) + rest @ self.constants

    def fold(self, density: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return `B(A) @ theta`, (n,), and its slopes by A, (n, C), for weights (1, F) or (n, F), without a graph."""
        own, rest = theta.split([self.spectrum.n_features, self.constants.numel()], 1)
        with torch.no_grad():
            energies, slopes = self.spectrum.fold(density, own)
        return energies + rest @ self.constants, slopes

    @torch.jit.unused
    @torch.no_grad()
    def slopes(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Return the features, (n, F), and dB_i/dr_ij, (n, J, 3, F), in the table of `mdzoo.ops.padding`."""
        features, slopes = spectrum_slopes(self, self.spectrum, graph, len(self.constants))
        return torch.cat([features, self.constants.expand(features.shape[0], -1)], 1), slopes.permute(2, 3, 1, 0)

    def empty(self, like: Tensor) -> Tensor:
        """Return the density of an atom alone, (n_species, C): its own."""
        return self.expansion.isolated(like)
