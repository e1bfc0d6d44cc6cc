"""Writes `.yace` files, which LAMMPS's `pair_style pace` and pacemaker read."""

from math import pi
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase.data import chemical_symbols

from mdzoo.basis.coupling import coupling, real_from_complex
from mdzoo.descriptors import ACE
from mdzoo.descriptors.invariant_functions import Function, Node, couplings
from mdzoo.export.native.parts import parts_of
from mdzoo.potentials import ForceField
from mdzoo.regressors import Linear

NODES = 256
LONGEST = 120  # polynomials in one series
SPLINE = 0.001  # Angstrom: the steps of the table in which the reader keeps radial functions
TAIL = 1e-13  # of a series, relative to its largest value
SMALL = 1e-14

Products = dict[tuple[tuple[int, int], ...], dict[tuple[int, ...], float]]  # of factors: of (m1, m2, ...)


def write_yace(path: str | Path, force_field: ForceField) -> None:
    """Write ACE + Linear as a `.yace` file.

    Its radial functions are `(1 - T_n(2 r / rc - 1)) / 2`, n = 1 .. N (`ChebPow` with the power 1): any function that
    vanishes at rc and is smooth is a series of them, of 20 to 60 terms to rounding. Its spherical harmonics are complex
    and `sqrt(4 pi)` times the usual ones; the products of real ones become products of these with real coefficients.
    Sources of the form: Lysogorskiy et al., DOI 10.1038/s41524-021-00559-9; Bochkarev et al., DOI
    10.1103/PhysRevMaterials.6.013804. LAMMPS itself interpolates the radial functions between steps of 0.001 Angstrom.

    Arguments:
        path: the file, `.yace`.
        force_field: ACE with Linear, alone or in a sum with reference energies, which the file keeps too.

    Raises:
        ValueError: the form cannot hold this potential.
    """
    learnt, constants = parts_of(force_field.potential, ACE, Linear)
    descriptor: Any = learnt.descriptor
    regressor: Any = learnt.regressor
    if descriptor.channels.mixes:
        raise ValueError(
            "`species_channels` must be null in a .yace file, where each species has its own radial functions, got "
            f"{descriptor.channels.n_channels} shared ones; export it as TorchScript"
        )
    series = radial_series(descriptor)
    symbols = [chemical_symbols[z] for z in force_field.atomic_numbers]
    energies = constants + regressor.bias.detach().double().numpy()
    lines = [f"elements: [{', '.join(symbols)}]", f"E0: {words(energies)}", f"deltaSplineBins: {SPLINE}"]
    lines += [*embeddings(len(symbols)), *bonds(descriptor, series), "functions:"]
    for kind, row in enumerate(regressor.weights.detach().double().numpy()):
        lines += [f"  {kind}:", *functions(descriptor, series, row, kind)]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def embeddings(count: int) -> list[str]:
    """Return the lines that say that energies are linear in the products."""
    linear = "{ndensity: 1, FS_parameters: [1, 1], npoti: FinnisSinclairShiftedScaled, "
    return ["embeddings:"] + [
        f"  {kind}: {linear}rho_core_cutoff: 100000, drho_core_cutoff: 250}}" for kind in range(count)
    ]


def bonds(descriptor: ACE, series: np.ndarray) -> list[str]:
    """Return the lines of the radial functions, the same for every pair of species."""
    table = [[words(row) for row in orders] for orders in series]
    text = ", ".join(f"[{', '.join(orders)}]" for orders in table)
    sizes = f"nradmax: {series.shape[0]}, lmax: {series.shape[1] - 1}, nradbasemax: {series.shape[2]}"
    cutoffs = f"rcut: {descriptor.cutoff!r}, dcut: 0.01, rcut_in: 0, dcut_in: 0, inner_cutoff_type: distance"
    rest = f"radbasename: ChebPow, radparameters: [1.0], radcoefficients: [{text}], prehc: 0, lambdahc: 1"
    pairs = np.ndindex(descriptor.n_species, descriptor.n_species)
    return ["bonds:", *(f"  [{i}, {j}]: {{{sizes}, {rest}, {cutoffs}}}" for i, j in pairs)]


def radial_series(descriptor: ACE) -> np.ndarray:
    """Return what each of the file's radial functions counts in `g_kl f`, (K, L + 1, N).

    Raises:
        ValueError: the functions are no short series.
    """
    angles = pi * (np.arange(NODES) + 0.5) / NODES
    r = torch.as_tensor(0.5 * (np.cos(angles) + 1.0) * descriptor.cutoff)
    values = descriptor.radial.double()(r).detach().numpy()  # (blocks, K, nodes)
    found = 2.0 / NODES * values @ np.cos(np.outer(angles, np.arange(NODES)))
    relative = np.abs(found).max((0, 1)) / np.abs(values).max()
    count = int(np.flatnonzero(relative > TAIL)[-1])
    if count > LONGEST:
        raise ValueError(
            f"`radial` must be a series of at most {LONGEST} Chebyshev polynomials of the distance in a .yace file, "
            f"got {count} for radial={descriptor.radial.family}; export it as TorchScript, or train with chebyshev"
        )
    orders = [descriptor.radial.blocks > l for l in range(descriptor.l_max + 1)]  # noqa: E741
    rows = [found[l if many else 0] for l, many in enumerate(orders)]  # noqa: E741
    return -2.0 * np.stack(rows, 1)[:, :, 1 : count + 1]


def functions(descriptor: Any, series: np.ndarray, weights: np.ndarray, kind: int) -> list[str]:
    """Return the lines of all products around atoms of one species."""
    k_all, single = descriptor.k_max, np.zeros([descriptor.n_species, series.shape[2]])
    products: Products = {}
    (part,) = descriptor.parts
    for factors, number, weight in zip(part.factors, part.numbers, weights.tolist(), strict=True):
        function = couplings(factors)[number]
        if len(factors) == 1:
            species, n = divmod(factors[0][0], k_all)
            single[species] += weight / (4.0 * pi) ** 0.5 * series[n, 0]
        else:
            add(products.setdefault(factors, {}), function, weight)
    lines = [line(kind, [(s, n, 0)], {(0,): c}) for s, row in enumerate(single) for n, c in enumerate(row.tolist(), 1)]
    for factors, terms in products.items():
        places = [(c // k_all, c % k_all + 1, order) for c, order in factors]
        lines += [line(kind, places, terms)] if terms else []
    return lines


def add(terms: dict[tuple[int, ...], float], function: Function, weight: float) -> None:
    """Add the coefficients of one function to those of its product of factors."""
    rank = len(function.factors)
    tensor = weight / (4.0 * pi) ** (0.5 * rank) * in_complex(function)
    for place in zip(*np.nonzero(np.abs(tensor) > SMALL * np.abs(tensor).max()), strict=True):
        ms = tuple(int(m) - order for m, (_, order) in zip(place, function.factors, strict=True))
        terms[ms] = terms.get(ms, 0.0) + float(tensor[place])


def in_complex(function: Function) -> np.ndarray:
    """Return U of a function for complex spherical harmonics, one axis for each factor in their order.

    It is real, since the function does not change under reflections.
    """
    total: Any = 0.0
    for left, right, value in function.terms:
        assert right is not None
        factors = [*left.factors, *right.factors]
        tensor = value * np.tensordot(node(left), node(right), axes=(-1, -1))
        for axis, (_, order) in enumerate(factors):
            tensor = np.moveaxis(np.tensordot(tensor, real_from_complex(order), axes=(axis, 0)), -1, axis)
        total = total + tensor.transpose(matched(factors, list(function.factors)))
    return total.real


def node(entry: Node) -> np.ndarray:
    """Return the tensor of a leaf, (m, M), or of a pair, (m, m', M)."""
    ls = [order for _, order in entry.factors]
    return np.eye(2 * ls[0] + 1) if len(ls) == 1 else coupling(ls[0], ls[1], entry.order)


def matched(have: list[tuple[int, int]], want: list[tuple[int, int]]) -> list[int]:
    """Return where each of the factors that are wanted stands among those that there are."""
    left: list[Any] = list(have)
    places = []
    for factor in want:
        places.append(left.index(factor))
        left[places[-1]] = None
    return places


def line(kind: int, places: list[tuple[int, int, int]], terms: dict[tuple[int, ...], float]) -> str:
    """Return the line of one product of factors (species, n, l) with its coefficients."""
    mus, ns, ls = (list(column) for column in zip(*places, strict=True))
    ms = [m for combination in terms for m in combination]
    head = f"    - {{mu0: {kind}, rank: {len(mus)}, ndensity: 1, num_ms_combs: {len(terms)}"
    return f"{head}, mus: {mus}, ns: {ns}, ls: {ls}, ms_combs: {ms}, ctildes: {words(terms.values())}}}"


def words(values: Any) -> str:
    """Return numbers as a list with all their digits."""
    return f"[{', '.join(repr(float(value)) for value in values)}]"
