"""The SO(4) bispectrum of SNAP."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mdzoo.basis.cutoff import cosine_cutoff
from mdzoo.basis.hypersphere import Harmonics, axial_rows, turning_rows
from mdzoo.descriptors.base import Descriptor
from mdzoo.descriptors.expansion import by_atoms, by_species, expand, surroundings
from mdzoo.descriptors.hypersphere_slopes import density_slopes
from mdzoo.descriptors.slopes import Block
from mdzoo.descriptors.triple_products import TripleProducts
from mdzoo.descriptors.triple_slopes import slopes_by_places, slopes_of
from mdzoo.graph import Graph
from mdzoo.ops import pad


class SO4(Descriptor):
    r"""The bispectrum of the density on the sphere of four dimensions, with every option of LAMMPS's `sna/atom`.

    A neighbour at r = r n is the rotation by twice t = (r - rmin0) rfac0 pi / (R_ij - rmin0) about n; with the matrices
    u^j of its representations and the switching function f, 1 at rmin0 and 0 at R_ij,

        U^j          = 1 + sum_k w_k f(r_k) u^j(k)
        B_{j1 j2 j}  = sum U^j*_{m m'} C^{j m}_{j1 m1 j2 m2} C^{j m'}_{j1 m1' j2 m2'} U^{j1}_{m1 m1'} U^{j2}_{m2 m2'}

    By the integral of three Wigner matrices this is `(2j + 1) <rho_j1 rho_j2 rho_j>`, an average over all rotations q
    of `rho_j(q) = sum_k w_k f(r_k) chi_j(q^-1 k)`, chi_j the character of spin j: no coupling coefficients appear, and
    the density expands `rho_j` in orthonormal polynomials of (cos t, sin t n).
    Source: Bartok, Payne, Kondor, Csanyi, DOI 10.1103/PhysRevLett.104.136403; Thompson et al., DOI
    10.1016/j.jcp.2014.12.018; several elements: Cusentino, Wood, Thompson, DOI 10.1021/acs.jpca.0c02450.

    Arguments:
        cutoff: Angstrom; R_ij = cutoff (R_i + R_j) / (2 max R), so `rcutfac` of LAMMPS is cutoff / (2 max R).
        n_species: number of elements.
        twojmax: largest 2j: 14, 30, 55 features of one density for 4, 6, 8.
        radii: R of each species, or one for all; only their ratios count.
        weights: w of each species as a neighbour, or one for all.
        rmin0: Angstrom. Below it, as in LAMMPS, the rotation turns by 2 pi more, which is a jump: keep atoms above.
        rfac0: share of pi that t reaches at R_ij.
        switch: whether f falls to 0 at R_ij as a cosine (one continuous derivative); without it features jump there.
        sinner: centre of an inner switch, of each species or one for all (Angstrom; pairs take the mean); none without.
        dinner: half its width, likewise: f is 0 below sinner - dinner and as before above sinner + dinner.
        bzero: whether the features of an isolated atom are subtracted.
        bnorm: whether B is divided by 2j + 1.
        chem: one density for each species of neighbour and all n_species^3 products, instead of one density.
        wselfall: with `chem`, whether the central atom counts in the densities of all species, not its own alone.

    Shapes: density (n, densities * sum_j (2j + 1)^2); features (n, F) in the order of LAMMPS.
    """

    own: Tensor
    zero: Tensor

    def __init__(
        self,
        cutoff: float = 5.0,
        n_species: int = 1,
        twojmax: int = 8,
        radii: float | Sequence[float] = 0.5,
        weights: float | Sequence[float] = 1.0,
        rmin0: float = 0.0,
        rfac0: float = 0.99363,
        switch: bool = True,
        sinner: float | Sequence[float] | None = None,
        dinner: float | Sequence[float] | None = None,
        bzero: bool = True,
        bnorm: bool = False,
        chem: bool = False,
        wselfall: bool = False,
    ) -> None:
        super().__init__(cutoff, n_species)
        self.twojmax, self.rmin0, self.rfac0 = int(twojmax), float(rmin0), float(rfac0)
        self.switch, self.bzero, self.bnorm = bool(switch), bool(bzero), bool(bnorm)
        self.inner, self.has_fold = sinner is not None, True
        self.smoothness = 1 if self.switch else -1
        radius = for_each("radii", radii, self.n_species)
        self.check(radius, sinner, dinner)
        self.register_buffer("reach", self.cutoff * mean_of_pairs(radius) / radius.max(), persistent=False)
        self.register_buffer("weights", for_each("weights", weights, self.n_species), persistent=False)
        for name, value in (("sinner", sinner), ("dinner", dinner)):
            table = mean_of_pairs(for_each(name, 1.0 if value is None else value, self.n_species))
            self.register_buffer(name, table, persistent=False)
        self.n_densities = self.n_species if chem else 1
        self.tells_kind = bool(chem) and not bool(wselfall) and self.n_species > 1
        self.products = TripleProducts(self.n_densities, self.twojmax, self.bnorm)
        self.n_features = self.products.n_features
        self.harmonics = Harmonics(self.twojmax)
        self.centre()
        self.n_channels = self.own.shape[1] + (self.n_species if self.tells_kind else 0)

    def check(
        self, radii: Tensor, sinner: float | Sequence[float] | None, dinner: float | Sequence[float] | None
    ) -> None:
        """Raise ValueError for arguments that make no sense."""
        if self.twojmax < 0:
            raise ValueError(f"`twojmax` must be at least 0, got {self.twojmax}; 8 is common")
        if not bool((radii > 0.0).all()):
            raise ValueError(f"`radii` must be positive, got {radii.tolist()}; only their ratios count")
        shortest = float(self.cutoff * radii.min() / radii.max())
        if not 0.0 <= self.rmin0 < shortest:
            raise ValueError(
                f"`rmin0` must be within [0, {shortest:g}), the shortest cutoff, got {self.rmin0}; 0 is common"
            )
        if not self.rfac0 > 0.0:
            raise ValueError(f"`rfac0` must be positive, got {self.rfac0}; 0.99363 is common")
        if dinner is not None and not bool((for_each("dinner", dinner, self.n_species) > 0.0).all()):
            values = for_each("dinner", dinner, self.n_species).tolist()
            raise ValueError(f"`dinner` must be positive, got {values}; it is half the width of the inner switch")
        if (sinner is None) != (dinner is None):
            raise ValueError(
                f"`sinner` and `dinner` must stand together, got {sinner} and {dinner}; give both or neither"
            )

    def centre(self) -> None:
        """Make what the central atom, the rotation by 0, adds to the density, and its features alone."""
        unity = self.harmonics.at(np.eye(4)[:1]).T
        many = torch.block_diag(*[unity] * self.n_species) if self.tells_kind else unity.repeat(1, self.n_densities)
        self.register_buffer("own", many, persistent=False)  # (1 or n_species, C)
        self.register_buffer("zero", self.products(many) * float(self.bzero), persistent=False)

    def density(self, graph: Graph) -> Tensor:
        """Return the coefficients of rho, (n, C); with `chem` and without `wselfall` the species stand behind."""
        around = surroundings(graph, 2.0 * self.cutoff)
        layout = around.layout
        here, there = graph.species[: layout.n], graph.species[:0]
        if self.n_species > 1:
            there = pad(graph.species[graph.neighbors], layout, torch.zeros_like(layout.slots[0]))
        turning, axial = self.rows(around.r, around.x, around.y, around.z, here.repeat_interleave(layout.width), there)
        turning = by_species(turning.unsqueeze(0), graph, layout, self.n_densities)
        moments = expand(turning, by_atoms(list(axial.unbind(0)), layout), layout)
        rho = self.harmonics(moments.view(-1, 2 * self.twojmax + 1, moments.shape[2])).view(layout.n, -1)
        if not self.tells_kind:
            return rho
        return torch.cat([rho, torch.nn.functional.one_hot(here, self.n_species).to(rho.dtype)], 1)

    def rows(self, r: Tensor, x: Tensor, y: Tensor, z: Tensor, here: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weighted turning rows and the axial rows of neighbours at r along the unit vectors (x, y, z)."""
        c, s, weight = self.angles(r, here, there)
        return turning_rows(s * x, s * y, weight, self.twojmax), axial_rows(c, s * z, self.twojmax)

    def angles(self, r: Tensor, here: Tensor, there: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return cos t, sin t and w f at r."""
        weight, reach, pair = self.weights[0], self.reach[0, 0], here
        if self.n_species > 1:
            pair = here * self.n_species + there
            weight, reach = self.weights[there], self.reach.flatten()[pair]
        u = (r - self.rmin0) / (reach - self.rmin0)
        t = math.pi * self.rfac0 * u
        turn = torch.where(t < 0.0, -1.0, 1.0).to(r.dtype)
        return turn * torch.cos(t), turn * torch.sin(t), weight * self.falloff(r, u, pair)

    def falloff(self, r: Tensor, x: Tensor, pair: Tensor) -> Tensor:
        """Return f at r Angstrom and the reduced distance x."""
        f = cosine_cutoff(torch.clamp(x, min=0.0)) if self.switch else (x < 1.0).to(x.dtype)
        if self.inner:
            one = self.n_species == 1
            s = self.sinner[0, 0] if one else self.sinner.flatten()[pair]
            d = self.dinner[0, 0] if one else self.dinner.flatten()[pair]
            f = f * (1.0 - cosine_cutoff(torch.clamp(0.5 + 0.5 * (r - s) / d, min=0.0)))
        return f

    def whole(self, density: Tensor) -> tuple[Tensor, Tensor]:
        """Return the density with the central atom in it, and what `bzero` subtracts from the features."""
        if not self.tells_kind:
            return density + self.own, self.zero
        rho, kind = density.split([self.own.shape[1], self.n_species], 1)
        return rho + kind @ self.own, kind @ self.zero

    def contract(self, density: Tensor) -> Tensor:
        """Return the features, (n, F), of the density (n, C)."""
        rho, zero = self.whole(density)
        return self.products(rho) - zero

    def fold(self, density: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return `B(A) @ theta`, (n,), and its slopes by A, (n, C), for weights (1, F) or (n, F), without a graph."""
        rho, zero = self.whole(density)
        energies, slopes = self.products.fold(rho, theta)
        energies = energies - (zero * theta).sum(1)
        return energies, torch.nn.functional.pad(slopes, [0, density.shape[1] - slopes.shape[1]])

    @torch.jit.unused
    @torch.no_grad()
    def slopes(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Return the features, (n, F), and dB_i/dr_ij, (n, J, 3, F), in the table of `mdzoo.ops.padding`."""
        return slopes_by_places(self, graph)

    @torch.jit.unused
    def feature_slopes(self, density: Tensor) -> list[Block]:
        """Return dB/dA, one block; the species behind the density are no place to move along."""
        return [Block(torch.arange(self.own.shape[1]), slopes_of(self.products, density)(self.whole(density)[0]))]

    @torch.jit.unused
    def edge_slopes(self, graph: Graph) -> Tensor:
        """Return dA_i/dr_ij for each edge, (E, 3, C)."""
        here, there = graph.species[graph.centers], graph.species[graph.neighbors]
        return density_slopes(self, graph.vectors, here, there)

    def empty(self, like: Tensor) -> Tensor:
        """Return the density of an atom without neighbours, one row for each species, in the dtype of `like`."""
        zero = torch.zeros([self.n_species, self.n_channels], dtype=like.dtype, device=like.device)
        if self.tells_kind:
            zero[:, -self.n_species :] = torch.eye(self.n_species, dtype=like.dtype, device=like.device)
        return zero

    def labels(self) -> list[str]:
        """Return names such as `B[2j1=2,2j2=2,2j=4]`, with the species in front where `chem` asks for them."""
        several = self.n_densities > 1
        return [
            f"B[{f's={e[0]},s1={e[1]},s2={e[2]},' if several else ''}2j1={j1},2j2={j2},2j={j}]"
            for e, (j1, j2, j) in self.products.features
        ]


def for_each(name: str, value: float | Sequence[float], n_species: int) -> Tensor:
    """Return one number for each species, (n_species,)."""
    values = [float(v) for v in value] if isinstance(value, Sequence) else [float(value)] * n_species
    if len(values) != n_species:
        raise ValueError(f"`{name}` must be one number or {n_species}, one for each species, got {value}; fill it up")
    return torch.tensor(values, dtype=torch.float64)


def mean_of_pairs(values: Tensor) -> Tensor:
    """Return (v_i + v_j) / 2, (n_species, n_species)."""
    return 0.5 * (values.unsqueeze(1) + values)
