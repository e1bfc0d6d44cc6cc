"""UF3 + Linear as the file of LAMMPS's `pair_style uf3`."""

from collections.abc import Sequence
from itertools import combinations_with_replacement, product
from typing import Any

import numpy as np
import torch
from scipy.interpolate import BSpline
from torch import Tensor

import mdzoo
from mdzoo.basis.cardinal_spline import cardinal_weights
from mdzoo.basis.even_splines import EvenSplines
from mdzoo.descriptors import UF3
from mdzoo.export.native.style import Style, numbers
from mdzoo.regressors import Linear

BEYOND = 1.0 + 1e-12


def write_uf3(descriptor: UF3, regressor: Linear, symbols: list[str]) -> Style:
    """Return `pair_style uf3`: one block for each pair of elements, and for each element and pair of neighbours.

    LAMMPS has one spline for a pair, the mean of those that its two atoms see, and knows no constants.
    """
    weights, kinds = regressor.weights.detach().double(), range(len(symbols))
    head = f"#UF3 POT UNITS: metal DATE: none AUTHOR: mdzoo {mdzoo.__version__} CITATION: none"
    lines = []
    for i, j in combinations_with_replacement(kinds, 2):
        row = 0.5 * (pair(descriptor, weights[i], j) + pair(descriptor, weights[j], i))
        lines += [head, f"2B {symbols[i]} {symbols[j]} 0 3 nk", *pair_block(descriptor.pairs, row), "#"]
    for i, (j, k) in product(kinds, combinations_with_replacement(kinds, 2)):
        table = triplet(descriptor, weights[i], j, k)
        title = f"3B {symbols[i]} {symbols[j]} {symbols[k]} 0 3 nk"
        lines += [head, title, *triplet_block(descriptor, table), "#"]
    constants = regressor.bias.detach().double().tolist()
    words = f"@.uf3 {' '.join(symbols)}"
    return Style("uf3", "3", [("* *", words)], {"@.uf3": "\n".join(lines) + "\n"}, constants=tuple(constants))


def pair(descriptor: UF3, weights: Tensor, kind: int) -> np.ndarray:
    """Return the coefficients of the splines of a pair, those that vanish at the end included, (K + 3,)."""
    own = weights[: descriptor.n_pairs].view(descriptor.n_species, -1)[kind]
    return torch.nn.functional.pad(own, [0, 3]).numpy()


def triplet(descriptor: UF3, weights: Tensor, j: int, k: int) -> np.ndarray:
    """Return the coefficients over l, m and n of a triplet with neighbours of the species j and k."""
    part: Any = descriptor.triplets
    values = torch.nn.functional.pad(weights[descriptor.n_pairs :], [0, 1])[part.index]
    table = values.view(part.n_species, part.n_near, part.n_species, part.n_near + 3, -1)[j, :, k]
    return torch.nn.functional.pad(table, [0, 0, 0, 0, 0, 3]).numpy()


def pair_block(splines: EvenSplines, row: np.ndarray) -> list[str]:
    """Return cutoff, knots and coefficients of a pair."""
    knots, change = closed(splines)
    return [f"{splines.outer!r} {len(knots)}", numbers(knots), str(len(row)), numbers((change @ row).tolist())]


def triplet_block(descriptor: UF3, table: np.ndarray) -> list[str]:
    """Return cutoffs, knots and coefficients of a triplet, those of r_jk first and inmost."""
    near, far = descriptor.triplets.near, descriptor.triplets.far
    (knots, change), (far_knots, far_change) = closed(near), closed(far)
    table = np.einsum("al,bm,cn,lmn->abc", change, change, far_change, table)
    sizes = f"{len(far_knots)} {len(knots)} {len(knots)}"
    lines = [f"{numbers([far.outer, near.outer, near.outer])} {sizes}", *map(numbers, (far_knots, knots, knots))]
    return [*lines, " ".join(map(str, table.shape)), *map(numbers, table.reshape(-1, table.shape[2]).tolist())]


def closed(splines: EvenSplines) -> tuple[Sequence[float], np.ndarray]:
    """Return knots from 0 to the cutoff, four at both, and the matrix that turns coefficients into those over them.

    The first stretch begins at 0, for LAMMPS has nothing below the first knot: only its four coefficients change. The
    last knot lies a little beyond the cutoff, where LAMMPS looks for a stretch too.
    """
    n, end = splines.n, splines.outer * BEYOND
    inside = [splines.inner + k * splines.step for k in range(1, n)]
    knots = [0.0] * 4 + inside + [end] * 4
    r = np.linspace(0.1, 0.9, 4) * (inside[0] if inside else end)
    ours = cardinal_weights(torch.as_tensor((r - splines.inner) / splines.step)).numpy()
    theirs = BSpline.design_matrix(r, np.array(knots), 3).toarray()[:, :4]
    change = np.eye(n + 3)
    change[:4, :4] = np.linalg.solve(theirs, ours)
    return knots, change
