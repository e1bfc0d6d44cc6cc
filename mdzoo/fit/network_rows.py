"""The Jacobian of a network's energies, forces and virials by its parameters, from what is kept of a structure.

With `z = x W + b` the argument of the first hidden layer, `psi(z)` all that follows, and D_ri the derivative of row r
(a force or virial component) by the feature slopes of atom i, a row is `f_r = sum_i D_ri . (w + W a_i)`, `a = dpsi/dz`:

    df_r/dw = sum_i D_ri      df_r/dW = sum_i D_ri (x) a_i + x_i (x) s_ri      df_r/db = sum_i s_ri
    s_ri = psi''(z_i) W^T D_ri      df_r/dtheta = sum_i (W^T D_ri) . da_i/dtheta    for the later layers

so nothing of size rows x atoms x parameters is ever formed, and no backward pass runs for each row or parameter.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jacfwd, jacrev, vmap

from mdzoo.fit.design import Rows
from mdzoo.fit.kept import Kept
from mdzoo.graph import Graph
from mdzoo.regressors import MLP
from mdzoo.regressors.network import Network


class Tail(nn.Module):
    """All of one network that follows the argument of its first hidden layer: psi, z (H,) to a number."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.first, self.rest, self.last = network.layers[0], network.layers[1:], network.last

    def forward(self, z: Tensor) -> Tensor:
        """Return psi(z)."""
        first: Any = self.first
        h = first.activated(z.view(1, 1, z.shape[0]))
        for layer in self.rest:
            h = layer(h)
        return self.last(h).view(())


def trained(regressor: MLP) -> list[tuple[str, Tensor]]:
    """Return the parameters that train, with their names, in the order of the columns."""
    return [(name, p) for name, p in regressor.named_parameters() if p.requires_grad]


def network_rows(regressor: MLP, graph: Graph, kept: Kept, virial: bool) -> Rows:
    """Return the derivatives of energy, forces and (if asked for) virial of one structure by the parameters.

    Arguments:
        regressor: of one member.
        graph: the structure.
        kept: what is kept of it.
        virial: whether the virial is asked for; else its rows are zero.
    """
    d = row_slopes(graph, kept, virial) / regressor.scale.std
    x = regressor.scale(kept.features)
    columns: dict[str, Tensor] = {}
    for kind in range(regressor.n_species):
        atoms = (graph.species == kind).nonzero().squeeze(-1)
        columns |= {f"linear.weights.{kind}": torch.cat([x[atoms].sum(0, keepdim=True), d[:, atoms].sum(1)])}
    for place, network in enumerate(regressor.networks):
        atoms = torch.arange(len(x)) if regressor.one else (graph.species == place).nonzero().squeeze(-1)
        columns |= {f"networks.{place}.{n}": c for n, c in one_network(network, x[atoms], d[:, atoms]).items()}
    columns["linear.weights"] = torch.cat([columns[f"linear.weights.{k}"] for k in range(regressor.n_species)], 1)
    every = torch.cat([columns[name] for name, _ in trained(regressor)], 1)
    n = 3 * len(x)
    forces, rest = every[1 : n + 1].view(-1, 3, every.shape[1]), every[n + 1 :]
    return Rows(every[:1], forces, rest.unsqueeze(0) if virial else every.new_zeros(1, 9, every.shape[1]))


def one_network(network: Any, x: Tensor, d: Tensor) -> dict[str, Tensor]:
    """Return the columns of each parameter of one network, (1 + R, p), the first row being the energy.

    Arguments:
        network: of one member.
        x: scaled features of its atoms, (n, F).
        d: derivatives of the rows by the slopes of these features, (R, n, F).
    """
    affine, tail = network.layers[0].affine, Tail(network)
    weight = affine.weight[0].detach()
    z = x @ weight + affine.bias[0, 0].detach()
    theta = {name: p.detach() for name, p in tail.named_parameters() if not name.startswith("first.")}

    def psi(z_i: Tensor, values: dict[str, Tensor]) -> Tensor:
        return functional_call(tail, values, (z_i,))

    slope = grad(psi)
    a = vmap(slope, (0, None))(z, theta)  # (n, H)
    v = d @ weight  # (R, n, H)
    s = torch.einsum("rih,ihk->rik", v, vmap(jacfwd(slope), (0, None))(z, theta))
    of_weight = torch.cat([(x.T @ a).unsqueeze(0), d.transpose(1, 2) @ a + x.T @ s])
    out = {
        "layers.0.affine.weight": of_weight.flatten(1),
        "layers.0.affine.bias": torch.cat([a.sum(0, keepdim=True), s.sum(1)]),
    }
    values, slopes = vmap(grad(psi, 1), (0, None))(z, theta), vmap(jacrev(slope, 1), (0, None))(z, theta)
    for name, value in values.items():
        rows = v.flatten(1) @ slopes[name].flatten(0, 1).flatten(1)
        out[place_of(name)] = torch.cat([value.sum(0).flatten().unsqueeze(0), rows])
    return out


def place_of(name: str) -> str:
    """Return the name in the network of a parameter of its tail: `rest.0` is `layers.1`."""
    if not name.startswith("rest."):
        return name
    _, index, end = name.split(".", 2)
    return f"layers.{int(index) + 1}.{end}"


def row_slopes(graph: Graph, kept: Kept, virial: bool) -> Tensor:
    """Return the derivatives D of the forces (3 N rows) and the virial (9, if asked for) by dE_i/dB_i, (R, N, F)."""
    n, width = kept.features.shape
    s = kept.slopes.reshape(-1, 3, width)[kept.slots]  # (e, 3, F)
    i, j = graph.centers[kept.short], graph.neighbors[kept.short]
    pairs = s.new_zeros(n * n, 3, width).index_add(0, i * n + i, s).index_add(0, j * n + i, s, alpha=-1)
    rows = pairs.view(n, n, 3, width).transpose(1, 2).reshape(3 * n, n, width)
    if not virial:
        return rows
    products = -graph.vectors[kept.short].to(s.dtype).view(-1, 3, 1, 1) * s.unsqueeze(1)  # (e, 3, 3, F)
    of_atoms = s.new_zeros(n, 9, width).index_add(0, i, products.flatten(1, 2))
    return torch.cat([rows, of_atoms.transpose(0, 1)])
