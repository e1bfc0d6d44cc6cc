"""The table of tiny instances: every public member once, from integer hyperparameters where it takes any.

A new member adds its entry here and is held to every promise. An exception names the promise (the file in
tests/promises) and the reason.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import pytest
import torch

from mdzoo.descriptors.environment_matrix import EnvironmentMatrix
from mdzoo.graph import Graph, collate
from mdzoo.potentials import DescriptorPotential, Ensemble, LinearEnsemble, Potential, build
from mdzoo.potentials.registry import arguments
from mdzoo.regressors import MLP, Linear, MappedGP, Polynomial, Quadratic, SparseGP
from mdzoo.regressors.network import LinearTerm
from mdzoo.testing import SKIN
from tests.molecules import force_field
from tests.structures import graphs


class Entry(NamedTuple):
    table: dict
    n_species: int = 1
    exceptions: dict[str, str] = {}


def learnt(descriptor: dict, regressor: dict) -> dict:
    built = build(descriptor)
    sizes = {"n_features": built.n_features, "n_species": built.n_species}
    return {"name": "DescriptorPotential", "descriptor": descriptor, "regressor": sized(regressor, sizes)}


def sized(table: dict, sizes: dict) -> dict:
    """The table of a regressor with its sizes, and those of the kernels inside."""
    taken = {key: value for key, value in sizes.items() if key in arguments(table["name"])}
    inner = {key: sized(value, sizes) if isinstance(value, dict) else value for key, value in table.items()}
    lists = {
        key: [sized(v, sizes) for v in value]
        for key, value in inner.items()
        if key in ("kernels", "kernel") and isinstance(value, list)
    }
    return {**taken, **inner, **lists}


SMALL = {"name": "SO3", "cutoff": 4, "K": 2, "L": 1, "radial": "chebyshev"}
TWO = {**SMALL, "n_species": 2}
LINEAR = {"name": "Linear"}
QUADRATIC = {"name": "Quadratic"}
LJ = {"name": "LennardJones", "epsilon": 1, "sigma": 2, "cutoff": 4, "trainable": True}
BORN = {"name": "BornMayerHuggins", "A": [[1, 2], [2, 0]], "rho": 1, "sigma": 2, "C": 1, "D": -2, "cutoff": 4}
MIE = {"name": "Mie", "epsilon": [1, 2], "sigma": [2, 1.8], "n": [12, 9], "m": 5, "cutoff": 4, "mixing": "sixthpower"}
KNOTS = [[5, 2, 0.2, -0.5, -0.3], [3, 0, 0, 0, 1], [2, 0.5, 0.3, 0.2, 0.1]]
TABLE = {"name": "PairTable", "values": KNOTS, "inner": 1, "cutoff": 4, "n_species": 2, "spacing": "r2"}
LJ2 = {
    "name": "LennardJones",
    "epsilon": [[1, 2], [2, 1.5]],
    "sigma": [[2, 1.9], [1.9, 2]],
    "cutoff": 4,
    "onset": 3,
    "n_species": 2,
    "trainable": ["sigma", "epsilon/0-1"],
    "bounds": {"sigma": [1, 3]},
    "ties": {"sigma": [["0-0", "1-1"]]},
}
ZBL = {"name": "ZBL", "atomic_numbers": [14, 42], "inner": 2, "outer": 3, "trainable": True}
SW2 = {"n_species": 2, "sigma": [[2.1, 2], [2, 1.9]], "lambda3": [[[20, 10], [10, 5]], [[8, 9], [9, 30]]], "q": 0}
MOD2 = {"n_species": 2, "beta": [[1, 0.5], [2, 1]], "cos0": [[[-0.3, 0], [-0.4, -0.5]], [[-0.3, 0.1], [0, -0.4]]]}
EDIP2 = {"n_species": 2, "a": [[3, 3.1], [2.9, 3.2]], "lambda3": [[[2, 1], [1, 3]], [[1, 2], [2, 1.5]]], "c": 2}
METALS2 = {"n_species": 2, "A": [1.9, 1.5], "d": [[4, 3.8], [3.8, 3.9]], "beta": [[0, 0.1], [0.1, 0]], "c": 3.2}
TABLES = {
    "n_species": 2,
    "F": [[0, -4, -5, -5.5, -5.7, -5.6], [0, -3, -4, -4.2, -4, -3]],
    "f": [[9 - k, 8 - k, 6, 4 - k / 9, 2, 1, 0, 0, 0, 0, 0] for k in range(4)],
    "rphi": [[40, 30 - k, 20, 8, -2, -3 - k, 0, 0, 0, 0, 0] for k in range(3)],
    "d_rho": 9,
    "d_r": 0.5,
    "cutoff": 5,
}
ENDS = {"double_backward": "its bonds end at the cutoff, where the derivative by what makes their range has a kink"}
TERSOFF2 = {
    "n_species": 2,
    "n": [[1, 0.8], [0.7, 3]],
    "beta": [[0.3, 0.5], [0.4, 0.2]],
    "m": [[[3, 1], [3, 1]], [[1, 3], [3, 3]]],
    "R": [[[3, 2.8], [2.9, 3]], [[3, 2.9], [2.9, 2.6]]],
    "lambda3": 1,
}
FREE = {"trainable": True}
TWO_SPECIES = {"trainable": True, "n_species": 2}
ENERGIES = {"name": "AtomicEnergies", "energies": [-3, 5], "trainable": True}
MLP2 = {"name": "MLP", "hidden": [4, 3]}
DEEP = {"residual": True, "layer_norm": True}


def so3(radial: str, pairing: str, body_order: int, n_species: int = 1, K: int = 2, L: int = 2) -> Entry:
    sizes = {"cutoff": 4, "K": K, "L": L, "body_order": body_order, "n_species": n_species}
    return Entry(learnt({"name": "SO3", "radial": radial, "pairing": pairing, **sizes}, LINEAR), n_species)


def ensemble() -> dict:
    members = [learnt(TWO, MLP2)["regressor"], learnt(TWO, LINEAR)["regressor"]]
    return {"name": "Ensemble", "descriptor": TWO, "regressors": members}


def linear_ensemble(term: dict, **options) -> dict:
    return {"name": "LinearEnsemble", "potential": term, "members": 3, "rank": 5, **options}


def ace(radial: str, body_order: int, n_species: int = 1, **sizes) -> Entry:
    table = {"name": "ACE", "cutoff": 4, "radial": radial, "body_order": body_order, "n_species": n_species, **sizes}
    return Entry(learnt(table, LINEAR), n_species)


def pod(ks: list[int], ps: list[int], n_species: int = 1) -> Entry:
    return Entry(learnt({"name": "POD", "cutoff": 4, "K": ks, "P": ps, "n_species": n_species}, LINEAR), n_species)


def uf3(n_species: int = 1, **options) -> Entry:
    sizes = {"cutoff": 4, "r_min": 1.9, "resolution": 4, "triplet_resolution": [3, 4], **options}
    return Entry(learnt({"name": "UF3", "n_species": n_species, **sizes}, LINEAR), n_species)


def so4(n_species: int = 1, **options) -> Entry:
    return Entry(learnt({"name": "SO4", "cutoff": 4, "n_species": n_species, **options}, LINEAR), n_species)


def acsf(n_species: int = 1, **options) -> Entry:
    table = {"name": "ACSF", "cutoff": 4, "n_species": n_species, "g2": [[1, 0], [2, 2]], "g3": [1], **options}
    return Entry(learnt(table, LINEAR), n_species)


def deepmd(n_species: int = 1, **options) -> Entry:
    table = {"name": "DeepMD", "cutoff": 4, "rcut_smth": 1, "n_species": n_species, "sel": 20, **options}
    return Entry(learnt(table, LINEAR), n_species)


def see3(n_species: int = 1, **options) -> Entry:
    table = {"name": "SeE3", "cutoff": 4, "rcut_smth": 1, "n_species": n_species, "sel": 10, **options}
    return Entry(learnt(table, LINEAR), n_species)


def combined(name: str, n_species: int = 1, **options) -> Entry:
    return Entry(learnt({"name": name, **options}, LINEAR), n_species)


NEAR = {**SMALL, "cutoff": 3, "K": 1}
BISPECTRUM2 = {**TWO, "L": 2, "body_order": 4}
SNAP_2 = {"name": "SO4", "cutoff": 4, "n_species": 2, "twojmax": 2}
MOMENTS_2 = {"name": "MTP", "cutoff": 3.5, "n_species": 2, "level": 6}
MIXED = {"name": "ACE", "cutoff": 4, "K": 2, "L": 1, "n_species": 2, "species_channels": 1}


def soap(n_species: int = 1, **options) -> Entry:
    table = {"name": "Soap", "r_cut": 3, "n_max": 2, "l_max": 2, "sigma": 0.5, "n_species": n_species, **options}
    return Entry(learnt(table, LINEAR), n_species)


def soap_quip(n_species: int = 1, **options) -> Entry:
    table = {"name": "SoapQuip", "cutoff": 4, "n_max": 2, "l_max": 2, "n_species": n_species, **options}
    return Entry(learnt(table, LINEAR), n_species)


def mliap_so3(n_species: int = 1, **options) -> Entry:
    table = {"name": "MliapSO3", "cutoff": 4, "n_max": 2, "l_max": 2, "n_species": n_species, **options}
    return Entry(learnt(table, LINEAR), n_species)


GLOBAL = {"isolated": "charges act at any distance"}
MESH = GLOBAL | dict.fromkeys(("gradients", "translation", "extensive"), "a mesh stands still: to its accuracy alone")


def coulomb(name: str, **options) -> Entry:
    table = {"name": name, "cutoff": 4, "charges": [1, -2], "n_species": 2, "trainable": True, **options}
    return Entry(table, 2)


def molecular(**options) -> Entry:
    table = {"name": "MolecularMechanics", "atomic_numbers": [14, 42], "force_field": force_field(), "cutoff": 4}
    reasons = {"extensive": "a cell of two is another topology", "reflection": "phases tell left from right"}
    reasons |= options.pop("exceptions", {})
    return Entry({**table, "trainable": True, **options}, 2, reasons)


SQUARED = {"name": "SquaredExponential", "lengths": 2}
MATERN = {"name": "Matern", "lengths": 3, "variance": 2}


def sparse_gp(kernel: dict | list[dict], n_species: int = 1) -> Entry:
    table = {"name": "SparseGP", "n_inducing": 4, "kernel": kernel}
    return Entry(learnt({**SMALL, "n_species": n_species}, table), n_species)


def equilibrated(name: str, **options) -> Entry:
    table = {"name": name, "hardness": [8, 10], "widths": 0.4, "cutoff": 4, "accuracy": 1e-10, "trainable": True}
    return Entry({**table, **options}, 2, GLOBAL)


ZOO: dict[str, Entry] = {
    "AtomicEnergies": Entry(ENERGIES, 2),
    "LennardJones": Entry(LJ),
    "LennardJones, two species": Entry(LJ2, 2),
    "LennardJones 9-6 force-shifted": Entry({**LJ, "n": 9, "truncation": "force_shifted"}),
    "BornMayerHuggins shifted, two species": Entry({**BORN, **TWO_SPECIES, "truncation": "shifted"}, 2),
    "Buckingham": Entry(
        {"name": "Buckingham", "A": 30, "rho": 0.5, "C": 10, "cutoff": 4, "truncation": "plain", **FREE}
    ),
    "Mie, two species": Entry({**MIE, **TWO_SPECIES}, 2),
    "Morse": Entry({"name": "Morse", "D": 1, "alpha": 1, "r0": 2, "cutoff": 4, **FREE}),
    "PairTable spline, two species": Entry({**TABLE, **FREE, "slopes": [[-1, 0], [-1, 0], [0, 0]]}, 2),
    "PairTable linear": Entry({**TABLE, "values": KNOTS[0], "n_species": 1, "spacing": "r", "interpolation": "linear"}),
    "Yukawa force-shifted, two species": Entry(
        {
            "name": "Yukawa",
            "A": [[1, -2], [-2, 3]],
            "kappa": 1,
            "cutoff": 4,
            "truncation": "force_shifted",
            **TWO_SPECIES,
        },
        2,
    ),
    "D3, two species": Entry({"name": "D3", "atomic_numbers": [14, 8], "cutoff": 4, "cn_cutoff": 3.5, **FREE}, 2),
    "ZBL": Entry(ZBL, 2),
    "CoulombCut, two species": coulomb("CoulombCut"),
    "CoulombDSF, two species": coulomb("CoulombDSF", alpha=0.2),
    "CoulombDSF neutral, two species": coulomb("CoulombDSF", alpha=0.2, neutral=True),
    "CoulombWolf, two species": coulomb("CoulombWolf", alpha=0.3),
    "CoulombEwald neutral, two species": coulomb("CoulombEwald", accuracy=1e-10, neutral=True)._replace(
        exceptions=GLOBAL
    ),
    "CoulombPME neutral, two species": coulomb("CoulombPME", accuracy=1e-6, neutral=True, order=8)._replace(
        exceptions=MESH
    ),
    "MolecularMechanics, two species": molecular(onset=3, coulomb="cut"),
    "MolecularMechanics ewald, two species": molecular(
        onset=3, switch="charmm", coulomb="ewald", accuracy=1e-10, tail=True, exceptions=GLOBAL
    ),
    "QEq, two species": equilibrated("QEq", electronegativity=[2, -1], n_species=2),
    "ChargeEquilibration, two species": equilibrated(
        "ChargeEquilibration", **{key: value for key, value in learnt(TWO, LINEAR).items() if key != "name"}
    ),
    "SO3 bessel slides 4": so3("bessel", "slides", 4),
    "SO3 bessel full 4, two species": so3("bessel", "full", 4, n_species=2, K=1),
    "SO3 bessel2 slides 3": so3("bessel2", "slides", 3),
    "SO3 chebyshev slides 3, two species": so3("chebyshev", "slides", 3, n_species=2, L=3),
    "SO3 chebyshev full 4": so3("chebyshev", "full", 4),
    "SO3 chebyshev slides 5": so3("chebyshev", "slides", 5, K=1),
    "ACE chebyshev 5": ace("chebyshev", 5, K=1, L=2),
    "ACE agnesi 3": ace("agnesi", 3, K=3, L=2, r0=2),
    "ACE chebyshev_power 3, two species": ace("chebyshev_power", 3, n_species=2, K=2, L=1, stretch=2.5),
    "ACE bessel 4, two species": ace("bessel", 4, n_species=2, K=2, L=1),
    "ACE chebyshev 5 by degree, two species": ace("chebyshev", 5, n_species=2, K=3, L=3, degree=[4, 4, 3, 2]),
    "ACSF": acsf(g4=[[0.1, 1, 1], [0.1, 4, -1]], g5=[[0.1, 2.5, -1]]),
    "ACSF, two species": acsf(2, g4=[[0.1, 2, 1]], g5=[[0.2, 1, -1], [0.1, 3, 1]]),
    "ACSF weighted tanh, two species": acsf(2, g4=[[0.1, 2, 1, 1.5]], weights=[14, 8], cutoff_function="tanh"),
    "SO4": so4(twojmax=5),
    "SO4, two species": so4(2, twojmax=4, radii=[1, 0.9], weights=[1, -0.5], sinner=1, dinner=0.5, bnorm=True),
    "SO4 chem, two species": so4(2, twojmax=2, weights=[1, 0.5], chem=True),
    "SO4 chem wselfall, two species": so4(2, twojmax=3, chem=True, wselfall=True, bzero=False),
    "POD to four bodies": pod([5, 4, 3], [4, 3]),
    "POD to seven bodies, two species": pod([2, 1, 1, 1, 1, 1], [2, 1, 1, 1, 1], 2),
    "UF3": uf3(),
    "UF3, two species": uf3(2, r_min=2.2, triplet_cutoff=3.5, triplet_resolution=[1, 2]),
    "MTP 12": Entry(learnt({"name": "MTP", "cutoff": 4, "level": 12, "scaling": 1}, LINEAR)),
    "MTP 10, two species": Entry(learnt({"name": "MTP", "cutoff": 4, "level": 10, "n_species": 2}, LINEAR), 2),
    "DeepMD": deepmd(neuron=[2, 4, 4], axis_neuron=3, resnet_dt=True),
    "DeepMD, two species": deepmd(2, sel=[20, 25], neuron=[2, 3], axis_neuron=2, activation_function="silu"),
    "DeepMD by pairs, two species": deepmd(2, neuron=[3], axis_neuron=2, type_one_side=False, exclude_types=[[0, 0]]),
    "SO4 and MLP, two species": Entry(
        learnt({"name": "SO4", "cutoff": 4, "n_species": 2, "twojmax": 3}, {"name": "MLP", "hidden": [4, 3]}), 2
    ),
    "SeE3, two species": see3(2, resnet_dt=True, neuron=[2, 4, 4], exclude_types=[[1, 1]]),
    "Quadratic": Entry(learnt(SMALL, QUADRATIC)),
    "Polynomial": Entry(learnt(SMALL, {"name": "Polynomial", "degree": 3})),
    "Polynomial, two species": Entry(learnt({**TWO, "K": 1}, {"name": "Polynomial", "degree": 4}), 2),
    "Quadratic, two species": Entry(learnt({**TWO, "K": 1}, QUADRATIC), 2),
    "SO3 shared species channels, two species": Entry(learnt({**TWO, "species_channels": 2}, LINEAR), 2),
    "ACE shared species channels, two species": Entry(learnt(MIXED, LINEAR), 2),
    "Concatenate": combined("Concatenate", descriptors=[NEAR, ace("chebyshev", 3, K=2, L=1).table["descriptor"]]),
    "Concatenate without density": combined("Concatenate", descriptors=[NEAR, acsf().table["descriptor"]]),
    "Select of those that know slopes, two species": combined(
        "Select",
        2,
        descriptor={"name": "Concatenate", "descriptors": [SNAP_2, MOMENTS_2]},
        exclude=["SO41.*2j=2]"],
    ),
    "Select, two species": combined("Select", 2, descriptor=BISPECTRUM2, include=["b*"], exclude=["*l=0*"]),
    "Projection, two species": combined("Projection", 2, descriptor=MIXED, n_components=5),
    "Soap": soap(),
    "Soap polynomial, two species": soap(2, rbf="polynomial", n_max=1, smoothness=3),
    "Soap mu1nu1, two species": soap(2, compression="mu1nu1", l_max=1, central_weight=0),
    "Soap mu2, two species": soap(2, compression="mu2", cutoff=4, width=2),
    "Soap crossover, two species": soap(2, compression="crossover", species_weights=[1, 2], smoothness=-1),
    "SoapQuip": soap_quip(covariance_sigma0=0.1),
    "SoapQuip, two species": soap_quip(2, l_max=1, covariance_sigma0=0.1, central_reference_all_species=True),
    "SoapQuip GTO, two species": soap_quip(2, n_max=1, covariance_sigma0=1, radial_basis="GTO", normalise=False),
    "MliapSO3": mliap_so3(),
    "MliapSO3, two species": mliap_so3(2, l_max=1, alpha=2, species_weights=[1, -2]),
    "SparseGP": sparse_gp({"name": "DotProduct", "zeta": 3, "sigma0": 0.5}),
    "SparseGP of sums and products, two species": sparse_gp(
        {"name": "Sum", "kernels": [SQUARED, {"name": "Product", "kernels": [MATERN, {**SQUARED, "ard": True}]}]}, 2
    ),
    "SparseGP by species, two species": sparse_gp([{**MATERN, "nu": 1.5}, {"name": "DotProduct", "sigma0": 1}], 2),
    "MappedGP, two species": Entry(learnt(TWO, {"name": "MappedGP", "sigma0": 0.5}), 2),
    "MappedGP, zeta 1": Entry(learnt(SMALL, {"name": "MappedGP", "zeta": 1, "sigma0": 0.5})),
    "MLP": Entry(learnt(SMALL, {**MLP2, "activation": "tanh"})),
    "MLP, two species": Entry(learnt(TWO, MLP2), 2),
    "MLP, shared, without linear term": Entry(learnt(TWO, {**MLP2, "shared": True, "linear": False}), 2),
    "MLP of three members, two species": Entry(learnt(TWO, {**MLP2, "members": 3}), 2),
    "MLP residual with layer norm": Entry(learnt(SMALL, {"name": "MLP", "hidden": [4, 4], **DEEP})),
    "Ensemble": Entry(ensemble(), 2),
    "Committee, two species": Entry({"name": "Committee", "potentials": [LJ2, {**LJ2, "sigma": 1.9}]}, 2),
    "LinearEnsemble, two species": Entry(linear_ensemble(learnt(TWO, LINEAR)), 2),
    "LinearEnsemble of a last layer": Entry(linear_ensemble(learnt(SMALL, MLP2))),
    "LinearEnsemble of a process": Entry(linear_ensemble(sparse_gp({"name": "DotProduct"}).table, open=True)),
    "StillingerWeber": Entry({"name": "StillingerWeber"}, exceptions=ENDS),
    "StillingerWeber, two species": Entry({"name": "StillingerWeber", "trainable": True, **SW2}, 2),
    "Tersoff": Entry({"name": "Tersoff"}, exceptions=ENDS),
    "Tersoff, two species": Entry({"name": "Tersoff", "trainable": True, **TERSOFF2}, 2),
    "TersoffMod": Entry({"name": "TersoffMod"}, exceptions=ENDS),
    "TersoffMod, two species": Entry({"name": "TersoffMod", "trainable": ["beta", "R"], **MOD2}, 2),
    "EAM": Entry({"name": "EAM", "d_r": 0.25, "d_rho": 4, "cutoff": 5, "trainable": ["F", "f"]}),
    "EAM by pairs, two species": Entry({"name": "EAM", **TABLES}, 2),
    "EDIP": Entry({"name": "EDIP"}, exceptions=ENDS),
    "EDIP, two species": Entry({"name": "EDIP", "trainable": True, **EDIP2}, 2),
    "FinnisSinclair": Entry({"name": "FinnisSinclair"}, exceptions=ENDS),
    "FinnisSinclair, two species": Entry({"name": "FinnisSinclair", "trainable": True, **METALS2}, 2),
    "SumPotential": Entry({"name": "SumPotential", "terms": [ENERGIES, ZBL, LJ2, learnt(TWO, LINEAR)]}, 2),
}

NAMED = {"relabelling": "its elements have numbers of their own, which would have to change places too"}
for key in (
    "ACSF weighted tanh, two species",
    "SO4, two species",
    "SO4 chem, two species",
    "MTP 10, two species",
    "Select of those that know slopes, two species",
    "DeepMD, two species",
    "DeepMD by pairs, two species",
    "SeE3, two species",
    "MliapSO3, two species",
):
    ZOO[key] = ZOO[key]._replace(exceptions=NAMED)

PLACED = {"relabelling": "LAMMPS gives the species of a triple, in ascending order, one placement among the cosines"}
ZOO["POD to seven bodies, two species"] = ZOO["POD to seven bodies, two species"]._replace(exceptions=PLACED)


def instance(name: str) -> Potential:
    """The entry's potential; learnt terms get weights of the size that a fit would give, so that promises bite."""
    torch.manual_seed(0)
    potential = build(ZOO[name].table)
    for module in potential.modules():
        if isinstance(module, DescriptorPotential | Ensemble):
            stir(module, ZOO[name].n_species)
        if isinstance(module, LinearEnsemble):
            module.deltas.normal_()
            module.root.normal_()
    return potential


def stir(potential: DescriptorPotential | Ensemble, n_species: int) -> None:
    with torch.no_grad():
        for module in potential.modules():
            if isinstance(module, EnvironmentMatrix):
                module.set_statistics(module.statistics(batch(n_species, potential.cutoff)))
        features = potential.descriptor(batch(n_species, potential.cutoff))
        for module in potential.modules():
            if isinstance(module, MLP):
                module.scale.set(features.mean(0), features.std(0))
                for network in module.networks:
                    network.last.weight.mul_(100.0)
            if isinstance(module, Linear | LinearTerm) and module.weights.requires_grad:
                scale = features.square().mean(0).sqrt() * features.shape[1] ** 0.5
                module.weights.copy_(torch.randn_like(module.weights) / scale)
                if module.bias.requires_grad:
                    module.bias.normal_()
            if isinstance(module, MappedGP):
                module.inverse.copy_(1.0 / features.std(0))
                module.weights.normal_()
                module.bias.normal_()
            if isinstance(module, SparseGP):
                rows = torch.randperm(features.shape[0])[: len(module.points)]
                module.set_deviation(features)
                module.set_points(features[rows])
                module.alpha.normal_()
                module.bias.normal_()
            if isinstance(module, Quadratic | Polynomial):
                columns = module.phi(features, torch.zeros(features.shape[0], dtype=torch.int64))
                scale = columns[:, : module.weights.shape[1]].square().mean(0).sqrt() * module.n_features
                module.weights.copy_(torch.randn_like(module.weights) / scale)


@functools.cache
def singles(n_species: int, cutoff: float) -> list[Graph]:
    return graphs(n_species, cutoff)


@functools.cache
def batch(n_species: int, cutoff: float) -> Graph:
    return collate(singles(n_species, cutoff))


class Case(NamedTuple):
    potential: Potential
    table: dict
    n_species: int
    graph: Graph  # crystal, molecule and slab in one batch
    graphs: list[Graph]


def case(name: str) -> Case:
    entry, potential = ZOO[name], instance(name)
    cutoff = max(potential.cutoff, 2.0) + SKIN
    return Case(
        potential, entry.table, entry.n_species, batch(entry.n_species, cutoff), singles(entry.n_species, cutoff)
    )


def members(promise: str, names: Sequence[str] = ()) -> pytest.MarkDecorator:
    """Run a test for every entry or those named; one with an exception to the promise is skipped with its reason."""
    rows = []
    for name in names or ZOO:
        reason = ZOO[name].exceptions.get(promise)
        marks = [pytest.mark.skip(reason=reason)] if reason else []
        rows.append(pytest.param(name, marks=marks, id=name))
    return pytest.mark.parametrize("name", rows)
