"""Which atoms of the training set become the inducing points of a Gaussian process."""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from mdzoo.fit.start import features_of
from mdzoo.potentials import DescriptorPotential, ForceField
from mdzoo.regressors import SparseGP

log = logging.getLogger(__name__)
BYTES = 1e9
"""What the features of the candidates of one term may take; of more atoms a random part is kept."""
ALIKE = 1e-7
"""Atoms whose coordinates differ by less, relative to the largest, are one candidate."""
ROUNDS = 10
"""Of k-means."""


class Candidates(NamedTuple):
    """Atoms of one species."""

    features: Tensor  # (n, F)
    energies: Tensor  # (n,) of their structure by atom, NaN without a label


def select_inducing(force_field: ForceField, dataset: Dataset, seed: int = 0) -> None:
    """Give every SparseGP points out of the atoms of a data set, unless it has some.

    Raises:
        ValueError: a species has fewer different neighbourhoods than it is to have points.
    """
    for part in force_field.modules():
        if not isinstance(part, DescriptorPotential) or not isinstance(part.regressor, SparseGP):
            continue
        if not part.regressor.learnt:
            choose(part, dataset, seed)


@torch.no_grad()
def choose(part: DescriptorPotential, dataset: Dataset, seed: int) -> None:
    """Choose the points of one term."""
    regressor: Any = part.regressor
    generator = torch.Generator().manual_seed(seed)
    found = candidates(part, dataset, generator)
    if regressor.scaled:
        regressor.set_deviation(torch.cat([c.features for c in found]))
    points = []
    for kind, (kernel, count) in enumerate(zip(regressor.kernels, regressor.counts, strict=True)):
        own = found[kind]
        kept, n = different(kernel.coordinates(own.features / regressor.deviation)), len(own.features)
        if len(kept) < count:
            raise ValueError(
                f"`n_inducing` must be at most the number of different neighbourhoods of species {kind}, {len(kept)} "
                f"of {n} atoms, got {count}; ask for fewer, or give more structures"
            )
        x = kernel.coordinates(own.features[kept] / regressor.deviation)
        chosen = METHODS[regressor.selection](x, own.energies[kept], count, generator)
        points.append(own.features[kept[chosen]])
        log.info("inducing points: %d of %d atoms of species %d by %s", count, n, kind, regressor.selection)
    regressor.set_points(torch.cat(points))


def candidates(part: DescriptorPotential, dataset: Dataset, generator: torch.Generator) -> list[Candidates]:
    """Return the atoms of each species, a uniform random part of them where all would be too many."""
    regressor: Any = part.regressor
    most = max(max(regressor.counts), int(BYTES / (8 * regressor.n_features * regressor.n_species)))
    width = regressor.n_features + 2
    tables = [regressor.points.new_zeros(0, width) for _ in range(regressor.n_species)]
    for i in range(len(dataset)):  # type: ignore[arg-type]
        batch = dataset[i]
        n = len(batch.graph.species)
        energies = (batch.labels.energy / n).expand(n).to(regressor.points)
        keys = torch.rand(n, generator=generator, dtype=torch.float64)
        rows = torch.cat([features_of(part, batch.graph, regressor.points), torch.stack([energies, keys], 1)], 1)
        for kind, table in enumerate(tables):
            table = torch.cat([table, rows[batch.graph.species == kind]])
            tables[kind] = kept_part(table, most) if len(table) > 2 * most else table
    return [Candidates(t[:, :-2], t[:, -2]) for t in (kept_part(table, most) for table in tables)]


def kept_part(table: Tensor, most: int) -> Tensor:
    """Return the rows of smallest random keys, which stand in the last column."""
    return table if len(table) <= most else table[table[:, -1].topk(most, largest=False).indices.sort().values]


def different(x: Tensor) -> Tensor:
    """Return the indices of rows that differ from one another, the first of each kind, ascending."""
    generator = torch.Generator().manual_seed(0)
    along = x @ torch.randn(x.shape[1], generator=generator, dtype=x.dtype)
    order = along.sort(stable=True)
    far = order.values.diff() > ALIKE * float(x.abs().amax() if len(x) else 1.0)
    return order.indices[torch.cat([far.new_ones(min(1, len(x))), far])].sort().values


def by_leverage(x: Tensor) -> Tensor:
    """Return the leverage score of each row, (n,): the squared norm of its row of left singular vectors."""
    left, s, _ = torch.linalg.svd(x, full_matrices=False)
    return (left * (s > 1e-10 * s[0])).square().sum(1)


def cur(x: Tensor, energies: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw rows without replacement, with probabilities in proportion to their leverage scores.

    Source: Mahoney, Drineas, DOI 10.1073/pnas.0803205106.
    """
    return torch.multinomial(by_leverage(x).clamp_min(1e-300), count, generator=generator)


def leverage(x: Tensor, energies: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return the rows of largest leverage."""
    return by_leverage(x).topk(count).indices


def farthest(x: Tensor, energies: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return rows each of which is the farthest from all before it, starting from the mean.

    Source: Gonzalez, DOI 10.1016/0304-3975(85)90224-5.
    """
    squares = x.square().sum(1)
    distances = (x - x.mean(0)).square().sum(1)
    chosen = [int(distances.argmin())]
    distances = torch.full_like(squares, float("inf"))
    while len(chosen) < count:
        last = x[chosen[-1]]
        distances = torch.minimum(distances, squares - 2.0 * x @ last + last @ last)
        distances[chosen[-1]] = -1.0
        chosen.append(int(distances.argmax()))
    return torch.tensor(chosen)


def kmeans(x: Tensor, energies: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return the rows nearest to the centres of k-means, which starts from the farthest points; all different."""
    centres = x[farthest(x, energies, count, generator)]
    for _ in range(ROUNDS):
        owner = nearest(x, centres)
        sums = torch.zeros_like(centres).index_add_(0, owner, x)
        sizes = torch.bincount(owner, minlength=count).unsqueeze(1)
        centres = torch.where(sizes > 0, sums / sizes.clamp_min(1), centres)
    taken = torch.unique(nearest(centres, x))
    free = torch.ones(len(x), dtype=torch.bool)
    free[taken] = False
    rest = free.nonzero().squeeze(-1)
    return torch.cat([taken, rest[torch.randperm(len(rest), generator=generator)[: count - len(taken)]]])


def nearest(x: Tensor, y: Tensor) -> Tensor:
    """Return which row of y is nearest to each row of x."""
    return torch.cat([(y.square().sum(1) - 2.0 * part @ y.T).argmin(1) for part in x.split(4096)])


def energy_uniform(x: Tensor, energies: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return rows spread evenly over the energies of their structures by atom: one of each of `count` bins in turn."""
    if not torch.isfinite(energies).all():
        raise ValueError("`selection` must not be energy_uniform without energies, got NaN; choose cur")
    low, high = energies.min(), energies.max()
    bins = ((energies - low) / (high - low).clamp_min(1e-12) * count).long().clamp_max(count - 1)
    order = torch.randperm(len(x), generator=generator)
    order = order[bins[order].argsort(stable=True)]
    counts = torch.bincount(bins, minlength=count)
    turn = torch.arange(len(x)) - (counts.cumsum(0) - counts)[bins[order]]
    return order[turn.argsort(stable=True)[:count]]


METHODS: dict[str, Callable[[Tensor, Tensor, int, torch.Generator], Tensor]] = {
    "cur": cur,
    "farthest": farthest,
    "kmeans": kmeans,
    "leverage": leverage,
    "energy_uniform": energy_uniform,
}
