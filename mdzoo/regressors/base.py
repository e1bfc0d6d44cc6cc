"""Which energy the numbers mean: the interface of every regressor."""

from torch import Tensor, nn


class Regressor(nn.Module):
    """The energy of an atom from its features: `((n, F), species (n,)) -> (n,)`, in eV.

    One that is linear in its parameters sets `is_linear`, and gives `phi` and `theta` with `energy = phi @ theta`; the
    closed-form solvers need nothing else. `fold` is for those that are linear in the features too.
    """

    n_features: int
    n_species: int
    is_linear: bool

    def __init__(self, n_features: int, n_species: int) -> None:
        super().__init__()
        if int(n_features) < 1:
            raise ValueError(f"`n_features` must be at least 1, got {n_features}; take it from the descriptor")
        if int(n_species) < 1:
            raise ValueError(
                f"`n_species` must be at least 1, got {n_species}; give the number of elements of the data"
            )
        self.n_features = int(n_features)
        self.n_species = int(n_species)
        self.is_linear = False

    def forward(self, features: Tensor, species: Tensor) -> Tensor:
        """Return the energy of each atom, (n,)."""
        raise NotImplementedError
