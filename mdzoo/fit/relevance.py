r"""Automatic relevance determination: each parameter has a prior width of its own, that of largest evidence.

    theta_p ~ N(0, sigma^2 / a_p),    a_p <- gamma_p sigma^2 / theta_p^2,    gamma_p = 1 - a_p Cov_pp / sigma^2

(MacKay, DOI 10.1162/neco.1992.4.3.415; Tipping, J. Mach. Learn. Res. 1 (2001) 211). Where the best width is zero,
`theta_p^2 <= gamma_p Cov_pp` (Faul, Tipping, NIPS 2001), a parameter leaves as soon as it hardly matters.
"""

import torch
from torch import Tensor

from mdzoo.fit.factors import triangle
from mdzoo.fit.solve import LinearPosterior, of_root
from mdzoo.fit.spectrum import best_evidence, spectrum

HARDLY = 1e-3
"""gamma_p below which a parameter whose best width is zero leaves."""


def relevant(root: Tensor, count: int, tolerance: float = 1e-3, iterations: int = 300) -> LinearPosterior:
    """Return the posterior with a prior width for each parameter; those that left have mean and width zero.

    Arguments:
        root: triangular factor (k, P + 1) of weighted rows and targets.
        count: how many rows it stands for.
        tolerance: of the logarithms of a_p where it ends.
        iterations: the most.
    """
    spec = spectrum(root, count)
    prior = best_evidence(spec) ** 0.5 * spec.prior  # square roots of a_p
    kept = (root[:, :-1] != 0.0).any(0).nonzero().squeeze(-1)
    for _ in range(iterations):
        found = of_root(some(root, kept), count, None, prior[kept])
        variances = found.root.square().sum(1)
        gamma = 1.0 - (found.prior.square() * variances)
        stays = (found.mean.square() > gamma * variances) | (gamma > HARDLY)
        new = gamma.clamp_min(1e-300).sqrt() * found.noise / found.mean.abs().clamp_min(1e-150)
        change = (new / prior[kept]).log().abs()[stays].amax() if bool(stays.any()) else torch.zeros(())
        prior[kept] = new
        kept = kept[stays]
        if bool(stays.all()) and float(change) < tolerance:
            break
    return whole(of_root(some(root, kept), count, None, prior[kept]), kept, root.shape[1] - 1)


def some(root: Tensor, kept: Tensor) -> Tensor:
    """Return the factor of some of the columns."""
    columns = torch.cat([kept, kept.new_tensor([root.shape[1] - 1])])
    return triangle([root[:, columns]], len(columns))


def whole(found: LinearPosterior, kept: Tensor, n: int) -> LinearPosterior:
    """Return the posterior of all n parameters from that of some."""
    mean, root, prior = torch.zeros(n).double(), torch.zeros(n, n).double(), torch.full((n,), torch.inf).double()
    mean[kept], prior[kept] = found.mean, found.prior
    root[kept.unsqueeze(1), kept] = found.root
    return found._replace(mean=mean, root=root, prior=prior)
