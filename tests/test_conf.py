"""Configs are code: each file builds what it names, each key is an argument, and nothing unknown is taken."""

import dataclasses
import inspect
import re

import pytest
from omegaconf import OmegaConf

from mdzoo.bayes.registry import METHODS, find
from mdzoo.cli.commands import PLACES, data_module, new_model
from mdzoo.cli.config import compose, conf_dir, groups, plain
from mdzoo.data import DataModule
from mdzoo.data.parameter_files import READERS, with_file
from mdzoo.descriptors.base import Descriptor
from mdzoo.fit.settings import KINDS, settings_from
from mdzoo.potentials import ForceField, Potential, build
from mdzoo.potentials.assemble import assemble
from mdzoo.potentials.registry import MEMBERS, arguments
from mdzoo.regressors.base import Regressor
from tests import tiny_data

FRAMES = {"AtomicEnergies", "SumPotential", "DescriptorPotential", "Ensemble"}  # made by assembly, not chosen
FRAMES |= {"Committee", "LinearEnsemble"}  # made by an inference
FRAMES |= {"MappedGP"}  # made by an export
KERNELS = {"DotProduct", "Matern", "Product", "SquaredExponential", "Sum"}  # stand inside regressor/sparse_gp.yaml
FILLED = {"atomic_numbers", "n_species", "n_features", "energies"}  # taken from the data and from one another
LONE = {"topologies": [{"title": "no atoms", "numbers": []}]}  # where a user names the files of molecules
AXIS_OF = {Potential: "empirical", Descriptor: "descriptor", Regressor: "regressor"}


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def member(axis: str, choice: str) -> dict:
    table = plain(OmegaConf.load(conf_dir() / axis / f"{choice}.yaml"))
    table = with_file(table[choice], [14]) if axis == "empirical" else table
    return table | {"force_field": LONE} if "force_field" in table else table


MEMBER_FILES = [(axis, choice) for axis in AXIS_OF.values() for choice in groups()[axis]]
CHOSEN = sorted(set(MEMBERS) - FRAMES - KERNELS)


@pytest.mark.parametrize(("axis", "choice"), MEMBER_FILES)
def test_a_file_is_named_after_its_class_and_its_keys_are_the_arguments(axis, choice):
    table = member(axis, choice)
    assert choice == snake(table["name"])
    assert set(table) - {"name"} == set(arguments(table["name"])) - FILLED


@pytest.mark.parametrize("name", CHOSEN)
def test_every_public_class_has_a_file(name):
    (axis,) = [axis for base, axis in AXIS_OF.items() if issubclass(MEMBERS[name], base)]
    assert snake(name) in groups()[axis]


@pytest.mark.parametrize("choice", groups()["empirical"])
def test_an_empirical_file_holds_one_key_its_name(choice):
    assert list(OmegaConf.load(conf_dir() / "empirical" / f"{choice}.yaml")) == [choice]


@pytest.mark.parametrize("numbers", [[14], [15, 49]])
@pytest.mark.parametrize("descriptor", groups()["descriptor"])
@pytest.mark.parametrize("regressor", groups()["regressor"])
def test_every_combination_builds(numbers, descriptor, regressor):
    axes = {"zbl": member("empirical", "zbl")}, member("descriptor", descriptor), member("regressor", regressor)
    table = assemble(*axes, numbers, [0.0] * len(numbers))
    assert ForceField(build(table), numbers).reach != 0


@pytest.mark.parametrize("numbers", [[14], [15, 49]])
@pytest.mark.parametrize("empirical", groups()["empirical"])
def test_every_empirical_term_builds_under_a_learnt_one(numbers, empirical):
    axes = {empirical: member("empirical", empirical)}, member("descriptor", "so3"), member("regressor", "linear")
    table = assemble(*axes, numbers, [0.0] * len(numbers))
    assert len(ForceField(build(table), numbers).potential.terms) == 3


@pytest.mark.parametrize("choice", groups()["empirical"])
def test_what_has_a_reader_takes_a_file(choice):
    term = plain(OmegaConf.load(conf_dir() / "empirical" / f"{choice}.yaml"))[choice]
    assert ("file" in term) == (term["name"] in READERS)


@pytest.mark.parametrize("choice", groups()["fit"])
def test_the_keys_of_a_fit_are_its_settings(choice):
    config = plain(compose("train", [f"fit={choice}"]).fit)
    fields = {entry.name: entry for entry in dataclasses.fields(KINDS[choice])}
    assert config.pop("name") == choice
    assert set(config) == set(fields)
    assert settings_from({"name": choice, **config}) == KINDS[choice](), "the file says the defaults"


@pytest.mark.parametrize("choice", groups()["data"])
def test_the_keys_of_data_are_the_arguments_of_the_data_module(choice):
    keys = set(compose("train", [f"data={choice}"]).data)
    taken = set(inspect.signature(DataModule).parameters)
    assert keys - set(PLACES) == taken - {"cutoff"}, "the cutoff is the model's"


@pytest.mark.parametrize("choice", sorted(set(groups()["data"]) - {"silicon", "extxyz"}))
def test_data_files_are_there(choice, data_root):
    config = plain(compose("train", [f"data={choice}", f"data.root={data_root}"]).data)
    from mdzoo.data.readers import find_files

    for split in ("train", "test"):
        paths = config[split] if isinstance(config[split], list) else [config[split]]
        assert all(find_files(path, split) for path in paths if path)


@pytest.mark.parametrize("choice", groups()["experiment"])
def test_every_experiment_assembles_and_predicts_one_batch(choice, tmp_path):
    numbers = plain(compose("train", [f"experiment={choice}"]).data)["atomic_numbers"] or [14]
    words = [word for word in tiny_data.write(tmp_path, numbers) if word != "data=extxyz"]
    settings = plain(compose("train", [f"experiment={choice}", *words]))
    data = data_module(settings["data"] | {"stress_mask": None})
    data.setup()
    force_field, _ = new_model(settings, data)
    data.cutoff = force_field.cutoff
    out = force_field(next(iter(data.train_dataloader())).graph)
    assert out.forces.isfinite().all()


def test_empirical_terms_add_and_axes_can_be_left_out():
    both = compose("train", ["empirical=[zbl,lennard_jones]", "empirical.zbl.outer=3"])
    assert list(both.empirical) == ["zbl", "lennard_jones"]
    assert both.empirical.zbl.outer == 3
    none = compose("train", ["empirical=[]", "descriptor=null", "regressor=null"])
    assert not {"empirical", "descriptor", "regressor"} & set(none)
    assert plain(compose("train", ["empirical=null"])) == plain(compose("train", ["empirical=[]"]))


def test_a_later_word_wins_over_the_experiment():
    config = compose("train", ["experiment=silicon_demo", "regressor=mlp", "descriptor.K=2"])
    assert config.regressor.name == "MLP"
    assert config.descriptor.K == 2


def test_paths_with_spaces_and_equals_are_text():
    assert compose("train", ["data.train=my data/a=1 (b).xyz"]).data.train == "my data/a=1 (b).xyz"


def test_the_seed_of_the_data_is_the_seed():
    assert compose("train", ["seed=7"]).data.seed == 7


def test_assembly_refuses_a_table_without_a_name():
    with pytest.raises(ValueError, match="`name` must stand in every table"):
        assemble({"zbl": {"inner": 1.0}}, None, None, [14], [0.0])


def test_assembly_fills_in_what_the_data_and_the_descriptor_know():
    table = assemble(None, {"name": "SO3", "K": 2, "L": 1}, {"name": "Linear"}, [14, 42], [1.0, 2.0])
    energies, learnt = table["terms"]
    assert energies == {"name": "AtomicEnergies", "energies": [1.0, 2.0]}
    assert learnt["descriptor"]["n_species"] == 2
    assert learnt["regressor"] == {
        "name": "Linear",
        "n_species": 2,
        "n_features": build(learnt["descriptor"]).n_features,
    }


def test_further_learnt_terms_stand_behind_the_first():
    pairs = {"descriptor": {"name": "ACE", "K": 3, "body_order": 2}, "regressor": {"name": "SparseGP", "n_inducing": 2}}
    axes = None, {"name": "SO3", "K": 2, "L": 1}, {"name": "Linear"}, [14, 42], [1.0, 2.0]
    learnt = assemble(*axes, {"pairs": pairs})["terms"][1:]
    assert [term["regressor"]["name"] for term in learnt] == ["Linear", "SparseGP"]
    assert [term["regressor"]["n_features"] for term in learnt] == [
        build(term["descriptor"]).n_features for term in learnt
    ]
    with pytest.raises(
        ValueError, match=r"`more.pairs` must hold a descriptor and a regressor, got \['regressor'\]; give"
    ):
        assemble(*axes, {"pairs": {"regressor": pairs["regressor"]}})


@pytest.mark.parametrize(
    ("command", "word", "found"),
    [
        ("train", "more={pairs: {regressor: {name: Linear}}}", {"pairs": {"regressor": {"name": "Linear"}}}),
        ("train", "more={pairs:{descriptor:{K:[3,2]}}}", {"pairs": {"descriptor": {"K": [3, 2]}}}),
        ("infer", 'prior={"*.last.*": {name: normal, scale: 2.0}}', {"*.last.*": {"name": "normal", "scale": 2.0}}),
        ("infer", "prior={*.epsilon: {name: literature}}", {"*.epsilon": {"name": "literature"}}),
        ("infer", "bayes.noise={forces: {scale: 0.1, width: 0}}", {"forces": {"scale": 0.1, "width": 0}}),
    ],
)
def test_tables_on_the_command_line(command, word, found):
    """Those that are empty by default take any keys, quoted or not."""
    words = ["model=none", "bayes=nuts"] if command == "infer" else []
    config = plain(compose(command, [*words, word]))
    key = word.partition("=")[0]
    assert (config["bayes"]["noise"] if key == "bayes.noise" else config[key]) == found


@pytest.mark.parametrize("choice", groups()["bayes"])
def test_the_keys_of_a_method_are_its_arguments_and_defaults(choice):
    config = plain(compose("infer", ["model=none", f"bayes={choice}"]).bayes)
    assert config.pop("name") == choice
    defaults = {key: entry.default for key, entry in inspect.signature(find(choice)).parameters.items()}
    same = {key: list(value) if isinstance(value, tuple) else value for key, value in defaults.items()}
    assert config == same, "the file says the defaults"


def test_every_method_has_a_file():
    assert set(METHODS) == set(groups()["bayes"])
