"""Hamiltonian Monte Carlo over the weights of a linear model and its noise scales, with all forces of one element.

    python scripts/bench_nuts.py --data-root FOLDER --element Mo

Prints the time of the factors and of the chains, and the diagnostics.
"""

import argparse
import logging
import time

from mdzoo.bayes.diagnostics import diagnose
from mdzoo.bayes.infer import Problem
from mdzoo.bayes.mcmc import nuts
from mdzoo.bayes.pose import Labels, posed
from mdzoo.data import DataModule
from mdzoo.potentials import ForceField, build
from mdzoo.potentials.assemble import assemble


def main() -> None:
    """Time one run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--element", default="Mo")
    parser.add_argument("--k", type=int, default=5)
    parser.add_argument("--l", type=int, default=2)
    parser.add_argument("--body-order", type=int, default=5)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--warmup", type=int, default=150)
    parser.add_argument("--depth", type=int, default=3, help="half a period is enough where weights are whitened")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    data = DataModule(f"{args.data_root}/zuo2020/{args.element}_train.extxyz", cutoff=5.0)
    data.setup()
    descriptor = {"name": "SO3", "cutoff": 5.0, "K": args.k, "L": args.l, "body_order": args.body_order}
    table = assemble(None, descriptor, {"name": "Linear"}, data.atomic_numbers, data.atomic_energies())
    field = ForceField(build(table), data.atomic_numbers)
    begin, cpu = time.monotonic(), time.process_time()
    found = posed(Problem(field, data, None, None, None, None, 0), Labels())
    print(f"factors: {time.monotonic() - begin:.1f} s, {time.process_time() - cpu:.1f} s of CPU")
    begin, cpu = time.monotonic(), time.process_time()
    draws = nuts(found.density, found.coordinates, 4, args.draws, args.warmup, depth=args.depth, masses=False)
    print(f"{found.density.dimension} numbers, 4 chains of {args.draws} draws and {args.warmup} to warm up:")
    print(f"chains: {time.monotonic() - begin:.1f} s, {time.process_time() - cpu:.1f} s of CPU")
    print(diagnose(draws))
    print(
        {name: [round(float(v), 5) for v in x.flatten(0, 1).mean(0).flatten()[:3]] for name, x in draws.others.items()}
    )


if __name__ == "__main__":
    main()
