r"""Laplace's approximation over all parameters of a network: a Gaussian about the fit by the Gauss-Newton matrix.

    theta ~ N(theta_fit, T (H + delta)^-1)

(MacKay, DOI 10.1162/neco.1992.4.3.448; Daxberger et al., arXiv:2106.14806), H whole, diagonal or by Kronecker factors
(`mdzoo.bayes.curvature`), one precision delta of the prior for each of its blocks, by largest evidence. The noise of a
target is the root mean square of its errors in training, and m rows of S structures count as `sqrt(m S)`
(`mdzoo.fit.evidence`). Draws come in pairs about the fit, so that members differ from it in second order alone.
"""

import math
from typing import Any

import torch
from torch import Tensor

from mdzoo.bayes.calibrated import by_members
from mdzoo.bayes.curvature import STRUCTURES, Curvature
from mdzoo.bayes.infer import Problem
from mdzoo.bayes.members import with_members
from mdzoo.data.labels import Batch
from mdzoo.fit.cached import KeptForceField
from mdzoo.fit.kept import KeptBatch
from mdzoo.fit.network_rows import network_rows, trained
from mdzoo.fit.rows import compared, detached
from mdzoo.potentials import ForceField
from mdzoo.regressors import MLP


class NetworkLaplace:
    """The Gaussian about a fitted network of one member, over all of its parameters that train.

    Arguments:
        members: M, draws, an even number.
        structure: `kronecker`, `diagonal`, or `full` for few parameters.
        prior: delta, or `evidence`.
        temperature: T.
        targets: whose labels count.
        calibration: `validation` or `none`: by the validation set if there is one.
    """

    def __init__(
        self,
        members: int = 20,
        structure: str = "kronecker",
        prior: float | str = "evidence",
        temperature: float = 1.0,
        targets: Any = ("energy", "forces"),
        calibration: str = "validation",
    ) -> None:
        if structure not in STRUCTURES:
            raise ValueError(f"`structure` must be one of {list(STRUCTURES)}, got {structure!r}; kronecker is usual")
        if int(members) < 2 or int(members) % 2:
            raise ValueError(f"`members` must be even, 2 or more, got {members}; they are drawn in pairs about the fit")
        for name, value in {"prior": 1.0 if prior == "evidence" else prior, "temperature": temperature}.items():
            if not 0.0 < float(value) < math.inf:
                raise ValueError(f"`{name}` must be positive and finite, got {value}; 1 is a start")
        if calibration not in ("validation", "none"):
            raise ValueError(f"`calibration` must be validation or none, got {calibration!r}; choose one")
        self.members, self.structure, self.prior = int(members), structure, prior
        self.temperature, self.targets, self.calibration = float(temperature), list(targets), calibration

    def __call__(self, problem: Problem) -> ForceField:
        """Return the force field with draws as members."""
        fast, network = kept_network(problem.force_field)
        curvature = gauss_newton(fast, network, problem.data.train_set, self.structure, self.targets)
        generator, draws = torch.Generator().manual_seed(problem.seed), []
        for block in curvature.blocks():
            precision = block.best_prior() if self.prior == "evidence" else float(self.prior)
            z = torch.randn(self.members // 2, *block.values.shape, generator=generator, dtype=torch.float64)
            moved = self.temperature**0.5 * block.moved(z, precision)
            draws.append(torch.cat([moved, -moved]))
        names = {id(p): name for name, p in problem.force_field.named_parameters()}
        found = {}
        for (_, parameter), delta in zip(trained(network), curvature.split(draws), strict=True):
            found[names[id(parameter)]] = parameter.detach().to(torch.float64) + delta
        return by_members(with_members(problem.force_field, found), problem.data, self.calibration)


def kept_network(force_field: ForceField) -> tuple[KeptForceField, MLP]:
    """Return what keeps the features of a force field, and its network.

    Raises:
        ValueError: there is no network of one member, or something else trains beside it.
    """
    fast = KeptForceField(force_field)
    network: Any = fast.part.regressor
    if not isinstance(network, MLP) or network.n_members > 1:
        raise ValueError(
            f"`force_field` must hold a network of one member, got {type(network).__name__} of {network.n_members}; "
            "laplace is for what is linear, ensemble for members"
        )
    return fast, network


def gauss_newton(fast: KeptForceField, network: MLP, dataset: Any, structure: str, targets: list[str]) -> Curvature:
    """Return the curvature of the labels of a data set, in units of their noise."""
    tensors = [p for _, p in trained(network)]
    parts = {target: Curvature(structure, tensors) for target in targets}
    sums = {target: torch.zeros(3, dtype=torch.float64) for target in targets}  # squares, rows, structures
    for i in range(len(dataset)):
        for target, block in rows_of(fast, network, dataset[[i]], targets).items():
            parts[target].add(block[:, :-1])
            sums[target] += block.new_tensor([float(block[:, -1].square().sum()), len(block), len(block) > 0])
    whole = Curvature(structure, tensors)
    for target, (square, rows, structures) in sums.items():
        if rows > 0:
            whole.absorb(parts[target], float((structures / rows).sqrt() * rows / square.clamp_min(1e-300)))
    return whole


def rows_of(fast: KeptForceField, network: MLP, batch: Batch, targets: list[str]) -> dict[str, Tensor]:
    """Return the rows `[J | label - prediction]` of one structure by target, (m, P + 1) float64."""
    kept = fast.kept(batch.graph)
    said = detached(fast(KeptBatch(batch.graph, batch.labels, [kept]))[0])
    found = compared(network_rows(network, batch.graph, kept, "stress" in targets), said, batch, targets)
    return {target: block.detach().to(torch.float64) for target, block in found.items()}
