"""Writes the files of n2p2, LAMMPS's `pair_style hdnnp`: `input.nn`, `scaling.data` and `weights.NNN.data`."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ase.data import chemical_symbols

from mdzoo.descriptors import ACSF
from mdzoo.descriptors.acsf import SMOOTHNESS
from mdzoo.export.native.networks import Layers, layers_of, why_not
from mdzoo.export.native.parts import parts_of
from mdzoo.potentials import ForceField
from mdzoo.regressors import MLP

CUTOFFS = {SMOOTHNESS["cosine"]: 1, SMOOTHNESS["tanh"]: 2}  # n2p2's numbers
BEYOND = 1e6  # symmetry functions outside are said to extrapolate


class SymmetryFunction(NamedTuple):
    """A function in the order of n2p2, which sorts by these fields; elements count by atomic number."""

    type: int
    eta: float
    centre: float
    angle: tuple[float, ...]  # zeta, lambda
    elements: tuple[int, ...]  # atomic numbers
    feature: int  # its place in the descriptor


def write_n2p2(folder: str | Path, force_field: ForceField) -> None:
    """Write ACSF + MLP as the files of n2p2, lengths in Angstrom and energies in eV.

    Source of the form: Singraber, Behler, Dellago, DOI 10.1021/acs.jctc.8b00770. Features are scaled by their mean and
    deviation; reference energies are in the constants of the last layer; members are one wide network.

    Arguments:
        folder: where the files go.
        force_field: ACSF with MLP, alone or in a sum with reference energies.

    Raises:
        ValueError: n2p2 does not have the functions, or such a network.
    """
    learnt, constants = parts_of(force_field.potential, ACSF, MLP)
    descriptor: Any = learnt.descriptor
    regressor: Any = learnt.regressor
    check(descriptor, regressor)
    numbers = force_field.atomic_numbers
    functions, order = symmetry_functions(descriptor, numbers), sorted(numbers)
    constants = constants + regressor.linear.bias.detach().double().mean(0).numpy()
    sizes = [str(len(bias)) for _, bias in layers_of(regressor, 0)[:-1]]
    texts = {"input.nn": input_lines(descriptor, functions, order, sizes)}
    texts["scaling.data"] = scaling_lines(regressor, functions, len(order))
    for kind, z in enumerate(numbers):
        texts[f"weights.{z:03d}.data"] = connections(layers_of(regressor, kind), functions, float(constants[kind]))
    for name, lines in texts.items():
        (Path(folder) / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def check(descriptor: ACSF, regressor: Any) -> None:
    """Refuse what n2p2 does not have."""
    if descriptor.weighted or descriptor.g3:
        found = "weights" if descriptor.weighted else "g3"
        raise ValueError(
            f"`descriptor` must have G1, G2, G4 and G5 alone for n2p2, got {found}; export it as TorchScript"
        )
    lacking = [*why_not(regressor), *(["a linear term"] if regressor.linear.weights.any() else [])]
    if lacking:
        raise ValueError(
            f"`regressor` must be an MLP with activation=tanh and linear=false, without residual and layer_norm, for "
            f"n2p2, got {' and '.join(lacking)}; train such a one, or export it as TorchScript"
        )


def symmetry_functions(descriptor: Any, numbers: list[int]) -> list[SymmetryFunction]:
    """Return the functions around an atom of any element, in n2p2's order."""
    out: list[SymmetryFunction] = []
    radial = [(0.0, 0.0)] * descriptor.g1 + [tuple(row) for row in descriptor.g2]
    for z in numbers:
        out += [SymmetryFunction(2, eta, centre, (), (z,), len(out) + k) for k, (eta, centre) in enumerate(radial)]
    angular = [(3, row) for row in descriptor.g4] + [(9, row) for row in descriptor.g5]
    for a in range(len(numbers)):
        for b in range(a + 1):
            pair = tuple(sorted((numbers[a], numbers[b])))
            for kind, (eta, zeta, sign, centre) in angular:
                out.append(SymmetryFunction(kind, eta, centre, (zeta, sign), pair, len(out)))
    return sorted(out)


def input_lines(descriptor: ACSF, functions: list[SymmetryFunction], order: list[int], sizes: list[str]) -> list[str]:
    """Return the lines of `input.nn`."""
    lines = [
        "# written by mdzoo; Angstrom and eV",
        f"number_of_elements {len(order)}",
        f"elements {' '.join(chemical_symbols[z] for z in order)}",
        f"cutoff_type {CUTOFFS[descriptor.smoothness]}",
        "scale_symmetry_functions_sigma",
        "scale_min_short 0.0",
        "scale_max_short 1.0",
        f"global_hidden_layers_short {len(sizes)}",
        f"global_nodes_short {' '.join(sizes)}",
        f"global_activation_short {' '.join('t' for _ in sizes)} l",
    ]
    for z in order:
        for f in functions:
            words = [chemical_symbols[z], str(f.type), *(chemical_symbols[e] for e in f.elements), repr(f.eta)]
            if f.type == 2:
                words += [repr(f.centre), repr(descriptor.cutoff)]
            else:
                words += [repr(f.angle[1]), repr(f.angle[0]), repr(descriptor.cutoff), repr(f.centre)]
            lines.append(f"symfunction_short {' '.join(words)}")
    return lines


def scaling_lines(regressor: Any, functions: list[SymmetryFunction], count: int) -> list[str]:
    """Return the lines of `scaling.data`: element, function, least, largest, mean, deviation."""
    mean, std = regressor.scale.mean.tolist(), regressor.scale.std.tolist()
    return [
        f"{element} {index} {-BEYOND!r} {BEYOND!r} {mean[f.feature]!r} {std[f.feature]!r}"
        for element in range(1, count + 1)
        for index, f in enumerate(functions, 1)
    ]


def connections(layers: Layers, functions: list[SymmetryFunction], constant: float) -> list[str]:
    """Return the lines of one element's weights: of each layer those from each neuron before, then its constants."""
    arrays = [(weight.numpy(), bias.numpy()) for weight, bias in layers]
    first, bias = arrays[0]
    arrays[0] = first[:, [f.feature for f in functions]], bias
    arrays[-1] = arrays[-1][0], arrays[-1][1] + constant
    return [repr(float(v)) for weight, bias in arrays for v in np.concatenate([weight.T.ravel(), bias])]
