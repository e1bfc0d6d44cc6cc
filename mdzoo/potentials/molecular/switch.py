"""How Lennard-Jones goes to zero between the onset and the cutoff."""

from torch import Tensor, nn

FORMS = ("openmm", "charmm")


class Switch(nn.Module):
    """`S(r)`, 1 up to the onset and 0 from the cutoff on.

    `openmm`: `1 - 10 t^3 + 15 t^4 - 6 t^5`, t linear in r: the second derivative is continuous too. `charmm`:
    `(c^2 - r^2)^2 (c^2 + 2 r^2 - 3 o^2) / (c^2 - o^2)^3 = 1 - 3 t^2 + 2 t^3`, t linear in r^2 (Brooks et al.,
    DOI 10.1002/jcc.540040211), that of LAMMPS's `lj/charmm` styles too.

    Arguments:
        onset: o, Angstrom; the cutoff for no switch.
        cutoff: c, Angstrom.
        form: `openmm` or `charmm`.

    Example:
        >>> [round(float(Switch(1, 3, form)(torch.tensor(2.0), torch.tensor(4.0))), 4) for form in FORMS]
        [0.5, 0.6836]
    """

    def __init__(self, onset: float, cutoff: float, form: str) -> None:
        super().__init__()
        self.onset, self.cutoff = float(onset), float(cutoff)
        if not 0.0 < self.onset <= self.cutoff:
            raise ValueError(
                f"`onset` must be within (0, cutoff={self.cutoff}], got {self.onset}; begin the switch below the cutoff"
            )
        if form not in FORMS:
            raise ValueError(f"`switch` must be one of {list(FORMS)}, got {form!r}; openmm is the smoother one")
        self.charmm = form == "charmm"

    def forward(self, r: Tensor, square: Tensor) -> Tensor:
        """Return S at the distances r, whose squares are known."""
        if self.charmm:
            low = self.onset * self.onset
            t = ((square - low) / (self.cutoff * self.cutoff - low)).clamp(0.0, 1.0)
            return 1.0 - t * t * (3.0 - 2.0 * t)
        t = ((r - self.onset) / (self.cutoff - self.onset)).clamp(0.0, 1.0)
        return 1.0 - t * t * t * (10.0 - 15.0 * t + 6.0 * t * t)
