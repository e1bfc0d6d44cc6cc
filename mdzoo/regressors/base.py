"""Which energy the numbers mean: the interface of every regressor."""

from torch import Tensor, nn


class Regressor(nn.Module):
    """The energy of an atom from its features: `((n, F), species (n,)) -> (n,)`, in eV.

    One that is linear in its parameters sets `is_linear`, and gives `phi` and `theta` with `energy = phi @ theta`; the
    closed-form solvers need nothing else. One that has several members gives `members`, and `n_members` says how many.
    """

    n_features: int
    n_species: int
    is_linear: bool
    n_members: int

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
        self.n_members = 1

    def forward(self, features: Tensor, species: Tensor) -> Tensor:
        """Return the energy of each atom, (n,)."""
        raise NotImplementedError

    def members(self, features: Tensor, species: Tensor) -> Tensor:
        """Return the energy of each atom by each member, (M, n), from the features that each is given, (M, n, F)."""
        return self.forward(features[0], species).unsqueeze(0)
