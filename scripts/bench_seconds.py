"""Seconds to a test force error of 0.100 eV/Angstrom on Mo: mdzoo's network beside MACE small, SchNet and NequIP.

mdzoo is one whole `mdzoo train`: reading, closed form, network, judgement and export. The peers' training steps are
timed (energies and forces, the largest structures of the same training file in batches of 5, 5 Angstrom, float32),
which gives seconds for one epoch; a whole run is that times --mace-epochs: MACE 0.3.16 small (64x0e, two layers) came
to 0.097 in 60 epochs; when it passed 0.100 is not recorded. For SchNet and NequIP they are unknown; the table says
what part of all of mdzoo one epoch takes. Everything runs on one thread and CPU time is read.

Each peer is asked for by a Python that has it (MACE and NequIP want different e3nn):
  python scripts/bench_seconds.py --data-root FOLDER --mace venv1/bin/python --schnet venv1/bin/python
  python scripts/bench_seconds.py --data-root FOLDER --run RUN_DIR       a finished run of mdzoo is not done again
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import torch

BATCH, CUTOFF = 5, 5.0
WORDS = [
    *["data=zuo2020", "data.element=Mo", "empirical=[zbl]", "empirical.zbl.inner=1.0", "empirical.zbl.outer=2.0"],
    *["descriptor=so3", "descriptor.cutoff=4.6", "descriptor.K=[7,5,2]", "descriptor.L=[4,3,2]"],
    *["descriptor.body_order=5", "descriptor.radial=chebyshev", "descriptor.stretch=0.0"],
    *["regressor=mlp", "regressor.hidden=[16,16]", "regressor.members=4"],
    *["fit=sgd", "fit.start=least_squares", "fit.freeze=['*linear.weights']", "fit.weights.energy=30.0"],
    *["fit.lr=2e-3", "fit.epochs=10", "fit.batch_size=4", "fit.dtype=float32", "wandb=disabled"],
]
Step = Callable[[], Any]


def mace(frames: list[ase.Atoms]) -> Step:
    """Return a training step of MACE small."""
    from e3nn import o3
    from mace import data, modules, tools
    from mace.tools import torch_geometric

    table = tools.AtomicNumberTable([42])
    model = modules.ScaleShiftMACE(
        r_max=CUTOFF, num_bessel=8, num_polynomial_cutoff=5, max_ell=3, num_interactions=2, num_elements=1,
        interaction_cls=modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
        interaction_cls_first=modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
        hidden_irreps=o3.Irreps("64x0e"), MLP_irreps=o3.Irreps("16x0e"), atomic_energies=torch.tensor([0.0]),
        avg_num_neighbors=30.0, atomic_numbers=[42], correlation=3, gate=torch.nn.functional.silu,
        atomic_inter_scale=1.0, atomic_inter_shift=0.0,
    )  # fmt: skip
    configs = [
        data.Configuration(a.numbers, a.positions, {}, {}, cell=a.cell.array, pbc=tuple(a.pbc.tolist())) for a in frames
    ]
    batch = torch_geometric.Batch.from_data_list([data.AtomicData.from_config(c, table, CUTOFF) for c in configs])
    return stepping(model, lambda: model(batch.to_dict(), training=True))


def schnet(frames: list[ase.Atoms]) -> Step:
    """Return a training step of SchNet, 64 features and three interactions."""
    torch.utils.data.dataloader.T_co = torch.utils.data.dataset._T_co  # where schnetpack 2.1 looks for it
    import schnetpack as spk
    from schnetpack.interfaces import AtomsConverter
    from schnetpack.transform import ASENeighborList

    representation = spk.representation.SchNet(
        n_atom_basis=64, n_interactions=3, radial_basis=spk.nn.GaussianRBF(50, CUTOFF),
        cutoff_fn=spk.nn.CosineCutoff(CUTOFF),
    )  # fmt: skip
    heads = [spk.atomistic.Atomwise(n_in=64, output_key="energy"), spk.atomistic.Forces()]
    distances = [spk.atomistic.PairwiseDistances()]
    model = spk.model.NeuralNetworkPotential(representation, input_modules=distances, output_modules=heads)
    inputs = AtomsConverter(ASENeighborList(CUTOFF), dtype=torch.float32)(frames)
    return stepping(model, lambda: model(dict(inputs)))


def nequip(frames: list[ase.Atoms]) -> Step:
    """Return a training step of NequIP, four layers of 32 features to l = 1."""
    from nequip.data import AtomicDataDict, from_ase
    from nequip.data.transforms import ChemicalSpeciesToAtomTypeMapper, NeighborListTransform
    from nequip.model import NequIPGNNModel
    from nequip.utils.global_state import set_global_state

    set_global_state()
    model = NequIPGNNModel(
        seed=0, model_dtype="float32", type_names=["Mo"], r_max=CUTOFF, num_layers=4, l_max=1, parity=False,
        num_features=32, radial_mlp_depth=2, radial_mlp_width=64, avg_num_neighbors=30.0,
    )  # fmt: skip
    prepare = [ChemicalSpeciesToAtomTypeMapper(["Mo"]), NeighborListTransform(CUTOFF)]
    items = [from_ase(atoms) for atoms in frames]
    for transform in prepare:
        items = [transform(item) for item in items]
    batch = AtomicDataDict.batched_from_list(items)

    def predict() -> dict[str, torch.Tensor]:
        out = model(dict(batch))
        return {"energy": out["total_energy"], "forces": out["forces"]}

    return stepping(model, predict)


PEERS = {"mace": mace, "schnet": schnet, "nequip": nequip}


def stepping(model: torch.nn.Module, predict: Callable[[], dict[str, torch.Tensor]]) -> Step:
    """Return one step of Adam on energies and forces."""
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)

    def step() -> None:
        optimizer.zero_grad()
        out = predict()
        (out["energy"].square().mean() + 100.0 * out["forces"].square().mean()).backward()
        optimizer.step()

    return step


def time_peer(name: str, frames: list[ase.Atoms], seconds: float) -> None:
    """Print the CPU seconds of one atom in one training step."""
    full = sorted(frames, key=len)[-BATCH:]
    step = PEERS[name]([ase.Atoms(a.numbers, a.positions, cell=a.cell, pbc=a.pbc) for a in full])
    step()
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        start = time.process_time()
        step()
        times.append(time.process_time() - start)
    print(json.dumps(sorted(times)[len(times) // 2] / sum(len(atoms) for atoms in full)))


def own(options: argparse.Namespace, environment: dict[str, str]) -> dict[str, Any]:
    """Run mdzoo unless it is finished, and return its metrics with the CPU seconds of the whole command."""
    spent = options.run / "cpu_seconds.json"
    if not spent.is_file():
        command = [sys.executable, "-m", "mdzoo.cli", "train", *WORDS, f"data.root={options.data_root}"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*command, f"run_dir={options.run}"], env=environment, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.write_text(json.dumps(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    return json.loads((options.run / "metrics.json").read_text()) | {"cpu": json.loads(spent.read_text())}


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True, help="folder that holds zuo2020/")
    parser.add_argument("--run", type=Path, default=Path("outputs/bench_seconds"), help="of mdzoo (%(default)s)")
    for name in PEERS:
        parser.add_argument(f"--{name}", help=f"a Python that has {name}")
    parser.add_argument("--mace-epochs", type=int, default=60, help="to 0.100 (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of steps of each peer (%(default)s)")
    parser.add_argument("--peer", choices=list(PEERS), help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure those that are there and print the table."""
    options = parse()
    torch.set_num_threads(1)
    frames = ase.io.read(Path(options.data_root) / "zuo2020/Mo_train.extxyz", ":")
    if options.peer:
        time_peer(options.peer, frames, options.seconds)
        return
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}
    mine, atoms = own(options, environment), sum(len(frame) for frame in frames)
    energy, force = mine["test"]["energy_mae"], mine["test"]["force_mae"]
    print("| model | test energy, meV/atom | test force, eV/Angstrom | CPU s | times mdzoo |\n|---|---|---|---|---|")
    print(f"| mdzoo, SO3 + MLP | {1e3 * energy:.2f} | {force:.4f} | {mine['cpu']:.0f} | 1 |", flush=True)
    for name in PEERS:
        if python := getattr(options, name):
            command = [python, __file__, "--peer", name, "--data-root", options.data_root]
            command += ["--seconds", str(options.seconds)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(done.stderr[-3000:])
            epoch = float(done.stdout.split()[-1]) * atoms
            if name == "mace":
                whole = epoch * options.mace_epochs
                print(f"| {name}, {options.mace_epochs} epochs | | 0.097 | {whole:.0f} | {whole / mine['cpu']:.1f} |")
            print(f"| {name}, one epoch | | | {epoch:.1f} | {epoch / mine['cpu']:.2f} |", flush=True)


if __name__ == "__main__":
    main()
