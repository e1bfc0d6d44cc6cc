"""Monomials of a unit vector as sums of spherical harmonics: tensors of moments from an expanded density."""

import numpy as np
import torch

from mdzoo.basis.spherical import SphericalHarmonics, monomials


def cartesian_from_harmonics(degree: int) -> np.ndarray:
    """Return the matrix that makes all monomials up to a degree of real harmonics, (monomials, (degree + 1)^2).

    Those of lower degrees come first, so the matrix of a lower degree is its corner. On the unit sphere a monomial of
    degree d is a sum of harmonics with l = d, d - 2, ...; the coefficients are found from random directions, to
    rounding.
    """
    u = np.random.default_rng(0).normal(size=(3, 4 * (degree + 1) ** 2))
    x, y, z = torch.as_tensor(u / np.linalg.norm(u, axis=0))
    harmonics = SphericalHarmonics(degree)(x, y, z).numpy()
    targets = torch.stack(monomials(x, y, z, degree)).numpy()
    found = np.linalg.lstsq(harmonics.T, targets.T, rcond=None)[0].T
    return np.where(np.abs(found) < 1e-12, 0.0, found)
