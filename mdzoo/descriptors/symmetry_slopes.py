r"""Slopes of symmetry functions by the places of neighbours: two products of matrices for each neighbour.

With q for (zeta, lambda), h for (eta, R_s), P_q = ((1 + lambda cos theta_jik) / 2)^zeta, P'_q its slope by the cosine,
A_h = 2 f_ik f_jk e^(-eta (...)) and D_h its slope by r_jk^2, the slope of the function qh by the place of j is

    sum_k t_jk P'_q A_h + s_jk P_q D_h    +    n_j c_h sum_k P_q A_h,        c_h = f'_ij - 2 eta (r_ij - R_s) f_ij,

    t_jk = f_ij (n_k - cos theta n_j) / r_ij,        s_jk = 2 f_ij (r_ij n_j - r_ik n_k),        n_j = r_ij / |r_ij|

that is (axes and q) x (k) times (k) x (h). Each pair of neighbours is met from either side. All q are joined with all
h: functions that are few of these products cost as much as all of them.
"""

from typing import Any

import torch
from torch import Tensor

from mdzoo.descriptors.angular_functions import AngularFunctions
from mdzoo.descriptors.neighbour_pairs import Pairs
from mdzoo.descriptors.slopes import fresh
from mdzoo.graph import Graph
from mdzoo.ops import pad, padding

NUMBERS = 1 << 19
"""Numbers that one block of edges holds: they stay in the cache."""


def slopes_by_places(acsf: Any, graph: Graph) -> tuple[Tensor, Tensor]:
    """Return the features, (n, F), and dB_i/dr_ij, (n, J, 3, F), in the table of `mdzoo.ops.padding`."""
    layout, rows = padding(graph.centers), edge_rows(acsf, graph)
    kinds = graph.species[graph.neighbors] * (0 if acsf.weighted else 1)
    edges = [(kinds == kind).nonzero().squeeze(-1) for kind in range(acsf.shares)]
    features = rows.new_zeros(layout.n, acsf.n_features)
    table = fresh((layout.n * layout.width, 3, acsf.n_features), rows).zero_()
    for kind, mine in enumerate(edges):
        columns = slice(kind * acsf.n_radial // acsf.shares, (kind + 1) * acsf.n_radial // acsf.shares)
        values, steps = radial_slopes(acsf, rows[:, mine])
        features[:, columns].index_add_(0, graph.centers[mine], values)
        table[layout.slots[mine], :, columns] = steps
    if acsf.angular.n_features > 0:
        add_angular(acsf, rows, graph.centers, layout.slots, edges, features, table)
    return features, table.view(layout.n, layout.width, 3, -1)


def edge_rows(acsf: Any, graph: Graph) -> Tensor:
    """Return what each edge is, (6, E): its direction, r, and f(r) times its weight with its derivative."""
    x, y, z = graph.vectors.t()
    r = torch.sqrt(x * x + y * y + z * z)
    weights = acsf.table.sum(0)[graph.species[graph.neighbors]]
    f, step = acsf.angular.envelope(r), 2.0 * r * acsf.angular.envelope_slope(r)
    return torch.stack([x / r, y / r, z / r, r, weights * f, weights * step])


def radial_slopes(acsf: Any, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return G1, G2 and G3 of some edges, (e, R), and their slopes by the places of the neighbours, (e, 3, R)."""
    units, r, f, step = rows[:3], rows[3], rows[4], rows[5]
    values = acsf.radial(r)
    along = step * values + f * acsf.radial_steps(r, values)
    return (f * values).t(), units.t().unsqueeze(2) * along.t().unsqueeze(1)


def add_angular(
    acsf: Any, rows: Tensor, centers: Tensor, slots: Tensor, edges: list[Tensor], features: Tensor, table: Tensor
) -> None:
    """Write G4 and G5 into `features` (n, F) and their slopes into `table` (n * J, 3, F), kind by kind, block by block.

    `edges` holds the edges to each kind of neighbours, `slots` the row of each edge in `table`.
    """
    part, none = acsf.angular, torch.zeros_like(rows[:, :1])
    none[3] = part.cutoff
    rows = torch.cat([rows, none], 1)
    for other, met in enumerate([neighbours(mine, centers, len(features)) for mine in edges]):
        for one, mine in enumerate(edges):
            if mine.numel() * met.numel() == 0:
                continue
            first = acsf.n_radial + part.n_functions * int(part.kind[one * part.shares + other])
            for here in mine.split(block_edges(part, met.shape[1])):
                atoms = centers[here]
                found, steps = angular_slopes(part, rows, here, met[atoms])
                columns = slice(first, first + part.n_functions)
                features[:, columns].index_add_(0, atoms, found, alpha=0.5)
                table[slots[here], :, columns] = steps


def neighbours(edges: Tensor, centers: Tensor, n: int) -> Tensor:
    """Return those of the edges that each of n atoms has, (n, K), the number of all edges where it has fewer."""
    layout = padding(centers[edges])
    found = pad(edges, layout, torch.full_like(edges[:1], len(centers)))
    found = found.view(layout.n, layout.width)
    return torch.nn.functional.pad(found, [0, 0, 0, n - layout.n], value=len(centers))


def block_edges(part: Any, width: int) -> int:
    """Return the number of edges in one block, each of which meets `width` others."""
    sizes = [(len(functions.zetas), functions.n_near) for functions in (part.closed, part.open)]
    return max(1, NUMBERS // max([1] + [(6 * q + 2 * h) * width + 4 * q * h for q, h in sizes]))


def angular_slopes(part: Any, rows: Tensor, edges: Tensor, met: Tensor) -> tuple[Tensor, Tensor]:
    """Return G4 and G5, (e, G4 + G5), of e edges that meet others (e, K), and their slopes, (e, 3, G4 + G5)."""
    here, there = rows[:, edges].unsqueeze(2), rows[:, met]
    there[4].masked_fill_(met == edges.unsqueeze(1), 0.0)  # no edge meets itself
    pairs = part.pairs(here, there)
    falling = part.envelope_slope(pairs.distance)
    found = [products(f, pairs, falling, here, there) for f in (part.closed, part.open) if f.n_features > 0]
    return found[0] if len(found) == 1 else (torch.cat([f[0] for f in found], 1), torch.cat([f[1] for f in found], 2))


def products(
    functions: AngularFunctions, pairs: Pairs, falling: Tensor, here: Tensor, there: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the functions, (e, F), and their slopes, (e, 3, F), for edges `here` (6, e, 1) and `there` (6, e, K)."""
    units, r, f, step = here[:3], here[3], here[4], here[5]
    etas, shifts = constants(functions, r)
    powers, left = angles(functions, pairs, here, there)
    right = exponentials(functions, pairs, falling, here, there)
    slopes = (left.flatten(1, 2) @ right.flatten(2).mT).view(len(r), 3, -1)
    values = powers @ right[:, :, 0].mT
    along = values * (step - 2.0 * f * etas.t() * (r - shifts.t())).unsqueeze(1)
    slopes.addcmul_(units.transpose(0, 1), along.view(len(r), 1, -1))
    values = values.flatten(1).mul_(f)
    order = [q * functions.n_near + h for h, q in zip(functions.radial_of, functions.angular_of, strict=True)]
    if order == list(range(values.shape[1])):
        return values, slopes
    return values[:, order], slopes[:, :, order]


def constants(functions: AngularFunctions, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return eta, (H, 1), and R_s, the same or (1, 1) where all are zero."""
    etas, shifts = (like.new_tensor(numbers).unsqueeze(1) for numbers in (functions.etas, functions.shifts))
    return etas, shifts if any(functions.shifts) else shifts[:1]


def angles(functions: AngularFunctions, pairs: Pairs, here: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """Return P_q, (e, Q, K), and t P'_q and, where r_jk enters, s P_q, (e, 3, Q, 1 or 2 times K)."""
    powers, lower = functions.powers(pairs.cosine)
    factors = [0.5 * zeta * sign for zeta, sign in zip(functions.zetas, functions.lambdas, strict=True)]
    rows = [factor * power for factor, power in zip(factors, lower, strict=True)]
    turns = (there[:3] - pairs.cosine * here[:3]) * (here[4] / here[3])
    if functions.closed:
        turns = torch.cat([turns, (here[3] * here[:3] - there[3] * there[:3]) * (2.0 * here[4])], 2)
        rows = [row for both in zip(rows, powers, strict=True) for row in both]
    left = torch.stack(rows, 1).view(len(turns[0]), 1, len(powers), -1)
    return torch.stack(powers, 1), left * turns.transpose(0, 1).unsqueeze(2)


def exponentials(functions: AngularFunctions, pairs: Pairs, falling: Tensor, here: Tensor, there: Tensor) -> Tensor:
    """Return A_h without f_ij and, where r_jk enters, D_h: (e, H, 1 or 2, K)."""
    etas, shifts = constants(functions, here)
    apart, envelope = pairs.distance.unsqueeze(1), pairs.envelope.unsqueeze(1)
    squares = (here[3].unsqueeze(1) - shifts) ** 2 + (there[3].unsqueeze(1) - shifts) ** 2
    if not functions.closed:
        return torch.exp(-etas * squares).mul_(2.0 * there[4].unsqueeze(1)).unsqueeze(2)
    gauss = torch.exp(-etas * (squares + (apart - shifts) ** 2)).mul_(2.0 * there[4].unsqueeze(1))
    out = gauss.new_empty(*gauss.shape[:2], 2, gauss.shape[2])
    torch.mul(gauss, envelope, out=out[:, :, 0])
    slope = torch.sub(falling.unsqueeze(1), etas * (envelope * (1.0 - shifts / apart)))
    torch.mul(gauss, slope, out=out[:, :, 1])
    return out
