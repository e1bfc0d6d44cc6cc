"""The data module: sets, batches, their order, resuming within an epoch, ranks."""

import logging

import ase.io
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from ase import Atoms
from ase.build import bulk

from mdzoo.data import DataModule, dataset, graph_from_atoms
from mdzoo.data.sampler import EpochSampler
from mdzoo.graph import collate


def frames(n=11, **info):
    found = []
    for k in range(n):
        atoms = bulk("Si", cubic=bool(k % 2))
        atoms.rattle(0.05, seed=k)
        atoms.info.update(energy=-5.0 * len(atoms) - 0.01 * k, group="a" if k < 6 else "b", place=k, **info)
        atoms.arrays["forces"] = np.full((len(atoms), 3), 0.1 * k)
        found.append(atoms)
    return found


def module(train=None, **options):
    return DataModule(frames() if train is None else train, cutoff=3.0, cache=False, **options)


def places(part):
    return [atoms.info["place"] for atoms in part.frames]


def test_a_batch_is_its_structures_side_by_side():
    data = module(batch_size=4)
    data.setup()
    (first, *_) = list(data.loader(data.train_set))
    singles = [graph_from_atoms(atoms, [14], 3.0) for atoms in data.train_set.frames[:4]]
    for one, two in zip(first.graph, collate(singles), strict=True):
        assert torch.equal(one, two)
    assert first.labels.index.tolist() == [0, 1, 2, 3]
    assert first.labels.group.tolist() == [0, 0, 0, 0]
    assert first.labels.energy[1].item() == -40.01
    assert first.labels.forces.shape == (20, 3)
    assert first.labels.stress.isnan().all()
    assert first.labels.energy.dtype == torch.float64


def test_items_are_single_structures_and_labels_need_no_graph():
    data = module()
    data.setup()
    assert data.train_set[3].graph.cell.shape == (1, 3, 3)
    assert data.train_set[-1].labels.index.item() == 10
    assert data.train_set.labels(2).group.tolist() == [0]
    with pytest.raises(IndexError):
        data.train_set[11]


def test_the_cutoff_may_be_set_late():
    data = module()
    data.setup()
    before = data.train_set[0].graph.centers.numel()
    data.cutoff = 5.0
    assert data.train_set[0].graph.centers.numel() > before
    assert torch.equal(data.train_set[0].graph.vectors, graph_from_atoms(data.train_set.frames[0], [14], 5.0).vectors)


def test_graphs_are_kept_while_memory_allows():
    roomy, tight = module(), module(memory_limit=1.0)
    for data in (roomy, tight):
        data.setup()
    assert roomy.train_set[0] is roomy.train_set[0]
    assert tight.train_set[0] is not tight.train_set[0]
    for k in range(11):
        assert torch.equal(roomy.train_set[k].graph.vectors, tight.train_set[k].graph.vectors)


def test_beyond_memory_neighbours_are_found_one_by_one(monkeypatch):
    monkeypatch.setattr(dataset, "SHARD", 4)
    data = module(memory_limit=1.0)
    data.setup()
    data.train_set.prepare()
    assert list(data.train_set._shards) == [0]
    assert torch.equal(data.train_set[9].graph.vectors, graph_from_atoms(frames()[9], [14], 3.0).vectors)


def test_split_by_file_and_table_of_elements(tmp_path):
    ase.io.write(tmp_path / "a.extxyz", frames(4))
    ase.io.write(tmp_path / "b.extxyz", frames(2))
    data = module(tmp_path / "a.extxyz", val=tmp_path / "b.extxyz", test=f"{tmp_path}/b.extxyz")
    data.setup()
    assert [len(part) for part in data.sets().values()] == [4, 2, 2]
    assert (data.atomic_numbers, data.groups) == ([14], ["a"])


def test_split_by_fraction_and_by_group():
    data = module(test_fraction=0.2, val_fraction=0.25, seed=3)
    data.setup()
    sets = [places(part) for part in data.sets().values()]
    assert sorted(sum(sets, [])) == list(range(11))
    assert [len(part) for part in sets] == [7, 2, 2]
    data = module(test_groups=["b"])
    data.setup()
    assert places(data.test_set) == list(range(6, 11))
    assert set(data.train_set.groups) == {"a"}


def test_splits_that_cannot_be():
    with pytest.raises(ValueError, match="`test` must come from one place"):
        module(test=frames(2), test_fraction=0.1).setup()
    with pytest.raises(ValueError, match="`train` must hold at least one structure, got 0"):
        module(test_groups=["a", "b"]).setup()
    with pytest.raises(ValueError, match="`train` must name data, got None"):
        DataModule(None)
    data = module()
    with pytest.raises(ValueError, match=r"`test` must name data, got None; set data.test=PATH"):
        data.test_dataloader()


def test_a_model_is_judged_without_training_data():
    data = DataModule(None, test=frames(3), atomic_numbers=[8, 14], cutoff=3.0, cache=False)
    data.setup()
    assert data.test_set[0].graph.species.tolist() == [1, 1]


def test_an_element_that_training_lacks_is_named():
    copper = bulk("Cu")
    copper.info["energy"] = 0.0
    data = module(test=[copper], optional=["forces"])
    data.setup()
    with pytest.raises(ValueError, match=r"elements \['Si'\], got Cu"):
        data.test_set[0]


def test_errors_name_the_file_and_the_structure(tmp_path):
    bad = frames(3)
    bad[2].positions[1] = bad[2].positions[0]
    ase.io.write(tmp_path / "bad.extxyz", bad)
    data = module(tmp_path / "bad.extxyz")
    data.setup()
    with pytest.raises(ValueError, match=r"`bad.extxyz:2` must have one atom at one place"):
        data.train_set[0]


def test_zero_atoms_and_positions_that_are_no_numbers_are_found_at_once():
    empty = Atoms(info={"energy": 0.0})
    with pytest.raises(ValueError, match="`train structure 2` must hold at least one atom, got 0"):
        module([*frames(2), empty], optional=["forces"]).setup()
    lost = frames(2)
    lost[1].positions[0, 0] = np.nan
    with pytest.raises(ValueError, match="`train structure 1` must have finite positions"):
        module(lost).setup()


def test_energies_only_train_with_what_they_have(caplog):
    found = frames(3)
    del found[1].arrays["forces"]
    with caplog.at_level(logging.WARNING):
        data = module(found)
        data.setup()
    assert data.train_set[1].labels.forces.isnan().all()
    assert "1 of 3 structures have no forces" in caplog.text


def test_weights_are_those_of_training_alone():
    data = module(val=frames(2), group_weights={"a": {"energy": 5.0, "forces": 2.0, "stress": 0.0}})
    data.setup()
    labels = data.train_set.labels(0)
    weights = labels.energy_weight.item(), labels.force_weight.item(), labels.stress_weight.item()
    assert weights == (5.0, 2.0, 0.0)
    assert data.val_set.labels(0).energy_weight.item() == 1.0


def test_the_hash_follows_the_content():
    def of(train, **options):
        data = module(train, **options)
        data.setup()
        return data.content_hash

    changed = frames()
    changed[4].arrays["forces"][0, 0] += 1e-9
    weights = {"a": {"energy": 2.0}}
    hashes = [of(frames()), of(frames()), of(changed), of(frames()[:-1]), of(frames(), group_weights=weights)]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 4


@pytest.mark.parametrize(("n", "batch_size", "ranks"), [(11, 4, 1), (11, 4, 2), (7, 2, 2), (5, 100, 3), (3, 1, 2)])
def test_ranks_share_each_batch_and_nothing_is_repeated(n, batch_size, ranks):
    shares = [list(EpochSampler(n, batch_size, 0, True, rank, ranks)) for rank in range(ranks)]
    assert len({len(share) for share in shares}) == 1
    assert all(len(part) > 0 for share in shares for part in share)
    assert sorted(i for share in shares for part in share for i in part) == list(range(n))
    alone = list(EpochSampler(n, batch_size, 0, True))
    if len(alone) == len(shares[0]):
        for whole, parts in zip(alone, zip(*shares, strict=True), strict=True):
            assert sorted(whole) == sorted(sum(parts, []))


def test_the_order_depends_on_seed_and_epoch():
    def order(seed, epoch):
        sampler = EpochSampler(20, 3, seed, True)
        sampler.position = epoch * len(sampler)
        return list(sampler)

    assert order(0, 4) == order(0, 4)
    assert order(0, 4) != order(0, 5)
    assert order(0, 4) != order(1, 4)
    assert sum(EpochSampler(20, 3, 0, False), []) == list(range(20))


def test_a_sampler_goes_on_within_an_epoch():
    whole, rest = EpochSampler(20, 3, 0, True), EpochSampler(20, 3, 0, True)
    rest.position = 3
    assert list(rest) == list(whole)[3:]


def test_samplers_that_cannot_be():
    with pytest.raises(ValueError, match="`batch_size` must be at least 1, got 0"):
        EpochSampler(4, 0, 0, True)
    with pytest.raises(ValueError, match="`ranks` must be at most the number of structures 1, got 2"):
        EpochSampler(1, 4, 0, True, 0, 2)


class Recorder(pl.LightningModule):
    """Counts what it sees; one weight, so that there is something to train."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.seen = []

    def training_step(self, batch, batch_idx):
        self.seen.append((self.current_epoch, self.global_step, batch.labels.index.tolist()))
        return self.weight * batch.labels.energy.sum().float()

    def validation_step(self, batch, batch_idx):
        assert not self.training

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-6)


def train(tmp_path, steps, resume=None, workers=0, epochs=None):
    model = Recorder()
    trainer = pl.Trainer(
        max_steps=-1 if epochs else steps,
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        enable_checkpointing=False,
    )
    trainer.fit(model, datamodule=module(batch_size=4, seed=1, workers=workers), ckpt_path=resume)
    trainer.save_checkpoint(tmp_path / f"{steps}.ckpt")
    return model.seen, model.weight.item()


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*torch.load", "ignore:.*treespec")
@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5, 6])
def test_a_killed_run_goes_on_with_the_same_batches(tmp_path, stop):
    whole, weight = train(tmp_path, 8)
    first, _ = train(tmp_path, stop)
    rest, resumed = train(tmp_path, 8, resume=tmp_path / f"{stop}.ckpt")
    assert [seen[1:] for seen in first + rest] == [seen[1:] for seen in whole]
    assert resumed == weight
    epochs = [sorted(sum((seen[2] for seen in whole[k : k + 3]), [])) for k in (0, 3)]
    assert epochs == [list(range(11))] * 2


@pytest.mark.filterwarnings("ignore:.*treespec", "ignore:.*torch.load")
def test_worker_processes_change_nothing(tmp_path):
    alone, _ = train(tmp_path, 6)
    helped, _ = train(tmp_path, 6, workers=2)
    assert helped == alone
