"""Atom-centred symmetry functions of Behler and Parrinello, plain or weighted."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mdzoo.descriptors.angular_part import AngularPart
from mdzoo.descriptors.base import Descriptor
from mdzoo.descriptors.expansion import laid
from mdzoo.descriptors.symmetry_slopes import slopes_by_places
from mdzoo.graph import Graph
from mdzoo.ops import odd, pad, padding

SMOOTHNESS = {"cosine": 1, "tanh": 2}
Rows = Sequence[Sequence[float]]
G2 = ((0.05, 0.0), (0.5, 0.0), (2.0, 2.0), (2.0, 2.75), (2.0, 3.5), (2.0, 4.25), (2.0, 5.0))
G4 = tuple((0.01, zeta, sign) for zeta in (1, 4, 16) for sign in (-1, 1)) + tuple(
    (0.06, zeta, sign) for zeta in (1, 4) for sign in (-1, 1)
)


class ACSF(Descriptor):
    r"""Atom-centred symmetry functions of the neighbours j (and pairs j < k) of each atom i.

        G1 = sum_j f_ij                                  G2 = sum_j e^(-eta (r_ij - R_s)^2) f_ij
        G3 = sum_j cos(kappa r_ij) f_ij
        G4 = 2^(1-zeta) sum_{j<k} (1 + lambda cos theta_jik)^zeta e^(-eta (r_ij^2 + r_ik^2 + r_jk^2)) f_ij f_ik f_jk
        G5 = the same without r_jk

    with the cutoff function f: `cosine` is (cos(pi r / r_c) + 1) / 2, `tanh` is tanh^3(1 - r / r_c). There is one
    function for each species of j and each pair of species of j and k; with `weights` w (wACSF; usually the atomic
    numbers) there is one for all, each neighbour counting w_j and each pair w_j w_k. Features go by species, then by
    function; then by pairs (0,0), (1,0), (1,1), (2,0) ..., as in dscribe.

    Conventions of others: n2p2's type 2 is G2, its type 3 (narrow) is G4, its type 9 (wide) G5, its types 12 and 13
    are the weighted G2 and G4; it sums j < k as here (Behler's papers sum all j and k: twice as much), counts the
    distances of angular functions from R_s too, names lambda and zeta in that order and usually has lengths in bohr
    (eta in 1/bohr^2). Its scaling of features belongs to the regressor here.

    Sources: Behler, DOI 10.1063/1.3553717; Gastegger et al. (weights), DOI 10.1063/1.5019667.

    Arguments:
        cutoff: r_c, Angstrom.
        n_species: number of elements.
        g1: whether G1 is there.
        g2: rows (eta, R_s) in 1/Angstrom^2 and Angstrom.
        g3: kappa, 1/Angstrom.
        g4: rows (eta, zeta, lambda) or (eta, zeta, lambda, R_s).
        g5: rows of the same form.
        weights: one number for each species, or None.
        cutoff_function: `cosine` or `tanh`.

    Shapes: features (n, F) in the order of `labels()`.
    """

    def __init__(
        self,
        cutoff: float = 6.0,
        n_species: int = 1,
        g1: bool = True,
        g2: Rows = G2,
        g3: Sequence[float] = (),
        g4: Rows = G4,
        g5: Rows = (),
        weights: Sequence[float] | None = None,
        cutoff_function: str = "cosine",
    ) -> None:
        super().__init__(cutoff, n_species)
        if cutoff_function not in SMOOTHNESS:
            raise ValueError(
                f"`cutoff_function` must be one of {list(SMOOTHNESS)}, got {cutoff_function!r}; `cosine` is Behler's"
            )
        self.has_density, self.has_fold = False, True
        self.smoothness = SMOOTHNESS[cutoff_function]
        self.g1 = bool(g1)
        self.g2, self.g3 = radial_rows(g2), [float(kappa) for kappa in g3]
        self.g4, self.g5 = angular_rows("g4", g4), angular_rows("g5", g5)
        self.weighted = weights is not None
        self.shares = 1 if self.weighted else self.n_species
        shares = torch.tensor(share_rows(weights, self.n_species), dtype=torch.float64)
        self.register_buffer("table", shares, persistent=False)
        self.register_buffer("etas", column(self.g2, 0), persistent=False)
        self.register_buffer("centres", column(self.g2, 1), persistent=False)
        self.register_buffer("kappas", column([[kappa] for kappa in self.g3], 0), persistent=False)
        self.angular = AngularPart(self.cutoff, str(cutoff_function), self.g4, self.g5, self.shares)
        self.n_radial = self.shares * (int(self.g1) + len(self.g2) + len(self.g3))
        self.n_features = self.n_radial + self.angular.n_features
        if self.n_features == 0:
            raise ValueError("`g1` to `g5` must hold at least one function, got none; set g1=true or give g2")

    def forward(self, graph: Graph) -> Tensor:
        """Return the features, (n, F)."""
        if graph.centers.numel() == 0:
            return graph.vectors.new_zeros([0, self.n_features])
        return self.contract(self.density(graph))

    def density(self, graph: Graph) -> Tensor:
        """Return the radial features of each atom, and the rows of its neighbours that pairs need, (n, ...)."""
        layout = odd(padding(graph.centers))
        around = laid(graph, 2.0 * self.cutoff, layout)
        species = pad(graph.species[graph.neighbors], layout, torch.zeros_like(layout.slots[0]))
        shares, f = self.table.index_select(1, species), self.angular.envelope(around.r)
        radial = ((shares * f).unsqueeze(1) * self.radial(around.r)).flatten(0, 1)
        features = radial.view(-1, layout.n, layout.width).sum(2).t()
        if self.angular.n_features == 0:
            return features
        return torch.cat([features, self.angular.rows(around, shares, f)], 1)

    def radial(self, r: Tensor) -> Tensor:
        """Return G1, G2 and G3 of one neighbour, without the cutoff function, (R, n * J)."""
        rows = torch.ones_like(r).unsqueeze(0)
        distance = r - self.centres.unsqueeze(1)
        gauss = torch.exp(-self.etas.unsqueeze(1) * distance * distance)
        waves = torch.cos(self.kappas.unsqueeze(1) * r)
        return torch.cat([rows, gauss, waves] if self.g1 else [gauss, waves])

    def radial_steps(self, r: Tensor, values: Tensor) -> Tensor:
        """Return the derivatives by r of what `radial` gives, from its `values`."""
        gauss = values[int(self.g1) : int(self.g1) + len(self.g2)]
        gauss = -2.0 * self.etas.unsqueeze(1) * (r - self.centres.unsqueeze(1)) * gauss
        waves = -self.kappas.unsqueeze(1) * torch.sin(self.kappas.unsqueeze(1) * r)
        return torch.cat([torch.zeros_like(values[: int(self.g1)]), gauss, waves])

    def contract(self, density: Tensor) -> Tensor:
        """Return the features, (n, F), of what `density` gives."""
        if self.angular.n_features == 0:
            return density
        return torch.cat([density[:, : self.n_radial], self.angular(density[:, self.n_radial :])], 1)

    def fold(self, density: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return `B @ theta`, (n,), and its slopes by what `density` gives, for weights (1, F) or (n, F), no graph."""
        own = theta[:, : self.n_radial]
        energies = (density[:, : self.n_radial] * own).sum(1)
        if self.angular.n_features == 0:
            return energies, own.expand_as(density)
        more, slopes = self.angular.fold(density[:, self.n_radial :], theta[:, self.n_radial :])
        return energies + more, torch.cat([own.expand(density.shape[0], -1), slopes], 1)

    @torch.jit.unused
    @torch.no_grad()
    def slopes(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Return the features, (n, F), and dB_i/dr_ij, (n, J, 3, F), in closed form."""
        return slopes_by_places(self, graph)

    def isolated(self, like: Tensor) -> Tensor:
        """Return the features of an atom without neighbours, zero, (n_species, F)."""
        return torch.zeros([self.n_species, self.n_features], dtype=like.dtype, device=like.device)

    def labels(self) -> list[str]:
        """Return names such as `G2[eta=0.5,Rs=1.0,s=0]` and `G4[eta=0.01,zeta=4.0,lambda=-1.0,Rs=0.0,s=1,s'=0]`."""
        radial = ["G1["] if self.g1 else []
        radial += [f"G2[eta={eta},Rs={centre}," for eta, centre in self.g2] + [f"G3[kappa={k}," for k in self.g3]
        angular = [
            f"{name}[eta={eta},zeta={zeta},lambda={sign},Rs={shift},"
            for name, rows in (("G4", self.g4), ("G5", self.g5))
            for eta, zeta, sign, shift in rows
        ]
        kinds = ["all"] if self.weighted else [str(s) for s in range(self.n_species)]
        pairs = [f"s={kinds[a]},s'={kinds[b]}" for a in range(len(kinds)) for b in range(a + 1)]
        return [f"{name}s={s}]" for s in kinds for name in radial] + [f"{name}{p}]" for p in pairs for name in angular]


def column(rows: list[list[float]], index: int) -> Tensor:
    """Return one column of a list of rows, (rows,) in float64."""
    return torch.tensor([row[index] for row in rows], dtype=torch.float64)


def share_rows(weights: Sequence[float] | None, n_species: int) -> list[list[float]]:
    """Return what a neighbour of each species counts in each share of the features, (shares, n_species)."""
    if weights is None:
        return [[float(a == b) for b in range(n_species)] for a in range(n_species)]
    if len(weights) != n_species:
        raise ValueError(f"`weights` must hold {n_species} numbers, got {list(weights)}; give one for each species")
    return [[float(weight) for weight in weights]]


def radial_rows(rows: Rows) -> list[list[float]]:
    """Return the rows of G2 as floats."""
    for row in rows:
        if len(row) != 2 or not row[0] >= 0.0:
            raise ValueError(f"`g2` must hold rows (eta >= 0, R_s), got {list(row)}; give both numbers")
    return [[float(value) for value in row] for row in rows]


def angular_rows(name: str, rows: Rows) -> list[list[float]]:
    """Return the rows of G4 or G5 as floats, with R_s = 0 where none is given."""
    for row in rows:
        if len(row) not in (3, 4) or not (row[0] >= 0.0 and row[1] >= 1.0 and abs(row[2]) <= 1.0):
            raise ValueError(
                f"`{name}` must hold rows (eta >= 0, zeta >= 1, -1 <= lambda <= 1) or the same with R_s, got "
                f"{list(row)}; smaller zeta has no slope for atoms on a line"
            )
    return [[float(value) for value in row] + [0.0] * (4 - len(row)) for row in rows]
