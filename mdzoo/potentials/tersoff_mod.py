"""Tersoff's potential with the changes of Kumagai and others, in the form of LAMMPS's `pair_style tersoff/mod`."""

import math

import torch
from torch import Tensor

from mdzoo.potentials.bond_order import BondOrder
from mdzoo.potentials.parameters import Bounds, Choices, Ties, Trainable, check_positive
from mdzoo.potentials.tables import Table, held, pick

PAIRS = ["A", "lambda1", "B", "lambda2", "eta", "delta", "beta"]
NAMES = [*PAIRS, "lambda3", "c1", "c2", "c3", "c4", "c5", "cos0", "R", "D"]


class TersoffMod(BondOrder):
    r"""Tersoff's bond order as Kumagai, Izumi, Hara and Sakai changed it (DOI 10.1016/j.commatsci.2006.07.013).

        E = 1/2 sum_i sum_j f_C(r_ij) [A exp(-lambda1 r_ij) - b_ij B exp(-lambda2 r_ij)]
        b_ij = (1 + (beta zeta_ij)^eta)^(-1/(2 delta))
        zeta_ij = sum_k f_C(r_ik) g(theta_jik) exp((lambda3 (r_ij - r_ik))^m)
        g = c1 + c2 x^2 / (c3 + x^2) (1 + c4 exp(-c5 x^2)),  x = cos0 - cos theta
        f_C = 1 below R - D, 0 above R + D, (1 - 9/8 sin(pi (r - R) / (2 D)) - 1/8 sin(3 pi (r - R) / (2 D))) / 2

    as LAMMPS reads it (doc/src/pair_tersoff_mod.rst), where alpha, beta, h and n are here lambda3, m, cos0 and delta.
    Three continuous derivatives at the cutoff.

    Arguments:
        A: eV; one number for all pairs of species, or a symmetric table.
        lambda1: 1/Angstrom, as A.
        B: eV; one number, or a table over ordered pairs (i, j).
        lambda2: 1/Angstrom, as B.
        eta, delta, beta: of the bond order, as B.
        lambda3: 1/Angstrom; one number, or a table n x n x n over ordered triples (i, j, k).
        c1, c2, c3, c4, c5, cos0: of the angular term, as lambda3.
        m: 1 or 3, as lambda3; does not train.
        R, D: Angstrom, middle and half width of the cutoff function, as lambda3.
        cutoff: Angstrom; as in `Tersoff`.
        n_species: number of elements.
        trainable, bounds, ties: of all parameters but m, see `mdzoo.potentials.parameters`.

    Defaults are those of silicon in LAMMPS's Si.tersoff.mod.

    Example:
        >>> round(TersoffMod().cutoff, 9)
        3.3
    """

    def __init__(
        self,
        A: Table = 3281.5905,
        lambda1: Table = 3.2300135,
        B: Table = 121.00047,
        lambda2: Table = 1.345797,
        eta: Table = 1.0,
        delta: Table = 0.93810551,
        beta: Table = 1.0,
        lambda3: Table = 2.3890327,
        c1: Table = 0.20173476,
        c2: Table = 730418.72,
        c3: Table = 1000000.0,
        c4: Table = 1.0,
        c5: Table = 26.0,
        cos0: Table = -0.365,
        m: Table = 1.0,
        R: Table = 3.0,
        D: Table = 0.3,
        cutoff: float | None = None,
        n_species: int = 1,
        trainable: Trainable = False,
        bounds: Bounds = None,
        ties: Ties = None,
    ) -> None:
        super().__init__(3, n_species, m)
        choices, n = Choices(NAMES, trainable, bounds, ties), self.n_species
        self.hold_bonds(choices, A, lambda1, B, lambda2, beta, lambda3)
        self.eta, self.delta = held(choices, "eta", eta, n, 2), held(choices, "delta", delta, n, 2)
        check_positive("delta", self.delta().detach())
        self.c1, self.c2 = held(choices, "c1", c1, n, 3, domain="real"), held(choices, "c2", c2, n, 3, domain="real")
        self.c3, self.c4 = held(choices, "c3", c3, n, 3), held(choices, "c4", c4, n, 3, domain="real")
        self.c5, self.cos0 = held(choices, "c5", c5, n, 3), held(choices, "cos0", cos0, n, 3, domain="real")
        self.hold_ends(choices, R, D, cutoff)

    def angular(self, cosine: Tensor, triple: Tensor) -> Tensor:
        """Return g of each triplet, (J, J - 1, n)."""
        bend = cosine - pick(self.cos0(), triple)
        square = bend * bend
        rise = pick(self.c2(), triple) * square / (pick(self.c3(), triple) + square)
        peak = 1.0 + pick(self.c4(), triple) * torch.exp(-pick(self.c5(), triple) * square)
        return pick(self.c1(), triple) + rise * peak

    def fade(self, t: Tensor) -> Tensor:
        """Return f_C; with s = sin(pi t / 2), `(1 - 9/8 s - 1/8 sin(3 pi t / 2)) / 2 = (2 - 3 s + s^3) / 4`."""
        s = torch.sin(0.5 * math.pi * t)
        return 0.5 - s * (0.75 - 0.25 * s * s)

    def powers(self) -> tuple[Tensor, Tensor]:
        """Return eta and delta."""
        return self.eta(), self.delta()
