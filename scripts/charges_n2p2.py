"""Fourth-generation networks on the charged sets of n2p2: charges, then energies and forces with and without them.

    python scripts/charges_n2p2.py --data FOLDER/Carbon_chain_4G.extxyz --widths 0.31 0.76

Charges first: electronegativities are a network of SO3 features, trained with the hardnesses on the charges of the data
alone (Ko et al., DOI 10.1038/s41467-020-20427-2, stage 1). Then a linear SO3 potential is fitted in closed form to
energies and forces (stage 2), alone and beside the equilibrated charges. Errors are root mean squares on frames that
neither stage saw.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from mdzoo.data import DataModule
from mdzoo.evaluate.judge import judge
from mdzoo.fit.fit import fit
from mdzoo.fit.start import features_of
from mdzoo.graph import Graph, collate
from mdzoo.potentials import ChargeEquilibration, ForceField, build
from mdzoo.potentials.assemble import assemble
from mdzoo.potentials.charge_solver import equilibrium, side_by_side

FIT = {"name": "least_squares", "weights": {"energy": [1.0, 10.0, 100.0], "forces": 1.0, "stress": 0.0}}


def whole(data: DataModule, split: str) -> Graph:
    """Return all structures of a set as one graph."""
    part = data.sets()[split]
    return collate([part[i].graph for i in range(len(part))])


class Charges:
    """What the charges of a set depend on while electronegativities and hardnesses train."""

    def __init__(self, term: ChargeEquilibration, graph: Graph) -> None:
        self.term, self.graph = term, graph
        inner = term.electronegativity
        with torch.no_grad():
            self.features = features_of(inner, graph, next(inner.regressor.parameters()))
            near = term.near(graph)
            self.fixed = near.diagonal - term.hardness()[graph.species]
            self.matrix = term.interaction.matrix(graph, near._replace(diagonal=self.fixed))

    def errors(self) -> torch.Tensor:
        """Return the errors of the charges, (N,) in e."""
        chi = self.term.electronegativity.regressor(self.features, self.graph.species)
        hardness = torch.diag_embed(side_by_side(self.term.hardness()[self.graph.species], self.graph))
        return equilibrium(self.matrix + hardness, chi, self.graph) - self.graph.charges


def train_charges(term: ChargeEquilibration, train: Graph, test: Graph, steps: int, decay: float) -> None:
    """Minimise the squared error of the charges of `train`; print the errors."""
    seen, unseen = Charges(term, train), Charges(term, test)
    scale = getattr(term.electronegativity.regressor, "scale", None)
    if scale is not None:
        scale.set(seen.features.mean(0), seen.features.std(0))
    weights = [p for p in term.parameters() if p.requires_grad]
    optimizer = torch.optim.LBFGS(weights, max_iter=steps, history_size=50, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = 1e6 * seen.errors().square().mean() + decay * sum(w.square().sum() for w in weights)
        value.backward()
        return value

    optimizer.step(loss)
    with torch.no_grad():
        rms = [1e3 * float(part.errors().square().mean().sqrt()) for part in (seen, unseen)]
    print(f"charges, RMSE: train {rms[0]:.2f} me, test {rms[1]:.2f} me; hardness {term.hardness().tolist()}")


def main() -> None:
    """Read, train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="extended XYZ with ref_charges and total_charge")
    parser.add_argument("--widths", type=float, nargs="+", required=True, help="of the elements by number, Angstrom")
    parser.add_argument("--cutoff", type=float, default=6.0, help="of both descriptors, Angstrom")
    parser.add_argument("--reach", type=float, default=8.0, help="of the pairs of charges, Angstrom")
    parser.add_argument("--steps", type=int, default=300, help="of stage 1")
    parser.add_argument("--decay", type=float, default=1e-3, help="of stage 1")
    parser.add_argument("--size", type=int, nargs=2, default=[6, 4], help="K and L of the short-range descriptor")
    parser.add_argument("--test", type=float, default=0.15, help="share of the frames that neither stage sees")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(given.seed)
    data = DataModule(given.data, charges_key="ref_charges", test_fraction=given.test, seed=given.seed)
    data.cutoff = max(given.cutoff, given.reach)
    data.setup()
    numbers, energies = data.atomic_numbers, data.atomic_energies()
    chi = {"name": "SO3", "cutoff": given.cutoff, "K": 4, "L": 3, "body_order": 3}
    table = {"name": "ChargeEquilibration", "descriptor": chi, "regressor": {"name": "MLP", "hidden": [15, 15]}}
    table |= {"widths": given.widths, "cutoff": given.reach, "trainable": ["hardness"]}
    short = {"name": "SO3", "cutoff": given.cutoff, "K": given.size[0], "L": given.size[1]}
    both = assemble({"charges": table}, short, {"name": "Linear"}, numbers, energies)
    alone = assemble({}, short, {"name": "Linear"}, numbers, energies)
    with_charges = build(both)
    train_charges(with_charges.terms[1], whole(data, "train"), whole(data, "test"), given.steps, given.decay)
    for name, potential in (("SO3 + Linear", build(alone)), ("the same with charges", with_charges)):
        model = ForceField(potential.requires_grad_(True), numbers)
        if potential is with_charges:
            potential.terms[1].requires_grad_(False)
        with tempfile.TemporaryDirectory() as folder:
            fit(model, data, Path(folder), FIT, progress=False)
        found = judge(model, data, given.seed).metrics
        for split in ("train", "test"):
            part = found[split]
            spread = [1e3 * np.asarray(part["intervals"][key]) for key in ("energy_rmse", "force_rmse")]
            print(
                f"{name}, {split} of {part['n_structures']}: energy {1e3 * part['energy_rmse']:.2f} meV/atom "
                f"({spread[0][0]:.2f} to {spread[0][1]:.2f}), force {1e3 * part['force_rmse']:.1f} meV/Angstrom "
                f"({spread[1][0]:.0f} to {spread[1][1]:.0f})"
                + (f", charge {1e3 * part['charge_rmse']:.2f} me" if "charge_rmse" in part else "")
            )


if __name__ == "__main__":
    main()
