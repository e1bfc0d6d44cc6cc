"""Derivatives of radial functions against those of autograd, inside, at and beyond the cutoff."""

import pytest
import torch

from mdzoo.basis.cutoff import (
    cosine_cutoff,
    cosine_cutoff_slope,
    exponential_cutoff,
    exponential_cutoff_slope,
    polynomial_cutoff,
    polynomial_cutoff_slope,
    smoothstep,
    smoothstep_slope,
    tanh_cutoff,
    tanh_cutoff_slope,
)
from mdzoo.basis.proper_orthogonal import ProperOrthogonal
from mdzoo.basis.radial import FAMILIES, Radial


def by_autograd(function, x: torch.Tensor) -> torch.Tensor:
    x = x.clone().requires_grad_()
    rows = function(x).reshape(-1, len(x))
    return torch.stack([torch.autograd.grad(row.sum(), x, retain_graph=True)[0] for row in rows])


RADIALS = [(Radial, (family, 4.0, 3, 2, smoothness)) for family in FAMILIES for smoothness in (0, 2)]
RADIALS += [(Radial, ("chebyshev", 4.0, 1, 2, 1, 0.0)), (ProperOrthogonal, (5, 0.9, 4.0, 3, 4))]


@pytest.mark.parametrize(("kind", "arguments"), RADIALS)
def test_radial_functions_come_with_their_derivatives(kind, arguments):
    r = torch.linspace(0.7, 4.5, 40, dtype=torch.float64)
    radial = kind(*arguments)
    values, slopes = radial.with_slopes(r)
    torch.testing.assert_close(values, radial(r), rtol=1e-12, atol=1e-13)
    expected = by_autograd(radial, r).view_as(slopes)
    torch.testing.assert_close(slopes, expected, rtol=1e-12, atol=1e-12 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("function", "slope"),
    [
        (cosine_cutoff, cosine_cutoff_slope),
        (exponential_cutoff, exponential_cutoff_slope),
        (tanh_cutoff, tanh_cutoff_slope),
        *[(lambda x, s=s: polynomial_cutoff(x, s), lambda x, s=s: polynomial_cutoff_slope(x, s)) for s in (0, 1, 3)],
        *[(lambda x, s=s: smoothstep(x, s), lambda x, s=s: smoothstep_slope(x, s)) for s in (0, 1, 3)],
    ],
)
def test_cutoff_functions_come_with_their_derivatives(function, slope):
    x = torch.linspace(0.013, 1.31, 50, dtype=torch.float64)
    torch.testing.assert_close(slope(x), by_autograd(function, x)[0], rtol=1e-12, atol=1e-13)
