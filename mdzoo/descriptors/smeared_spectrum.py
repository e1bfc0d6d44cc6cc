"""What descriptors share whose features are the power spectrum of a density of smeared atoms."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mdzoo.descriptors.base import Descriptor
from mdzoo.descriptors.power_spectrum import PowerSpectrum
from mdzoo.descriptors.smeared_density import SmearedDensity
from mdzoo.descriptors.spectrum_slopes import spectrum_slopes
from mdzoo.graph import Graph


class SmearedSpectrum(Descriptor):
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
        self.expansion, self.spectrum = expansion, spectrum
        self.n_channels, self.n_features = expansion.n_channels, spectrum.n_features + len(self.constants)

    def density(self, graph: Graph) -> Tensor:
        """Return c_nlm, (n, C), of each density."""
        return self.expansion(graph)

    def contract(self, density: Tensor) -> Tensor:
        """Return the features, (n, F), of the density (n, C)."""
        features = self.spectrum(density)
        if self.constants.numel() == 0:
            return features
        return torch.cat([features, self.constants.expand(features.shape[0], -1)], 1)

    def contract_with(self, density: Tensor, theta: Tensor) -> Tensor:
        """Return `B(A) @ theta`, (n,), without the features."""
        own, rest = theta.split([self.spectrum.n_features, self.constants.numel()])
        return self.spectrum.fold(density, own) + rest @ self.constants

    @torch.jit.unused
    @torch.no_grad()
    def slopes(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Return the features, (n, F), and dB_i/dr_ij, (n, J, 3, F), in the table of `mdzoo.ops.padding`."""
        features, slopes = spectrum_slopes(self.expansion, self.spectrum, graph, len(self.constants))
        return torch.cat([features, self.constants.expand(features.shape[0], -1)], 1), slopes.permute(0, 3, 2, 1)

    def empty(self, like: Tensor) -> Tensor:
        """Return the density of an atom alone, (n_species, C): its own."""
        return self.expansion.isolated(like)
