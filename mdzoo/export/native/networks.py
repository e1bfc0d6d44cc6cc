"""SO4 with MLP as LAMMPS's `mliap model nn descriptor sna`, and its linear term as `snap` beside it."""

import copy
from typing import Any

import torch
from torch import Tensor

from mdzoo.descriptors import SO4
from mdzoo.export.native.style import Style, numbers
from mdzoo.potentials import DescriptorPotential
from mdzoo.regressors import MLP, Linear

Layers = list[tuple[Tensor, Tensor]]  # weights (out, in) and constants (out,) of each layer


def in_parts(term: DescriptorPotential) -> list[DescriptorPotential]:
    """Return a term as LAMMPS can hold it: a network's linear term becomes a potential of its own, the sum stays."""
    regressor = term.regressor
    if not (isinstance(term.descriptor, SO4) and isinstance(regressor, MLP) and not why_not(regressor)):
        return [term]
    weights, bias = regressor.linear.weights.mean(0) / regressor.scale.std, regressor.linear.bias.mean(0)
    if not (weights.any() or bias.any()):
        return [term]
    linear, rest = Linear(regressor.n_features, regressor.n_species), copy.deepcopy(regressor)
    with torch.no_grad():
        linear.weights.copy_(weights)
        linear.bias.copy_(bias - weights @ regressor.scale.mean)
        rest.linear.weights.zero_()
        rest.linear.bias.zero_()
    return [DescriptorPotential(term.descriptor, linear), DescriptorPotential(term.descriptor, rest)]


def why_not(regressor: MLP) -> list[str]:
    """Return what LAMMPS's networks lack of this one."""
    networks: Any = regressor.networks
    layers = [layer for network in networks for layer in network.layers]
    found = [] if isinstance(layers[0].function, torch.nn.Tanh) else ["another activation"]
    found += ["layer_norm"] if any(layer.layer_norm for layer in layers) else []
    return found + (["residual"] if any(layer.residual for layer in layers) else [])


def write_network(descriptor: SO4, regressor: MLP, share: Tensor, options: list[str], symbols: list[str]) -> Style:
    """Return `mliap` with the networks of all elements; several members are one wide network.

    Arguments:
        descriptor: its features are the inputs.
        regressor: a network without a linear term, see `in_parts`.
        share: (F, F), what makes weights alike for features that are equal whatever the atoms.
        options: the lines of the descriptor's own file.
        symbols: of the elements.

    Raises:
        ValueError: a network that LAMMPS cannot hold.
    """
    lacking = why_not(regressor)
    if lacking:
        raise ValueError(
            f"`regressor` must be an MLP with activation=tanh, without residual and layer_norm, to be native in "
            f"LAMMPS, got {' and '.join(lacking)}; train such a one, or export it as TorchScript"
        )
    mean = share @ regressor.scale.mean.detach().double()
    rows, sizes = [], []
    for kind in range(len(symbols)):
        layers = layers_of(regressor, kind)
        first, constant = layers[0]
        first = first / regressor.scale.std
        layers[0] = first @ share, constant + first @ (mean - regressor.scale.mean)
        sizes = [str(len(bias)) for _, bias in layers]
        values = [torch.cat([bias.unsqueeze(1), weight], 1).flatten() for weight, bias in layers]
        rows.append(torch.cat(values).tolist())
    n = descriptor.n_features
    acts = [f"tanh {size}" for size in sizes[:-1]]
    lines = [f"{len(symbols)} {len(rows[0])}", f"NET {n} {len(sizes)} {' '.join(acts)} linear 1"]
    for row in rows:
        lines += [*map(repr, mean.tolist()), *["1.0"] * n, *map(repr, row)]
    files = {"@.nn": "\n".join(lines) + "\n", "@.sna": "\n".join(options) + "\n"}
    return Style("mliap", "model nn @.nn descriptor sna @.sna", [("* *", " ".join(symbols))], files)


def layers_of(regressor: Any, kind: int) -> Layers:
    """Return the layers of a species' network, its members side by side, the last layer their mean."""
    network = regressor.networks[0 if regressor.one else kind]
    affine = [*(layer.affine for layer in network.layers), network.last]
    layers = []
    for index, layer in enumerate(affine):
        weights = list(layer.weight.detach().double().transpose(1, 2))
        weight = torch.cat(weights) if index == 0 else torch.block_diag(*weights)
        layers.append((weight, layer.bias.detach().double().flatten()))
    weight, bias = layers.pop()
    return [*layers, (weight.mean(0, keepdim=True), bias.mean(0, keepdim=True))]


def sna_options(descriptor: SO4, flags: list[str], symbols: list[str]) -> list[str]:
    """Return the lines of the descriptor's file of `mliap`, from the options it shares with `snap`."""
    tables: Any = descriptor
    radii = [reach / 2.0 for reach in tables.reach.diagonal().tolist()]
    lines = [f"nelems {len(symbols)}", f"elems {' '.join(symbols)}", f"radelems {numbers(radii)}"]
    lines.append(f"welems {numbers(tables.weights.tolist())}")
    if descriptor.inner:
        lines += [f"{key}elems {numbers(getattr(tables, key).diagonal().tolist())}" for key in ("sinner", "dinner")]
    return lines + flags
