"""Tersoff's potential, in the form of LAMMPS's `pair_style tersoff`."""

import math

import torch
from torch import Tensor

from mdzoo.potentials.bond_order import BondOrder
from mdzoo.potentials.parameters import Bounds, Choices, Ties, Trainable, check_positive
from mdzoo.potentials.tables import Table, held, pick

NAMES = ["A", "lambda1", "B", "lambda2", "n", "beta", "lambda3", "gamma", "c", "d", "cos0", "R", "D"]


class Tersoff(BondOrder):
    r"""The bond order of Tersoff (DOI 10.1103/PhysRevB.37.6991; several elements DOI 10.1103/PhysRevB.39.5566).

        E = 1/2 sum_i sum_j f_C(r_ij) [A exp(-lambda1 r_ij) - b_ij B exp(-lambda2 r_ij)]
        b_ij = (1 + (beta zeta_ij)^n)^(-1/(2n))
        zeta_ij = sum_k f_C(r_ik) g(theta_jik) exp((lambda3 (r_ij - r_ik))^m)
        g = gamma (1 + c^2 / d^2 - c^2 / (d^2 + (cos theta - cos0)^2))
        f_C = 1 below R - D, 0 above R + D, (1 - sin(pi (r - R) / (2 D))) / 2 in between

    as LAMMPS reads it (doc/src/pair_tersoff.rst). One continuous derivative at the cutoff.

    Arguments:
        A: eV; one number for all pairs of species, or a symmetric table.
        lambda1: 1/Angstrom, as A.
        B: eV; one number, or a table over ordered pairs (i, j).
        lambda2: 1/Angstrom, as B.
        n, beta: of the bond order, as B.
        lambda3: 1/Angstrom; one number, or a table n x n x n over ordered triples (i, j, k).
        gamma, c, d, cos0: of the angular term, as lambda3; cos0 is LAMMPS's costheta0, Tersoff's h.
        m: 1 or 3, as lambda3; does not train.
        R, D: Angstrom, middle and half width of the cutoff function, as lambda3: the bond i-j takes those of (i, j, j),
            the bond i-k in zeta_ij those of (i, j, k).
        cutoff: Angstrom; bonds end there even if `R + D` grows beyond while it trains. The largest `R + D` if not
            given, and a tenth more where `R` or `D` trains.
        n_species: number of elements.
        trainable, bounds, ties: of all parameters but m, see `mdzoo.potentials.parameters`; entries are called `0-1`
            and `0-1-1`.

    Defaults are those of silicon in LAMMPS's Si.tersoff, set (C) of the first paper.

    Example:
        >>> round(Tersoff().cutoff, 9)
        3.2
    """

    def __init__(
        self,
        A: Table = 3264.7,
        lambda1: Table = 3.2394,
        B: Table = 95.373,
        lambda2: Table = 1.3258,
        n: Table = 22.956,
        beta: Table = 0.33675,
        lambda3: Table = 1.3258,
        gamma: Table = 1.0,
        c: Table = 4.8381,
        d: Table = 2.0417,
        cos0: Table = 0.0,
        m: Table = 3.0,
        R: Table = 3.0,
        D: Table = 0.2,
        cutoff: float | None = None,
        n_species: int = 1,
        trainable: Trainable = False,
        bounds: Bounds = None,
        ties: Ties = None,
    ) -> None:
        super().__init__(1, n_species, m)
        choices, kinds = Choices(NAMES, trainable, bounds, ties), self.n_species
        self.hold_bonds(choices, A, lambda1, B, lambda2, beta, lambda3)
        self.n = held(choices, "n", n, kinds, 2)
        check_positive("n", self.n().detach())
        self.gamma, self.c = held(choices, "gamma", gamma, kinds, 3), held(choices, "c", c, kinds, 3)
        self.d, self.cos0 = held(choices, "d", d, kinds, 3), held(choices, "cos0", cos0, kinds, 3, domain="real")
        check_positive("d", self.d().detach())
        self.hold_ends(choices, R, D, cutoff)

    def angular(self, cosine: Tensor, triple: Tensor) -> Tensor:
        """Return g of each triplet, (J, J - 1, n)."""
        gamma, c, d = self.gamma(), self.c(), self.d()
        bend = cosine - pick(self.cos0(), triple)
        square = bend * bend
        rise = pick(gamma * (c / d).square(), triple)
        return pick(gamma, triple) + rise * square / (pick(d * d, triple) + square)

    def fade(self, t: Tensor) -> Tensor:
        """Return f_C, `(1 - sin(pi t / 2)) / 2`."""
        return 0.5 - 0.5 * torch.sin(0.5 * math.pi * t)

    def powers(self) -> tuple[Tensor, Tensor]:
        """Return eta and delta, both n."""
        n = self.n()
        return n, n
