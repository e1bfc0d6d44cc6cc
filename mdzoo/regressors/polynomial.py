"""Energy a polynomial of the features of any degree, with one set of weights for each species."""

import math

from mdzoo.regressors.monomials import Monomials

MOST = 10_000_000
"""The most weights of one species: far more than a fit in closed form can find."""


class Polynomial(Monomials):
    """`E_i = b_{s_i} + sum_{d=1}^{D} sum_{f1 <= ... <= fd} w_{f1...fd} B_f1 ... B_fd / (m_1! m_2! ...)`.

    Linear in its `C(F + D, D) - 1` weights; the m count how often each feature occurs. Degree 2 is Quadratic; higher
    powers of features of low body order stand for features of high body order (Drautz, DOI 10.1103/PhysRevB.99.014104,
    sec. II). Meant for few features: ten make 285 weights at degree 3, thirty make 5455.

    Arguments:
        n_features: F, taken from the descriptor.
        n_species: number of elements.
        degree: D, from 2 up.
        bias: whether each species has a constant term (eV).

    Parameters: `weights` (n_species, W), degree by degree, in each the tuples f1 <= ... <= fd in lexicographic order;
    `bias` (n_species,) in eV.

    Example:
        >>> cubic = Polynomial(2, 1, degree=3)
        >>> cubic.weights.shape[1]
        9
        >>> cubic.set_theta(torch.tensor([0.0] * 5 + [6.0, 0.0, 0.0, 0.0, 0.0]).double())  # d^3E/dB_0^3 = 6
        >>> cubic(torch.tensor([[2.0, 5.0]]).double(), torch.tensor([0])).tolist()
        [8.0]
    """

    def __init__(self, n_features: int, n_species: int, degree: int = 2, bias: bool = True) -> None:
        if not 2 <= int(degree) == degree:
            raise ValueError(f"`degree` must be a whole number from 2 up, got {degree}; for degree 1 take Linear")
        count = math.comb(max(int(n_features), 0) + int(degree), int(degree)) - 1
        if count > MOST:
            raise ValueError(
                f"`degree` must leave at most {MOST} weights, got {count} for {n_features} features and degree "
                f"{degree}; take fewer features (a Projection or Select of the descriptor) or a lower degree"
            )
        super().__init__(n_features, n_species, int(degree), bias)
