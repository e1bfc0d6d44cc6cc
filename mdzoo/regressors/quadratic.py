"""Energy quadratic in the features, with one set of weights for each species."""

from mdzoo.regressors.monomials import Monomials


class Quadratic(Monomials):
    """`E_i = b_{s_i} + sum_f beta_f B_f + sum_f (alpha_ff B_f^2 / 2 + sum_{g > f} alpha_fg B_f B_g)`, linear in them.

    Source: Wood, Thompson, DOI 10.1063/1.5017641; the order of the weights is that of LAMMPS's quadratic SNAP.

    Arguments:
        n_features: F, taken from the descriptor.
        n_species: number of elements.
        bias: whether each species has a constant term (eV).

    Parameters: `weights` (n_species, F + F (F + 1) / 2): beta, then the rows of the upper triangle of alpha; `bias`
    (n_species,) in eV.

    Example:
        >>> Quadratic(3, 1)(torch.ones(2, 3, dtype=torch.float64), torch.zeros(2, dtype=torch.int64)).tolist()
        [0.0, 0.0]
    """

    def __init__(self, n_features: int, n_species: int, bias: bool = True) -> None:
        super().__init__(n_features, n_species, 2, bias)
