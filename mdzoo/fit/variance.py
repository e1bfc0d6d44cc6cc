r"""How sure a closed-form fit is of its energies and forces.

With the posterior `theta ~ N(mu, S)` and the rows phi of a prediction the parameters leave the variance `phi S phi^T`.
A Gaussian process on inducing points adds what these cannot say of a new neighbourhood,

    s^2 (k_** - k_*m K_mm^-1 k_m*)

(DTC: Quinonero-Candela, Rasmussen, JMLR 6, 1939 (2005)), where k_** is the covariance of sums over atoms for energies,
and of its two derivatives for forces; s^2 is the variance of the prior in units of the kernel. The noise of the labels
is apart.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from mdzoo.fit.blocks import BYTES, slopes_by_blocks
from mdzoo.fit.design import columns_of, linear_parts, n_columns, split
from mdzoo.fit.kernel_rows import Directions, gathered
from mdzoo.fit.solve import LinearPosterior
from mdzoo.fit.start import features_of
from mdzoo.graph import Graph, within
from mdzoo.potentials import DescriptorPotential, ForceField
from mdzoo.regressors import DotProduct, MappedGP, SparseGP


class Variance(NamedTuple):
    """Variances of the energies of structures and of forces, without the noise of labels."""

    energy: Tensor  # (S,) eV^2
    forces: Tensor  # (N, 3) (eV/Angstrom)^2


class Uncertainty(NamedTuple):
    """Of the energy of each atom: deviations in eV, and how little the inducing points say of it."""

    parameter: Tensor  # (N,) of the posterior, with what the inducing points leave open
    noise: Tensor  # (N,) of a label of the energy by atom
    model: Tensor  # (N,) zero: a closed form takes its model for true
    grade: Tensor  # (N,) from 0 at an inducing point to 1 far from all


@torch.no_grad()
def variance(force_field: ForceField, posterior: LinearPosterior, graph: Graph) -> Variance:
    """Return the variances of the energies and forces of the structures of a graph.

    Arguments:
        force_field: what was fitted.
        posterior: of the fit, `LeastSquares.posterior` or `FitResult.posterior`.
        graph: one or more structures.
    """
    found = [of_structure(force_field, posterior, single) for single in split(graph)]
    return Variance(torch.cat([v.energy for v in found]), torch.cat([v.forces for v in found]))


def of_structure(force_field: ForceField, posterior: LinearPosterior, graph: Graph) -> Variance:
    """Return the variances of one structure."""
    rows, first = columns_of(force_field, graph), 0
    energy = (rows.energy @ posterior.root).square().sum(-1)
    forces = (rows.forces @ posterior.root).square().sum(-1)
    for part in linear_parts(force_field):
        if isinstance(part.regressor, SparseGP):
            own = slice(first, first + len(part.regressor.alpha))
            inverse, scale = prior_of(part.regressor, posterior, own)
            whole, slopes = covariances(part, within(graph, part.cutoff))
            energy += (scale * whole - (rows.energy[:, own] @ inverse).square().sum(-1)).clamp_min(0.0)
            forces += (scale * slopes - (rows.forces[..., own] @ inverse).square().sum(-1)).clamp_min(0.0)
        first += n_columns(part)
    return Variance(energy, forces)


def prior_of(regressor: SparseGP, posterior: LinearPosterior, own: slice) -> tuple[Tensor, Tensor]:
    """Return the inverse of the root of a kernel's prior, (M, M), and s^2."""
    root, prior = regressor.prior_root(), posterior.prior[own, own]
    inverse = torch.linalg.solve_triangular(prior, torch.eye(len(prior)).to(prior), upper=True)
    return inverse, (root[0, 0] / prior[0, 0]).square()


def covariances(part: DescriptorPotential, graph: Graph) -> tuple[Tensor, Tensor]:
    """Return the prior variances of the energy of a structure and of its forces, (N, 3), in units of s^2."""
    regressor: Any = part.regressor
    x = features_of(part, graph, regressor.alpha) / regressor.deviation
    energy, forces = x.new_zeros(()), x.new_zeros(len(x), 3)
    directions = directions_of(part, graph, regressor)
    for kind, (kernel, _) in enumerate(regressor.blocks()):
        mine = (graph.species == kind).nonzero().squeeze(-1)
        energy += kernel(x[mine], x[mine]).sum()
        forces += of_forces(kernel, x, directions, graph.species == kind)
    return energy, forces


def directions_of(part: DescriptorPotential, graph: Graph, regressor: Any) -> Directions:
    """Return the scaled directions of all features of a structure by its atoms, atoms counted in the structure."""
    graph, found, first = graph._replace(vectors=graph.vectors.to(regressor.alpha)), [], 0
    for block in slopes_by_blocks(part.descriptor, graph, 0, BYTES):
        last = first + block.graph.centers.numel()
        along, atom, to = gathered(block, graph.neighbors[first:last], len(graph.species))
        keep = to < 3 * len(graph.species)
        found.append(Directions(along[keep] / regressor.deviation, atom[keep] + block.first, to[keep]))
        first = last
    nothing = regressor.points.new_zeros(0, regressor.n_features)
    none = torch.zeros(0, dtype=torch.int64)
    return Directions(*[torch.cat(parts) for parts in zip(Directions(nothing, none, none), *found, strict=True)])


def of_forces(kernel: Any, x: Tensor, directions: Directions, mine: Tensor) -> Tensor:
    """Return `sum_ij d_i . d^2 k(x_i, x_j)/dx_i dx_j . d_j` of each component of the forces, (N, 3)."""
    out = x.new_zeros(3 * len(x))
    for target in directions.to.unique().tolist():
        rows = ((directions.to == target) & mine[directions.atom]).nonzero().squeeze(-1)
        along, atom = directions.along[rows], directions.atom[rows]
        if len(rows) > 0:
            slopes = torch.func.jvp(lambda y, a=along, i=atom: kernel.pull(x, y, a, i), (x[atom],), (along,))[1]
            out[target] = slopes.sum()
    return out.view(-1, 3)


@torch.no_grad()
def uncertainty(
    force_field: ForceField, posterior: LinearPosterior, graph: Graph, energy_weight: float = 1.0
) -> Uncertainty:
    """Return how sure the fit is of the energy of each atom.

    Arguments:
        force_field: what was fitted.
        posterior: of the fit.
        graph: one or more structures.
        energy_weight: w_E of the fit: the noise of an energy by atom is that of a row of weight one, divided by it.
    """
    parts, first = linear_parts(force_field), 0
    rows, open_, prior = [], *graph.positions.new_zeros(2, len(graph.species))
    for part in parts:
        regressor: Any = part.regressor
        features = features_of(part, within(graph, part.cutoff), next(regressor.parameters()))
        rows.append(regressor.phi(features, graph.species))
        if isinstance(regressor, SparseGP):
            own = slice(first, first + len(regressor.alpha))
            inverse, scale = prior_of(regressor, posterior, own)
            whole = scale * diagonal(regressor, features, graph.species)
            known = (rows[-1][:, : len(regressor.alpha)] @ inverse).square().sum(1)
            open_, prior = open_ + (whole - known).clamp_min(0.0), prior + whole
        first += n_columns(part)
    parameter = ((torch.cat(rows, 1) @ posterior.root).square().sum(1) + open_).sqrt()
    noise = torch.full_like(parameter, posterior.noise / energy_weight)
    return Uncertainty(parameter, noise, torch.zeros_like(noise), (open_ / prior.clamp_min(1e-300)).sqrt())


def diagonal(regressor: Any, features: Tensor, species: Tensor) -> Tensor:
    """Return k(x_i, x_i) of each atom, (N,)."""
    out = torch.zeros_like(features[:, 0])
    for kind, (kernel, _) in enumerate(regressor.blocks()):
        rows = (species == kind).nonzero().squeeze(-1)
        out[rows] = kernel.diagonal(features[rows] / regressor.deviation)
    return out


@torch.no_grad()
def mapped_variance(regressor: SparseGP, posterior: LinearPosterior) -> MappedGP:
    """Return what gives the variance of an atom's energy (eV^2) by a kernel of zeta = 1, whatever the number of points.

    `u . V u` with `V = U^T (S - s^2 K_mm^-1) U + s^2` and the points U: the form of a MappedGP of zeta = 2. Above zeta
    = 1 the variance is a polynomial of degree 2 zeta, larger than what it replaces.

    Arguments:
        regressor: the one linear term of a fit, without a bias.
        posterior: of that fit.

    Raises:
        ValueError: the kernel is another, or there is a bias.
    """
    kernels = [kernel for kernel, _ in regressor.blocks()]
    plain = all(isinstance(kernel, DotProduct) and kernel.zeta == 1 for kernel in kernels)
    if not plain or regressor.has_bias:
        size = 8.0 * (regressor.n_features + 1) ** (2 * max(getattr(kernel, "zeta", 2) for kernel in kernels))
        raise ValueError(
            "`regressor` must have dot-product kernels of zeta 1 and no bias, got others (the polynomial of the "
            f"variance would take {size / 1e9:.3g} GB for each species); use `uncertainty`"
        )
    first: Any = kernels[0]
    out = MappedGP(regressor.n_features, regressor.n_species, 2, first.sigma0, first.normalise).to(regressor.alpha)
    start = 0
    for kind, (kernel, points) in enumerate(regressor.blocks()):
        own = slice(start, start + len(points))
        inverse, scale = prior_of(regressor, posterior, own)
        u, v = kernel.unit(points)[0], kernel.log_variance.exp()
        steep = (-kernel.log_lengths).exp() / regressor.deviation
        size = torch.cat([steep, steep.new_ones(1)])
        left, known = v * u.T @ posterior.root[own], v * u.T @ inverse
        whole = left @ left.T - known @ known.T + scale * v * torch.eye(len(size)).to(u)
        out.weights[kind] = size.unsqueeze(1) * whole * size
        out.inverse[kind] = steep
        start += len(points)
    return out
