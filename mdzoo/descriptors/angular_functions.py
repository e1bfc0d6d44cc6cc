"""The angular symmetry functions of Behler and Parrinello: sums over pairs of neighbours."""

import torch
from torch import Tensor, nn


class AngularFunctions(nn.Module):
    r"""`G = sum_{j<k} w_jk 2^(1-zeta) (1 + lambda cos theta_jik)^zeta e^(-eta (r_ij^2 + r_ik^2 [+ r_jk^2]))`.

    Functions that share eta and R_s share an exponential, those that share zeta and lambda a power: with H different
    exponentials and Q different powers, all H * Q products are summed over the pairs by one batched matrix product.

    Arguments:
        parameters: rows (eta, zeta, lambda) or (eta, zeta, lambda, R_s); distances are counted from R_s (Angstrom).
        closed: whether r_jk enters (G4) or not (G5).

    Shapes: over P pairs of neighbours of n atoms; weights (T, P, n) -> (n, T, F).
    """

    zetas: list[float]
    lambdas: list[float]

    def __init__(self, parameters: list[list[float]], closed: bool) -> None:
        super().__init__()
        radial = sorted({(row[0], row[3]) for row in parameters})
        angular = sorted({(row[1], row[2]) for row in parameters})
        self.closed = bool(closed)
        self.n_features = len(parameters)
        self.shifted = any(row[3] != 0.0 for row in parameters)
        self.zetas = [zeta for zeta, _ in angular]
        self.lambdas = [sign for _, sign in angular]
        pairs = [radial.index((row[0], row[3])) * len(angular) + angular.index((row[1], row[2])) for row in parameters]
        self.register_buffer("eta", torch.tensor([r[0] for r in radial], dtype=torch.float64), persistent=False)
        self.register_buffer("shift", torch.tensor([r[1] for r in radial], dtype=torch.float64), persistent=False)
        self.register_buffer("kept", torch.tensor(pairs, dtype=torch.int64), persistent=False)

    def forward(self, cosine: Tensor, r1: Tensor, r2: Tensor, r3: Tensor, weights: Tensor) -> Tensor:
        """Return the functions, (n, T, F), of pairs with cos theta_jik, r_ij, r_ik and r_jk, each (1, P, n)."""
        squares = r1 * r1 + r2 * r2
        if self.closed:
            squares = squares + r3 * r3
        eta = self.eta.view(-1, 1, 1)
        exponents = -eta * squares
        if self.shifted:
            shift, count = self.shift.view(-1, 1, 1), 3.0 if self.closed else 2.0
            distances = r1 + r2 + r3 if self.closed else r1 + r2
            exponents = exponents + eta * shift * (2.0 * distances - count * shift)
        gauss = (weights.unsqueeze(1) * torch.exp(exponents)).flatten(0, 1)
        powers: list[Tensor] = []
        for zeta, sign in zip(self.zetas, self.lambdas):  # noqa: B905 - TorchScript
            powers.append(2.0 * power(0.5 + 0.5 * sign * cosine, zeta))
        every = gauss.permute(2, 0, 1) @ torch.cat(powers).permute(2, 1, 0)
        return every.view(every.shape[0], weights.shape[0], -1).index_select(2, self.kept)


def power(base: Tensor, exponent: float) -> Tensor:
    """Return `base^exponent` for an exponent of at least 1; whole ones by squaring, faster than a logarithm."""
    rest = int(exponent)
    if float(rest) != exponent:
        return torch.clamp(base, min=0.0) ** exponent
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
