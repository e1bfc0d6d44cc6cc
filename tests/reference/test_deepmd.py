"""DeepMD against deepmd-kit (LGPL-3.0): its NumPy reference where it is installed (`pip install mdzoo[oracles]`), and
numbers of deepmd-kit 3.2.0 everywhere, made by `in_deepmd_kit` below from the weights of `by_formula`."""

import numpy as np
import pytest
import torch
from ase.io import read, write

import mdzoo
from mdzoo.basis.embedding import EmbeddingNetwork
from mdzoo.cli import main
from mdzoo.data import graph_from_atoms
from mdzoo.descriptors import DeepMD, SeE3
from mdzoo.export.contract import INPUTS, inputs_of
from mdzoo.export.torchscript import load
from mdzoo.fit import fit
from mdzoo.fit.cached import KeptForceField
from mdzoo.fit.design import design
from mdzoo.graph import Graph, select_edges, within
from mdzoo.potentials import DescriptorPotential, ForceField
from mdzoo.regressors import MLP, Linear
from mdzoo.testing.compare import cluster
from tests.fit.cases import CUTOFF, data, force_field
from tests.structures import graphs

PLACES = [[0.0, 0.0, 0.0], [1.2, 0.3, -0.4], [-0.7, 1.1, 0.9]]  # Angstrom
ONE_SIDE = [  # deepmd-kit 3.2.0, type_one_side=True; rows are atoms, species 0, 1, 1
    [1.4430764744758824, 0.26426621628878416, 0.26426621628878416, 0.05293000658842278],
    [0.6853575089236285, 0.12486618332558716, 0.8373917416152383, 0.1545349117710406],
    [1.3415043131366602, 0.405359909313306, 0.405359909313306, 0.1332132616881253],
    [0.7732391957945697, 0.2256177602781145, 0.8102716550261937, 0.24210780567367537],
    [0.4929236698191418, 0.09020472231354808, 0.09020472231354808, 0.02872881622642622],
    [0.2979403141616861, 0.045116477038517865, 0.25345994869956096, 0.04327498880237659],
]
BY_PAIRS = [  # type_one_side=False
    [1.4430764744758824, 0.26426621628878416, 0.26426621628878416, 0.05293000658842278],
    [0.6853575089236285, 0.12486618332558716, 0.8373917416152383, 0.1545349117710406],
    [1.230220768303106, 0.9590664846745768, 0.9590664846745768, 0.8290502328082391],
    [0.8415432858753236, 0.6910525880868319, 0.7672213399949973, 0.6145106890094936],
    [0.4750974149459982, 0.32723373518752386, 0.32723373518752386, 0.311654779651076],
    [0.2680156308709644, 0.21691179162359206, 0.2950412084587914, 0.2214081481658163],
]
THREE_BODY = [  # se_e3
    [5.129427992322205, 4.6080905586289935, 4.32845535113985, 3.5046464967456257],
    [0.4777928840262141, 0.02875575725422737, 0.31724088669491146, 0.28376946326371993],
    [0.2549209511223157, -0.042030748086646114, 0.1882620932382186, 0.13294953913970545],
]
TWO = {"n_species": 2, "rcut_smth": 1, "neuron": [3, 6, 12, 12], "axis_neuron": 5}


def sines(module: torch.nn.Module) -> None:
    """Weights sin(1 + k), sin(2 + k) ... of the k-th parameter: weight (n_in, n_out), bias, step of each layer."""
    with torch.no_grad():
        for k, p in enumerate(module.parameters()):
            p.copy_(
                torch.sin(torch.arange(1.0, p.numel() + 1) + k).reshape(p.mT.shape if p.dim() == 2 else p.shape).t()
            )


def by_formula(one_side: bool) -> DeepMD:
    out = DeepMD(4, 2, 1, [3, 2], [2, 4], 2, resnet_dt=True, type_one_side=one_side)
    sines(out)
    out.environment.davg.copy_(torch.tensor([0.1, 0.2]))
    out.environment.dstd.copy_(torch.tensor([[0.5, 0.4], [0.3, 0.6]]))
    return out


def molecule() -> Graph:
    return cluster(torch.tensor([0, 1, 1]), torch.tensor(PLACES, dtype=torch.float64), 4.0)


def stirred(mean: float = 0.13, **options) -> DeepMD:
    """With statistics of the size that data give, and time steps that matter."""
    out = DeepMD(4.0, **{**TWO, "sel": [40, 50], **options})
    generator = torch.Generator().manual_seed(1)
    out.environment.davg += mean * torch.arange(1, 1 + out.n_species)
    out.environment.dstd.copy_(0.2 + torch.rand(out.n_species, 2, generator=generator))
    for name, p in out.named_parameters():
        if name.endswith("step"):
            p.data.mul_(7.0)
    return out


def in_deepmd_kit(mine: DeepMD, sel: list[int], **options):
    """The same descriptor, weights and statistics in deepmd-kit."""
    module = pytest.importorskip("deepmd.dpmodel.descriptor.se_e2_a", reason="deepmd-kit is not installed: [oracles]")
    out = module.DescrptSeA(mine.cutoff, mine.environment.rcut_smth, sel, **options)
    for kind, part in enumerate(mine.sums):
        index = (kind,) if out.type_one_side else divmod(kind, mine.n_species)
        take_weights(out.embeddings[index].layers, part.network)
    out.davg = np.pad(mine.environment.davg.numpy()[:, None, None].repeat(sum(sel), 1), ((0, 0), (0, 0), (0, 3)))
    out.dstd = mine.environment.dstd.numpy()[:, [0, 1, 1, 1]][:, None].repeat(sum(sel), 1)
    return out


def take_weights(layers, network: EmbeddingNetwork) -> None:
    for layer, own in zip(layers, network.layers, strict=True):
        layer.w, layer.b = own.weight.detach().numpy().T, own.bias.detach().numpy()
        layer.idt = None if own.step is None else own.step.detach().numpy()


def features_in_deepmd_kit(theirs, graph: Graph, sel: list[int]) -> np.ndarray:
    """Every neighbour is an atom of its own behind those of the structure, in the places of its species."""
    n = graph.species.shape[0]
    neighbors = graph.positions[graph.centers] + graph.vectors
    atype = torch.cat([graph.species, graph.species[graph.neighbors]]).numpy()[None]
    free = np.tile(np.cumsum([0, *sel])[:-1], (n, 1))
    table = np.full((1, n, sum(sel)), -1)
    for edge, centre in enumerate(graph.centers.tolist()):
        kind = atype[0, n + edge]
        table[0, centre, free[centre, kind]] = n + edge
        free[centre, kind] += 1
    assert (free <= np.cumsum(sel)).all()
    return theirs.call(torch.cat([graph.positions, neighbors]).numpy().reshape(1, -1), atype, table)[0][0]


@pytest.mark.parametrize(("one_side", "expected"), [(True, ONE_SIDE), (False, BY_PAIRS)])
def test_numbers_of_deepmd_kit(one_side, expected):
    found = by_formula(one_side)(molecule()).reshape(6, 4)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "mean"),
    [
        ({"n_species": 1, "sel": [80], "resnet_dt": True}, 0.13),
        ({}, 0.0),
        ({"activation_function": "silu", "neuron": [1, 2, 7]}, 0.13),
        ({"type_one_side": False, "resnet_dt": True}, 0.13),
        ({"exclude_types": [[0, 1]]}, 0.0),  # with a mean theirs jumps as a neighbour enters, see below
    ],
)
def test_features_of_deepmd_kit(options, mean):
    mine = stirred(mean, **options)
    kept = ("neuron", "axis_neuron", "resnet_dt", "type_one_side", "exclude_types", "activation_function")
    sel = options.get("sel", [40, 50])
    theirs = in_deepmd_kit(mine, sel, **{k: v for k, v in {**TWO, **options}.items() if k in kept})
    for graph in graphs(mine.n_species, 4.0):
        found = mine.isolated(graph.vectors)[graph.species]
        rows = mine(graph)
        found[: len(rows)] = rows
        expected = torch.as_tensor(features_in_deepmd_kit(theirs, graph, sel))
        torch.testing.assert_close(found.detach(), expected, rtol=0, atol=1e-10 * float(expected.abs().max()))


def test_statistics_of_deepmd_kit():
    mine, sel = DeepMD(4.0, **TWO, sel=[40, 50]), [40, 50]
    theirs = in_deepmd_kit(mine, sel, neuron=TWO["neuron"], axis_neuron=TWO["axis_neuron"])
    crystal = graphs(2, 4.0)[0]
    mine.environment.set_statistics(mine.environment.statistics(crystal))
    system = {"coord": crystal.positions, "atype": crystal.species, "box": crystal.cell.reshape(9)}
    theirs.compute_input_stats([{name: tensor.numpy()[None] for name, tensor in system.items()}])
    np.testing.assert_allclose(mine.environment.davg, theirs.davg[:, 0, 0], rtol=1e-12)
    np.testing.assert_allclose(mine.environment.dstd[:, [0, 1, 1, 1]], theirs.dstd[:, 0], rtol=1e-12)


def test_statistics_are_those_of_all_places_empty_ones_too():
    descriptor = DeepMD(4.0, 3, rcut_smth=1, sel=2, neuron=[2], axis_neuron=1)
    graph = molecule()
    descriptor.environment.set_statistics(descriptor.environment.statistics(graph))
    rows = descriptor.environment.rows(graph)
    one, other = rows[graph.centers == 0], rows[graph.centers > 0]
    for kind, (own, n_places) in enumerate([(one, 6), (other, 12)]):
        full = torch.cat([own, torch.zeros(n_places - len(own), 4)])
        torch.testing.assert_close(descriptor.environment.davg[kind], full[:, 0].mean())
        found = torch.stack([full[:, 0].std(correction=0), full[:, 1:].std(correction=0)])
        torch.testing.assert_close(descriptor.environment.dstd[kind], found)
    assert descriptor.environment.dstd[2].tolist() == [0.1, 0.1], "no atom of this species"


def test_the_mean_stays_zero_where_asked():
    descriptor = DeepMD(4.0, **TWO, set_davg_zero=True)
    assert not descriptor.environment.standardised()
    descriptor.environment.set_statistics(descriptor.environment.statistics(molecule()))
    assert descriptor.environment.standardised()
    assert descriptor.environment.davg.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("exclude", [[], [[0, 1]], [[1, 1]]])
def test_a_neighbour_at_the_cutoff_is_one_that_is_not_there(exclude):
    descriptor = stirred(exclude_types=exclude)
    places = torch.tensor([*PLACES, [4.0 - 1e-9, 0.0, 0.0]], dtype=torch.float64)
    with_it = cluster(torch.tensor([0, 1, 1, 1]), places, 4.0)
    edges = (with_it.neighbors < 3) & (with_it.centers < 3)
    without = descriptor(select_edges(with_it, edges))
    torch.testing.assert_close(descriptor(with_it)[0], without[0], rtol=0, atol=1e-14)


@pytest.mark.parametrize(("n_species", "sel"), [(1, [80]), (2, [40, 50])])
def test_three_body_features_of_deepmd_kit(n_species, sel):
    mine = SeE3(4.0, n_species, 1.0, sel, [3, 6, 12], True)
    mine.environment.dstd.copy_(0.2 + torch.rand(n_species, 2))
    module = pytest.importorskip("deepmd.dpmodel.descriptor.se_t", reason="deepmd-kit is not installed: [oracles]")
    theirs = module.DescrptSeT(4.0, 1.0, sel, neuron=[3, 6, 12], resnet_dt=True)
    for pair, part in zip(mine.pairs, mine.sums, strict=True):
        take_weights(theirs.embeddings[pair].layers, part.network)
    theirs.dstd = mine.environment.dstd.numpy()[:, [0, 1, 1, 1]][:, None].repeat(sum(sel), 1)
    for graph in graphs(n_species, 4.0):
        found, expected = mine(graph).detach(), torch.as_tensor(features_in_deepmd_kit(theirs, graph, sel))
        expected = expected[: len(found)]  # the others have no neighbours
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10 * float(expected.abs().max()))


def test_three_body_numbers_of_deepmd_kit():
    descriptor = SeE3(4.0, 2, 1.0, [3, 2], [2, 4], True)
    sines(descriptor)
    descriptor.environment.dstd.copy_(torch.tensor([[0.5, 0.4], [0.3, 0.6]]))
    torch.testing.assert_close(
        descriptor(molecule()), torch.tensor(THREE_BODY, dtype=torch.float64), rtol=0, atol=1e-12
    )


def test_pairs_that_do_not_see_each_other_add_nothing():
    descriptor = stirred(exclude_types=[[0, 1], [1, 1], [0, 0]])
    assert (descriptor(molecule()) == 0.0).all()


def test_neighbours_beyond_their_places_count_like_the_others():
    few, many = stirred(0.0, sel=[1, 1]), stirred(0.0, sel=[40, 50])
    torch.testing.assert_close(few(molecule()) * 4.0, many(molecule()) * 8100.0)


def test_blocks_of_neighbours_change_nothing():
    descriptor, graph = stirred(), graphs(2, 4.0)[0]
    expected = descriptor(graph)
    for part in descriptor.sums:
        part.block = 1
    torch.testing.assert_close(descriptor(graph), expected)


def test_weights_are_folded():
    descriptor = stirred()
    density, theta = descriptor.density(graphs(2, 4.0)[0]), torch.randn(descriptor.n_features).double()
    torch.testing.assert_close(descriptor.contract_with(density, theta), descriptor.contract(density) @ theta)


def test_the_seed_gives_the_first_weights():
    first = [DeepMD(seed=seed, neuron=[2], axis_neuron=1).sums[0].network.layers[0].weight for seed in (3, 3, 4)]
    assert first[0].equal(first[1])
    assert not first[0].equal(first[2])
    layer = EmbeddingNetwork([200, 200], "tanh", True).layers[1]
    layer.requires_grad_(False)
    assert float(layer.weight.std()) == pytest.approx(400**-0.5, rel=0.02)
    assert float(layer.bias.std()) == pytest.approx(1.0, rel=0.2)
    assert float(layer.step.mean()) == pytest.approx(0.1, rel=0.01)


def test_linear_fits_take_its_rows():
    descriptor = stirred(neuron=[2, 3], axis_neuron=2)
    model = ForceField(DescriptorPotential(descriptor, Linear(6, 2)), [1, 8])
    graph, theta = within(graphs(2, 4.0)[0], 4.0), torch.randn(14).double()
    rows = design(model, graph)
    model.potential.regressor.set_theta(theta)
    found = model.eval()(graph)
    torch.testing.assert_close(rows.energy @ theta, found.energy)
    torch.testing.assert_close(rows.forces @ theta, found.forces)
    torch.testing.assert_close((rows.virial @ theta).view(-1, 3, 3), found.virial)


def test_networks_train_with_the_rest_and_are_not_kept(tmp_path):
    descriptor = DeepMD(CUTOFF, 1, 1.0, 40, [4, 8], 2)
    model = force_field(MLP(descriptor.n_features, 1, hidden=[4]), descriptor)
    with pytest.raises(ValueError, match="cache"):
        KeptForceField(model)
    before = [p.detach().clone() for p in descriptor.parameters()]
    settings = {"name": "sgd", "warmup": 2, "batch_size": 3, "lr": 0.01, "ema": 0.0}
    losses = []
    for epochs in (1, 12):
        run = tmp_path / str(epochs)
        losses.append(fit(model, data(), run, {**settings, "epochs": epochs}).metrics["train/loss"])
    assert losses[1] < 0.7 * losses[0]
    assert all(not p.equal(q) for p, q in zip(before, descriptor.parameters(), strict=True))
    mean = descriptor.environment.davg.clone()
    assert float(mean) > 0.0
    fit(model, data(data().train_set.frames[:2]), tmp_path / "more", {**settings, "epochs": 1})
    assert descriptor.environment.davg.equal(mean), "statistics are set once"


def test_the_experiment_trains_and_exports(data_root, tmp_path):
    frames = read(data_root / "deepmd_water" / "data_0.extxyz.gz", ":2")
    write(tmp_path / "few.extxyz", frames)
    few = [f"data.{split}={tmp_path}/few.extxyz" for split in ("train", "test")]
    small = ["descriptor.cutoff=3", "descriptor.neuron=[4,8]", "descriptor.axis_neuron=2", "regressor.hidden=[8]"]
    words = ["experiment=deepmd", *few, *small, "fit.epochs=1", "data.cache=false", "wandb=disabled"]
    assert main(["train", *words, f"run_dir={tmp_path}/run"]) == 0
    model = mdzoo.load(tmp_path / "run")
    assert float(model.potential.terms[1].descriptor.environment.davg.min()) > 0.0
    graph = graph_from_atoms(frames[0], [8, 1], 3.0)
    exported = load(tmp_path / "run" / "model.pt")
    inputs = inputs_of(graph)
    found = exported(*[inputs[name] for name in INPUTS])
    torch.testing.assert_close(found[2], model(graph).forces, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rcut_smth": 4.0}, r"`rcut_smth` must be within \[0, cutoff=4.0\) \(Angstrom\), got 4.0"),
        ({"sel": [3]}, r"`sel` must be a positive number or 2 of them, one for each species, got \[3\]"),
        ({"sel": 0}, "`sel` must be a positive number or 2 of them, one for each species, got 0"),
        ({"neuron": []}, r"`neuron` must hold one or more positive widths, got \[\]"),
        ({"axis_neuron": 13}, "`axis_neuron` must be 1 to 12, the last of `neuron`, got 13"),
        ({"activation_function": "relu"}, r"`activation_function` must be one of \['tanh', 'silu'\], got 'relu'"),
        ({"exclude_types": [[0, 2]]}, r"`exclude_types` must hold pairs of species 0 to 1, got \[0, 2\]"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        DeepMD(4.0, **{**TWO, **arguments})
