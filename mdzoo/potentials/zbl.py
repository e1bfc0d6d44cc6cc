"""The screened repulsion of nuclei, in the form of LAMMPS's `pair_style zbl`."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mdzoo.potentials.base import PairPotential
from mdzoo.potentials.parameters import Bounds, Choices, Ties, Trainable
from mdzoo.units import COULOMB_LAMMPS_METAL

# Ziegler, Biersack and Littmark's universal screening, with the digits of LAMMPS (pair_zbl_const.h)
SCREENING_LENGTH = 0.46850  # a0, Angstrom
SCREENING_POWER = 0.23  # p
COEFFICIENTS = (0.18175, 0.50986, 0.28022, 0.02817)  # c, their sum is 1
DECAYS = (3.19980, 0.94229, 0.40290, 0.20162)  # d


class ZBL(PairPotential):
    """`phi(r) = k Z_i Z_j / r sum_m c_m exp(-d_m r / a) + S(r)`, with `a = a0 / (Z_i^p + Z_j^p)`.

    `S = C` below `inner`, and `C + A/3 t^3 + B/4 t^4` with `t = r - inner` above it; A, B and C bring the energy and
    two derivatives to zero at `outer` (Ziegler, Biersack and Littmark, The Stopping and Range of Ions in Matter, 1985;
    the switch as in LAMMPS, doc/src/pair_zbl.rst). k = 14.399645 eV Angstrom, LAMMPS's in units metal. MACE's and
    others' ZBL have other constants and another cutoff: they are not interchangeable.

    Arguments:
        atomic_numbers: the element table.
        inner: where the switch begins, Angstrom.
        outer: the cutoff, Angstrom.
        trainable, bounds, ties: of `a0`, `p`, `c` and `d`, whose entries are `0` to `3`; see
            `mdzoo.potentials.parameters`. The sum of c stays 1, so the bare nuclei at r -> 0 stay what they are.

    Example:
        >>> zero = torch.zeros(1, dtype=torch.int64)
        >>> float(ZBL([14], 3, 4).pair_energy(torch.tensor([4.0]), zero, zero).abs() < 1e-12)
        1.0
    """

    z: Tensor  # (n,)
    charge: Tensor  # (n * n,) k Z_i Z_j, eV Angstrom

    def __init__(
        self,
        atomic_numbers: Sequence[int],
        inner: float = 3.0,
        outer: float = 4.0,
        trainable: Trainable = False,
        bounds: Bounds = None,
        ties: Ties = None,
    ) -> None:
        super().__init__(outer, n_species=len(atomic_numbers))
        self.smoothness = 2  # its own switch, where others have a truncation
        self.inner = float(inner)
        if not 0.0 <= self.inner < self.cutoff:
            raise ValueError(f"`inner` must be within [0, outer={self.cutoff}), got {self.inner}; switch below `outer`")
        numbers = torch.as_tensor([float(z) for z in atomic_numbers], dtype=torch.float64)
        if numbers.numel() == 0 or not (numbers >= 1.0).all():
            raise ValueError(
                f"`atomic_numbers` must be one or more positive numbers, got {numbers.tolist()}; give the element table"
            )
        charge = COULOMB_LAMMPS_METAL * (numbers.unsqueeze(1) * numbers).flatten()
        self.register_buffer("z", numbers, persistent=False)
        self.register_buffer("charge", charge, persistent=False)
        choices = Choices(["a0", "p", "c", "d"], trainable, bounds, ties)
        self.a0 = choices.values("a0", torch.tensor([SCREENING_LENGTH], dtype=torch.float64))
        self.p = choices.values("p", torch.tensor([SCREENING_POWER], dtype=torch.float64))
        self.c = choices.values("c", torch.tensor(COEFFICIENTS, dtype=torch.float64), "fractions")
        self.d = choices.values("d", torch.tensor(DECAYS, dtype=torch.float64))

    def pair_energy(self, r: Tensor, species_i: Tensor, species_j: Tensor) -> Tensor:
        """Return phi of each edge, (E,) in eV."""
        pair = self.pair(species_i, species_j)
        decay = self.decay()
        shift = self.shift(decay).index_select(0, pair)
        x = (decay.index_select(0, pair) * r.unsqueeze(-1)).clamp(max=80.0)  # e^-80: rounding; float32 slows beyond
        screening = torch.exp(-x) @ self.c()
        t = (r - self.inner).clamp(min=0.0)
        switch = shift[:, 0] + t * t * t * (shift[:, 1] + shift[:, 2] * t)
        return self.charge.index_select(0, pair) * screening / r + switch

    def decay(self) -> Tensor:
        """Return `d_m / a` of each pair of species, (n * n, 4) in 1/Angstrom."""
        power = self.z.pow(self.p())
        inverse_a = (power.unsqueeze(1) + power).flatten() / self.a0()
        return inverse_a.unsqueeze(1) * self.d()

    def shift(self, decay: Tensor) -> Tensor:
        """Return C, A / 3 and B / 4 of each pair of species, (n * n, 3), from phi and its derivatives at the cutoff."""
        rc, tc = self.cutoff, self.cutoff - self.inner
        terms = self.c() * torch.exp(-decay * rc)
        s0, s1, s2 = terms.sum(1), -(decay * terms).sum(1), (decay.square() * terms).sum(1)
        e0 = self.charge * s0 / rc
        e1 = self.charge * (s1 - s0 / rc) / rc
        e2 = self.charge * (s2 - 2.0 * s1 / rc + 2.0 * s0 / rc**2) / rc
        a, b = (tc * e2 - 3.0 * e1) / tc**2, (2.0 * e1 - tc * e2) / tc**3
        return torch.stack([-e0 + 0.5 * tc * e1 - tc**2 / 12.0 * e2, a / 3.0, b / 4.0], 1)
