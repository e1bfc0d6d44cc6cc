import pytest

from mdzoo.potentials import LennardJones, SumPotential, build
from mdzoo.potentials.registry import MEMBERS, arguments, find


def test_tables_build_inner_tables_first():
    terms = [
        {"name": "AtomicEnergies", "energies": [1]},
        {"name": "LennardJones", "epsilon": 1, "sigma": 2, "cutoff": 5},
    ]
    potential = build({"name": "SumPotential", "terms": terms})
    assert isinstance(potential, SumPotential)
    assert isinstance(potential.terms[1], LennardJones)


def test_what_is_no_table_stays_as_it_is():
    assert build([1, "a", None, {"x": (2, 3)}]) == [1, "a", None, {"x": [2, 3]}]


def test_unknown_names_get_the_nearest_one():
    with pytest.raises(
        ValueError, match=r"`name` must be one of .*, got 'LenardJones'; did you mean \['LennardJones'\]"
    ):
        find("LenardJones")


def test_import_paths_are_names_like_any_other():
    with pytest.raises(ValueError, match=r"`name` must be one of .*, got 'os.system'"):
        build({"name": "os.system", "command": "true"})


def test_unknown_arguments_get_the_nearest_one():
    with pytest.raises(ValueError, match=r"`sigmma` must be an argument of LennardJones .* did you mean \['sigma'\]"):
        build({"name": "LennardJones", "epsilon": 1, "sigmma": 2, "cutoff": 5})


@pytest.mark.parametrize("name", sorted(MEMBERS))
def test_arguments_are_known_by_name(name):
    assert arguments(name)
    assert not {"self", "args", "kwargs"} & set(arguments(name))
