"""The angular symmetry functions of Behler and Parrinello: sums over pairs of neighbours."""

import torch
from torch import Tensor, nn

from mdzoo.descriptors.neighbour_pairs import Pairs, Room, sums_with


class AngularFunctions(nn.Module):
    r"""`G = sum_{j<k} w_jk rho_j rho_k 2^(1-zeta) (1 + lambda cos theta)^zeta [e^(-eta (r_jk - R_s)^2) f(r_jk)]`.

    `rho = f(r) e^(-eta (r - R_s)^2)` belongs to one neighbour (`near`); functions that share eta and R_s share it,
    those that share zeta and lambda a power.

    Arguments:
        parameters: rows (eta, zeta, lambda, R_s), 1/Angstrom^2 and Angstrom.
        closed: whether r_jk enters (G4) or not (G5).

    Shapes: over the pairs of J neighbours of n atoms, see `mdzoo.descriptors.neighbour_pairs`; H different (eta, R_s).
    """

    etas: list[float]
    shifts: list[float]
    zetas: list[float]
    lambdas: list[float]
    radial_of: list[int]
    angular_of: list[int]

    def __init__(self, parameters: list[list[float]], closed: bool) -> None:
        super().__init__()
        radial = list(dict.fromkeys((row[0], row[3]) for row in parameters))
        angular = list(dict.fromkeys((row[1], row[2]) for row in parameters))
        self.closed = bool(closed)
        self.n_features, self.n_near = len(parameters), len(radial)
        self.etas, self.shifts = [row[0] for row in radial], [row[1] for row in radial]
        self.zetas, self.lambdas = [row[0] for row in angular], [row[1] for row in angular]
        self.radial_of = [radial.index((row[0], row[3])) for row in parameters]
        self.angular_of = [angular.index((row[1], row[2])) for row in parameters]

    def near(self, r: Tensor, envelope: Tensor) -> list[Tensor]:
        """Return rho, H rows of the shape of r, for the cutoff function f(r)."""
        rows: list[Tensor] = []
        for eta, shift in zip(self.etas, self.shifts):  # noqa: B905 - TorchScript
            rows.append(envelope * torch.exp(-eta * (r - shift) ** 2))
        return rows

    def gauss(self, number: int, pairs: Pairs) -> Tensor:
        """Return `e^(-eta (r_jk - R_s)^2)` of one eta and R_s."""
        shift = self.shifts[number]
        squares = pairs.square if shift == 0.0 else (pairs.distance - shift) ** 2
        return torch.exp(-self.etas[number] * squares)

    def forward(self, pairs: Pairs, here: Tensor, there: Tensor, weights: list[Tensor]) -> list[Tensor]:
        """Return the functions, each (n,), for one set of weights of the pairs after the other (none: all count 1).

        Arguments:
            pairs: cosines and distances.
            here: rho of the first neighbour of each pair, (H, 1, J, n).
            there: of the second, (H, J // 2, J, n).
            weights: each (J // 2, J, n).
        """
        gauss: list[Tensor] = []
        for number in range(self.n_near):
            product = here[number] * there[number]
            gauss.append(product * self.gauss(number, pairs) * pairs.envelope if self.closed else product)
        powers: list[Tensor] = []
        for zeta, sign in zip(self.zetas, self.lambdas):  # noqa: B905 - TorchScript
            powers.append(2.0 * power(0.5 + 0.5 * sign * pairs.cosine, zeta))
        if len(weights) == 0:
            return self.summed(gauss, powers)
        out: list[Tensor] = []
        for weight in weights:
            out += self.summed([weight * product for product in gauss], powers)
        return out

    def summed(self, gauss: list[Tensor], powers: list[Tensor]) -> list[Tensor]:
        """Return the sums over the pairs, one for each function."""
        out: list[Tensor] = []
        for h, q in zip(self.radial_of, self.angular_of):  # noqa: B905 - TorchScript
            out.append((gauss[h] * powers[q]).sum([0, 1]))
        return out

    def fold(
        self, pairs: Pairs, envelope_slope: Tensor, here: Tensor, there: Tensor, theta: list[Tensor], space: Room
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the slopes of `G @ theta` by cosines and squares, (J // 2, J, n), and by rho, (H, J, n).

        Arguments:
            pairs: cosines and distances.
            envelope_slope: df(r_jk) / d(r_jk^2).
            here: rho of the first neighbour of each pair, (H, 1, J, n).
            there: of the second, (H, J // 2, J, n).
            theta: what each function counts in each pair, w_jk included.
            space: for sums at the second neighbours.
        """
        powers, lower = self.powers(pairs.cosine)
        by_cosine, by_square = torch.zeros_like(pairs.cosine), torch.zeros_like(pairs.cosine)
        by_near = torch.empty_like(here[:, 0])
        for number in range(self.n_near):
            value, slope = torch.zeros_like(by_cosine), torch.zeros_like(by_cosine)
            for f, (h, q) in enumerate(zip(self.radial_of, self.angular_of)):  # noqa: B905 - TorchScript
                if h == number:
                    value.addcmul_(theta[f], powers[q], value=2.0)
                    slope.addcmul_(theta[f], lower[q], value=self.zetas[q] * self.lambdas[q])
            product = here[number] * there[number]
            if self.closed:
                gauss = self.gauss(number, pairs)
                value *= gauss
                by_square.addcmul_(value * product, self.falling(number, pairs, envelope_slope))
                value *= pairs.envelope
                product = product.mul_(gauss).mul_(pairs.envelope)
            by_cosine.addcmul_(product, slope)
            by_near[number] = sums_with(value, here[number, 0], there[number], space)
        return by_cosine, by_square, by_near

    def falling(self, number: int, pairs: Pairs, envelope_slope: Tensor) -> Tensor:
        """Return `f' + f g' / g` for the exponential g, the slopes by r_jk^2."""
        eta, shift = self.etas[number], self.shifts[number]
        out = torch.add(envelope_slope, pairs.envelope, alpha=-eta)
        return out if shift == 0.0 else out + eta * shift * pairs.envelope / pairs.distance

    def powers(self, cosine: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return `((1 + lambda cos) / 2)^zeta` and the power below, of each zeta and lambda."""
        powers: list[Tensor] = []
        lower: list[Tensor] = []
        for zeta, sign in zip(self.zetas, self.lambdas):  # noqa: B905 - TorchScript
            base = 0.5 + 0.5 * sign * cosine
            lower.append(power(base, zeta - 1.0))
            powers.append(base * lower[-1])
        return powers, lower


def power(base: Tensor, exponent: float) -> Tensor:
    """Return `base^exponent` for an exponent of at least 0; whole ones by squaring, faster than a logarithm."""
    rest = int(exponent)
    if float(rest) != exponent:
        return torch.clamp(base, min=0.0) ** exponent
    if rest == 0:
        return torch.ones_like(base)
    while rest % 2 == 0:
        base = base * base
        rest = rest // 2
    out = base
    rest = rest // 2
    while rest > 0:
        base = base * base
        if rest % 2 == 1:
            out = out * base
        rest = rest // 2
    return out
